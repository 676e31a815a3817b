"""``python -m extract show``: what a file holds and how it came to be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract import command_line as cl


@cl.command()
def show(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An embeddings file.")],
    common: cl.Common,
) -> None:
    """Show identity, execution configs, record, counts, and refused pictures with their reasons."""
    from extract.storage.description import as_text, describe_file

    workspace = common.workspace()
    described = describe_file(workspace, workspace.find_file(file))
    common.print_result(described, as_text(described))
