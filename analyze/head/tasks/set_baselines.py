"""Multilabel baselines, trained on the same rows: one class against the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analyze.head.prediction.thresholds import choose_thresholds
from analyze.head.splitting.iterative_splits import iterative_parts
from analyze.head.tasks.baselines import N_NEAREST
from analyze.head.training.probabilities import sigmoid
from analyze.measures.probes import GRID, INNER_FOLDS, MOST_TUNED, fit_regression, spanned_axes
from analyze.similarity import most_similar_rows
from analyze.threads import one_thread
from analyze.ties import first_occurrence
from analyze.unit_vectors import unit_rows

Shares = Callable[[np.ndarray], np.ndarray]


def fit_one_against_rest(
    vectors: np.ndarray, has: np.ndarray, groups: np.ndarray, seed: int = 0
) -> tuple[Shares, np.ndarray]:
    """Train a logistic regression per class, all of one strength.

    On rows of length 1 about their mean. The strength is that of the least log loss in inner folds,
    where the thresholds are chosen too.

    Parameters
    ----------
    vectors : ndarray of shape (n_train, n_dims), float32
    has : ndarray of shape (n_train, n_classes), bool
    groups : ndarray of shape (n_train,), int

    Returns
    -------
    probabilities : callable
        From vectors of shape (n, n_dims) to probabilities of shape (n, n_classes).
    thresholds : ndarray of shape (n_classes,)
    """
    directions = unit_rows(vectors).astype(np.float64)
    mean = directions.mean(axis=0)
    centered = directions - mean
    with one_thread():
        axes = spanned_axes(centered)
        features = (centered @ axes)[first_occurrence(directions)]
        strength, logits, rows = _chosen(features, has, groups, seed)
        weights, offsets = fit_regressions(features, has, strength)
    thresholds = choose_thresholds(logits, has[rows])

    def probabilities(others: np.ndarray) -> np.ndarray:
        with one_thread():
            return sigmoid((unit_rows(others) - mean) @ axes @ weights + offsets)

    return probabilities, thresholds


def fit_regressions(
    features: np.ndarray, has: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a regression a class; a class that all rows have, or none, is constant.

    Parameters
    ----------
    features : ndarray of shape (n, n_dims), float64
    has : ndarray of shape (n, n_classes), bool
    strength : float
        scikit-learn's C.

    Returns
    -------
    weights : ndarray of shape (n_dims, n_classes), float64
    offsets : ndarray of shape (n_classes,), float64
    """
    weights = np.zeros((features.shape[1], has.shape[1]))
    share = (has.sum(axis=0) + 1) / (len(has) + 2)
    offsets = np.log(share / (1 - share))
    for place, own in enumerate(has.T):
        if own.any() and not own.all():
            fitted = fit_regression(features, own, strength)
            weights[:, place], offsets[place] = fitted.coef_[0], fitted.intercept_[0]
    return weights, offsets


def fit_shares(vectors: np.ndarray, has: np.ndarray, k: int = N_NEAREST) -> Shares:
    """Remember vectors, and say which share of the k most similar ones has each class.

    Parameters
    ----------
    vectors : ndarray of shape (n_train, n_dims), float32
    has : ndarray of shape (n_train, n_classes), bool
    k : int
        Lowered to the number of rows.
    """
    k = min(k, len(vectors))

    def shares(others: np.ndarray) -> np.ndarray:
        found: np.ndarray = has[most_similar_rows(vectors, others, k)].mean(axis=1)
        return found

    return shares


def _chosen(
    features: np.ndarray, has: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """Choose the strength in inner folds; give the logits there, and of which rows they are."""
    rows = np.arange(len(has))
    if len(rows) > MOST_TUNED:
        rows = np.random.default_rng(seed).choice(rows, MOST_TUNED, replace=False)
    features, has, groups = features[rows], has[rows], groups[rows]
    folds = iterative_parts(has, groups, [1 / INNER_FOLDS] * INNER_FOLDS, seed)
    logits = np.zeros((len(GRID), *has.shape))
    for number in np.unique(folds):
        train, tested = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        if not len(train):
            continue
        for i, strength in enumerate(GRID):
            weights, offsets = fit_regressions(features[train], has[train], strength)
            logits[i, tested] = features[tested] @ weights + offsets
    losses = (np.logaddexp(0, logits) - has * logits).sum(axis=(1, 2))
    best = int(losses.argmin())
    return GRID[best], logits[best], rows
