"""How good look-ups are: of each picture's ranked others, how many are of its class, how early.

Every labelled picture is a query; the answers are all other labelled pictures by cosine, the
exact order of ``similar``, without copies of the query: they would answer for it.
Definitions are those of Manning, Raghavan and Schütze (Introduction to Information Retrieval, 2008,
chapter 8): precision and recall at k, average precision, mean reciprocal rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analyze.threads import one_thread
from analyze.ties import first_occurrence
from analyze.unit_vectors import unit_rows
from extract.catalog.catalog import MISSING_LABEL

BLOCK_BYTES = 64 << 20
DIGITS = 9
"""Of a cosine: products in float64 are the same on every processor so far, nearly always."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Results of all queries, a value a query.

    Parameters
    ----------
    rows : ndarray of shape (n_queries,), int
        The queries, ascending.
    precision, recall : mapping of int to ndarray of shape (n_queries,)
        By k: :func:`precision_at`, :func:`recall_at`.
    average_precision, reciprocal_rank : ndarray of shape (n_queries,)
    nearest : ndarray of shape (n_queries, n_shown), int
        The rows of the first answers, best first; -1 beyond the last.
    cosines : ndarray of shape (n_queries, n_shown), float64
    n_relevant : ndarray of shape (n_queries,), int
    without_relevant : ndarray of int
        Labelled rows that are no queries, since no other of their class is an answer.
    n_unlabelled, n_without_direction : int
        Rows that are neither queries nor answers.
    n_not_drawn : int
        Rows that a sample of the queries left out.
    """

    rows: np.ndarray
    precision: dict[int, np.ndarray]
    recall: dict[int, np.ndarray]
    average_precision: np.ndarray
    reciprocal_rank: np.ndarray
    nearest: np.ndarray
    cosines: np.ndarray
    n_relevant: np.ndarray
    without_relevant: np.ndarray
    n_unlabelled: int
    n_without_direction: int
    n_not_drawn: int

    def values(self) -> dict[tuple[str, int | None], np.ndarray]:
        """Give each metric's value a query, by name and k.

        The 1-NN accuracy, the share of queries with a most similar picture of their class, is the
        precision at 1.
        """
        found: dict[tuple[str, int | None], np.ndarray] = {}
        for k in self.precision:
            found["precision", k] = self.precision[k]
        for k in self.recall:
            found["recall", k] = self.recall[k]
        found["map", None] = self.average_precision
        found["mrr", None] = self.reciprocal_rank
        found["one_nn_accuracy", None] = (self.reciprocal_rank == 1).astype(np.float64)
        return found


def precision_at(k: int, ranks: np.ndarray) -> float:
    """Share of the first k answers that are relevant: those there are, of k.

    Where there are fewer answers than k, the places left empty count as wrong.

    Parameters
    ----------
    ranks : ndarray of int
        Places of the relevant answers, from 1, ascending.
    """
    return float(np.searchsorted(ranks, k, side="right")) / k


def recall_at(k: int, ranks: np.ndarray) -> float:
    """Share of the relevant answers that are among the first k."""
    return float(np.searchsorted(ranks, k, side="right")) / len(ranks)


def average_precision(ranks: np.ndarray) -> float:
    """Mean, over the relevant answers, of the precision at the place of each.

    Uninterpolated; over a ranking without ties it is scikit-learn's ``average_precision_score``.
    """
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def reciprocal_rank(ranks: np.ndarray) -> float:
    """One by the place of the first relevant answer (Voorhees 1999)."""
    return 1.0 / float(ranks[0])


def rank_all(
    vectors: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray,
    ks: Sequence[int] = (5, 10),
    *,
    n_shown: int = 5,
    most_queries: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Ranked:
    """Ask about each labelled picture, and say where those of its class stand among the others.

    Cosines are taken in float64 and compared to nine digits, ties by row. A picture without another
    of its class, copies aside, has nothing to find and is left out.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    codes : ndarray of shape (n_images,), int
        Labels; -1 where a row has none.
    groups : ndarray of shape (n_images,), int
        Copies have one number, and are no answers to each other.
    ks : sequence of int
    n_shown : int
        First answers that are kept.
    most_queries : int, optional
        Of more, a sample is queried, drawn from ``seed``; answers are all the same.
    progress : callable, optional
        (queries done, queries)
    """
    there = vectors.any(axis=1)
    labelled = codes != MISSING_LABEL
    answers = np.flatnonzero(there & labelled)
    n_relevant = _count_relevant(codes[answers], groups[answers])
    queries = np.flatnonzero(n_relevant)
    n_all = len(queries)
    if most_queries is not None and n_all > most_queries:
        drawn = np.random.default_rng(seed).choice(n_all, most_queries, replace=False)
        queries = queries[np.sort(drawn)]
    found = _rank(vectors[answers], codes[answers], groups[answers], queries, n_shown, progress)
    nearest = np.array([near for _, near, _ in found], int).reshape(len(queries), n_shown)
    ranks = [each for each, _, _ in found]
    return Ranked(
        rows=answers[queries],
        precision={k: np.array([precision_at(k, each) for each in ranks]) for k in ks},
        recall={k: np.array([recall_at(k, each) for each in ranks]) for k in ks},
        average_precision=np.array([average_precision(each) for each in ranks]),
        reciprocal_rank=np.array([reciprocal_rank(each) for each in ranks]),
        nearest=np.where(nearest < 0, -1, answers[nearest] if len(answers) else -1),
        cosines=np.array([cosines for _, _, cosines in found]).reshape(len(queries), n_shown),
        n_relevant=n_relevant[queries],
        without_relevant=answers[n_relevant == 0],
        n_unlabelled=int((~labelled).sum()),
        n_without_direction=int((labelled & ~there).sum()),
        n_not_drawn=n_all - len(queries),
    )


def _count_relevant(codes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Count, for each row, the others of its class that are no copies of it."""
    if not len(codes):
        return np.zeros(0, int)
    _, classes, of_class = np.unique(codes, return_inverse=True, return_counts=True)
    pairs = np.stack([codes, groups], axis=1)
    _, both, of_both = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    counted: np.ndarray = of_class[classes] - of_both[both.reshape(-1)]
    return counted


def _rank(
    vectors: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray,
    queries: np.ndarray,
    n_shown: int,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give, a query each: places of the relevant answers, the first answers, their cosines."""
    found = []
    # rows of one direction are one: products would differ by their place
    firsts, of_row = np.unique(first_occurrence(unit_rows(vectors)), return_inverse=True)
    different = vectors[firsts]
    block = max(1, BLOCK_BYTES // (8 * max(1, len(vectors))))
    for first in range(0, len(queries), block):
        some = queries[first : first + block]
        query_rows, of_query = np.unique(of_row[some], return_inverse=True)
        similarities = _similarities(different, query_rows)[of_query][:, of_row]
        for query, own in zip(some, similarities, strict=True):
            order = np.argsort(-own, kind="stable")
            order = order[groups[order] != groups[query]]
            ranks = np.flatnonzero(codes[order] == codes[query]) + 1
            near = np.full(n_shown, -1)
            near[: len(order[:n_shown])] = order[:n_shown]
            found.append((ranks, near, np.where(near < 0, np.nan, own[near])))
        if progress is not None:
            progress(len(found), len(queries))
    return found


def _similarities(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Compare some rows with all by cosine in float64, to nine digits."""
    directions = _directions(vectors[queries])
    similarities = np.empty((len(queries), len(vectors)))
    block = max(1, BLOCK_BYTES // (8 * vectors.shape[1]))
    with one_thread():
        for first in range(0, len(vectors), block):
            some = _directions(vectors[first : first + block])
            similarities[:, first : first + block] = directions @ some.T
    return similarities.round(DIGITS)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1 in float64; float32 first, which huge and tiny ones leave nowhere."""
    directions = unit_rows(vectors).astype(np.float64)
    scaled: np.ndarray = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return scaled
