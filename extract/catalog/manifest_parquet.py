"""Rows of parquet files as text; pictures in them as the places where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from extract.addresses import Place
from extract.catalog.manifest_cells import MAX_COLUMNS, Rows, refuse_unstorable, spelled
from extract.errors import CatalogError, SosieError, in_one_line
from extract.ids import shown
from extract.sources.archive_files import ArchiveFiles
from extract.sources.parquet_pictures import is_picture, open_parquet

MOST_BYTES = 1 << 30
"""Of all columns, unpacked."""

ROWS_AT_ONCE = 4096
BYTES_AT_ONCE = 1 << 28
"""That rows read at once may have, should a dictionary give each the largest value there can be."""

FEW_ROWS, ROWS_A_BYTE = 100_000, 4
"""Rows that may be in a file of any size, and more of them for each byte that it has."""

BYTES = "what is no text (bytes)"
FEATURES = b"huggingface"
"""In a schema's metadata: what Hugging Face's datasets know of its columns, as JSON."""


@dataclass
class ParquetRows:
    """What parquet files of one header hold.

    Parameters
    ----------
    header : tuple of str
    rows : list of (int, list of str)
    odd : mapping of (int, str) to int
        Where a column first holds what is no text.
    pictures : mapping of str to str or None
        Columns of pictures, with cells that are places such as ``shop.parquet/000000017/image``,
        and the column of the paths that they had.
    classes : tuple of str
        Columns of class numbers, which are spelled by the names that the file has for them.
    """

    header: tuple[str, ...] = ()
    rows: Rows = field(default_factory=list)
    odd: dict[tuple[int, str], int] = field(default_factory=dict)
    pictures: dict[str, str | None] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def read_parquet(place: Place, files: ArchiveFiles) -> ParquetRows:
    """Read header, rows and cells that are no text; pictures are not read.

    Parameters
    ----------
    place : Path or Address
        As it was given, for errors.
    files : ArchiveFiles

    Raises
    ------
    CatalogError
        When one cannot be read, is too large, or has other columns than the first.
    SosieError
        Without pyarrow.
    """
    found = ParquetRows()
    n_bytes = 0
    for name in files.names:
        where = place if len(files.names) == 1 else files.root / name
        with _reading(where), open_parquet(file := files.file(name)) as source:
            _refuse_bare_rows(where, source.metadata.num_rows, file.stamp()[0])
            layout = _layout(where, name, source)
            if not found.header:
                found.header, found.pictures = layout.header, layout.pictures
                found.classes = tuple(layout.names_of)
                for column in layout.pictures:
                    found.odd[layout.header.index(column), BYTES] = 1
            elif layout.header != found.header:
                raise CatalogError(
                    f"{where} has other columns than {files.names[0]}: give it apart"
                )
            for values in layout.values(source):
                n_bytes += sum(len(value) for value in values if isinstance(value, str))
                if n_bytes > MOST_BYTES:
                    raise CatalogError(
                        f"{where}: more than {MOST_BYTES:,} bytes unpacked; leave out what is no "
                        "text"
                    )
                _add(found, where, values)
    return found


def _refuse_bare_rows(where: Place, n_rows: int, n_bytes: int) -> None:
    """Refuse rows that can hold nothing of their own: each would take memory all the same."""
    if n_rows > FEW_ROWS + ROWS_A_BYTE * n_bytes:
        raise CatalogError(
            f"{where}: {n_rows:,} rows in {n_bytes:,} bytes, so that most are empty or repeated; "
            "leave those out"
        )


@contextmanager
def _reading(where: Place) -> Iterator[None]:
    """Turn whatever a library raises in the block into one line."""
    try:
        yield
    except SosieError:
        raise
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"{where}: a text that is no UTF-8 (byte 0x{error.object[error.start]:02x}); save it "
            "with columns of text"
        ) from error
    except Exception as error:  # pyarrow's own kinds, and those of the codecs that it calls
        raise CatalogError(
            f"{where} cannot be read as parquet ({in_one_line(error)}); save it again, or as CSV"
        ) from error


@dataclass(frozen=True)
class _Layout:
    """How the columns of a file become columns of a table.

    ``leaves`` are what is read of each, None for a place; ``names_of`` the names of class numbers.
    """

    name: str
    header: tuple[str, ...]
    leaves: tuple[str | None, ...]
    pictures: dict[str, str | None]
    names_of: Mapping[str, Sequence[str]]
    n_rows: int

    def values(self, source: Any) -> Iterator[list[Any]]:
        """Yield rows; None stands for a place."""
        read = [leaf for leaf in self.leaves if leaf is not None]
        number = 0
        for batch in self._batches(source, read) if read else ():
            if batch.nbytes > MOST_BYTES:
                raise CatalogError(
                    f"{self.name}: more than {MOST_BYTES:,} bytes unpacked; leave out what is no "
                    "text"
                )
            columns = {leaf: _leaf(batch, leaf).to_pylist() for leaf in read}
            for i in range(batch.num_rows):
                yield self._row(number, {leaf: column[i] for leaf, column in columns.items()})
                number += 1
        for row in range(number, self.n_rows):
            yield self._row(row, {})

    def _batches(self, source: Any, read: Sequence[str]) -> Iterator[Any]:
        for group in range(source.metadata.num_row_groups):
            at_once = _rows_at_once(source.metadata.row_group(group), read)
            yield from source.iter_batches(batch_size=at_once, row_groups=[group], columns=read)

    def _row(self, row: int, read: Mapping[str, Any]) -> list[Any]:
        return [
            f"{self.name}/{row:09}/{column}"
            if leaf is None
            else self._named(column, read.get(leaf))
            for column, leaf in zip(self.header, self.leaves, strict=True)
        ]

    def _named(self, column: str, value: Any) -> Any:
        names = self.names_of.get(column, ())
        if isinstance(value, int) and names:
            return names[value] if 0 <= value < len(names) else None  # -1 is no label
        return value


def _layout(where: Place, name: str, source: Any) -> _Layout:
    schema, about = source.schema_arrow, source.metadata
    header: list[str] = []
    leaves: list[str | None] = []
    pictures: dict[str, str | None] = {}
    for column in schema:
        refuse_unstorable(f"{where}, header", column.name)
        is_struct = is_picture(column.type) and column.type.num_fields > 0  # datasets' own
        if not is_picture(column.type):
            header.append(column.name)
            leaves.append(column.name)
        elif is_struct and _all_null(about, f"{column.name}.bytes"):
            header.append(column.name)  # the pictures are files, and these their paths
            leaves.append(f"{column.name}.path")
        else:
            header.append(column.name)
            leaves.append(None)
            pictures[column.name] = f"{column.name}.path" if is_struct else None
            if is_struct:
                header.append(f"{column.name}.path")
                leaves.append(f"{column.name}.path")
    if len(header) > MAX_COLUMNS:
        raise CatalogError(f"{where}: {len(header)} columns; at most {MAX_COLUMNS} are read")
    return _Layout(
        name, tuple(header), tuple(leaves), pictures, _class_names(schema.metadata), about.num_rows
    )


def _all_null(about: Any, leaf: str) -> bool:
    """Whether a file's statistics prove that a column holds nothing."""
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    chunks = [g.column(i) for g in groups for i in range(g.num_columns)]
    wanted = [chunk for chunk in chunks if chunk.path_in_schema == leaf]
    return bool(wanted) and all(
        chunk.statistics is not None
        and chunk.statistics.has_null_count
        and chunk.statistics.null_count == chunk.num_values
        for chunk in wanted
    )


def _rows_at_once(group: Any, read: Sequence[str]) -> int:
    """Read fewer where one value of a dictionary, in every row, could be as large as its column."""
    chunks = [group.column(i) for i in range(group.num_columns)]
    largest = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.has_dictionary_page and f"{chunk.path_in_schema}.".startswith(_inner(read))
    )
    return int(min(ROWS_AT_ONCE, max(1, BYTES_AT_ONCE // max(largest, 1))))


def _inner(leaves: Sequence[str]) -> tuple[str, ...]:
    """Give how the paths of what is read begin: a list has its own below its name."""
    return tuple(f"{leaf}." for leaf in leaves)


def _leaf(batch: Any, leaf: str) -> Any:
    """Give a column, or the field of a struct that was read."""
    if leaf in batch.schema.names:
        return batch.column(leaf)
    column, _, inner = leaf.rpartition(".")
    return batch.column(column).field(inner)


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Read the names of classes that datasets stores; what it cannot be is passed over."""
    try:
        features = json.loads((metadata or {})[FEATURES])["info"]["features"]
        return {
            column: list(map(str, feature["names"]))
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _add(found: ParquetRows, where: Place, values: Sequence[Any]) -> None:
    number = len(found.rows) + 1
    cells = []
    for i, value in enumerate(values):
        text, what = spelled(value)
        refuse_unstorable(f"{shown(str(where))}, row {number}", text)
        if what is not None:
            found.odd.setdefault((i, what), number)
        cells.append(text)
    found.rows.append((number, cells))
