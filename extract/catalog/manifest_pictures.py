"""Which pictures a row of a manifest lists: one, or several of a product."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from extract.addresses import free_of_credentials
from extract.catalog.manifest_table import Table
from extract.errors import CatalogError, UsageError
from extract.ids import bytes_of, shown
from extract.sources.downloads import bare_addresses

MODES = ("each", "first", "mean")


@dataclass(frozen=True)
class Pictures:
    """How a row with several pictures is read.

    Parameters
    ----------
    mode : {'each', 'first', 'mean'}, optional
        A row for each picture, the first alone, or a row for each of which the vectors of a product
        are averaged when they are read; without it and without what follows, a cell is one path.
    separator : str, optional
        What stands between the paths of a cell; a JSON list is one without it.
    more : tuple of str
        Columns of further pictures.
    """

    mode: str | None = None
    separator: str | None = None
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode is not None and self.mode not in MODES:
            raise UsageError(f"no --pictures {self.mode!r}: give one of {', '.join(MODES)}")
        if self.separator == "":
            raise UsageError("--picture-separator is empty: give what stands between paths, as ';'")

    @property
    def several(self) -> bool:
        """Whether a row may list several pictures."""
        return bool(self.mode or self.separator or self.more)


ONE_PICTURE = Pictures()


@dataclass(frozen=True)
class Picture:
    """A picture of a row.

    Parameters
    ----------
    id, path, product : str
        ``product`` is what the row's pictures have in common.
    number : int
        Of the table's row.
    cells : list of str
        Of the table's row.
    place : int
        Among the pictures of its row, from 0.
    """

    id: str
    path: str
    product: str
    number: int
    cells: list[str]
    place: int = 0


def picture_rows(
    table: Table, images: Sequence[str], id_column: str | None, pictures: Pictures
) -> tuple[list[Picture], tuple[str, ...]]:
    """List the pictures of all rows, sorted by the bytes of their ids, and what to say of them.

    Of several pictures each has the id ``PRODUCT/PATH`` where a column of ids is named, so that it
    stays the same when others are added; else its path.

    Parameters
    ----------
    table : Table
    images : sequence of str
        Columns of paths.
    id_column : str or None
    pictures : Pictures

    Raises
    ------
    CatalogError
        When a row has no picture or no id, or an id stands twice.
    """
    at = [table.header.index(column) for column in images]
    id_at = None if id_column is None else table.header.index(id_column)
    listed = {
        number: _listed(table.place(number), [(table.header[i], cells[i]) for i in at], pictures)
        for number, cells in table.rows
    }
    bare = bare_addresses(path for some in listed.values() for path in some)
    found: list[Picture] = []
    n_repeated = 0
    for number, cells in table.rows:
        where = table.place(number)
        if id_at is not None and not cells[id_at].strip():
            raise CatalogError(f"{where}: column {id_column!r} is empty")
        paths = [bare[path] for path in listed[number]]
        if id_at is None and (not paths or not paths[0].strip()):
            named = " and ".join(map(repr, images))
            are = "column {} is empty" if len(images) == 1 else "columns {} are empty"
            raise CatalogError(f"{where}: {are.format(named)}")
        different = list(dict.fromkeys(paths))
        n_repeated += len(paths) - len(different)
        product = paths[0] if id_at is None else free_of_credentials(cells[id_at])
        each = pictures.several and pictures.mode != "first"
        taken = (different if each else different[:1]) or [""]  # none is refused when read
        for place, path in enumerate(taken):
            row_id = path if id_at is None else product
            if id_at is not None and each and path:
                row_id = f"{product}/{path}"
            found.append(Picture(row_id, path, product, number, cells, place))
    ordered = sorted(found, key=lambda row: bytes_of(row.id))
    _refuse_twice(table, ordered, images[0], id_column)
    notes = _notes(table, found, pictures, n_repeated)
    return ordered, notes


def _listed(where: str, cells: Sequence[tuple[str, str]], pictures: Pictures) -> list[str]:
    """Give the paths that a row lists in columns, each with its name."""
    return [path for column, cell in cells for path in _paths(where, column, cell, pictures)]


def _paths(where: str, column: str, cell: str, pictures: Pictures) -> list[str]:
    """Give the paths that a cell lists; none of an empty one where others may follow."""
    if not pictures.several:
        return [cell]
    bare = cell.strip()
    if pictures.separator is not None:
        listed = bare.split(pictures.separator)
    elif bare.startswith("[") and bare.endswith("]"):
        try:
            listed = json.loads(bare)
        except (ValueError, RecursionError):
            listed = [bare]
        if not all(isinstance(path, str) and _is_path(path) for path in listed):
            raise CatalogError(f"{where}: column {column!r} lists what is no text")
    else:
        listed = [bare]
    return [path.strip() for path in listed if path.strip()]


def _is_path(text: str) -> bool:
    """Whether a text can name a file: JSON can spell NUL and half a character too."""
    try:
        return b"\0" not in bytes_of(text)
    except UnicodeEncodeError:
        return False


def _refuse_twice(
    table: Table, ordered: Sequence[Picture], image: str, id_column: str | None
) -> None:
    seen: Picture | None = None
    for row in ordered:
        if seen and seen.id == row.id:
            column = id_column or image
            way_out = "" if id_column else "; name a column of unique ids with --id-column"
            raise CatalogError(
                f"{table.place(row.number)}: {shown(row.id)!r} in column {column!r} stands on "
                f"{table.unit} {seen.number} too{way_out}"
            )
        seen = row


def _notes(
    table: Table, found: Sequence[Picture], pictures: Pictures, n_repeated: int
) -> tuple[str, ...]:
    if not pictures.several:
        return ()
    n, rows = len(found), len(table.rows)
    if pictures.mode == "first":
        return (f"{table.file}: the first picture of each of {rows} rows is taken",)
    then = "stay together in every split"
    if pictures.mode == "mean":
        then = "are a product each: the mean of their vectors, wherever they are analyzed"
    notes = [f"{table.file}: {n} pictures of {rows} rows, which {then}"]
    if n_repeated:
        notes.append(f"{table.file}: {n_repeated} pictures that their row lists twice count once")
    return tuple(notes)
