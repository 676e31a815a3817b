"""Nearest neighbors by cosine, exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.threads import one_thread
from extract.catalog import MISSING_LABEL

BLOCK_BYTES = 64 << 20
MOST_QUERIES = 20_000
"""Beyond, a sample is asked: all against all grows with the square of the catalogue."""


@dataclass(frozen=True)
class OneNearest:
    """How often the most similar other picture has the same label.

    Parameters
    ----------
    accuracy : float or None
        None with fewer than two rows to compare.
    n_queries : int
        Rows that were asked.
    n_rows : int
        Labelled rows with a direction, among which neighbors are found.
    n_left_out : int
        Labelled rows of zeros, which have none.
    """

    accuracy: float | None
    n_queries: int
    n_rows: int
    n_left_out: int


def one_nn_accuracy(
    vectors: np.ndarray, labels: np.ndarray, *, most_queries: int = MOST_QUERIES, seed: int = 0
) -> OneNearest:
    """Find each labelled row's most similar other labelled row, and compare their labels.

    Rows are compared by cosine, ties go to the lower row, a row is never its own neighbor. Rows
    of zeros have no direction and are left out.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    labels : ndarray of shape (n_images,), int
        -1 where a row has no label.
    most_queries : int
        Of more rows a sample without replacement, drawn from ``seed``, is asked.
    """
    scale = np.abs(vectors).max(axis=1) if len(vectors) else np.zeros(0, np.float32)
    labelled = labels != MISSING_LABEL
    rows = np.flatnonzero(labelled & (scale > 0))
    left_out = int((labelled & (scale == 0)).sum())
    if len(rows) < 2:
        return OneNearest(None, 0, len(rows), left_out)
    directions = vectors[rows]
    directions /= scale[rows, None]  # first by the largest number: squares of huge rows overflow
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    known = labels[rows]
    queries = np.arange(len(rows))
    if len(rows) > most_queries:
        queries = np.random.default_rng(seed).choice(len(rows), most_queries, replace=False)
        queries.sort()
    hits = 0
    block = max(1, BLOCK_BYTES // (4 * len(rows)))
    with one_thread():
        for first in range(0, len(queries), block):
            asked = queries[first : first + block]
            similarities = directions[asked] @ directions.T
            similarities[np.arange(len(asked)), asked] = -np.inf
            hits += int((known[similarities.argmax(axis=1)] == known[asked]).sum())
    return OneNearest(hits / len(queries), len(queries), len(rows), left_out)
