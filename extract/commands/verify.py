"""``python -m extract verify``: prove an embeddings file right, or say which rows are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extract import command_line as cl

if TYPE_CHECKING:
    from extract.verification.checks import Check

MOST_ROWS = 20
MARKS = {True: "ok", False: "FAILED", None: "not checked"}

NEW_FILE = "embed the catalogue into a new file, python -m extract --output FILE"
UPGRADE = "upgrade sosie, and verify again"
READ_ANEW = (
    "run python -m extract again: it computes the rows anew that an earlier version read otherwise "
    "(color profiles, depth), and where that is not all, --restart"
)
RESTART = "compute every row again, python -m extract --restart"
NEXT = {
    "readable": "move it away and run python -m extract again",
    "golden": "this installation computes other vectors: reinstall torch, torchvision, timm and "
    "pillow, and verify again",
    "weights": "give the weights that were embedded with, --weights FILE, or " + NEW_FILE,
    "ids": NEW_FILE,
    "counts": RESTART,
    "finite": RESTART,
    "not_constant": RESTART,
    "doubled": RESTART,
    "recomputed": RESTART,
    "contents": "compute what has changed by content, python -m extract --rehash",
    "check_sums": "run python -m extract again, which makes damaged rows and a damaged record anew",
}
"""What to type where a check failed, the furthest-reaching first: it mends the others as well."""


@cl.command()
def verify(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An embeddings file.")],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the pictures are; needed where the file's own root lies outside the "
            "workspace.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the file's weights came from a file."),
    ] = None,
    seed: cl.SeedOption = 0,
    common: cl.Common,
) -> None:
    """Prove a file right, or say which rows are not; exits 1 when a check fails.

    Every row is checked, every picture that is there is read, and 16 rows are computed again.
    Without pictures or weights the checks that need them are not made, and that is said.
    """
    from extract.errors import EmbeddingsFileError, LaterFormat, NotSound
    from extract.storage.catalog_roots import pictures_root
    from extract.storage.embeddings_file import read_table
    from extract.verification.checks import is_sound, unreadable
    from extract.verification.checks import verify as verified
    from extract.verification.evidence import find_backbone, gather

    workspace = common.workspace()
    path = workspace.find_file(file)
    checks: tuple[Check, ...]
    later = False
    try:
        table = read_table(path)
    except EmbeddingsFileError as error:
        if not path.is_file():
            raise
        later = isinstance(error, LaterFormat)
        checks = (unreadable(str(error)),)
    else:
        pictures = pictures_root(workspace, table.provenance, images)
        here = find_backbone(table.provenance, weights)
        with common.progress_bar("pictures") as progress:
            workers = os.cpu_count() or 1
            evidence = gather(
                table, here, root=pictures, seed=seed, workers=workers, progress=progress
            )
        checks = verified(evidence)
    name, sound = workspace.relative(path), is_sound(checks)
    failed = [check.name for check in checks if check.passed is False]
    way_out = next((step for check, step in NEXT.items() if check in failed), None)
    if way_out == RESTART and failed == ["recomputed"] and not table.provenance.names_readings:
        way_out = READ_ANEW
    way_out = UPGRADE if later else way_out
    listed = [check.to_json() for check in checks]
    result = {"file": name, "sound": sound, "checks": listed}
    common.print_result(result, as_text(name, checks, way_out))
    if not sound:
        raise NotSound(f"{name} is not sound ({', '.join(failed)}): {way_out}")


def as_text(file: str, checks: Sequence[Check], way_out: str | None) -> str:
    """Spell the verdicts for people: a line a check, the wrong rows, and what to type next."""
    from extract.ids import shown

    lines = [shown(file)]
    for check in checks:
        lines.append(f"{MARKS[check.passed]:<12} {check.name:<13} {shown(check.detail)}")
        lines += [f"{'':<12} {'':<13} {shown(row_id)}" for row_id in check.rows[:MOST_ROWS]]
        if len(check.rows) > MOST_ROWS:
            more = f"and {len(check.rows) - MOST_ROWS} more: --json lists them all"
            lines.append(f"{'':<12} {'':<13} {more}")
    counted = {
        what: sum(check.passed is verdict for check in checks)
        for what, verdict in (("passed", True), ("failed", False), ("not checked", None))
    }
    verdict = "not sound" if counted["failed"] else "sound"
    said = ", ".join(f"{count} {what}" for what, count in counted.items() if count)
    lines.append(f"{verdict}: {said}" + (f"; {way_out}" if way_out else ""))
    return "\n".join(lines)
