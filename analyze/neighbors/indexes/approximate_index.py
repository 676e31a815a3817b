"""An index that proposes rows, which are then compared in full; and how many it misses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.neighbors.indexes.exact_search import (
    BEYOND,
    Barred,
    ExactIndex,
    Neighbors,
    in_batches,
    load_faiss,
    not_in,
    threads_for,
)
from analyze.neighbors.indexes.index_types import ADDED_AT_ONCE, IndexKind, Knobs
from analyze.ties import NOTHING, best_of
from analyze.unit_vectors import unit_rows

RECALL_AT = 10
MOST_QUERIES = 1000
"""Held-out rows that recall is measured on, and as many others that the search is set by."""

HELD_OUT_OF = 5
"""At most one row of this many is held out."""

WIDER = 4


class ApproximateIndex:
    """Rows proposed by an index of FAISS, ordered by the vectors themselves in float64.

    Similarities and their order are therefore exact, ties by row; what may be missed are rows.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    known : ndarray of int
        Rows that are in the index, in its order.
    built : index of FAISS
    kind : IndexKind
    knobs : Knobs
        How hard to search.
    """

    def __init__(
        self, vectors: np.ndarray, known: np.ndarray, built: Any, kind: IndexKind, knobs: Knobs
    ) -> None:
        self.known = known
        self._vectors, self._built = vectors, built
        self.kind, self.knobs = kind, knobs
        self._is_turned = type(built).__name__ == "IndexPreTransform"
        self._exact: ExactIndex | None = None

    @property
    def name(self) -> str:
        """Name of the type of index."""
        return self.kind.name

    def find(
        self,
        queries: np.ndarray,
        k: int,
        left_out: Barred | None = None,
        knobs: Knobs | None = None,
    ) -> Neighbors:
        """Find k rows among the most similar to each query; of fewer rows all are given.

        Parameters
        ----------
        queries, k, left_out
            As of :meth:`analyze.neighbors.indexes.exact_search.ExactIndex.find`.
        knobs : Knobs, optional
            The index's own without them.
        """
        hard = knobs or self.knobs

        def candidates(some: np.ndarray, barred: Barred, wanted: int) -> Iterator[np.ndarray]:
            proposed = self._propose(some, wanted, hard)
            for query, out, rows in zip(some, barred, proposed, strict=True):
                kept = rows[not_in(rows, out)]
                yield kept if len(kept) >= k else self._more(query, k, out, wanted, hard)

        return in_batches(self._vectors, queries, k, left_out, candidates)

    def _propose(self, queries: np.ndarray, wanted: int, knobs: Knobs) -> list[np.ndarray]:
        wanted = min(max(wanted, knobs["refined"]), len(self.known))
        if not wanted:
            return [NOTHING] * len(queries)
        parameters = self.kind.parameters(knobs)
        if parameters is not None and self._is_turned:
            turned = load_faiss().SearchParametersPreTransform
            parameters = turned(index_params=parameters)
        with threads_for(len(queries)):
            directions = unit_rows(queries)
            if parameters is None:
                _, places = self._built.search(directions, wanted)
            else:
                _, places = self._built.search(directions, wanted, params=parameters)
        return [self.known[each[each >= 0]] for each in places]

    def _more(
        self, query: np.ndarray, k: int, out: np.ndarray, wanted: int, knobs: Knobs
    ) -> np.ndarray:
        """Search wider until there are enough rows; in the end all are compared."""
        while wanted < len(self.known):
            wanted = wanted * WIDER
            knobs = {name: value * WIDER for name, value in knobs.items()}
            (rows,) = self._propose(query[None], wanted, knobs)
            kept: np.ndarray = rows[not_in(rows, out)]
            if len(kept) >= k:
                return kept
        self._exact = self._exact or ExactIndex(self._vectors)
        return self._exact.find(query[None], k, [out]).rows[0]


@dataclass(frozen=True)
class Effort:
    """How hard an index can search, and what it finds then.

    Parameters
    ----------
    knobs : Knobs
    choosing, recall : float
        Share of the true ten most similar that is found: over the held-out rows that a step is
        chosen by, and over others, that it is measured on.
    """

    knobs: Knobs
    choosing: float
    recall: float

    def reaches(self, wanted: float) -> bool:
        """Return whether both halves of the held-out rows reach this recall."""
        return min(self.choosing, self.recall) >= wanted


def hold_out(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into those that train an index, and those held out as queries.

    What an index was trained on, or what a graph links, is an easier query than a new picture.

    Returns
    -------
    indexed, held : ndarray of int
        Both ascending.
    """
    drawn = np.random.default_rng(1).permutation(len(known))
    n_held = min(2 * MOST_QUERIES, len(known) // HELD_OUT_OF)
    return np.sort(known[drawn[n_held:]]), np.sort(known[drawn[:n_held]])


def measure_efforts(
    index: ApproximateIndex, vectors: np.ndarray, held: np.ndarray, enough: float
) -> tuple[Effort, ...]:
    """Measure what each step of an index finds of the true answers to held-out rows.

    Parameters
    ----------
    index : ApproximateIndex
    vectors : ndarray of shape (n_images, n_dims), float32
    held : ndarray of int
        Each is left out of its own answers.
    enough : float
        Recall beyond which no harder step is measured.
    """
    halves = held[::2], held[1::2]
    known = np.sort(index.known)
    exact = [exact_answers(vectors, known, half, RECALL_AT) for half in halves]
    found: list[Effort] = []
    for knobs in index.kind.steps(len(index.known)):
        recalls = [
            recall_of(index, vectors, half, true, knobs)
            for half, true in zip(halves, exact, strict=True)
        ]
        found.append(Effort(knobs, *recalls))
        if found[-1].reaches(enough):
            break
    return tuple(found)


def choose_effort(efforts: Sequence[Effort], wanted: float) -> Effort:
    """Take the cheapest step that reaches a recall, else the one that comes nearest."""
    fitting = [effort for effort in efforts if effort.reaches(wanted)]
    return fitting[0] if fitting else max(efforts, key=lambda e: min(e.choosing, e.recall))


def recall_of_rows(index: ApproximateIndex, vectors: np.ndarray) -> float:
    """Measure what an index finds of the true answers to its own rows, themselves left out."""
    drawn = np.random.default_rng(2).permutation(len(index.known))[:MOST_QUERIES]
    rows = index.known[drawn]
    exact = exact_answers(vectors, np.sort(index.known), rows, RECALL_AT)
    return recall_of(index, vectors, rows, exact, index.knobs)


def recall_of(
    index: ApproximateIndex, vectors: np.ndarray, rows: np.ndarray, exact: Neighbors, knobs: Knobs
) -> float:
    """Return the share of the true most similar rows found; one as similar as the last is right.

    Parameters
    ----------
    rows : ndarray of int
        Rows, each left out of its own answers.
    exact : Neighbors
        The true answers.
    """
    found = index.find(vectors[rows], RECALL_AT, list(rows[:, None]), knobs)
    right = sum(
        int((own[: len(true)] >= true[-1]).sum()) if len(true) else 0
        for own, true in zip(found.similarities, exact.similarities, strict=True)
    )
    total = sum(map(len, exact.similarities))
    return right / total if total else 1.0


def exact_answers(
    vectors: np.ndarray, known: np.ndarray, query_rows: np.ndarray, k: int
) -> Neighbors:
    """Find the true most similar rows of some rows, themselves left out, by blocks of the rest.

    The catalogue is not copied, as a flat index would: it may be larger than the memory.

    Parameters
    ----------
    known : ndarray of int
        Rows that have a direction, ascending.
    query_rows : ndarray of int
    """
    faiss = load_faiss()
    queries = vectors[query_rows]
    directions = unit_rows(queries)
    rows = np.zeros((len(query_rows), 0), int)
    scores = np.zeros((len(query_rows), 0), np.float32)
    wanted = k + 1 + BEYOND
    for first in range(0, len(known), ADDED_AT_ONCE):
        some = known[first : first + ADDED_AT_ONCE]
        found, places = faiss.knn(
            directions,
            unit_rows(vectors[some]),
            min(wanted, len(some)),
            metric=faiss.METRIC_INNER_PRODUCT,
        )
        rows = np.concatenate([rows, some[places]], axis=1)
        scores = np.concatenate([scores, found], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :wanted]
        rows = np.take_along_axis(rows, best, axis=1)
        scores = np.take_along_axis(scores, best, axis=1)
    others = [near[near != row] for near, row in zip(rows, query_rows, strict=True)]
    each = best_of(vectors, others, queries, k)
    return Neighbors(tuple(rows for rows, _ in each), tuple(cosines for _, cosines in each))
