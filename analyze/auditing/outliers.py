"""Outliers: pictures far from their nearest neighbors, of all pictures or of their own class."""

from __future__ import annotations

import numpy as np

from analyze.auditing.nearest import Nearest
from analyze.neighbors.indexes.exact_search import nearest_others
from analyze.similarity import cosines_of_rows
from extract.catalog.catalog import MISSING_LABEL

K = 5
"""Neighbors of which the mean distance is taken (Ramaswamy, Rastogi and Shim 2000)."""

FEWEST = 10
"""Pictures of a class of which some may be outliers."""

MODIFIED_Z = 3.5
"""From which modified z-score on a value is an outlier (Iglewicz and Hoaglin 1993)."""

MOST_COMPARED = 20_000
"""Pictures of a class that are held against each other."""


def neighbor_distances(nearest: Nearest) -> np.ndarray:
    """Give the mean of 1 - cosine to the nearest neighbors; ndarray (n_images,), NaN without."""
    cosines = nearest.cosines[:, :K].astype(np.float64)
    return _mean_distance(cosines)


def class_distances(
    vectors: np.ndarray, codes: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean of 1 - cosine to the nearest neighbors of a picture's own class.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    codes, groups : ndarray of shape (n_images,), int
        -1 is no label; copies have one number and are not each other's neighbors.

    Returns
    -------
    distances : ndarray of shape (n_images,), float64
        NaN without a label, in classes of fewer than ten pictures and in very large ones.
    neighbors : ndarray of shape (n_images, 5), int
        Those neighbors; -1 where there are fewer.
    """
    distances = np.full(len(codes), np.nan)
    neighbors = np.full((len(codes), K), -1)
    for code in np.unique(codes[codes != MISSING_LABEL]).tolist():
        rows = np.flatnonzero(codes == code)
        if not FEWEST <= len(rows) <= MOST_COMPARED:
            continue
        near = nearest_others(vectors[rows], K, groups[rows])
        neighbors[rows] = np.where(near >= 0, rows[near], -1)
        distances[rows] = _mean_distance(cosines_of_rows(vectors, rows, neighbors[rows]))
    return distances, neighbors


def modified_z(values: np.ndarray) -> np.ndarray:
    """Give modified z-scores: by the median, and the median of absolute deviations from it.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN stays NaN.

    Returns
    -------
    ndarray of shape (n,), float64
        0 everywhere where more than half of the values are equal.
    """
    values = values.astype(np.float64)
    if np.isnan(values).all():
        return values
    middle = np.nanmedian(values)
    spread = np.nanmedian(np.abs(values - middle))
    scores: np.ndarray = 0.6745 * (values - middle) / spread if spread > 0 else values * 0
    return scores


def _mean_distance(cosines: np.ndarray) -> np.ndarray:
    """Average 1 - cosine over the neighbors there are."""
    there = ~np.isnan(cosines)
    n = there.sum(axis=1)
    sums = np.where(there, 1 - cosines, 0).sum(axis=1)
    distances: np.ndarray = np.where(n > 0, sums / np.maximum(n, 1), np.nan)
    return distances
