"""The table of a manifest: CSV, Excel's .xlsx or parquet, as rows of text."""

from __future__ import annotations

import codecs
import csv
import errno
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from extract.addresses import Address, Place
from extract.catalog.manifest_cells import MAX_COLUMNS, WHOLE
from extract.errors import CatalogError, UsageError, cannot_read
from extract.ids import shown
from extract.sources.archive_files import ArchiveFiles, archive_files
from extract.sources.remote import remote_bytes

DELIMITERS = (",", ";", "\t")
MAX_LINE = 5_000_000
MOST_REMOTE = 1 << 30
"""Bytes of a table that is not here."""

FALLBACK = "cp1252"
"""What spreadsheets of Western Europe and America write where it is not UTF-8."""

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
NUL = re.compile("\x00")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")

NumberedRow = tuple[int, list[str]]


@dataclass(frozen=True)
class Table:
    """A header and rows of text.

    Parameters
    ----------
    file : Path
    header : tuple of str
        Without blanks around the names.
    rows : sequence of (int, list of str)
        The number of a row's last line, or of the row where lines are none, and its cells.
    notes : tuple of str
        What was taken off, passed over or recognized, for people.
    encoding : str, optional
        What a CSV was read as, where that is not UTF-8.
    odd : mapping of (int, str) to int
        Where a column first holds what is no text, by column and what that is: fine in columns
        that are only kept.
    unit : {'line', 'row'}
        What is counted.
    pictures : mapping of str to str or None
        Columns that hold pictures and not their paths, as places in the table's own file; and the
        column of the paths that they had.
    classes : tuple of str
        Columns that the file itself has as those of classes.
    root : Path, optional
        As seen from which places are spelled.
    """

    file: Place
    header: tuple[str, ...]
    rows: Sequence[NumberedRow]
    notes: tuple[str, ...] = ()
    encoding: str | None = None
    odd: Mapping[tuple[int, str], int] = field(default_factory=dict)
    unit: str = "line"
    pictures: Mapping[str, str | None] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    root: Place | None = None

    def place(self, number: int) -> str:
        """Name a row for people."""
        return f"{self.file}, {self.unit} {number}"

    def refuse_odd(self, paths: Collection[str], names: Collection[str]) -> None:
        """Refuse cells that are no text in columns that mean something.

        Parameters
        ----------
        paths : collection of str
            Columns of paths.
        names : collection of str
            Columns of ids and labels, which whole numbers may be.

        Raises
        ------
        CatalogError
            Naming the first one of a column.
        """
        for (i, what), number in self.odd.items():
            column = self.header[i]
            if column in paths and column in self.pictures:
                continue
            if column in paths or (column in names and what != WHOLE):
                expected = "paths" if column in paths else "texts"
                raise CatalogError(
                    f"{self.place(number)}: column {column!r} holds {what} where {expected} are "
                    "expected; store it as text, or save the table as CSV"
                )


def read_table(file: Place, encoding: str | None = None, sheet: str | None = None) -> Table:
    """Read a table by the end of its name: ``.xlsx``, ``.parquet``, else CSV.

    Parameters
    ----------
    file : Path
    encoding : str, optional
        Of a CSV; recognized without it.
    sheet : str, optional
        Of a workbook; its only one without it.

    Raises
    ------
    UsageError
        When an option does not fit the file.
    CatalogError
        When it is no table; the message names file and line.
    """
    kind = file.suffix.lower()
    for option, value, fits in (
        ("--encoding", encoding, kind not in READERS),
        ("--sheet", sheet, kind == ".xlsx"),
    ):
        if value is not None and not fits:
            raise UsageError(f"{option} does not belong to {file}: leave it out")
    if kind in READERS:
        return _checked(READERS[kind](file, sheet))
    return read_csv(file, bytes_of_table(file), encoding)


def bytes_of_table(file: Place) -> bytes:
    """Read a table's file, here or elsewhere.

    Raises
    ------
    CatalogError
    """
    if isinstance(file, Address):
        return remote_bytes(file, MOST_REMOTE)
    try:
        return file.read_bytes()
    except OSError as error:
        raise cannot_read(file, error) from error


def _checked(table: Table) -> Table:
    """Take blanks off the names of columns, and refuse a header that cannot be one."""
    file, header = table.file, tuple(name.strip().strip("\ufeff") for name in table.header)
    if not any(header):
        raise CatalogError(f"{file}: the first line is empty; it must name the columns")
    if len(header) > MAX_COLUMNS:
        raise CatalogError(f"{file}: {len(header)} columns; at most {MAX_COLUMNS} are read")
    doubled = sorted(column for column, count in Counter(header).items() if count > 1)
    if doubled:
        raise CatalogError(f"{file}: column {doubled[0]!r} stands twice in the header")
    if not table.rows:
        raise CatalogError(f"{file} has a header and no rows: it needs a row a picture")
    notes = list(table.notes)
    bare = [new for old, new in zip(table.header, header, strict=True) if old != new]
    if bare:
        listed = ", ".join(shown(name)[:40] for name in bare[:5])
        more = f" and {len(bare) - 5} more" if len(bare) > 5 else ""
        notes.append(f"{file}: blanks around the names of columns are taken off: {listed}{more}")
    return replace(table, header=header, notes=tuple(notes))


def read_csv(file: Place, raw: bytes, encoding: str | None = None) -> Table:
    """Read the bytes of a CSV.

    Parameters
    ----------
    file : Path
        Where it lies, for errors; it may be in an archive.
    raw : bytes
    encoding : str, optional
        Recognized without it.

    Raises
    ------
    UsageError
        When there is no such encoding.
    CatalogError
        When it is no table; the message names file and line.
    """
    return _checked(_csv_of(file, raw, encoding))


def _csv_of(file: Place, raw: bytes, encoding: str | None) -> Table:
    taken, note = (encoding, None) if encoding else _recognized(file, raw)
    text = _decoded(file, raw, taken)
    if not text.strip():
        raise CatalogError(f"{file} is empty: it needs a header line and a row a picture")
    reader = csv.reader(_lines(file, text), delimiter=_delimiter(file, text), strict=True)
    try:
        header = next(reader)
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise CatalogError(f"{file}, line {reader.line_num}: {error}") from error
    for line, row in rows:
        if len(row) != len(header):
            raise CatalogError(
                f"{file}, line {line}: {len(row)} cells where the header has {len(header)}"
            )
    known = None if taken == "utf-8" else taken
    return Table(file, tuple(header), rows, (note,) if note else (), known)


def _recognized(file: Place, raw: bytes) -> tuple[str, str | None]:
    """Name the encoding of some bytes, and what to say of it."""
    for mark, name in MARKS.items():
        if raw.startswith(mark):
            return name, None if name == "utf-8" else f"{file} is read as UTF-16, by its mark"
    for name, zeros in (("utf-16-le", raw[1::2]), ("utf-16-be", raw[::2])):
        if _is_utf16(raw, name, zeros):
            return name, f"{file} is read as {name.upper()}: every other byte of its header is zero"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if not raw.decode("utf-8", "ignore").isascii():  # letters of UTF-8 too: a damaged file
            return "utf-8", None
        line = raw[: error.start].count(b"\n") + 1
        return FALLBACK, (
            f"{file} is not UTF-8 from line {line} on: read as {FALLBACK}; if letters are wrong, "
            "name another with --encoding"
        )
    return "utf-8", None


def _is_utf16(raw: bytes, name: str, zeros: bytes) -> bool:
    """Whether bytes without a mark can be nothing else: a header of ASCII, and no NUL in any cell.

    ``zeros`` is every other byte, which in ASCII's letters is zero.
    """
    header = zeros[: max(1, raw.find(b"\n") // 2)]
    if len(raw) % 2 or len(raw) < 4 or header.strip(b"\0"):
        return False
    try:
        return "\0" not in raw.decode(name)
    except UnicodeDecodeError:
        return False


def _decoded(file: Place, raw: bytes, encoding: str) -> str:
    try:
        "".encode(encoding)
        text = raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        start = raw.rfind(b"\n", 0, error.start) + 1
        line = raw[:start].count(b"\n") + 1
        raise CatalogError(
            f"{file}, line {line}: byte {error.start - start + 1} of it, 0x{raw[error.start]:02x}, "
            f"is no {encoding}; save it as UTF-8, or name its encoding with --encoding"
        ) from error
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"no encoding {shown(encoding)!r}: give one as in --encoding cp1252"
        ) from error
    found = (CONTROL if encoding == FALLBACK else NUL).search(text)
    if found:
        line = text[: found.start()].count("\n") + 1
        what = "a NUL byte" if found[0] == "\0" else f"a control character, {ord(found[0]):#04x}"
        raise CatalogError(f"{file}, line {line}: {what}; save it as plain UTF-8 text")
    return text


def _lines(file: Place, text: str) -> Iterator[str]:
    """Cut into lines; one that is all cells would take a hundred times its length in memory."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > MAX_LINE:
            raise CatalogError(
                f"{file}, line {number}: {len(line):,} characters; at most {MAX_LINE:,} are read"
            )
        yield line


def _delimiter(file: Place, text: str) -> str:
    """Take the delimiter that cuts the header into most cells."""
    first_line = next(_lines(file, text))
    try:
        return max(DELIMITERS, key=lambda d: len(next(csv.reader([first_line], delimiter=d), [])))
    except csv.Error as error:
        raise CatalogError(f"{file}, line 1: {error}") from error


def _read_workbook(file: Place, sheet: str | None) -> Table:
    from extract.catalog.manifest_workbook import read_workbook

    if isinstance(file, Address):
        raise CatalogError(f"{file}: an .xlsx is read on this machine alone; save it as CSV")
    found = read_workbook(file, sheet)
    return Table(file, found.header, found.rows, found.notes, odd=found.odd, unit="row")


def _read_parquet(file: Place, sheet: str | None) -> Table:
    files = archive_files(file)
    if files is None:
        raise cannot_read(file, FileNotFoundError(errno.ENOENT, "no such file"))
    return parquet_table(file, files)


def parquet_table(place: Place, files: ArchiveFiles) -> Table:
    """Read parquet files as one table.

    Parameters
    ----------
    place : Path
        As they were given, for errors.
    files : ArchiveFiles

    Raises
    ------
    CatalogError
    """
    from extract.catalog.manifest_parquet import read_parquet

    found = read_parquet(place, files)
    return _checked(
        Table(
            place,
            found.header,
            found.rows,
            odd=found.odd,
            unit="row",
            pictures=found.pictures,
            classes=found.classes,
            root=files.root,
        )
    )


READERS: dict[str, Callable[[Place, str | None], Table]] = {
    ".xlsx": _read_workbook,
    ".parquet": _read_parquet,
}
"""Readers of tables that are no CSV, by the end of their names."""
