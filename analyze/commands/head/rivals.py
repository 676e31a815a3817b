"""Which files ``analyze head`` compares with, or concatenates with its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.stored_files.selection import Selection

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


def _of_model(workspace: Workspace, wanted: Selection, typed: str) -> Path:
    from analyze.stored_files.selection import choose_one

    try:
        return choose_one(workspace, wanted)
    except UsageError as error:
        noted = str(error).replace("--embeddings FILE", "its path")
        raise UsageError(f"{typed}: {noted}") from None
