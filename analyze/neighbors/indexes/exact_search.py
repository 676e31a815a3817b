"""Nearest neighbors by cosine, exact: for a score, and for look-ups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np

from analyze.similarity import most_similar_rows
from analyze.ties import NOTHING, ROUNDING, best_of
from analyze.unit_vectors import rows_with_direction, unit_rows
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.machine.processor import kernels_of_openblas
from extract.storage.arrays import Labels, Vectors
from extract.storage.embeddings import EmbeddingSet, as_embeddings, first_level

BEYOND = 16
"""Proposals past the k-th, the last of which is mostly far enough to be settled at once."""

QUERIES_AT_ONCE = 1024
FEW_QUERIES = 16
PRODUCTS_FROM = 4
"""Queries from which a product of matrices takes less time than comparing one after the other."""

FEW_LEFT_OUT = 16

MOST_QUERIES = 20_000
"""Beyond, a sample is queried: all against all grows with the square of the catalogue."""

Barred = Sequence[np.ndarray]
"""Rows that are not answers, a query each."""

_setting = Lock()
_found: list[int] = []
"""FAISS's own threshold, once for each search that goes on."""


@dataclass(frozen=True)
class OneNearest:
    """How often the most similar other picture has the same label.

    Parameters
    ----------
    accuracy : float or None
        None with fewer than two rows to compare.
    n_queries : int
        Rows that were the queries.
    n_rows : int
        Labelled rows with a direction, among which neighbors are found.
    n_left_out : int
        Labelled rows of zeros, which have none.
    """

    accuracy: float | None
    n_queries: int
    n_rows: int
    n_left_out: int


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The most similar rows of each query, best first, ties by row.

    Parameters
    ----------
    rows : tuple of ndarray of int
        One array a query.
    similarities : tuple of ndarray of float64
        Cosines, in step.
    """

    rows: tuple[np.ndarray, ...]
    similarities: tuple[np.ndarray, ...]


class Index(Protocol):
    """Anything that finds the rows of a catalogue most similar to a query by cosine."""

    @property
    def name(self) -> str:
        """What it is called among the indexes."""

    def find(self, queries: np.ndarray, k: int, left_out: Barred | None = None) -> Neighbors:
        """Find the k rows most similar to each query; of fewer rows all are given."""


class ExactIndex:
    """Exact search of the rows of a catalogue most similar to a query by cosine.

    FAISS proposes by products of float32; those within their rounding are compared in float64, so
    that equal similarities are ordered by row on every machine, by any number of threads.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
        Rows of zeros have no direction and are nobody's neighbors.
    rows : ndarray of int, optional
        Those that may be answers, ascending; all without it.
    """

    name = "flat"

    def __init__(self, vectors: np.ndarray, rows: np.ndarray | None = None) -> None:
        faiss = load_faiss()
        directions = unit_rows(vectors if rows is None else vectors[rows])
        there = np.flatnonzero(directions.any(axis=1))
        self._vectors = vectors
        self._known = there if rows is None else rows[there]
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(directions if len(there) == len(directions) else directions[there])

    def find(self, queries: np.ndarray, k: int, left_out: Barred | None = None) -> Neighbors:
        """Find the k rows most similar to each query; of fewer rows all are given.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, n_dims), float32
            Not zero.
        k : int
        left_out : sequence of ndarray of int, optional
            Rows that are not answers, a query each.
        """

        def candidates(some: np.ndarray, barred: Barred, wanted: int) -> Iterator[np.ndarray]:
            proposed = zip(*self._propose(some, wanted), strict=True)
            for query, out, (scores, rows) in zip(some, barred, proposed, strict=True):
                settled = self._settled(scores, rows, k, out)
                yield self._candidates(query, k, out, 2 * wanted) if settled is None else settled

        return in_batches(self._vectors, queries, k, left_out, candidates)

    def _propose(self, queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the rows of the highest products, best first, and these."""
        wanted = min(wanted, len(self._known))
        if not wanted:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), int)
        # FAISS begins with products only where queries hold 128,000 numbers: six times too slow
        with threads_for(len(queries)), products_from(PRODUCTS_FROM * queries.shape[1]):
            scores, places = self._index.search(unit_rows(queries), wanted)
        return scores, self._known[places]

    def _settled(
        self, scores: np.ndarray, rows: np.ndarray, k: int, out: np.ndarray
    ) -> np.ndarray | None:
        """Give the rows that may be among the best; None where one beyond them may be."""
        kept = not_in(rows, out)
        last = scores[-1] if len(scores) else 0.0
        scores, candidates = scores[kept], rows[kept]
        if len(candidates) < k:
            return candidates if len(rows) == len(self._known) else None
        if scores[k - 1] - last <= ROUNDING and len(rows) < len(self._known):
            return None
        near: np.ndarray = candidates[scores >= scores[k - 1] - ROUNDING]
        return near

    def _candidates(self, query: np.ndarray, k: int, out: np.ndarray, wanted: int) -> np.ndarray:
        """Propose more rows until none beyond them may round to as much as the k-th."""
        while True:
            scores, rows = self._propose(query[None], wanted)
            candidates = self._settled(scores[0], rows[0], k, out)
            if candidates is not None:
                return candidates
            wanted *= 2


def in_batches(
    vectors: np.ndarray,
    queries: np.ndarray,
    k: int,
    left_out: Barred | None,
    candidates: Callable[[np.ndarray, Barred, int], Iterable[np.ndarray]],
) -> Neighbors:
    """Find the best k of ``candidates(queries, left_out, n_wanted)``, some queries at a time."""
    barred = left_out if left_out is not None else [NOTHING] * len(queries)
    pairs = list(zip(queries, barred, strict=True))
    found = []
    for first in range(0, len(pairs), QUERIES_AT_ONCE):
        some, out = zip(*pairs[first : first + QUERIES_AT_ONCE], strict=True)
        together = np.stack(some)
        wanted = k + max(map(len, out)) + BEYOND
        found += best_of(vectors, list(candidates(together, out, wanted)), together, k)
    return Neighbors(tuple(rows for rows, _ in found), tuple(cosines for _, cosines in found))


def load_faiss() -> Any:
    """Import FAISS with the kernels that this processor can run."""
    with kernels_of_openblas():
        import faiss
    return faiss


@contextmanager
def threads_for(n_queries: int) -> Iterator[None]:
    """Let FAISS answer many queries on all cores, a few on one: waking the others takes longer."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    if n_queries < FEW_QUERIES:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextmanager
def products_from(n_numbers: int) -> Iterator[None]:
    """Let FAISS multiply matrices from a number of values on, queries times dimensions.

    It is one setting for the whole process: the last of the searches that go on side by side puts
    back what the first one found.
    """
    settings = load_faiss().cvar
    with _setting:
        _found.append(_found[0] if _found else settings.distance_compute_blas_threshold)
        settings.distance_compute_blas_threshold = n_numbers
    try:
        yield
    finally:
        with _setting:
            found = _found.pop()
            if not _found:
                settings.distance_compute_blas_threshold = found


def not_in(rows: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Say which rows are none of those left out, which mostly are few; ndarray of bool."""
    if len(out) > FEW_LEFT_OUT:
        return np.isin(rows, out, invert=True)
    kept = np.ones(len(rows), bool)
    for row in out:
        kept &= rows != row
    return kept


def one_nn_accuracy(
    vectors: EmbeddingSet | Vectors,
    labels: Level | Labels | None = None,
    *,
    most_queries: int = MOST_QUERIES,
    seed: int = 0,
) -> OneNearest:
    """Share of labelled rows with the label of their most similar other labelled row.

    Rows are compared by cosine, ties go to the lower row, a row is never its own neighbor. Rows
    of zeros have no direction and are left out.

    Parameters
    ----------
    vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
    labels : Level, or as of :meth:`EmbeddingSet.from_arrays`, optional
        The set's first level without.
    most_queries : int
        Of more rows a sample without replacement, drawn from ``seed``, is queried.

    Raises
    ------
    UsageError
        When there are no labels, or of another number of rows.

    Examples
    --------
    >>> from analyze import one_nn_accuracy
    >>> one_nn_accuracy([[1, 0], [2, 0.1], [0, 1], [0.1, 3]], ["cup", "cup", "hat", "hat"]).accuracy
    1.0
    """
    embeddings = as_embeddings(vectors)
    level = first_level(embeddings if labels is None else labels, embeddings.ids)
    rows_of_all, codes = embeddings.vectors, level.codes
    scale = np.abs(rows_of_all).max(axis=1)
    labelled = codes != MISSING_LABEL
    rows = np.flatnonzero(labelled & (scale > 0))
    left_out = int((labelled & (scale == 0)).sum())
    if len(rows) < 2:
        return OneNearest(None, 0, len(rows), left_out)
    known = codes[rows]
    queries = np.arange(len(rows))
    if len(rows) > most_queries:
        queries = np.random.default_rng(seed).choice(len(rows), most_queries, replace=False)
        queries.sort()
    found = most_similar_rows(
        rows_of_all[rows], rows_of_all[rows[queries]], 1, (np.arange(len(rows)), queries)
    )
    hits = int((known[found[:, 0]] == known[queries]).sum())
    return OneNearest(hits / len(queries), len(queries), len(rows), left_out)


def nearest_others(vectors: np.ndarray, k: int, groups: np.ndarray) -> np.ndarray:
    """Find each row's k most similar rows by cosine, copies left out; all against all.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
        Rows of zeros have no direction: they have no neighbors and are nobody's.
    k : int
    groups : ndarray of shape (n_images,), int
        Rows of one number are copies, and never each other's neighbors.

    Returns
    -------
    ndarray of shape (n_images, k), int
        Best first, ties by row; -1 beyond the last where there are fewer.
    """
    found = np.full((len(vectors), k), -1)
    known = rows_with_direction(vectors)
    if len(known):
        near = most_similar_rows(vectors[known], vectors[known], k, (groups[known], groups[known]))
        found[known] = np.where(near < 0, -1, known[near])
    return found
