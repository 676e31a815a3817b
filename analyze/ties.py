"""Ties: what the rounding of products must not decide.

Kernels of products of matrices give equal rows unequal products, by their place in a block, and
other ones on other processors. So products only propose: what lies within their rounding is settled
by sums in float64 in one order everywhere, or rows of equal bytes are treated as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

COMPARED_BYTES = 4 << 20

ROUNDING = 1e-5
"""More than products of float32 of unit rows can be off."""

ROUNDING_OF_DOUBLES = 1e-9
"""More than products of float64 can be off, of numbers that are not large."""

DIGEST_BYTES = 16
NOTHING = np.zeros(0, int)


def first_occurrence(rows: np.ndarray) -> np.ndarray:
    """Number rows so that equal ones have one number: the place of the first of them.

    Parameters
    ----------
    rows : ndarray of shape (n, n_dims)

    Returns
    -------
    ndarray of shape (n,), int
    """
    seen: dict[bytes, int] = {}
    firsts = np.empty(len(rows), int)
    for i, row in enumerate(rows):
        plain = row + row.dtype.type(0)  # -0 is 0
        firsts[i] = seen.setdefault(blake2b(plain, digest_size=DIGEST_BYTES).digest(), i)
    return firsts


def first_of_greatest(scores: np.ndarray, within: float = ROUNDING_OF_DOUBLES) -> np.ndarray:
    """Find the first column of each row that is as great as the greatest, but for rounding.

    Parameters
    ----------
    scores : ndarray of shape (n, n_columns)
    within : float
        What rounding may take off, times the greatest where that is more than 1.

    Returns
    -------
    ndarray of shape (n,), int
    """
    greatest = scores.max(axis=1, keepdims=True)
    found: np.ndarray = (scores >= greatest - within * np.maximum(1, np.abs(greatest))).argmax(1)
    return found


def cosines_of(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Compare each query with rows of its own in float64; rows of zeros are similar by 0.

    Parameters
    ----------
    rows : ndarray of shape (n_queries, n_rows, n_dims), float32
    queries : ndarray of shape (n_queries, n_dims), float32

    Returns
    -------
    ndarray of shape (n_queries, n_rows), float64
        Equal for equal rows and queries, to the last bit, whatever else is compared.
    """
    rows, float_queries = rows.astype(np.float64), queries.astype(np.float64)
    # sums a row, not products of matrices: their order of adding must not depend on the others
    squares = (
        np.einsum("qrd,qrd->qr", rows, rows)
        * np.einsum("qd,qd->q", float_queries, float_queries)[:, None]
    )
    lengths = np.sqrt(np.where(squares == 0, 1, squares))
    cosines: np.ndarray = np.einsum("qrd,qd->qr", rows, float_queries) / lengths
    return cosines


def best_of(
    vectors: np.ndarray, candidates: Sequence[np.ndarray], queries: np.ndarray, k: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Order the rows proposed to each query by their cosine in float64, ties by row, and keep k.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    candidates : sequence of ndarray of int
        A query each.
    queries : ndarray of shape (n_queries, n_dims), float32
    k : int

    Returns
    -------
    list of (rows, cosines)
        A query each.
    """
    found = [(NOTHING, np.zeros(0))] * len(queries)
    lengths = np.array([len(rows) for rows in candidates], int)
    for length in np.unique(lengths[lengths > 0]).tolist():  # mostly one, for most of the queries
        places = np.flatnonzero(lengths == length).tolist()
        step = max(1, COMPARED_BYTES // (8 * length * vectors.shape[1]))
        for first in range(0, len(places), step):
            some = places[first : first + step]
            rows = np.sort(np.stack([candidates[place] for place in some]), axis=1)
            cosines = cosines_of(vectors[rows], queries[some])
            best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
            kept = np.take_along_axis(rows, best, 1), np.take_along_axis(cosines, best, 1)
            for place, *pair in zip(some, *kept, strict=True):
                found[place] = pair[0], pair[1]
    return found
