"""The neighbors that t-SNE starts from, the same to the last digit on every processor.

Its hundreds of steps make another map of distances that differ in their last digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openTSNE.nearest_neighbors import Sklearn


class Float64Neighbors(Sklearn):  # type: ignore[misc]
    """Exact neighbors; their distances are sums in float64, a pair each, and not products."""

    def build(self) -> tuple[np.ndarray, np.ndarray]:
        """Find each row's neighbors, nearest first, ties by row; and the distances."""
        rows, _ = super().build()
        return _by_distance(self.data, self.data, rows)

    def query(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the neighbors of other rows, likewise."""
        rows, _ = super().query(query, k)
        return _by_distance(self.data, query, rows)


def _by_distance(known: Any, queries: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distances = np.empty(rows.shape)
    for own, one, near in zip(distances, queries, rows, strict=True):
        apart = known[near].astype(np.float64) - one.astype(np.float64)
        own[:] = np.sqrt(np.einsum("kd,kd->k", apart, apart))
    order = np.lexsort((rows, distances), axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
