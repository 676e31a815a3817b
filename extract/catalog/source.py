"""Where pictures are listed, as Python and the command line give it: nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from extract.addresses import Place, place_of, place_or_none
from extract.command_line import CatalogOption
from extract.errors import UsageError
from extract.option_groups import Typed

IMAGE_COLUMN = "image"
"""A manifest's column of paths, where none is named."""


def _one_or_several(columns: Sequence[str]) -> str | tuple[str, ...]:
    return columns[0] if len(columns) == 1 else tuple(columns)


@dataclass(frozen=True)
class TableSource:
    """How a table is read, and what its rows are."""

    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of a CSV, such as cp1252; default: recognized."),
    ] = None
    sheet: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sheet of an .xlsx that has several.")
    ] = None
    pictures: Annotated[
        str | None,
        typer.Option(
            metavar="each|first|mean",
            help="Rows that list several pictures: a row for each picture, the first alone, or the "
            "mean of their vectors. Default: one picture a row; each with several columns or a "
            "separator.",
        ),
    ] = None
    picture_separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Separator of several pictures in a cell: ';'."),
    ] = None
    allow_download: Annotated[
        bool,
        typer.Option(
            "--allow-download", help="Download the pictures of a column of https:// addresses."
        ),
    ] = False
    group_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Pictures with one value in it stay together in every split."
        ),
    ] = None


@dataclass(frozen=True)
class CatalogSource:
    """Which pictures make a catalogue: a folder's, a table's, or those that the workspace has.

    Its name is that of the table or the folder without ``catalog``; columns and separators are
    those of :class:`~extract.catalog.manifest.ManifestColumns`.

    Examples
    --------
    >>> from extract import CatalogSource
    >>> CatalogSource(images="photos").name
    'photos'
    """

    images: Annotated[
        Place | None,
        Typed(str | None, None, place_or_none),
        typer.Option(
            metavar="DIR|FILE",
            help="Folder of pictures, or a .zip, .tar or .parquet of them, or several as "
            "'shards/*.tar'; sub-folders are classes, metadata.csv is read.",
        ),
    ] = None
    manifest: Annotated[
        Place | None,
        Typed(str | None, None, place_or_none),
        typer.Option(metavar="CSV", help="Table of pictures: CSV, .xlsx or parquet."),
    ] = None
    image_column: Annotated[
        str | tuple[str, ...],
        Typed(list[str], [IMAGE_COLUMN], _one_or_several),
        typer.Option(metavar="COLUMN", help="The manifest's column of paths; may be repeated."),
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
        Place | None,
        Typed(str | None, None, place_or_none),
        typer.Option(metavar="DIR|FILE", help="Folder or archive of the manifest's pictures."),
    ] = None
    table: TableSource = TableSource()
    catalog: CatalogOption = None

    def __post_init__(self) -> None:
        for name in ("images", "manifest", "images_dir"):  # from Python any path
            path = getattr(self, name)
            object.__setattr__(self, name, None if path is None else place_of(path))
        if self.manifest is not None and self.images is not None:
            raise UsageError("--images and --manifest exclude each other: use --images-dir with it")
        of_a_table = self.images_dir is not None or self.image_column != IMAGE_COLUMN
        table = replace(self.table, group_column=None)
        if self.manifest is None and (of_a_table or table != TableSource()):
            raise UsageError(
                "--image-column, --images-dir, --encoding, --sheet, --pictures, "
                "--picture-separator and --allow-download belong to a table: give it with "
                "--manifest CSV"
            )

    @property
    def name(self) -> str | None:
        """The catalogue's; None without pictures given."""
        given = self.manifest or self.images
        if self.catalog or given is None:
            return self.catalog
        from extract.sources.archive_files import name_of  # which loads NumPy

        return name_of(given)
