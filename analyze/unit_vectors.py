"""Rows as directions: what is left of a vector when its length does not count."""

from __future__ import annotations

import numpy as np

BLOCK_ROWS = 4096


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of zeros have no direction and stay zero.

    Lengths are taken in float64, where squares of huge and of tiny rows do not leave the range,
    some rows at a time.

    Returns
    -------
    ndarray of shape (n, n_dims), float32
    """
    unit = np.empty(vectors.shape, np.float32)
    for first in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[first : first + BLOCK_ROWS]
        lengths = np.linalg.norm(block.astype(np.float64), axis=1, keepdims=True)
        unit[first : first + BLOCK_ROWS] = block / np.where(lengths == 0, 1, lengths)
    return unit


def rows_with_direction(vectors: np.ndarray) -> np.ndarray:
    """Find the rows that are not all zeros, some rows at a time; ndarray of int."""
    there = np.empty(len(vectors), bool)
    for first in range(0, len(vectors), BLOCK_ROWS):
        there[first : first + BLOCK_ROWS] = vectors[first : first + BLOCK_ROWS].any(axis=1)
    return np.flatnonzero(there)
