"""Laying an embeddings file out whole, before its first row is computed.

All its bytes are on disk from then on, so that filling it needs no HDF5 and cannot run out of room.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.catalog.catalog import Catalog, ids_fingerprint
from extract.errors import EmbeddingsFileError, cannot_write
from extract.files.hdf5_output import replaced
from extract.files.strings_dataset import write_strings
from extract.ids import bytes_of
from extract.refusals import SOUND, TO_DO
from extract.storage.arrays import BLOCK_NUMBERS
from extract.storage.embeddings import (
    Provenance,
    canonical_json,
    row_crc32,
    sha256_of,
)
from extract.storage.embeddings_file import FORMAT, FORMAT_VERSION, HEADER_BYTES, padded_record
from extract.storage.embeddings_table import (
    SUMMED_FIELDS,
    EmbeddingsTable,
    blank_fields,
    sum_fields,
)


@dataclass(frozen=True, eq=False)
class CarriedRows:
    """Rows of an older file that still hold, and where they go.

    Parameters
    ----------
    table : EmbeddingsTable
    old, new : ndarray of shape (n_carried,), int
        Row numbers in the older file and in the new one, in step; the new ones ascend.
    stats : ndarray of shape (n_carried, 2), int64
        Size and mtime of each picture to be recorded; a picture that was moved has its own.
    """

    table: EmbeddingsTable
    old: np.ndarray
    new: np.ndarray
    stats: np.ndarray

    def __len__(self) -> int:
        return len(self.old)


def lay_out(
    path: Path,
    catalog: Catalog,
    provenance: Provenance,
    n_dims: int,
    carried: CarriedRows | None = None,
) -> None:
    """Write a whole file under a temporary name, sync it, rename it into place.

    Vectors are NaN and rows are to do, but for those carried over from an older file.

    Raises
    ------
    EmbeddingsFileError
        When the folder cannot be written or the disk has no room; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path, catalog, n_dims)
    except OSError as error:
        raise cannot_write(path, error) from error
    with replaced(path) as file:
        _write_whole(file, catalog, provenance, n_dims, carried)


def _check_room(path: Path, catalog: Catalog, n_dims: int) -> None:
    """Refuse a disk without room before HDF5 meets it: it would end in a segmentation fault."""
    strings = [catalog.ids, catalog.paths, *catalog.columns.values()]
    texts = sum(len(bytes_of(value)) + 8 for values in strings for value in values)
    texts += sum(v.offsets.nbytes + v.codes.nbytes for v in catalog.multi_labels)
    needed = len(catalog) * (n_dims * 4 + 64 + 4 * len(catalog.levels)) + texts + HEADER_BYTES
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise EmbeddingsFileError(
            f"{path.parent} has {free:,} bytes free and {path.name} needs {needed:,}: "
            "make room, or write elsewhere with --output FILE"
        )


def _write_whole(
    file: h5py.File,
    catalog: Catalog,
    provenance: Provenance,
    n_dims: int,
    carried: CarriedRows | None,
) -> None:
    fields = blank_fields(len(catalog))
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["identity"] = canonical_json(provenance.identity)
    file.attrs["identity_sha256"] = provenance.identity_sha256
    file.attrs["realisations"] = canonical_json(list(provenance.execution_configs))
    file.attrs["realisations_sha256"] = sha256_of(list(provenance.execution_configs))
    file.attrs["catalog_fingerprint"] = catalog.ids_sha256
    file.attrs["record"] = padded_record(provenance.record)
    write_strings(file.create_group("ids"), catalog.ids)
    if catalog.paths != catalog.ids:
        write_strings(file.create_group("paths"), catalog.paths)
        file.attrs["paths_sha256"] = ids_fingerprint(catalog.paths)
    vectors = _create_contiguous(file, "embeddings", "<f4", (len(catalog), n_dims), np.nan)
    if carried is not None:
        _carry(carried, catalog, fields, vectors)
    for name, values in fields.items():
        dataset = _create_contiguous(file, name, values.dtype, values.shape, 0)
        dataset[...] = values


def _carry(
    carried: CarriedRows,
    catalog: Catalog,
    fields: Mapping[str, np.ndarray],
    vectors: h5py.Dataset,
) -> None:
    """Copy rows of the older file; one under another id gets the check sum of its new one.

    Rows of earlier versions get a sum over their fields, as they are.
    """
    table, old, new = carried.table, carried.old, carried.new
    for name, values in fields.items():
        values[new] = getattr(table.rows, name)[old]
    fields["size"][new], fields["mtime_ns"][new] = carried.stats.T
    for begin, end in _blocks(carried):
        block = table.read_vectors(int(old[begin]), end - begin)
        vectors[new[begin] : new[begin] + len(block)] = block
        for i, vector in enumerate(block, start=begin):
            row_id = catalog.ids[new[i]]
            if row_id != table.ids[old[i]] and table.rows.status[old[i]] == SOUND:
                content = table.rows.content_sha256[old[i]].tobytes()
                fields["row_crc32"][new[i]] = row_crc32(row_id, content, vector.data)
    finished = new[fields["status"][new] != TO_DO]
    few = {name: fields[name][finished] for name in SUMMED_FIELDS}
    fields["fields_crc32"][finished] = sum_fields([catalog.ids[i] for i in finished], few)


def _blocks(carried: CarriedRows) -> Iterator[tuple[int, int]]:
    """Cut carried rows into runs that are neighbors in both files: first and end."""
    longest = max(1, BLOCK_NUMBERS // carried.table.n_dims)
    breaks = (np.diff(carried.old) != 1) | (np.diff(carried.new) != 1)
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(carried)]
    for begin, end in itertools.pairwise(edges):
        for first in range(begin, end, longest):
            yield first, min(end, first + longest)


def _create_contiguous(
    file: h5py.File, name: str, dtype: Any, shape: tuple[int, ...], fill: float
) -> h5py.Dataset:
    """Create a dataset with its bytes on disk from the start, to be filled in place."""
    stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    stored.set_layout(h5py.h5d.CONTIGUOUS)
    stored.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    stored.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
    stored.set_fill_value(np.array(fill, dtype=dtype))
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, stored))
