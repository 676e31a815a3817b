"""Arrays and data frames that somebody has already, as ids, vectors and labels."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.ids import bytes_of, shown

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

Vectors: TypeAlias = "ArrayLike | pd.DataFrame"
"""Numbers of shape (n, n_dims), a row a picture: an array, nested lists, a tensor or a frame."""

Labels: TypeAlias = "Sequence[Any] | np.ndarray | pd.Series | pd.DataFrame | Mapping[str, Any]"
"""A label a row; or several levels of them, by their names; or a label by id."""

BLOCK_NUMBERS = 1 << 22
"""How many numbers of a large file are looked at together: 16 MiB of float32."""

LEVEL = "label"
"""Name of a level of labels that came without one."""


def read_arrays(
    vectors: Vectors, ids: Sequence[Any] | None, labels: Labels | None
) -> tuple[tuple[str, ...], np.ndarray, tuple[Level, ...]]:
    """Ids, float32 vectors and levels of what was given, checked, in the order given.

    Raises
    ------
    UsageError
        Naming the first row, id or label that cannot be taken.
    """
    index = None if ids is not None else _index_ids(vectors)
    numbers = _numbers(vectors)
    spelled = _ids(index if ids is None else ids, numbers.shape)
    return spelled, numbers, () if labels is None else read_levels(labels, spelled)


def _numbers(vectors: Vectors) -> np.ndarray:
    """Give the vectors as float32 of two dimensions; an array that is so already is not copied."""
    if isinstance(vectors, str | os.PathLike):
        raise UsageError(
            f"vectors: '{shown(str(vectors))}' is a path, not numbers; read it first, "
            'with extract.read_embeddings("FILE.h5") or numpy.load("FILE.npy")'
        )
    try:
        array = np.asarray(vectors)
    except ValueError:  # rows of different lengths
        raise UsageError(
            "vectors: rows of different lengths; give the same number of values in each"
        ) from None
    if array.dtype.kind not in "biuf":
        raise UsageError(f"vectors: {array.dtype} is not a kind of real number; give float32")
    if array.ndim != 2:
        hint = "; of one vector give vectors[None]" if array.ndim == 1 else ""
        raise UsageError(f"vectors: shape {array.shape} is not (n, n_dims){hint}")
    if not array.size:
        raise UsageError(f"vectors: shape {array.shape} holds nothing; give one row at least")
    with np.errstate(over="ignore"):  # what is too large for float32 is named below
        numbers = array.astype(np.float32, copy=False)
    finite = finite_rows(numbers)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise UsageError(
            f"vectors: {int((~finite).sum())} rows with NaN, infinity or what is beyond float32, "
            f"row {row} first; leave them out, as in vectors[np.isfinite(vectors).all(axis=1)]"
        )
    return numbers


def _index_ids(table: Any) -> list[Any] | None:
    """Take a frame's index, unless it only counts its rows."""
    index: Any = getattr(table, "index", None)
    if not hasattr(index, "tolist"):  # a list has a method of that name
        return None
    values: list[Any] = index.tolist()
    return None if values == list(range(len(values))) else values


def _ids(ids: Sequence[Any] | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    if ids is None:
        return tuple(map(str, range(shape[0])))
    spelled = tuple(str(each) for each in ids)
    if len(spelled) != shape[0]:
        turned = "; the vectors look transposed, give vectors.T" if len(spelled) == shape[1] else ""
        raise UsageError(f"ids: {len(spelled)} for {shape[0]} rows of vectors{turned}")
    if len(set(spelled)) < len(spelled):
        twice = next(a for a, b in itertools.pairwise(sorted(spelled)) if a == b)
        raise UsageError(f"ids: '{shown(twice)}' stands twice; give each row an id of its own")
    for each in spelled:
        if not each or "\0" in each:
            raise UsageError(f"ids: '{shown(each)}' is empty or holds NUL; give another")
        bytes_of(each)
    return spelled


def frame_index(ids: tuple[str, ...]) -> pd.Index:
    """Ids as the index of a frame: whole numbers where they only count the rows, else text.

    A Series of the same rows that has no ids then joins by its own index, which counts too.
    """
    import pandas as pd

    if all(row_id == str(row) for row, row_id in enumerate(ids)):
        return pd.RangeIndex(len(ids), name="id")
    return pd.Index(ids, name="id")


def read_levels(labels: Labels, ids: tuple[str, ...]) -> tuple[Level, ...]:
    """Levels of labels for rows of these ids.

    Raises
    ------
    UsageError
        Naming the first label that cannot be taken.
    """
    columns = getattr(labels, "columns", None)
    if columns is not None:  # a frame
        return tuple(
            _level(str(column), labels[column], ids)  # type: ignore[call-overload,index]
            for column in columns
        )
    if isinstance(labels, Mapping):
        if labels and all(_is_column(values) for values in labels.values()):
            return tuple(_level(str(name), values, ids) for name, values in labels.items())
        return (Level.from_values(LEVEL, _joined(list(labels), list(labels.values()), ids)),)
    named = getattr(labels, "name", None)
    return (_level(LEVEL if named is None else str(named), labels, ids),)


def _is_column(values: Any) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str | bytes)


def _level(name: str, values: Any, ids: tuple[str, ...]) -> Level:
    """Code one column, joined by id where it has an index of ids, else row by row."""
    index = _index_ids(values)
    listed = list(values)
    if index is not None:
        return Level.from_values(name, _joined(index, listed, ids))
    if len(listed) != len(ids):
        raise UsageError(f"labels: {len(listed)} of {name!r} for {len(ids)} rows of vectors")
    return Level.from_values(name, [_spelled(name, value) for value in listed])


def _joined(keys: list[Any], values: list[Any], ids: tuple[str, ...]) -> list[str | None]:
    """Look up each row's label by its id; an id without one is unlabelled."""
    by_id = {str(key): value for key, value in zip(keys, values, strict=True)}
    if len(by_id) < len(keys):
        raise UsageError("labels: an id stands twice in the index; give each id one label")
    unknown = by_id.keys() - set(ids)
    if unknown:
        raise UsageError(
            f"labels: {len(unknown)} ids that no row of vectors has, '{shown(min(unknown))}' "
            "first; give labels in the order of the rows, or by the same ids"
        )
    return [_spelled(LEVEL, by_id.get(each)) for each in ids]


def _spelled(name: str, value: Any) -> str | None:
    """Spell a label as text; whole numbers without a point, as a column with gaps gives them."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float | np.floating) and math.isnan(value):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if _is_column(value):
        raise UsageError(f"labels: {name!r} holds lists; give one label a row")
    return str(value)


def finite_rows(vectors: np.ndarray) -> np.ndarray:
    """Find the rows that hold only finite numbers; ndarray of shape (n,), bool.

    Block by block: a flag for each number of a large file would take a gigabyte.
    """
    finite = np.empty(len(vectors), bool)
    step = max(1, BLOCK_NUMBERS // max(1, vectors.shape[1]))
    for first in range(0, len(vectors), step):
        finite[first : first + step] = np.isfinite(vectors[first : first + step]).all(axis=1)
    return finite
