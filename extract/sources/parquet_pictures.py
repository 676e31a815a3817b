"""Pictures that are bytes in a column of a parquet file, read forward and not all at once."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from extract.errors import SosieError, in_one_line
from extract.ids import shown
from extract.refusals import Reason, Refused
from extract.sources.byte_ranges import ByteRanges, Stamp, date_of_archive
from extract.sources.located import NOWHERE, UNKNOWN_SIZE, Located

ENDING = ".parquet"
ROWS_AT_ONCE = 16
MOST_UNPACKED = 1 << 30
"""Bytes that rows read at once may have, should each be as large as its whole column."""

KEPT_BYTES, KEPT_AT_LEAST = 64 << 20, 4
"""Of the last rows read: threads and neighbors in a batch come back to them."""

MOST_KEPT = 256 << 20
"""Of all files together where rows are not read in their order, so that fewer are read again."""

BUFFER_BYTES = 1 << 20
MOST_OPEN = 16
MOST_DIGITS = 18


def open_parquet(file: ByteRanges) -> Any:
    """Open a parquet file, of which columns are read in pieces.

    Raises
    ------
    SosieError
        Without pyarrow.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise SosieError(
            'parquet needs pyarrow: pip install pyarrow (the extra "parquet" brings it)'
        ) from error
    return ParquetFile(file.open(), buffer_size=BUFFER_BYTES, pre_buffer=False)


def is_picture(kind: Any) -> bool:
    """Whether a column of this type holds pictures: bytes, or Hugging Face's struct of them."""
    import pyarrow.types as types

    if types.is_struct(kind):
        names = {kind.field(i).name for i in range(kind.num_fields)}
        return names == {"bytes", "path"} and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


@dataclass
class _Group:
    """A row group that is read on from ``next``; of its rows the last are kept, by the first."""

    batches: Iterator[Any]
    next: int
    kept: deque[tuple[int, Any]] = field(default_factory=deque)


class PictureColumn:
    """A column of a parquet file as it was when it was opened; one reads it at a time.

    Parameters
    ----------
    file : ByteRanges
    stamp : tuple of int
    column : str
    """

    def __init__(self, file: ByteRanges, stamp: Stamp, column: str) -> None:
        self.date = date_of_archive(file, stamp)
        self._turn = threading.Lock()
        self._source = open_parquet(file)
        about = self._source.metadata
        sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        names = self._source.schema_arrow.names
        field = self._source.schema_arrow.field(column) if column in names else None
        if field is None or not is_picture(field.type):
            raise Refused(Reason.MISSING, f"no column {column!r} of pictures in the parquet file")
        self._is_struct = not _is_bytes(field.type)
        self._leaf = f"{column}.bytes" if self._is_struct else column
        self._begun: set[int] = set()
        self._in_order = True
        self._groups: OrderedDict[int, _Group] = OrderedDict()

    @property
    def n_rows(self) -> int:
        """Rows of the file."""
        return int(self._starts[-1])

    def take(self, row: int) -> Any:
        """Give the bytes of a row, as pyarrow has them; None where it has none."""
        with self._turn:
            group = int(np.searchsorted(self._starts, row, side="right")) - 1
            try:
                first, values = self._kept(group, row) or self._go_to(group, row)
            except Exception as error:
                self._groups.pop(group, None)
                raise Refused(
                    Reason.CORRUPT, f"the parquet file cannot be read here: {in_one_line(error)}"
                ) from error
            return values[row - first].as_buffer()

    def _kept(self, group: int, row: int) -> tuple[int, Any] | None:
        if group not in self._groups:
            return None
        self._groups.move_to_end(group)
        rows = self._groups[group].kept
        return next((each for each in rows if each[0] <= row < each[0] + len(each[1])), None)

    def _go_to(self, group: int, row: int) -> tuple[int, Any]:
        """Read on to a row; from the begin of its row group if need be."""
        found = self._groups.get(group)
        if found is None or row < found.next:
            self._in_order &= group not in self._begun
            self._begun.add(group)
            batches = self._source.iter_batches(
                batch_size=self._rows_at_once(group),
                row_groups=[group],
                columns=[self._leaf],
                use_threads=False,
            )
            found = self._groups[group] = _Group(batches, int(self._starts[group]))
            self._groups.move_to_end(group)
        while row >= found.next:
            values = next(found.batches).column(0)
            values = values.field("bytes") if self._is_struct else values
            found.kept.append((found.next, values))
            found.next += len(values)
            self._make_room()
        return found.kept[-1]

    def _make_room(self) -> None:
        """Forget what was read first, of the row groups that were used last."""
        most = KEPT_BYTES
        if not self._in_order:
            most = max(most, MOST_KEPT // max(1, _opened.cache_info().currsize))
        kept = [values.nbytes for group in self._groups.values() for _, values in group.kept]
        n_bytes = sum(kept)
        for each in kept[:-KEPT_AT_LEAST]:
            if n_bytes <= most:
                return
            oldest = next(iter(self._groups))
            self._groups[oldest].kept.popleft()
            if not self._groups[oldest].kept:
                del self._groups[oldest]
            n_bytes -= each

    def _rows_at_once(self, group: int) -> int:
        """Read fewer where one value, repeated by a dictionary, could be as large as all."""
        about = self._source.metadata.row_group(group)
        chunks = [about.column(i) for i in range(about.num_columns)]
        size = max(c.total_uncompressed_size for c in chunks if c.path_in_schema == self._leaf)
        return int(min(ROWS_AT_ONCE, max(1, MOST_UNPACKED // max(size, 1))))


@lru_cache(maxsize=MOST_OPEN)
def _opened(file: ByteRanges, stamp: Stamp, column: str) -> PictureColumn:
    return PictureColumn(file, stamp, column)


if hasattr(os, "register_at_fork"):  # a lock may be held, and a file's position is shared
    os.register_at_fork(after_in_child=_opened.cache_clear)


def _column_and_row(file: ByteRanges, name: str) -> tuple[PictureColumn, int]:
    number, _, column = name.partition("/")
    try:
        found = _opened(file, file.stamp(), column)
    except (Refused, SosieError):
        raise
    except Exception as error:
        raise Refused(
            Reason.CORRUPT, f"the parquet file cannot be read: {in_one_line(error)}"
        ) from error
    is_number = number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
    row = int(number) if is_number else -1
    if not 0 <= row < found.n_rows:
        raise Refused(Reason.MISSING, f"no row {shown(number[:MOST_DIGITS])} in the parquet file")
    return found, row


def stat_in_parquet(file: ByteRanges, name: str) -> tuple[int, int]:
    """Give the date of the file, and an unknown size: to know it a picture has to be read."""
    try:
        found, _ = _column_and_row(file, name)
    except Refused:
        return NOWHERE
    return UNKNOWN_SIZE, found.date


@contextmanager
def opened_in_parquet(file: ByteRanges, name: str) -> Iterator[Located]:
    """Find the picture of a row and a column, as in ``17/image``; rows count from 0.

    Raises
    ------
    Refused
    """
    column, row = _column_and_row(file, name)
    content = column.take(row)
    if content is None:
        raise Refused(Reason.NOT_NAMED, "no picture: the cell is empty; put its bytes there")
    yield Located(
        content.size,
        column.date,
        lambda _: bytes(content.to_pybytes()),
        recorded_size=UNKNOWN_SIZE,
    )
