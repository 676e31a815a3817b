"""Filling rows of a laid-out embeddings file in place, without HDF5."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.errors import EmbeddingsFileError
from extract.files.strings_dataset import text_attribute
from extract.ids import bytes_of
from extract.machine.system_calls import bytes_at, make_durable, write_at
from extract.refusals import SOUND
from extract.storage.embeddings import row_crc32
from extract.storage.embeddings_file import HEADER_BYTES, padded_record
from extract.storage.embeddings_table import ROW_FIELDS, EmbeddingsTable, Rows, sum_fields


class RowWriter:
    """Fills rows of a laid-out file in place, without HDF5.

    Rows become sound in two steps, each made durable before the next: vectors, hashes and check
    sums first, their status last. Killed anywhere between, a row is still to do.

    Parameters
    ----------
    table : EmbeddingsTable
        The file as laid out.
    """

    def __init__(self, table: EmbeddingsTable) -> None:
        self._ids, self._offsets = table.ids, table.offsets
        self._fields = [name for name in ROW_FIELDS if name in table.offsets]
        self._file = os.open(table.path, os.O_RDWR)
        self._record_at = self._find_record(table.path)
        self._pending: list[tuple[int, np.ndarray]] = []

    def write(self, places: np.ndarray, rows: Rows, sources: np.ndarray | None = None) -> None:
        """Put rows in their places; they are not finished before :meth:`sync`.

        Parameters
        ----------
        places : ndarray of shape (n,), int
            Row numbers in the file, ascending.
        rows : Rows
            Check sums are made here.
        sources : ndarray of shape (n,), int, optional
            The row of the file that gives each its vector; -1 for one that brings its own.
        """
        if sources is not None:
            for i in np.flatnonzero(sources >= 0).tolist():
                rows.vectors[i] = self._read_vector(int(sources[i]), rows.vectors.shape[1])
        for i in np.flatnonzero(rows.status == SOUND).tolist():
            content = rows.content_sha256[i].tobytes()
            rows.row_crc32[i] = row_crc32(self._ids[places[i]], content, rows.vectors[i].data)
        rows.fields_crc32[:] = sum_fields([self._ids[i] for i in places.tolist()], vars(rows))
        for begin, end in _runs(places):
            for name in ("vectors", *self._fields):
                if name != "status":
                    values = np.ascontiguousarray(getattr(rows, name)[begin:end])
                    self._put(name, int(places[begin]), values)
            self._pending.append((int(places[begin]), rows.status[begin:end].copy()))

    def sync(self) -> int:
        """Make all written rows durable, then their status; return how many rows that were."""
        if not self._pending:
            return 0
        make_durable(self._file)
        for first, status in self._pending:
            self._put("status", first, status)
        make_durable(self._file)
        finished = sum(len(status) for _, status in self._pending)
        self._pending.clear()
        return finished

    def reset(self, rows: np.ndarray) -> None:
        """Mark rows as still to do, durably, before their bytes are written over."""
        for row in rows:
            self._put("status", int(row), np.zeros(1, np.uint8))
        make_durable(self._file)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Put the record of the run in its place."""
        _pwrite(self._file, padded_record(record).encode(), self._record_at)
        make_durable(self._file)

    def close(self) -> None:
        """Give the file back; what was not synced is still to do."""
        os.close(self._file)

    def _read_vector(self, row: int, n_dims: int) -> np.ndarray:
        at = self._offsets["embeddings"] + row * 4 * n_dims
        return np.frombuffer(bytes_at(self._file, 4 * n_dims, at), "<f4")

    def _put(self, name: str, row: int, values: np.ndarray) -> None:
        dataset = "embeddings" if name == "vectors" else name
        row_bytes = values.nbytes // len(values)
        _pwrite(self._file, values.tobytes(), self._offsets[dataset] + row * row_bytes)

    def _find_record(self, path: Path) -> int:
        """Find the record's bytes: HDF5 does not expose where an attribute's text lies."""
        head = bytes_at(self._file, HEADER_BYTES, 0)
        with h5py.File(path, "r", locking=False) as file:
            stored = bytes_of(text_attribute(file, "record"))  # torn text is still found
        if head.count(stored) != 1:
            raise EmbeddingsFileError("the place of the file's record is not found")
        return head.index(stored)


def _runs(places: np.ndarray) -> list[tuple[int, int]]:
    """Cut ascending row numbers into runs of neighbors: begin and end of each."""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    edges = [0, *breaks.tolist(), len(places)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _pwrite(file: int, data: bytes, offset: int) -> None:
    """Write all of it at its place: a pwrite may write less than it was given."""
    view = memoryview(data)
    while view:
        written = write_at(file, view, offset)
        view, offset = view[written:], offset + written
