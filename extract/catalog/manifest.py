"""A CSV manifest as a catalogue: one row a picture, labels and other columns with it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from extract.catalog.catalog import Catalog, Level
from extract.catalog.label_column import label_levels, multi_label_columns
from extract.catalog.multi_label import MultiLabel
from extract.errors import CatalogError, UsageError
from extract.ids import bytes_of, shown
from extract.workspace import AnyPath

DELIMITERS = (",", ";", "\t")
MAX_COLUMNS = 10_000
MAX_LINE = 5_000_000


@dataclass(frozen=True)
class ManifestColumns:
    """Which column of a manifest means what.

    Parameters
    ----------
    image : str
        Path of the picture, relative to the images' folder.
    id : str, optional
        What names a row; the picture's path without it.
    label : str, optional
        The class, or a tree of classes when ``label_separator`` is given.
    label_separator : str, optional
        What stands between the levels of a label, such as ``' >> '``.
    multi_label_separator : str, optional
        What stands between the labels of a multi-label cell, such as ``'|'``.
    """

    image: str = "image"
    id: str | None = None
    label: str | None = None
    label_separator: str | None = None
    multi_label_separator: str | None = None


def list_manifest(
    manifest: AnyPath,
    columns: ManifestColumns,
    *,
    images_dir: AnyPath | None = None,
    name: str | None = None,
) -> Catalog:
    """List the pictures of a CSV manifest (UTF-8; comma, semicolon or tab).

    Cells are text as they stand: ``NA`` and ``None`` are names like any other. A label column
    with a separator gives up to three levels, each spelled as its full path; a JSON-like list of
    one string (``["a >> b"]``) counts as that string. With a multi-label separator it gives no
    level, but a multi-label column; with both one for each of up to three levels.

    Raises
    ------
    UsageError
        When the manifest, the images' folder or a named column is not there.
    CatalogError
        When the file cannot be read as a table; the message names file, row and column.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise UsageError(f"no manifest {manifest}: give a CSV file with --manifest FILE")
    root = Path(images_dir or manifest.parent)
    check_separator(columns)
    if not root.is_dir():
        raise UsageError(f"no folder {root}: give the pictures' folder with --images-dir DIR")
    header, rows = read_table(manifest)
    _check_named(manifest, header, columns)
    position = {column: i for i, column in enumerate(header)}
    rows = _sorted_by_id(manifest, rows, columns, position)
    ids = tuple(row[position[columns.id or columns.image]] for _, row in rows)
    paths = tuple(row[position[columns.image]] for _, row in rows)
    used = {columns.image, columns.id, columns.label}
    levels, multi_labels = _labels(manifest, rows, columns, position)
    return Catalog(
        name=name or manifest.stem,
        images_root=root.resolve(),
        ids=ids,
        paths=paths,
        levels=levels,
        columns={
            column: tuple(row[i] for _, row in rows)
            for column, i in position.items()
            if column not in used
        },
        multi_labels=multi_labels,
    )


NumberedRow = tuple[int, list[str]]
Labels = tuple[tuple[Level, ...], tuple[MultiLabel, ...]]


def check_separator(columns: ManifestColumns) -> None:
    """Refuse a separator that is empty or has no column to cut, and two of them.

    Raises
    ------
    UsageError
    """
    for option, separator, between in (
        ("--label-separator", columns.label_separator, "levels, as ' >> '"),
        ("--multi-label-separator", columns.multi_label_separator, "labels, as '|'"),
    ):
        if separator is not None and columns.label is None:
            raise UsageError(f"{option} cuts a column: name it with --label-column")
        if separator == "":
            raise UsageError(f"{option} is empty: give what stands between {between}")
    inner, outer = columns.label_separator, columns.multi_label_separator
    if inner is not None and outer is not None and (inner in outer or outer in inner):
        raise UsageError(
            f"--label-separator {inner!r} cuts a label into its levels, --multi-label-separator "
            f"{outer!r} separates the labels of a picture: neither may hold the other"
        )


def read_table(manifest: Path) -> tuple[list[str], list[NumberedRow]]:
    """Read header and rows of a CSV file, each row with the number of its last line.

    Raises
    ------
    CatalogError
        When it is no table; the message names file and line.
    """
    try:
        raw = manifest.read_bytes()
    except OSError as error:
        raise CatalogError(
            f"cannot read {manifest}: {error.strerror}; fix that, or move the file away"
        ) from error
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise CatalogError(f"{manifest}, line {line}: a NUL byte; save it as plain UTF-8 text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CatalogError(f"{manifest}, line {line}: not UTF-8; save it as UTF-8") from error
    if not text.strip():
        raise CatalogError(f"{manifest} is empty: it needs a header line and a row a picture")
    delimiter = _delimiter(manifest, text)
    reader = csv.reader(_lines(manifest, text), delimiter=delimiter, strict=True)
    try:
        header = next(reader)
        _check_header(manifest, header)
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise CatalogError(f"{manifest}, line {reader.line_num}: {error}") from error
    for line, row in rows:
        if len(row) != len(header):
            raise CatalogError(
                f"{manifest}, line {line}: {len(row)} cells where the header has {len(header)}"
            )
    if not rows:
        raise CatalogError(f"{manifest} has a header and no rows: it needs a row a picture")
    return header, rows


def _lines(manifest: Path, text: str) -> Iterator[str]:
    """Cut into lines; one that is all cells would take a hundred times its length in memory."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > MAX_LINE:
            raise CatalogError(
                f"{manifest}, line {number}: {len(line):,} characters; "
                f"at most {MAX_LINE:,} are read"
            )
        yield line


def _delimiter(manifest: Path, text: str) -> str:
    """Take the delimiter that cuts the header into most cells."""
    first_line = next(_lines(manifest, text))
    try:
        return max(DELIMITERS, key=lambda d: len(next(csv.reader([first_line], delimiter=d), [])))
    except csv.Error as error:
        raise CatalogError(f"{manifest}, line 1: {error}") from error


def _check_header(manifest: Path, header: Sequence[str]) -> None:
    if not any(header):
        raise CatalogError(f"{manifest}: the first line is empty; it must name the columns")
    if len(header) > MAX_COLUMNS:
        raise CatalogError(f"{manifest}: {len(header)} columns; at most {MAX_COLUMNS} are read")
    doubled = sorted(column for column, count in Counter(header).items() if count > 1)
    if doubled:
        raise CatalogError(f"{manifest}: column {doubled[0]!r} stands twice in the header")


def _check_named(manifest: Path, header: Sequence[str], columns: ManifestColumns) -> None:
    for option, column in (
        ("--image-column", columns.image),
        ("--id-column", columns.id),
        ("--label-column", columns.label),
    ):
        if column is not None and column not in header:
            raise no_column(str(manifest), header, option, column)


def no_column(place: str, header: Sequence[str], option: str, column: str) -> UsageError:
    """Make the error of a column that a table does not have; it lists those there are."""
    listed = ", ".join(shown(c)[:40] for c in header[:12])
    return UsageError(f"no column {column!r} in {place}: it has {listed}; name one with {option}")


def _sorted_by_id(
    manifest: Path,
    rows: Iterable[NumberedRow],
    columns: ManifestColumns,
    position: dict[str, int],
) -> list[NumberedRow]:
    """Order rows by the bytes of their id; an empty or doubled id is refused with its line."""
    column = columns.id or columns.image
    at = position[column]
    ordered = sorted(rows, key=lambda numbered: bytes_of(numbered[1][at]))
    seen: tuple[int, str] | None = None
    for line, row in ordered:
        if not row[at].strip():
            raise CatalogError(f"{manifest}, line {line}: column {column!r} is empty")
        if seen and seen[1] == row[at]:
            way_out = "" if columns.id else "; name a column of unique ids with --id-column"
            raise CatalogError(
                f"{manifest}, line {line}: {shown(row[at])!r} in column {column!r} "
                f"stands on line {seen[0]} too{way_out}"
            )
        seen = (line, row[at])
    return ordered


def _labels(
    manifest: Path,
    rows: Sequence[NumberedRow],
    columns: ManifestColumns,
    position: dict[str, int],
) -> Labels:
    if columns.label is None:
        return (), ()
    at = position[columns.label]
    cells = [(f"{manifest}, line {line}", row[at]) for line, row in rows]
    return labels_of_column(columns.label, columns, cells)


def labels_of_column(
    column: str, columns: ManifestColumns, cells: Sequence[tuple[str, str]]
) -> Labels:
    """Read a column as levels, or as a multi-label column where its separator is given.

    Parameters
    ----------
    column : str
    columns : ManifestColumns
    cells : sequence of (str, str)
        Where a cell stands, for errors, and the cell; one a row, empty without a label.

    Raises
    ------
    CatalogError
        When a cell cannot be read so.
    """
    if columns.multi_label_separator is not None:
        outer, inner = columns.multi_label_separator, columns.label_separator
        return (), multi_label_columns(column, outer, cells, inner)
    return label_levels(column, columns.label_separator, cells), ()
