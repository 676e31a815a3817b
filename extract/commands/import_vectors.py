"""``python -m extract import``: vectors that were made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from extract import command_line as cl


@dataclass(frozen=True)
class RowOptions:
    """What is known of the rows: ids, labels and pictures."""

    ids: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Ids, one per line; default: the file's own, or 0, 1, 2."
        ),
    ] = None
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or parquet: a column of ids, others are levels."),
    ] = None
    label_column: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Column of labels; may be repeated.")
    ] = None
    images_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the pictures, by their ids.")
    ] = None


@cl.command()
def import_vectors(
    *,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file of vectors, or a folder of them.")
    ],
    rows: RowOptions,
    catalog: Annotated[str | None, typer.Option(metavar="NAME", help="Default: SOURCE.")] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name used for the backbone; default: SOURCE."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    common: cl.Common,
) -> None:
    """Import vectors from npy, npz, CSV, parquet, safetensors or HDF5, with ids and labels."""
    from extract.pipeline.imported import import_file
    from extract.storage.exchange.vector_files import LabelSource

    imported = import_file(
        common.workspace(),
        source,
        rows.ids,
        LabelSource(rows.labels, tuple(rows.label_column or ())),
        name=name,
        catalog=catalog,
        images_dir=rows.images_dir,
        overwrite=overwrite,
    )
    common.print_result(imported.to_json(), imported.text())
