"""Nearest neighbors, the simplest baseline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analyze.similarity import most_similar_rows

N_NEAREST = 5
Predictor = Callable[[np.ndarray], np.ndarray]


def fit_nearest(vectors: np.ndarray, labels: np.ndarray, k: int = N_NEAREST) -> Predictor:
    """Remember vectors, and let the k most similar ones vote, ties by row.

    Votes are those of :func:`analyze.measures.probes.nearest_vote`.

    Parameters
    ----------
    vectors : ndarray of shape (n_train, n_dims), float32
    labels : ndarray of shape (n_train,), int
    k : int
        Lowered to the number of rows.
    """
    k = min(k, len(vectors))

    def classes_of(others: np.ndarray) -> np.ndarray:
        return elected(labels[most_similar_rows(vectors, others, k)])

    return classes_of


def elected(voted: np.ndarray) -> np.ndarray:
    """Give the class with most votes in each row; of as many, that of the nearest.

    Parameters
    ----------
    voted : ndarray of shape (n, k), int
        Classes, the nearest neighbor's first.
    """
    votes = (voted[:, :, None] == voted[:, None, :]).sum(axis=2)
    found: np.ndarray = voted[np.arange(len(voted)), votes.argmax(axis=1)]
    return found
