"""``python -m extract demo``: draw the demo catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract import command_line as cl


@cl.command()
def demo(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    seed: cl.SeedOption = 0,
    printing: cl.Printing,
) -> None:
    """Draw the demo catalogue: seven kinds of product, 30 pictures each."""
    from extract.catalog.demo import draw_demo

    with printing.progress_bar("pictures") as progress:
        n_drawn = draw_demo(folder, seed=seed, progress=progress)
    result = {"folder": str(folder), "n_images": n_drawn, "seed": seed}
    printing.print_result(result, f"{cl.counted_pictures(n_drawn)} drawn into {folder}")
