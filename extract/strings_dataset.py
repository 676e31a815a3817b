"""Strings in HDF5 as two plain arrays, Arrow's large_string layout: all bytes, and offsets.

Variable-length HDF5 strings live on a heap that a hostile file can lie about; two arrays of
numbers can be checked before they are believed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.catalog import bytes_of, text_of
from extract.errors import EmbeddingsFileError

NOT_THERE = "is not there"


def write_strings(group: h5py.Group, values: Sequence[str]) -> None:
    """Store strings as ``bytes`` uint8 (total,) and ``offsets`` int64 (n + 1,)."""
    raw = [bytes_of(value) for value in values]
    offsets = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum([len(r) for r in raw], out=offsets[1:])
    group.create_dataset("bytes", data=np.frombuffer(b"".join(raw), dtype=np.uint8))
    group.create_dataset("offsets", data=offsets)


def read_strings(file: h5py.File, name: str, n_values: int | None = None) -> tuple[str, ...]:
    """Read back strings; offsets that fall, or do not end at the pool's length, are refused.

    Raises
    ------
    EmbeddingsFileError
    """
    pool = plain_dataset(file, f"{name}/bytes", np.uint8, 1)[()].tobytes()
    offsets = plain_dataset(file, f"{name}/offsets", np.int64, 1)[()]
    sound = (
        len(offsets) > 0
        and offsets[0] == 0
        and offsets[-1] == len(pool)
        and not (offsets[1:] < offsets[:-1]).any()
        and n_values in (None, len(offsets) - 1)
    )
    if not sound:
        raise EmbeddingsFileError(f"{file.filename}: the offsets of {name!r} do not fit its bytes")
    ends = offsets.tolist()
    return tuple(text_of(pool[a:b]) for a, b in itertools.pairwise(ends))


def plain_dataset(file: h5py.File, name: str, dtype: Any, n_axes: int) -> h5py.Dataset:
    """Open a dataset only if it is what this program writes: hard links, raw bytes in this file.

    External links, external storage, virtual datasets, filters and foreign types are refused
    before anything is read, since a file from elsewhere could otherwise show other files' bytes.

    Raises
    ------
    EmbeddingsFileError
    """
    why = _why_not_plain(file, name, np.dtype(dtype), n_axes)
    if why:
        raise EmbeddingsFileError(f"{file.filename}: dataset {name!r} {why}; this file is not read")
    return file[name]


def plain_group(file: h5py.File, name: str) -> h5py.Group | None:
    """Open a group reached by hard links alone; None where there is none.

    Raises
    ------
    EmbeddingsFileError
    """
    why = _why_not_reached(file, name)
    if why == NOT_THERE:
        return None
    if why or not isinstance(file[name], h5py.Group):
        what = why or "is not a group"
        raise EmbeddingsFileError(f"{file.filename}: {name!r} {what}; this file is not read")
    return file[name]


def _why_not_reached(file: h5py.File, name: str) -> str | None:
    reached = ""
    for part in name.split("/"):
        reached = f"{reached}/{part}"
        link = file.get(reached, getlink=True)
        if link is None:
            return NOT_THERE
        if not isinstance(link, h5py.HardLink):
            return "is a link to elsewhere"
    return None


def _why_not_plain(file: h5py.File, name: str, dtype: np.dtype[Any], n_axes: int) -> str | None:
    why = _why_not_reached(file, name)
    if why:
        return why
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        return "is not a dataset"
    stored = dataset.id.get_create_plist()
    if stored.get_external_count() or dataset.is_virtual or stored.get_nfilters():
        return "is not stored as plain bytes in this file"
    if dataset.dtype != dtype or dataset.ndim != n_axes:
        return f"is {dataset.dtype} with {dataset.ndim} axes where {dtype} with {n_axes} is read"
    start, size = dataset.id.get_offset(), math.prod(dataset.shape) * dtype.itemsize
    if size and (start is None or start + size > Path(file.filename).stat().st_size):
        return "reaches past the end of the file"
    return None
