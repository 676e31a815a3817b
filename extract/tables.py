"""Tables as CSV, for programs and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    r"""Write a table for programs and spreadsheets.

    Cells that a spreadsheet would run as a formula get a leading ``'``; bytes of an id that are
    not UTF-8 are written as ``\\udcXX``.
    """
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        _write(file, [header])
        _write(file, rows)


def csv_bytes(table: Iterable[Sequence[Any]]) -> bytes:
    """Spell a table that begins with its header as :func:`write_csv` would write it."""
    file = io.StringIO(newline="")
    _write(file, table)
    return file.getvalue().encode("utf-8", "backslashreplace")


def write_tables(folder: Path, tables: Mapping[str, Iterable[Sequence[Any]]]) -> None:
    """Write tables of which each begins with its header, by the names of their files."""
    for name, table in tables.items():
        rows = iter(table)
        write_csv(folder / name, next(rows), rows)


def _write(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    csv.writer(file).writerows([_cell(v) for v in row] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def spelled_cell(text: str) -> str:
    """Spell a text as it stands in a table that was written here, to find it again."""
    return str(_cell(text)).encode("utf-8", "backslashreplace").decode()


def unguarded(cell: Any) -> Any:
    """Take off the ``'`` that :func:`write_csv` puts before a formula; other cells stay.

    Examples
    --------
    >>> unguarded("'=cup"), unguarded("'cup'")
    ('=cup', "'cup'")
    """
    guarded = isinstance(cell, str) and cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS)
    return cell[1:] if guarded else cell


def column_names(
    taken: Iterable[str], levels: Iterable[str], columns: Iterable[str]
) -> tuple[str, ...]:
    """Name the columns of levels and of other columns, so that no name stands twice.

    A name that is taken gets ``_label`` or ``_column`` behind it: a folder's level is called
    class, and so may a column be.

    Parameters
    ----------
    taken : iterable of str
        Names of the table's other columns.
    levels, columns : iterable of str

    Returns
    -------
    tuple of str
        First the levels' names, then the columns'.
    """
    used = set(taken)
    names = []
    for wanted, kind in ((levels, "label"), (columns, "column")):
        for name in wanted:
            free = name
            while free in used:
                free = f"{free}_{kind}"
            used.add(free)
            names.append(free)
    return tuple(names)
