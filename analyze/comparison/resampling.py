"""How far scores would move with other pictures, and how high chance alone scores."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from analyze.measures.bootstrap import permuted_rows, resampled_weights
from analyze.measures.contingency_metrics import METRICS, SLOW_METRICS, JointTables, ari_of_pairs
from analyze.reduction.reduction import Progress

LEAST_IN_A_CLASS = 5
"""Of the median class: below, resamples lose whole classes, and no interval covers as it should."""

LEAST_UNITS = 10
"""Pictures that are not copies of each other."""

RESAMPLED = tuple(name for name in METRICS if name not in SLOW_METRICS)
"""Metrics that thousands of resamples can be scored by."""

MOST_COUNTED = 1 << 22
"""Cells of tables held at once."""


def why_no_interval(labels: np.ndarray, units: np.ndarray, level: str) -> str | None:
    """Say why pictures are too few to say how far a score would move; None where they are not.

    Parameters
    ----------
    labels, units : ndarray of shape (n,), int
        Of pictures with a label.
    level : str
    """
    median = float(np.median(np.unique(labels, return_counts=True)[1]))
    if median < LEAST_IN_A_CLASS:
        return (
            f"no intervals: the median class of {level} has {median:g} pictures, and "
            f"{LEAST_IN_A_CLASS} are needed"
        )
    n_units = len(np.unique(units))
    if n_units < LEAST_UNITS:
        return f"no intervals: {n_units} pictures without their copies, {LEAST_UNITS} are needed"
    return None


def resampled_means(
    labels: np.ndarray,
    assignments: Sequence[Sequence[np.ndarray]],
    units: np.ndarray,
    n_resamples: int,
    *,
    metrics: Collection[str] = RESAMPLED,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Score clusterings on resampled pictures: the same resamples for all, means over seeds.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
    assignments : sequence of sequences of ndarray of shape (n,), int
        A cell each, and in it the clustering of each seed.
    units : ndarray of shape (n,), int
        Copies have one number, and are drawn together.
    n_resamples : int
    metrics : collection of str
        Of ``RESAMPLED``.
    seed : int
        Of the resamples.
    progress : callable, optional
        Called with the clusterings done and their total.

    Returns
    -------
    dict of str to ndarray of shape (n_cells, n_resamples), float64
    """
    found = {name: np.zeros((len(assignments), n_resamples)) for name in metrics}
    total, done, first = sum(map(len, assignments)) * n_resamples, 0, 0
    for weights in resampled_weights(units, n_resamples, seed):
        n_some = weights.shape[1]
        some = slice(first, first + n_some)
        for cell, seeds in enumerate(assignments):
            for each in seeds:
                tables = JointTables.of(labels, each, weights)
                for name in metrics:
                    found[name][cell, some] += METRICS[name](tables) / len(seeds)
                done += n_some
                if progress:
                    progress(done, total)
        first += n_some
    return found


def permuted_means(
    labels: np.ndarray,
    assignments: Sequence[Sequence[np.ndarray]],
    units: np.ndarray,
    n_permutations: int,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Take the ARI of clusterings with shuffled labels, the same for all; means over seeds.

    Parameters
    ----------
    labels, assignments, units, seed
        As :func:`resampled_means` takes them.
    n_permutations : int

    Returns
    -------
    ndarray of shape (n_cells, n_permutations), float64
    """
    _, labels = np.unique(labels, return_inverse=True)
    found = np.zeros((len(assignments), n_permutations))
    first = 0
    for rows in permuted_rows(units, n_permutations, seed):
        shuffled = labels[rows]
        some = slice(first, first + len(rows))
        for cell, seeds in enumerate(assignments):
            for each in seeds:
                found[cell, some] += _permuted_ari(shuffled, each) / len(seeds)
        first += len(rows)
    return found


def _permuted_ari(shuffled: np.ndarray, assignments: np.ndarray) -> np.ndarray:
    """Take the ARI of each row of labels (n_permutations, n) with the same clusters."""
    _, assignments = np.unique(assignments, return_inverse=True)
    n_clusters, n = int(assignments.max()) + 1, len(assignments)
    n_cells = (int(shuffled.max()) + 1) * n_clusters
    together = np.empty(len(shuffled))
    most = max(1, MOST_COUNTED // n_cells)
    for first in range(0, len(shuffled), most):
        cells = shuffled[first : first + most] * n_clusters + assignments
        cells += np.arange(len(cells))[:, None] * n_cells
        counts = np.bincount(cells.ravel(), minlength=len(cells) * n_cells)
        together[first : first + most] = (counts.reshape(len(cells), n_cells) ** 2).sum(axis=1)
    by_class, by_cluster = (
        np.full(len(together), (np.bincount(each) ** 2).sum() - n, np.float64)
        for each in (shuffled[0], assignments)
    )
    return ari_of_pairs(together - n, by_class, by_cluster, np.full(len(together), n))
