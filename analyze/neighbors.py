"""Nearest neighbors by cosine, exact."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

BLOCK_BYTES = 64 << 20


def one_nn_accuracy(vectors: np.ndarray, labels: np.ndarray) -> tuple[float | None, int]:
    """Share of labelled rows whose most similar other labelled row has their label.

    Rows are compared by cosine, ties go to the lower row, a row is never its own neighbor. Rows
    of zeros have no direction and are left out.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    labels : ndarray of shape (n_images,), int
        -1 where a row has no label.

    Returns
    -------
    accuracy : float or None
        None with fewer than two rows to compare.
    n_left_out : int
        Labelled rows of zeros.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    labelled = labels >= 0
    rows = np.flatnonzero(labelled & (norms > 0))
    left_out = int((labelled & (norms == 0)).sum())
    if len(rows) < 2:
        return None, left_out
    directions = (vectors[rows] / norms[rows, None]).astype(np.float32)
    known = labels[rows]
    hits = 0
    block = max(1, BLOCK_BYTES // (4 * len(rows)))
    with threadpool_limits(1):
        for first in range(0, len(rows), block):
            similarities = directions[first : first + block] @ directions.T
            own = np.arange(len(similarities))
            similarities[own, first + own] = -np.inf
            nearest = similarities.argmax(axis=1)
            hits += int((known[nearest] == known[first : first + block]).sum())
    return hits / len(rows), left_out
