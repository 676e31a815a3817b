"""Where pictures are listed, as Python and the command line give it: nothing heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from extract.command_line import CatalogOption
from extract.errors import UsageError

IMAGE_COLUMN = "image"
"""A manifest's column of paths, where none is named."""


@dataclass(frozen=True)
class CatalogSource:
    """Which pictures make a catalogue: a folder's, a table's, or those that the workspace has.

    Its name is that of the table or the folder without ``catalog``; columns and separators are
    those of :class:`~extract.catalog.manifest.ManifestColumns`.
    """

    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of pictures; sub-folders are classes, metadata.csv is read."
        ),
    ] = None
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table of pictures, one row each.")
    ] = None
    image_column: Annotated[
        str, typer.Option(metavar="COLUMN", help="The manifest's column of paths.")
    ] = IMAGE_COLUMN
    id_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of unique ids.")
    ] = None
    label_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of class labels.")
    ] = None
    label_separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Separator of the levels of a label, such as ' >> '."),
    ] = None
    multi_label_separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Separator of several labels of a picture: '|'."),
    ] = None
    images_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the manifest's pictures.")
    ] = None
    catalog: CatalogOption = None

    def __post_init__(self) -> None:
        if self.manifest is not None and self.images is not None:
            raise UsageError("--images and --manifest exclude each other: use --images-dir with it")
        of_a_table = self.images_dir is not None or self.image_column != IMAGE_COLUMN
        if self.manifest is None and of_a_table:
            raise UsageError(
                "--image-column and --images-dir belong to a table: give it with --manifest CSV"
            )

    @property
    def name(self) -> str | None:
        """The catalogue's; None without pictures given."""
        given = self.manifest or self.images
        if self.catalog or given is None:
            return self.catalog
        return given.stem if self.manifest else given.resolve().name
