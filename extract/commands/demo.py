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
    n_drawn = draw_with_progress(folder, seed=seed, quiet=printing.quiet)
    result = {"folder": str(folder), "n_images": n_drawn, "seed": seed}
    printing.print_result(result, f"{n_drawn} pictures drawn into {folder}")


def draw_with_progress(folder: Path, *, seed: int, quiet: bool) -> int:
    """Draw the demo with a bar on stderr; say how many pictures were drawn."""
    from tqdm import tqdm

    from extract.catalog.demo import KINDS, draw_demo

    per_kind = 30
    with tqdm(
        total=per_kind * len(KINDS),
        unit="picture",
        disable=True if quiet else None,
        dynamic_ncols=True,
    ) as bar:
        draw_demo(folder, per_kind=per_kind, seed=seed, progress=lambda _done, _total: bar.update())
    return per_kind * len(KINDS)
