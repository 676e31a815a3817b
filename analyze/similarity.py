"""Rows held against rows by cosine, all against all: the most similar of each."""

from __future__ import annotations

import numpy as np

from analyze.threads import one_thread
from analyze.ties import ROUNDING, ROUNDING_OF_DOUBLES, best_of, cosines_of, first_occurrence
from analyze.unit_vectors import unit_rows

BLOCK_BYTES = 64 << 20

MANY_NEAR = 32
"""Times as many rows within rounding as are requested: float64 narrows them first."""


def most_similar_rows(
    known: np.ndarray,
    queries: np.ndarray,
    k: int,
    numbers: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Find the k rows most similar to each query by cosine; all against all.

    Products of float32 propose; those within their rounding of the k-th are ordered in float64.

    Parameters
    ----------
    known : ndarray of shape (n_known, n_dims), float32
        One row at least. Rows of zeros are similar by 0 to all.
    queries : ndarray of shape (n_queries, n_dims), float32
    k : int
    numbers : (ndarray of shape (n_known,), ndarray of shape (n_queries,)), int, optional
        Rows that have the number of a query are none of its answers.

    Returns
    -------
    ndarray of shape (n_queries, k), int
        Best first, ties by row; -1 beyond the last where there are fewer.
    """
    found = np.full((len(queries), k), -1)
    directions = unit_rows(known)
    own, of_queries = numbers or (np.arange(len(known)), np.full(len(queries), -1))
    kept = _may_be_answers(first_occurrence(directions), own, k)
    known, directions, own = known[kept], directions[kept], own[kept]
    block = max(1, BLOCK_BYTES // (4 * len(known)))
    with one_thread():
        for first in range(0, len(queries), block):
            some = slice(first, first + block)
            barred = _barred(own, of_queries[some])
            candidates = _proposed(directions, unit_rows(queries[some]), barred, k)
            each = best_of(known, candidates, queries[some], k)
            for into, (rows, _) in zip(found[some], each, strict=True):
                into[: len(rows)] = kept[rows]
    return found


def nearest_distances(known: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Give 1 - cosine of each query to the row most similar to it; ndarray (n_queries,), float64.

    Parameters
    ----------
    As of :func:`most_similar_rows`; a query of zeros is at 1.
    """
    nearest = known[most_similar_rows(known, queries, 1)[:, 0]]
    distances: np.ndarray = np.maximum(0, 1 - cosines_of(nearest[:, None], queries)[:, 0])
    return distances


def cosines_of_rows(vectors: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the cosine of some rows to others of each; float64, NaN where there is no other.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    rows : ndarray of shape (n,), int
    others : ndarray of shape (n, k), int
        -1 is no row.

    Returns
    -------
    ndarray of shape (n, k)
    """
    found = np.empty(others.shape)
    block = max(1, BLOCK_BYTES // (16 * max(1, others.shape[1]) * vectors.shape[1]))
    for first in range(0, len(rows), block):
        some = slice(first, first + block)
        found[some] = cosines_of(vectors[others[some]], vectors[rows[some]])
    cosines: np.ndarray = np.where(others >= 0, found, np.nan)
    return cosines


def _may_be_answers(firsts: np.ndarray, numbers: np.ndarray, k: int) -> np.ndarray:
    """Leave out rows that always stand behind k equal ones; ascending ndarray of int."""
    of_number = _place_among_equals(np.stack([firsts, numbers]))
    kept = np.flatnonzero(of_number < k)
    # as many as one number has of a direction may be barred
    most = int(of_number[kept].max()) + 1
    return kept[_place_among_equals(firsts[None, kept]) < k + most]


def _place_among_equals(columns: np.ndarray) -> np.ndarray:
    """Count, for each column (n_numbers, n), the equal ones before it; ndarray (n,), int."""
    order = np.lexsort(columns)  # stable
    ordered = columns[:, order]
    begins = np.append(True, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0))
    places = np.arange(len(order))
    before = np.empty(len(order), int)
    before[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
    return before


def _barred(own: np.ndarray, of_queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List pairs (query, row) of one number."""
    order = np.argsort(own, kind="stable")
    first, end = (np.searchsorted(own[order], of_queries, side) for side in ("left", "right"))
    lengths = end - first
    queries = np.repeat(np.arange(len(of_queries)), lengths)
    within = np.arange(len(queries)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return queries, order[np.repeat(first, lengths) + within]


def _proposed(
    directions: np.ndarray,
    query_directions: np.ndarray,
    barred: tuple[np.ndarray, np.ndarray],
    k: int,
) -> list[np.ndarray]:
    """Give the rows that may be among the k best of each query."""
    queries, rows = _places(_near(query_directions @ directions.T, barred, k, ROUNDING))
    if len(rows) > MANY_NEAR * k * len(query_directions):
        exact = query_directions.astype(np.float64) @ directions.T.astype(np.float64)
        queries, rows = _places(_near(exact, barred, k, ROUNDING_OF_DOUBLES))
    return np.split(rows, np.searchsorted(queries, np.arange(1, len(query_directions))))


def _places(near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find what is true, row and column; several times as fast as numpy's for two axes."""
    return np.divmod(np.flatnonzero(near), near.shape[1])


def _near(
    scores: np.ndarray, barred: tuple[np.ndarray, np.ndarray], k: int, within: float
) -> np.ndarray:
    """Say which products are within rounding of the k-th; ndarray of bool, the barred ones not."""
    scores[barred] = -np.inf
    n = scores.shape[1]
    if k == 1:
        least = scores.max(axis=1)
    else:
        least = np.partition(scores, max(0, n - k), axis=1)[:, max(0, n - k)]
    near: np.ndarray = scores >= (least - within)[:, None]
    near[barred] = False
    return near
