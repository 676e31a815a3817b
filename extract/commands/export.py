"""``python -m extract export``: embeddings for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from extract import command_line as cl


@cl.command()
def export(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An embeddings file.")],
    file_format: Annotated[
        Literal["npz", "csv", "parquet", "lancedb"] | None,
        typer.Option("--format", help="Default: what --output ends in, or npz."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: the file's name, in the workspace."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    common: cl.Common,
) -> None:
    """Write the sound rows as npz, CSV, parquet or LanceDB: ids, vectors, labels, columns."""
    from extract.storage.exchange.export import as_text, export_file

    workspace = common.workspace()
    source = workspace.find_file(file)
    exported = export_file(
        workspace, source, file_format, output, overwrite=overwrite, quiet=common.quiet
    )
    common.print_result(exported, as_text(exported))
