"""The rows of an embeddings file as they stand in it: fields, check sums, places, counts."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extract.files.private_memory import Inode, allocate_private_memory, opened, read_into
from extract.ids import bytes_of
from extract.refusals import SOUND, TO_DO, reason_code
from extract.storage.arrays import BLOCK_NUMBERS, finite_rows
from extract.storage.embeddings import Provenance, row_crc32

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
"""What is stored a row in addition to its vector: dtype and the shape of one entry."""

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
        Index into the file's execution configs; named as the file's dataset is.
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

    @property
    def execution_config(self) -> np.ndarray:
        """Of each row, the index into the file's execution configs."""
        return self.realisation

    def __len__(self) -> int:
        return len(self.status)


def blank_fields(n_images: int) -> dict[str, np.ndarray]:
    """Make the stored fields, all but the vectors, of rows that are all still to do."""
    fields = {
        name: np.zeros((n_images, *shape), dtype) for name, (dtype, shape) in ROW_FIELDS.items()
    }
    fields["size"] -= 1
    fields["mtime_ns"] -= 1
    return fields


def sum_fields(ids: Sequence[str], fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum up the fields of rows: CRC-32 over id and :data:`SUMMED_FIELDS`.

    Parameters
    ----------
    ids : sequence of str
    fields : mapping of str to ndarray of shape (n, ...)

    Returns
    -------
    ndarray of shape (n,), uint32
        Never 0, which stands for a sum that is not known.
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

    What is mapped may be cut or written over while it is looked at: only :meth:`private_vectors`,
    :meth:`take_vectors` and :meth:`blocks` read what stays as it was read.

    Parameters
    ----------
    path : Path
    provenance : Provenance
    ids, paths : tuple of str
    rows : Rows
    offsets : mapping of str to int
        Where each dataset's bytes begin in the file.
    inode : (int, int)
        Of the very file.
    """

    path: Path
    provenance: Provenance
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    rows: Rows
    offsets: Mapping[str, int]
    inode: Inode

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
        vectors = np.empty((count, self.n_dims), "<f4")
        with opened(self.path, self.inode) as file:
            read_into(file, self._at(first), vectors)
        return vectors

    def take_vectors(self, rows: np.ndarray) -> np.ndarray:
        """Read the vectors of some rows as they are on disk now; ndarray (len(rows), n_dims)."""
        vectors = np.empty((len(rows), self.n_dims), "<f4")
        with opened(self.path, self.inode) as file:
            for vector, row in zip(vectors, rows.tolist(), strict=True):
                read_into(file, self._at(row), vector)
        return vectors

    def now(self, name: str) -> np.ndarray:
        """Read one of ROW_FIELDS of all rows as it is on disk now."""
        dtype, shape = ROW_FIELDS[name]
        found = np.zeros((len(self), *shape), dtype)
        if name in self.offsets:
            with opened(self.path, self.inode) as file:
                read_into(file, self.offsets[name], found)
        return found

    def fields_now(self) -> dict[str, np.ndarray]:
        """Read the fields that a row's check sum covers, and that sum, as on disk now."""
        return {name: self.now(name) for name in ("fields_crc32", *SUMMED_FIELDS)}

    def sound(self) -> np.ndarray:
        """Find the rows that are proven: status 1 and check sums that fit.

        Returns
        -------
        ndarray of shape (n_images,), bool
        """
        proven = np.zeros(len(self), bool)
        for first, vectors in self.blocks():
            proven[first : first + len(vectors)] = self._proven(first, vectors)
        return proven

    def private_vectors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the proven rows of finite numbers once, into memory that is this process's own.

        Returns
        -------
        vectors : ndarray of shape (n, n_dims), float32
            Read-only, and the very bytes that the check sums prove.
        proven, finite : ndarray of shape (n_images,), bool
            The rows that :meth:`sound` gives, and those of finite numbers.

        Raises
        ------
        EmbeddingsFileError
            When the file is cut short or replaced meanwhile, or there is no room.
        """
        width = 4 * self.n_dims
        marked = int((self.rows.status == SOUND).sum())
        step = max(1, BLOCK_NUMBERS // self.n_dims)
        room = allocate_private_memory(width * min(len(self), marked + step), self.path.parent)
        vectors = room.view("<f4").reshape(-1, self.n_dims)
        proven, finite = np.zeros(len(self), bool), np.zeros(len(self), bool)
        kept = 0
        with opened(self.path, self.inode) as file:
            for first in range(0, len(self), step):
                here = slice(first, min(first + step, len(self)))
                block = vectors[kept : kept + here.stop - first]
                read_into(file, self._at(first), block)
                proven[here], finite[here] = self._proven(first, block), finite_rows(block)
                good = proven[here] & finite[here]
                if not good.all():
                    block[: good.sum()] = block[good]
                kept += int(good.sum())
        vectors = vectors[:kept]
        vectors.flags.writeable = False
        return vectors, proven, finite

    def _at(self, row: int) -> int:
        return self.offsets["embeddings"] + row * 4 * self.n_dims

    def _proven(self, first: int, vectors: np.ndarray) -> np.ndarray:
        """Find which of some neighboring rows, with these vectors, are proven; ndarray of bool."""
        here = slice(first, first + len(vectors))
        proven: np.ndarray = self.rows.status[here] == SOUND
        marked = np.flatnonzero(proven)
        content = self.rows.content_sha256[here].tobytes()
        numbers, width = vectors.data.cast("B"), 4 * self.n_dims
        expected = [
            row_crc32(
                self.ids[first + i],
                content[32 * i : 32 * i + 32],
                numbers[width * i : width * (i + 1)],
            )
            for i in marked.tolist()
        ]
        proven[marked] = self.rows.row_crc32[here][marked] == np.array(expected, np.uint32)
        proven[marked] &= self._fields_fit(vars(self.rows), marked + first)
        return proven

    def refused(self, fields: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Find the rows that hold why their picture was refused, as their check sum proves.

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
        """Find which of some rows have fields that fit their sum; those without a sum pass."""
        stored = fields["fields_crc32"][rows]
        fits: np.ndarray = stored == 0
        summed = rows[~fits]
        few = {name: fields[name][summed] for name in SUMMED_FIELDS}
        fits[~fits] = stored[~fits] == sum_fields([self.ids[i] for i in summed.tolist()], few)
        return fits

    def rows_by_execution_config(self) -> dict[int, np.ndarray]:
        """Give the finished rows of each execution config, as they stand in the file now."""
        fields = self.fields_now()
        finished = np.flatnonzero(fields["status"] == SOUND)
        finished = finished[self._fields_fit(fields, finished)]
        of_row = fields["realisation"][finished]
        return {int(i): finished[of_row == i] for i in np.unique(of_row)}

    def most_common_execution_config(self) -> Mapping[str, Any]:
        """Give the execution config of most finished rows; the last one where none is."""
        ways, rows = self.provenance.execution_configs, self.rows_by_execution_config()
        usual = max(rows, key=lambda i: len(rows[i]), default=len(ways) - 1)
        return ways[usual] if 0 <= usual < len(ways) else {}

    def counts(self, proven: np.ndarray | None = None) -> dict[str, Any]:
        """Count rows: ``sound``, ``to_do``, ``refused`` by reason, ``damaged`` if there are any.

        Parameters
        ----------
        proven : ndarray of shape (n_images,), bool, optional
            What :meth:`sound` gave, where it was called already.
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
