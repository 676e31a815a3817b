"""Uncertainty from the sample of pictures: resamples, intervals and tests for all scores.

The clusterings are fixed, and the pictures are a sample of those that the catalogue could hold. The
same resamples serve every score, so that the difference of two is known better than either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
BLOCK_BYTES = 64 << 20
"""Of the weights held at once."""

DRAWS_AT_ONCE = 1 << 16
"""Few resamples of many units, many of few: each call of NumPy's takes as long as a hundred."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def resampled_weights(units: np.ndarray, n_resamples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Draw with replacement; yields how often each picture was drawn, some resamples at a time.

    Parameters
    ----------
    units : ndarray of shape (n,), int
        Pictures of one number, copies for example, are drawn together.
    n_resamples : int
    seed : int

    Yields
    ------
    ndarray of shape (n, n_some), int32
        Resamples in turn: the same whatever else is computed of them.
    """
    _, units = np.unique(units, return_inverse=True)
    n_units = int(units.max()) + 1
    random = np.random.default_rng(seed)
    most = max(1, BLOCK_BYTES // (4 * len(units)))
    for first in range(0, n_resamples, most):
        n_some = min(most, n_resamples - first)
        drawn = np.empty((n_units, n_some), np.int32)
        at_once = max(1, DRAWS_AT_ONCE // n_units)
        for column in range(0, n_some, at_once):
            n_columns = min(at_once, n_some - column)
            draws = random.integers(0, n_units, (n_columns, n_units))
            draws += n_units * np.arange(n_columns)[:, None]
            counted = np.bincount(draws.ravel(), minlength=draws.size)
            drawn[:, column : column + n_columns] = counted.reshape(draws.shape).T
        yield drawn[units]


def resampled_averages(
    values: np.ndarray, units: np.ndarray, n_resamples: int, seed: int = 0
) -> np.ndarray:
    """Average values over resampled pictures, the same resamples for every row of them.

    Parameters
    ----------
    values : ndarray of shape (n_values, n), float64
        NaN where a picture has none.
    units : ndarray of shape (n,), int
        Pictures of one number are drawn together.
    n_resamples : int
    seed : int

    Returns
    -------
    ndarray of shape (n_values, n_resamples), float64
        NaN where a resample holds no picture with a value.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    blocks = []
    for weights in resampled_weights(units, n_resamples, seed):
        with np.errstate(invalid="ignore"):
            times = weights.astype(np.float64)
            blocks.append((filled @ times) / (known.astype(np.float64) @ times))
    return np.concatenate(blocks, axis=1)


def permuted_rows(units: np.ndarray, n_permutations: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Permute pictures; yields the row that each row takes the place of, some at a time.

    Parameters
    ----------
    units : ndarray of shape (n,), int
        Pictures of one number go together, and change places with as many others.
    n_permutations : int
    seed : int

    Yields
    ------
    ndarray of shape (n_some, n), int
        Of each permutation the row that gives each row its label.
    """
    order = np.argsort(units, kind="stable")
    _, firsts, sizes = np.unique(units[order], return_index=True, return_counts=True)
    alike = [order[firsts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]
    random = np.random.default_rng(seed)
    most = max(1, BLOCK_BYTES // (8 * len(units)))
    for first in range(0, n_permutations, most):
        rows = np.empty((min(most, n_permutations - first), len(units)), np.int64)
        for each in rows:
            for group in alike:
                each[group] = group[random.permutation(len(group))]
        yield rows


def interval(estimate: float, resampled: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Take the percentiles of resampled estimates, shifted by the bootstrap's own bias.

    A resample holds pictures twice, which looks like agreement or the lack of it: what the
    resampled mean is away from the estimate, percentiles are too (Efron and Tibshirani 1993, 10).

    Parameters
    ----------
    estimate : float
        On the pictures themselves.
    resampled : ndarray of shape (n_resamples,)
    confidence : float
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(unbiased(estimate, resampled), [tail, 1 - tail])
    return Interval(float(low), float(high))


def unbiased(estimate: float, resampled: np.ndarray) -> np.ndarray:
    """Shift resampled estimates so that their mean is the estimate; ndarray (n_resamples,)."""
    shifted: np.ndarray = resampled - (resampled.mean() - estimate)
    return shifted


def p_value(difference: float, resampled: np.ndarray) -> float:
    """Say how rarely resamples put a difference on the other side of 0; two-sided, never 0.

    Parameters
    ----------
    difference : float
        On the pictures themselves.
    resampled : ndarray of shape (n_resamples,)
    """
    shifted = unbiased(difference, resampled)
    fewer = min(int((shifted <= 0).sum()), int((shifted >= 0).sum()))
    return min(1.0, 2 * (1 + fewer) / (1 + len(shifted)))


def adjusted_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family of tests (Holm 1979), each in its place."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def permutation_p_value(observed: float, permuted: np.ndarray) -> float:
    """Say how often chance scores as high: (1 + as high) / (1 + permutations).

    Phipson and Smyth 2010: never 0, and rarer than p with probability p at most.

    Parameters
    ----------
    observed : float
    permuted : ndarray of shape (n_permutations,)
    """
    as_high = int((permuted >= observed - 1e-12).sum())
    return (1 + as_high) / (1 + len(permuted))
