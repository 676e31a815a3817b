"""Hits unlike each other: maximal marginal relevance (Carbonell and Goldstein 1998)."""

from __future__ import annotations

import numpy as np

from analyze.unit_vectors import unit_rows
from extract.errors import UsageError

WEIGHT = 0.7
"""Of relevance against novelty, by default: the first rows stay much the same."""


def check_weight(weight: float) -> None:
    """Refuse a weight of relevance that is none.

    Raises
    ------
    UsageError
    """
    if not 0 <= weight <= 1:  # NaN is refused too
        raise UsageError(
            f"--diverse-weight {weight:g}: give 0 (as unlike each other as can be) to 1 (by "
            "similarity alone)"
        )


class MarginalRelevance:
    """Takes candidates one by one, each the most relevant that is unlike those taken before.

    The next is the one of the highest weight x (similarity to the query) - (1 - weight) x (its
    highest similarity to one taken), of several the first.

    Parameters
    ----------
    relevance : ndarray of shape (n,)
        Cosine of each candidate with the query.
    vectors : ndarray of shape (n, n_dims), float32
    weight : float
        0 to 1.
    """

    def __init__(self, relevance: np.ndarray, vectors: np.ndarray, weight: float) -> None:
        self._relevance, self._weight = relevance, weight
        self._directions = unit_rows(vectors).astype(np.float64)
        self._nearest_taken = np.full(len(relevance), -np.inf)

    def take(self, free: np.ndarray) -> int | None:
        """Take the next of the candidates that are free; None where none is.

        Parameters
        ----------
        free : ndarray of shape (n,), bool
        """
        if not free.any():
            return None
        seen = np.where(np.isinf(self._nearest_taken), 0.0, self._nearest_taken)
        score = self._weight * self._relevance - (1 - self._weight) * seen
        place = int(np.where(free, score, -np.inf).argmax())
        similar = np.einsum("ij,j->i", self._directions, self._directions[place])
        self._nearest_taken = np.maximum(self._nearest_taken, similar)
        return place
