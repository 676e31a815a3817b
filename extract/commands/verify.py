"""``python -m extract verify``: prove an embeddings file right, or say which rows are not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract import command_line as cl


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
        typer.Option(metavar="FILE", help="Weights, if the file's came from a file."),
    ] = None,
    seed: cl.SeedOption = 0,
    common: cl.Common,
) -> None:
    """Prove a file right, or say which rows are not; exits 1 when a check fails.

    Every row is checked, every picture that is there is read, and 16 rows are computed again.
    Without pictures or weights the checks that need them are not made, and this is reported.
    """
    from extract.verification.verdict import verify_file

    workspace = common.workspace()
    path = workspace.find_file(file)
    with common.progress_bar("pictures") as progress:
        verdict = verify_file(
            workspace, path, images=images, weights=weights, seed=seed, progress=progress
        )
    common.print_result(verdict.to_json(), verdict.text())
    verdict.check()
