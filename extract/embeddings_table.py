"""The rows of an embeddings file as they stand in it: fields, check sums, places, counts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extract.catalog import bytes_of
from extract.embeddings import BLOCK_NUMBERS, Provenance, row_crc32
from extract.refusals import SOUND, TO_DO, reason_code

ROW_FIELDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "status": (np.dtype("u1"), ()),
    "row_crc32": (np.dtype("<u4"), ()),
    "content_sha256": (np.dtype("u1"), (32,)),
    "size": (np.dtype("<i8"), ()),
    "mtime_ns": (np.dtype("<i8"), ()),
    "realisation": (np.dtype("u1"), ()),
    "dimensions": (np.dtype("<u4"), (2,)),
    "fields_crc32": (np.dtype("<u4"), ()),
}
"""What is stored a row beside its vector: dtype and the shape of one entry."""

LATER_FIELDS = frozenset({"dimensions", "fields_crc32"})
"""Not in the files of earlier versions, which are read and filled without."""

SUMMED_FIELDS = ("status", "content_sha256", "size", "mtime_ns", "realisation", "dimensions")
"""What ``fields_crc32`` is over, in this order after the id."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Everything that is stored a row, for n rows.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_dims), float32
        NaN until sound.
    status : ndarray of shape (n,), uint8
        0 to do, 1 sound, 2.. why the picture was refused.
    row_crc32 : ndarray of shape (n,), uint32
    content_sha256 : ndarray of shape (n, 32), uint8
    size, mtime_ns : ndarray of shape (n,), int64
        As seen when the picture was read; -1 where there was none.
    realisation : ndarray of shape (n,), uint8
        Index into the file's realisations.
    dimensions : ndarray of shape (n, 2), uint32
        Height and width of the picture upright, in pixels; 0 where they are not known.
    fields_crc32 : ndarray of shape (n,), uint32
        See :func:`sum_fields`; 0 where an earlier version wrote the row.
    """

    vectors: np.ndarray
    status: np.ndarray
    row_crc32: np.ndarray
    content_sha256: np.ndarray
    size: np.ndarray
    mtime_ns: np.ndarray
    realisation: np.ndarray
    dimensions: np.ndarray
    fields_crc32: np.ndarray

    def __len__(self) -> int:
        return len(self.status)


def blank_fields(n_images: int) -> dict[str, np.ndarray]:
    """Make what is stored beside the vectors for rows that are all still to do."""
    fields = {
        name: np.zeros((n_images, *shape), dtype) for name, (dtype, shape) in ROW_FIELDS.items()
    }
    fields["size"] -= 1
    fields["mtime_ns"] -= 1
    return fields


def sum_fields(ids: Sequence[str], fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum up what stands beside the vectors: CRC-32 over id and :data:`SUMMED_FIELDS`.

    Parameters
    ----------
    ids : sequence of str
    fields : mapping of str to ndarray of shape (n, ...)

    Returns
    -------
    ndarray of shape (n,), uint32
        Never 0, which says that a sum is not known.
    """
    if not ids:
        return np.zeros(0, np.uint32)
    parts = [np.ascontiguousarray(fields[name]).view(np.uint8) for name in SUMMED_FIELDS]
    packed = np.concatenate([part.reshape(len(ids), -1) for part in parts], axis=1)
    raw, width = packed.tobytes(), packed.shape[-1]
    sums = [
        zlib.crc32(raw[width * i : width * (i + 1)], zlib.crc32(bytes_of(row_id))) or 1
        for i, row_id in enumerate(ids)
    ]
    return np.array(sums, np.uint32)


@dataclass(frozen=True, eq=False)
class EmbeddingsTable:
    """An embeddings file as read: its head, its rows (vectors mapped, not loaded), its places.

    Parameters
    ----------
    path : Path
    provenance : Provenance
    ids, paths : tuple of str
    rows : Rows
    offsets : mapping of str to int
        Where each dataset's bytes begin in the file.
    """

    path: Path
    provenance: Provenance
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    rows: Rows
    offsets: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_dims(self) -> int:
        """Width of a vector."""
        return int(self.rows.vectors.shape[1])

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Read the vectors through, some at a time: number of the first, ndarray (n, n_dims).

        Read and not mapped, so that a file larger than memory never counts as this process's.
        """
        step = max(1, BLOCK_NUMBERS // self.n_dims)
        for first in range(0, len(self), step):
            yield first, self.read_vectors(first, min(step, len(self) - first))

    def read_vectors(self, first: int, count: int) -> np.ndarray:
        """Read some neighboring vectors as they are on disk now; ndarray (count, n_dims)."""
        row_bytes = 4 * self.n_dims
        at = self.offsets["embeddings"] + first * row_bytes
        vectors = np.fromfile(self.path, "<f4", count * self.n_dims, offset=at)
        return vectors.reshape(count, self.n_dims)

    def now(self, name: str) -> np.ndarray:
        """Read what stands beside the vectors as it is on disk now: an entry of ROW_FIELDS."""
        dtype, shape = ROW_FIELDS[name]
        if name not in self.offsets:
            return np.zeros((len(self), *shape), dtype)
        numbers = len(self) * math.prod(shape)
        return np.fromfile(self.path, dtype, numbers, offset=self.offsets[name]).reshape(-1, *shape)

    def fields_now(self) -> dict[str, np.ndarray]:
        """Read what the check sum over a row's fields is of, and that sum, as on disk now."""
        return {name: self.now(name) for name in ("fields_crc32", *SUMMED_FIELDS)}

    def sound(self) -> np.ndarray:
        """Say which rows are proven: status 1 and check sums that fit.

        Returns
        -------
        ndarray of shape (n_images,), bool
        """
        proven: np.ndarray = self.rows.status == SOUND
        width = 4 * self.n_dims
        for first, vectors in self.blocks():
            marked = np.flatnonzero(proven[first : first + len(vectors)])
            content = self.rows.content_sha256[first : first + len(vectors)].tobytes()
            numbers = vectors.data.cast("B")
            expected = [
                row_crc32(
                    self.ids[first + i],
                    content[32 * i : 32 * i + 32],
                    numbers[width * i : width * (i + 1)],
                )
                for i in marked.tolist()
            ]
            marked += first
            proven[marked] = self.rows.row_crc32[marked] == np.array(expected, np.uint32)
            proven[marked] &= self._fields_fit(vars(self.rows), marked)
        return proven

    def refused(self, fields: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Say which rows hold why their picture was refused, as their check sum proves.

        Parameters
        ----------
        fields : mapping of str to ndarray, optional
            What :meth:`fields_now` gave; as the table was opened without.

        Returns
        -------
        ndarray of shape (n_images,), bool
        """
        fields = vars(self.rows) if fields is None else fields
        refused: np.ndarray = (fields["status"] != SOUND) & (fields["status"] != TO_DO)
        rows = np.flatnonzero(refused)
        refused[rows] = self._fields_fit(fields, rows)
        return refused

    def _fields_fit(self, fields: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
        """Say of which of some rows the fields fit their sum; those without one may be right."""
        stored = fields["fields_crc32"][rows]
        fits: np.ndarray = stored == 0
        summed = rows[~fits]
        few = {name: fields[name][summed] for name in SUMMED_FIELDS}
        fits[~fits] = stored[~fits] == sum_fields([self.ids[i] for i in summed.tolist()], few)
        return fits

    def rows_by_realisation(self) -> dict[int, np.ndarray]:
        """Give the finished rows of each realisation, as they stand in the file now."""
        fields = self.fields_now()
        finished = np.flatnonzero(fields["status"] == SOUND)
        finished = finished[self._fields_fit(fields, finished)]
        of_row = fields["realisation"][finished]
        return {int(i): finished[of_row == i] for i in np.unique(of_row)}

    def usual_realisation(self) -> Mapping[str, Any]:
        """Say how most of the finished rows were computed; the last way where none is."""
        ways, rows = self.provenance.realisations, self.rows_by_realisation()
        usual = max(rows, key=lambda i: len(rows[i]), default=len(ways) - 1)
        return ways[usual] if 0 <= usual < len(ways) else {}

    def counts(self, proven: np.ndarray | None = None) -> dict[str, Any]:
        """Count rows: ``sound``, ``to_do``, ``refused`` by reason, ``damaged`` if there are any.

        Parameters
        ----------
        proven : ndarray of shape (n_images,), bool, optional
            What :meth:`sound` said, where it was asked already.
        """
        n_proven = int((self.sound() if proven is None else proven).sum())
        refused = self.refused()
        numbers, counts = np.unique(self.rows.status[refused], return_counts=True)
        n_to_do = int((self.rows.status == TO_DO).sum())
        n_damaged = len(self) - n_to_do - n_proven - int(refused.sum())
        rows = {
            "sound": n_proven,
            "to_do": n_to_do,
            "refused": dict(zip(map(reason_code, numbers.tolist()), counts.tolist(), strict=True)),
        }
        return rows | ({"damaged": n_damaged} if n_damaged else {})
