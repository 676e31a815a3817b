"""Sheets of Excel's .xlsx, which are archives of XML by strangers."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.catalog.manifest_cells import MAX_COLUMNS, Odd, Rows, refuse_unstorable, spelled
from extract.errors import CatalogError, SosieError, UsageError, in_one_line
from extract.ids import shown

MOST_BYTES = 1 << 29
"""Of all parts of a workbook, unpacked."""

MOST_PARTS = 10_000
MOST_CELLS = 20_000_000
BLOCK = 1 << 20

DECLARATION = re.compile(rb"<!(DOCTYPE|ENTITY)")
MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z0-9:$]{1,40})"')


@dataclass(frozen=True)
class Sheet:
    """A sheet as rows of text; parts are those of a :class:`~extract.catalog.manifest_table.Table`.

    Parameters
    ----------
    header : tuple of str
    rows : list of (int, list of str)
    notes : tuple of str
    odd : mapping of (int, str) to int
    """

    header: tuple[str, ...]
    rows: Rows
    notes: tuple[str, ...]
    odd: Odd


def read_workbook(file: Path, sheet: str | None = None) -> Sheet:
    """Read a sheet of a workbook: the one that is named, or the only one.

    Raises
    ------
    UsageError
        When there is no such sheet, or several and none is named.
    CatalogError
        When it cannot be read, is too large, or holds merged cells.
    SosieError
        Without openpyxl.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise SosieError(
            '.xlsx needs openpyxl: pip install openpyxl (the extra "xlsx" brings it), or save the '
            "table as CSV"
        ) from error
    try:
        _check_archive(file)
        with closing(openpyxl.load_workbook(file, read_only=True, keep_links=False)) as book:
            chosen = _chosen(file, book, sheet)
            _refuse_merged(file, chosen)
            return _sheet(file, chosen)
    except SosieError:
        raise
    except Exception as error:  # openpyxl lets pass what its XML, zip and number readers raise
        raise CatalogError(
            f"{file} cannot be read as a workbook ({in_one_line(error)}); save it as .xlsx again, "
            "or as CSV"
        ) from error


def _check_archive(file: Path) -> None:
    """Refuse what would fill the memory when it is unpacked, and XML that declares entities."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if len(parts) > MOST_PARTS or size > MOST_BYTES:
            raise CatalogError(
                f"{file}: {len(parts):,} parts of {size:,} bytes unpacked; at most {MOST_PARTS:,} "
                f"of {MOST_BYTES:,} are read; save the table as CSV"
            )
        for part in parts:
            if part.filename.lower().endswith((".xml", ".rels", ".vml")):
                for block in _blocks(archive, part.filename):
                    if DECLARATION.search(block.replace(b"\0", b"")):
                        raise CatalogError(
                            f"{file}: {shown(part.filename)} declares XML entities, which no "
                            "spreadsheet does; save the table as CSV"
                        )


def _blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Yield the bytes of a part in blocks that overlap, so that no word is cut."""
    end = b""
    with archive.open(name) as part:
        while block := part.read(BLOCK):
            yield end + block
            end = block[-100:]


def _chosen(file: Path, book: Any, sheet: str | None) -> Any:
    there = [each.title for each in book.worksheets]
    listed = ", ".join(shown(name)[:40] for name in there[:12]) or "none"
    if sheet is None and len(there) == 1:
        return book.worksheets[0]
    if sheet is None:
        raise UsageError(f"{file} has the sheets {listed}: name one with --sheet")
    if sheet not in there:
        raise UsageError(f"no sheet {sheet!r} in {file}: it has {listed}; name one with --sheet")
    return book[sheet]


def _refuse_merged(file: Path, sheet: Any) -> None:
    with zipfile.ZipFile(file) as archive:
        for block in _blocks(archive, sheet._worksheet_path):
            found = MERGED.search(block)
            if found:
                raise CatalogError(
                    f"{file}: cells {found[1].decode()} are merged; unmerge them, and give each "
                    "row its own values"
                )


def _sheet(file: Path, sheet: Any) -> Sheet:
    sheet.reset_dimensions()  # what the file says of its size need not be true
    header: tuple[str, ...] = ()
    rows: Rows = []
    odd: dict[tuple[int, str], int] = {}
    passed: Counter[str] = Counter()
    n_cells = 0
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        n_cells += len(cells) + 1
        if n_cells > MOST_CELLS or len(cells) > MAX_COLUMNS:
            raise CatalogError(
                f"{file}, row {number}: more than {MOST_CELLS:,} cells, or {MAX_COLUMNS:,} in a "
                "row; save the table as CSV"
            )
        own = [_cell(file, number, cell) for cell in cells]
        while own and own[-1] == ("", None):
            own.pop()
        if not header:
            header = tuple(text for text, _ in own)
            if not own:
                raise CatalogError(f"{file}: the first row is empty; it must name the columns")
            continue
        if not own:
            passed["empty rows are passed over"] += 1
            continue
        if len(own) > len(header):
            raise CatalogError(
                f"{file}, row {number}: {len(own)} cells where the header has {len(header)}"
            )
        for i, (_, what) in enumerate(own):
            if what is not None:
                odd.setdefault((i, what), number)
                passed["formulas are kept as their text"] += what == "a formula"
        texts = [text for text, _ in own]
        rows.append((number, [*texts, *[""] * (len(header) - len(texts))]))
    notes = tuple(f"{file}: {count} {what}" for what, count in passed.items() if count)
    return Sheet(header, rows, notes, odd)


def _cell(file: Path, number: int, cell: Any) -> tuple[str, str | None]:
    """Spell a cell as text, and name what it is where that is odd."""
    kind, value = cell.data_type, cell.value
    text, what = spelled(value if isinstance(value, str) or kind != "f" else str(value))
    refuse_unstorable(f"{file}, row {number}", text)
    if kind == "f":
        return text, "a formula"
    if kind == "e":
        return text, f"an error of the spreadsheet ({text})"
    return text, what
