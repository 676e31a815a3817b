"""Strings in HDF5 as two plain arrays, Arrow's large_string layout: all bytes, and offsets.

Variable-length HDF5 strings live on a heap that a hostile file can lie about; two arrays of
numbers can be checked before they are believed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.errors import EmbeddingsFileError
from extract.ids import bytes_of, shown, text_of

NOT_THERE = "is not there"
MOST_TEXT = 1 << 20


def write_strings(group: h5py.Group, values: Sequence[str]) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Store strings as ``bytes`` uint8 (total,) and ``offsets`` int64 (n + 1,)."""
    raw = [bytes_of(value) for value in values]
    offsets = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum([len(r) for r in raw], out=offsets[1:])
    pool = group.create_dataset("bytes", data=np.frombuffer(b"".join(raw), dtype=np.uint8))
    return pool, group.create_dataset("offsets", data=offsets)


def open_strings(file: h5py.File, name: str) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Open the bytes and the offsets of some strings; nothing of them is read yet.

    Raises
    ------
    EmbeddingsFileError
    """
    return (
        plain_dataset(file, f"{name}/bytes", np.uint8, 1),
        plain_dataset(file, f"{name}/offsets", np.int64, 1),
    )


def read_strings(file: h5py.File, name: str, n_values: int | None = None) -> tuple[str, ...]:
    """Read back strings; offsets that fall, or do not end at the pool's length, are refused.

    Raises
    ------
    EmbeddingsFileError
    """
    return strings_of(*open_strings(file, name), n_values)


def strings_of(
    pooled: h5py.Dataset, bounds: h5py.Dataset, n_values: int | None = None
) -> tuple[str, ...]:
    """Read strings that :func:`open_strings` opened.

    Raises
    ------
    EmbeddingsFileError
    """
    if n_values not in (None, len(bounds) - 1):  # before anything of them is read
        raise _misfit(bounds)
    pool, offsets = pooled[()].tobytes(), bounds[()]
    sound = (
        len(offsets) > 0
        and offsets[0] == 0
        and offsets[-1] == len(pool)
        and not (offsets[1:] < offsets[:-1]).any()
    )
    if not sound:
        raise _misfit(bounds)
    ends = offsets.tolist()
    return tuple(text_of(pool[a:b]) for a, b in itertools.pairwise(ends))


def _misfit(bounds: h5py.Dataset) -> EmbeddingsFileError:
    return _not_read(bounds.file, f"offsets {bounds.name!r} do not fit their bytes or the rows")


def plain_dataset(file: h5py.File, name: str, dtype: Any, n_axes: int) -> h5py.Dataset:
    """Open a dataset only if it is what this program writes: hard links, raw bytes in this file.

    External links, external storage, virtual datasets, filters and foreign types are refused
    before anything is read, since a file from elsewhere could otherwise show other files' bytes.

    Raises
    ------
    EmbeddingsFileError
    """
    reached, why = _reach(file, name)
    if reached is not None:
        why = _why_not_plain(file, reached, np.dtype(dtype), n_axes)
    if why:
        raise _not_read(file, f"dataset {name!r} {why}")
    return h5py.Dataset(reached)


def own_datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Datasets at the top of any file, with bytes that lie in it; nothing else is opened.

    Links to elsewhere, external storage and virtual datasets could show other files' bytes.
    """
    reached = {name: _reach(file, name)[0] for name in file}
    return {
        name: h5py.Dataset(stored)
        for name, stored in reached.items()
        if isinstance(stored, h5py.h5d.DatasetID)
        and not stored.get_create_plist().get_external_count()
        and stored.get_create_plist().get_layout() != h5py.h5d.VIRTUAL
    }


def is_there(file: h5py.File, name: str) -> bool:
    """Whether there is something of a name; a link to elsewhere counts, and is not followed."""
    return _reach(file, name)[1] != NOT_THERE


def plain_group(file: h5py.File, name: str) -> h5py.Group | None:
    """Open a group reached by hard links alone; None where there is none.

    Raises
    ------
    EmbeddingsFileError
    """
    reached, why = _reach(file, name)
    if why == NOT_THERE:
        return None
    if not isinstance(reached, h5py.h5g.GroupID):
        raise _not_read(file, f"{name!r} {why or 'is not a group'}")
    return h5py.Group(reached)


def refuse_overlaps(file: h5py.File, datasets: Mapping[str, h5py.Dataset]) -> None:
    """Refuse datasets that share bytes: what is written for one would change another.

    Raises
    ------
    EmbeddingsFileError
    """
    extents = sorted(
        (dataset.id.get_offset(), dataset.nbytes, name)
        for name, dataset in datasets.items()
        if dataset.nbytes
    )
    for (start, size, name), (after, _, other) in itertools.pairwise(extents):
        if start + size > after:
            raise _not_read(file, f"datasets {name!r} and {other!r} share bytes")


def text_attribute(holder: h5py.HLObject, name: str) -> str:
    """Read one text, of variable or fixed length, after a look at its type.

    Raises
    ------
    ValueError
        When it is not there, is anything but one text, or is very long.
    """
    _refuse_unlike(holder, name, h5py.h5t.STRING, "one text")
    value = holder.attrs[name]
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    if len(text) > MOST_TEXT:
        raise ValueError(f"its attribute {name!r} is {len(text):,} characters long")
    return text


def whole_attribute(holder: h5py.HLObject, name: str) -> int:
    """Read one whole number, after a look at its type.

    Raises
    ------
    ValueError
        When it is not there or is anything else.
    """
    _refuse_unlike(holder, name, h5py.h5t.INTEGER, "one whole number")
    return int(holder.attrs[name])


def _refuse_unlike(holder: h5py.HLObject, name: str, kind: int, what: str) -> None:
    """Refuse an attribute by its type alone: arrays and references may lead anywhere."""
    raw = name.encode()
    if not h5py.h5a.exists(holder.id, raw):
        raise ValueError(f"it has no attribute {name!r}")
    stored = h5py.h5a.open(holder.id, raw)
    is_one = stored.get_space().get_simple_extent_type() == h5py.h5s.SCALAR
    if stored.get_type().get_class() != kind or not is_one:
        raise ValueError(f"its attribute {name!r} is not {what}")


def _not_read(file: h5py.File, what: str) -> EmbeddingsFileError:
    return EmbeddingsFileError(f"{shown(file.filename)}: {what}; this file is not read")


def _reach(file: h5py.File, name: str) -> tuple[Any, str | None]:
    """Open what a path of hard links leads to; no other link is followed, not even to check it.

    h5py's own ``in`` and ``get`` would open the file that an external link names.
    """
    inside = file["/"].id
    for part in name.split("/"):
        raw = part.encode()
        if not isinstance(inside, h5py.h5g.GroupID) or not inside.links.exists(raw):
            return None, NOT_THERE
        if inside.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
            return None, "is a link to elsewhere"
        inside = h5py.h5o.open(inside, raw)
    return inside, None


def _why_not_plain(file: h5py.File, stored: Any, dtype: np.dtype[Any], n_axes: int) -> str | None:
    if not isinstance(stored, h5py.h5d.DatasetID):
        return "is not a dataset"
    how = stored.get_create_plist()
    if (
        how.get_layout() != h5py.h5d.CONTIGUOUS
        or how.get_external_count()
        or how.get_nfilters()  # of a damaged file, since only chunks are filtered
    ):
        return "is not stored as plain bytes in this file"
    space, kind = stored.get_space(), stored.get_type()
    if space.get_simple_extent_type() != h5py.h5s.SIMPLE or stored.rank != n_axes:
        return f"has another shape than {n_axes} axes"
    # of one layout to the last bit: numpy would get the nearest type it has
    if not kind.equal(h5py.h5t.py_create(dtype, logical=True)):
        return f"is of another type than {dtype}"
    start, size = stored.get_offset(), math.prod(stored.shape) * dtype.itemsize
    if size and (start is None or start + size > Path(file.filename).stat().st_size):
        return "reaches past the end of the file"
    return None
