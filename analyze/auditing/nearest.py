"""The nearest neighbors of every picture of a catalogue, by an index that suits its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analyze.neighbors.indexes.exact_search import ExactIndex, Index
from analyze.unit_vectors import rows_with_direction

N_NEIGHBORS = 40
"""Of a small catalogue: votes of 40 judge labels best (see the audit's benchmark)."""

N_OF_MANY = 10
MANY = 100_000
AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Nearest:
    """The most similar other pictures of each, those of its very bytes left out.

    Parameters
    ----------
    rows : ndarray of shape (n_images, k), int32
        Best first, ties by row; -1 where there are fewer.
    cosines : ndarray of shape (n_images, k), float32
        In step; NaN where there are fewer.
    """

    rows: np.ndarray
    cosines: np.ndarray

    def pairs(self, least: float) -> list[tuple[int, int, float]]:
        """List pairs from a cosine on: the lower row first, each once, most similar first."""
        with np.errstate(invalid="ignore"):
            ones, places = np.nonzero(self.cosines >= least)
        others, cosines = self.rows[ones, places], self.cosines[ones, places]
        low, high = np.minimum(ones, others), np.maximum(ones, others)
        pairs, firsts = np.unique(np.stack([low, high]), axis=1, return_index=True)
        order = np.lexsort((pairs[1], pairs[0], -cosines[firsts]))
        found = zip(*pairs[:, order].tolist(), cosines[firsts][order].tolist(), strict=True)
        return [(one, other, cosine) for one, other, cosine in found]

    def without(self, groups: np.ndarray) -> Nearest:
        """Leave out neighbors that have a picture's own number, as copies of it have."""
        kept = (self.rows >= 0) & (groups[self.rows] != groups[:, None])
        order = np.argsort(~kept, axis=1, kind="stable")
        rows = np.where(kept, self.rows, -1)
        cosines = np.where(kept, self.cosines, np.nan)
        return Nearest(
            np.take_along_axis(rows, order, axis=1), np.take_along_axis(cosines, order, axis=1)
        )


def find_nearest(
    vectors: np.ndarray,
    by_bytes: np.ndarray,
    index: Index | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Nearest:
    """Find the neighbors of every row; those of equal bytes have the same.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    by_bytes : ndarray of shape (n_images,), int
        Byte-identical pictures have one number; the first of them alone is a neighbor.
    index : Index, optional
        Over all rows; exact search without one.
    progress : callable, optional
        (pictures done, pictures) -> None.
    """
    _, firsts, places = np.unique(by_bytes, return_index=True, return_inverse=True)
    known = rows_with_direction(vectors)
    k = N_NEIGHBORS if len(vectors) < MANY else N_OF_MANY
    rows = np.full((len(firsts), k), -1, np.int32)
    cosines = np.full((len(firsts), k), np.nan, np.float32)
    queried = np.flatnonzero(np.isin(firsts, known))
    places = places.reshape(-1)
    groups = _by_number(places)
    index = index or ExactIndex(vectors, np.sort(firsts))
    for first in range(0, len(queried), AT_ONCE):
        some = queried[first : first + AT_ONCE]
        found = index.find(vectors[firsts[some]], k, [groups(place) for place in some.tolist()])
        for place, near, near_cosines in zip(some, found.rows, found.similarities, strict=True):
            # an index of all rows finds pictures of equal bytes, of which the first stands for all
            others, kept = np.unique(firsts[places[near]], return_index=True)
            order = np.argsort(kept)
            rows[place, : len(order)] = others[order]
            cosines[place, : len(order)] = near_cosines[kept[order]]
        if progress is not None:
            progress(first + len(some), len(queried))
    return Nearest(rows[places], cosines[places])


def _by_number(numbers: np.ndarray) -> Callable[[int], np.ndarray]:
    """Give a function from a number to the rows that have it."""
    order = np.argsort(numbers, kind="stable")
    sorted_numbers = numbers[order]

    def rows_of(number: int) -> np.ndarray:
        first, end = np.searchsorted(sorted_numbers, (number, number + 1))
        rows: np.ndarray = order[first:end]
        return rows

    return rows_of
