"""Cells of workbooks and parquet files, which have types, as text."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from extract.errors import CatalogError

MAX_COLUMNS = 10_000
MAX_CELL = 131_072
"""Characters of a cell, as Python's reader of CSV has them."""

WHOLE = "a number"
Rows = list[tuple[int, list[str]]]
Odd = Mapping[tuple[int, str], int]
"""Where a column first holds what is no text, by column and what that is."""


def refuse_unstorable(place: str, text: str) -> None:
    """Refuse a cell that is too long, or that neither a path nor an HDF5 file can hold.

    Raises
    ------
    CatalogError
        Naming the place, as in ``shop.parquet, row 3``.
    """
    if len(text) > MAX_CELL:
        raise CatalogError(
            f"{place}: a cell of {len(text):,} characters; at most {MAX_CELL:,} are read"
        )
    if "\0" in text:
        raise CatalogError(f"{place}: a cell with a NUL character; take it out")


def spelled(value: Any) -> tuple[str, str | None]:
    """Spell a value as text, and name what it is where that is no text.

    Examples
    --------
    >>> spelled(12), spelled(12.0), spelled(None), spelled(["a.jpg", "b.jpg"])
    (('12', 'a number'), ('12', 'a number'), ('', None), ('["a.jpg", "b.jpg"]', None))
    >>> spelled(0.5), spelled(True)
    (('0.5', 'a number with a fraction'), ('True', 'true or false'))
    """
    if value is None:
        return "", None
    if isinstance(value, str):
        return value, None
    if isinstance(value, bool):
        return str(value), "true or false"
    if isinstance(value, int):
        return str(value), WHOLE
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value)), WHOLE
        return repr(value), "a number with a fraction"
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value), "a date or a time"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return json.dumps(value, ensure_ascii=False), None
    return "", f"what is no text ({type(value).__name__})"
