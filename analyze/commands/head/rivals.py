"""What ``analyze head`` does with rivals: which files, which tables, which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.presentation import wording
from extract.errors import UsageError
from extract.ids import shown
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.commands.selection.selection import Selection
    from analyze.head.rivals import HeadComparison, Rival

SUFFIX = ".h5"


def choose_rivals(
    workspace: Workspace,
    plain: Path,
    against: Sequence[str],
    wanted: Selection,
    option: str = "--against",
) -> list[Path]:
    """Find the files of backbones to compare with: by model, of the same catalogue, or by path.

    Raises
    ------
    UsageError
        When none fits, or several do, or it is the head's own.
    """
    found: dict[Path, Path] = {}
    for name in against:
        if name.endswith(SUFFIX):
            path = workspace.find_file(Path(name))
        else:
            catalog = wanted.catalog or plain.parent.name
            one = replace(wanted, embeddings=(), models=(name,), catalog=catalog)
            path = _of_model(workspace, one, f"{option} {name}")
        if path.resolve() == plain.resolve():
            raise UsageError(
                f"{option} {name} is the head's own file: name another backbone, or a file"
            )
        found[path.resolve()] = path
    return list(found.values())


def rival_lines(comparison: HeadComparison) -> list[str]:
    """Say of each rival how good it is, what it took, and whether the head is better."""
    lines = []
    for rival in comparison.rivals:
        lines += [_of_rival(rival), rival.verdict, _of_test(comparison, rival)]
        for name, found in rival.differences.items():
            score, level = name.replace("_f1", " F1").replace("_", " "), name.removeprefix("path_")
            words = score if level == name else f"path at level {shown(level)}"
            apart = wording.estimate(found, signed=True)
            lines.append(f"  {words}, {comparison.name} minus {rival.name} {apart}")
    return lines


def _of_model(workspace: Workspace, wanted: Selection, typed: str) -> Path:
    from analyze.commands.selection.selection import choose_one

    try:
        return choose_one(workspace, wanted)
    except UsageError as error:
        said = str(error).replace("--embeddings FILE", "its path")
        raise UsageError(f"{typed}: {said}") from None


def _of_rival(rival: Rival) -> str:
    from analyze.head.reporting.runs import epochs_of, seconds_of
    from analyze.head.reporting.text import accuracy_lines

    scores = accuracy_lines(rival.report)[0].removeprefix("head: ")
    epochs = epochs_of(rival.report.runs)
    return (
        f"{rival.name}: {scores}; {len(rival.report.runs)} heads in "
        f"{seconds_of(rival.report.runs):.1f} s, best epoch {epochs['best']:.0f} in the mean"
    )


def _of_test(comparison: HeadComparison, rival: Rival) -> str:
    one, other = rival.discordant
    p = f"McNemar p {_spelled(rival.discordant.p_value)}"
    if len(comparison.rivals) > 1:
        p += f", {_spelled(rival.p_adjusted)} among {len(comparison.rivals)} rivals"
    return f"{one} pictures {comparison.name} alone has right, {other} {rival.name} alone: {p}"


def _spelled(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
