"""Probes: how well vectors predict labels, without any clustering, picture by picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analyze.threads import one_thread
from analyze.ties import first_occurrence, first_of_greatest
from analyze.unit_vectors import unit_rows
from extract.catalog.catalog import MISSING_LABEL

N_FOLDS = 5
INNER_FOLDS = 3
GRID = (1.0, 10.0, 100.0, 1000.0)
"""Of C, for rows of length 1 about their mean; on 525 photographs the best are 10 to 1000."""

MOST_TUNED = 2000
"""Pictures that C is chosen on: many more give the same C, and cost minutes."""

LEAST_OF_CLASS = 20
"""Pictures of a class that are trained on where only some are drawn."""

MOST_ITERATIONS = 1000

LEVEL = 1e-6
"""Logs of probabilities that differ by less are level: a fit is not solved further."""


def nearest_vote(neighbors: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return for each picture whether its k nearest neighbors vote for its class.

    One neighbor, one vote; of classes with as many, that of the nearest wins.

    Parameters
    ----------
    neighbors : ndarray of shape (n_images, at least k), int
        Of :func:`analyze.neighbors.indexes.exact_search.nearest_others`, among pictures with
        a label.
    labels : ndarray of shape (n_images,), int

    Returns
    -------
    ndarray of shape (n_images,), float64
        1 right, 0 wrong, NaN where a picture has no label or no neighbor.
    """
    nearest = neighbors[:, :k]
    there = nearest >= 0
    voted = np.where(there, labels[nearest], MISSING_LABEL)
    votes = ((voted[:, :, None] == voted[:, None, :]) & there[:, None, :]).sum(axis=2)
    # the first of the greatest: neighbors stand with the nearest first
    winner = np.where(there, votes, -1).argmax(axis=1)
    right = voted[np.arange(len(voted)), winner] == labels
    judged = there.any(axis=1) & (labels != MISSING_LABEL)
    correct: np.ndarray = np.where(judged, right.astype(np.float64), np.nan)
    return correct


def folds_of(
    labels: np.ndarray, groups: np.ndarray, *, n_folds: int = N_FOLDS, seed: int = 0
) -> np.ndarray:
    """Split pictures into folds: classes spread evenly, copies together.

    A class with fewer different pictures than folds is in none of them: some fold would test
    a class that no other trains.

    Parameters
    ----------
    labels : ndarray of shape (n_images,), int
        -1 where a picture has no label.
    groups : ndarray of shape (n_images,), int
        Copies have one number.

    Returns
    -------
    ndarray of shape (n_images,), int
        -1 where a picture is in no fold; everywhere when fewer than two classes are left.
    """
    folds = np.full(len(labels), -1)
    distinct = np.unique(np.stack([labels, groups]), axis=1)[0]
    classes, counts = np.unique(distinct, return_counts=True)
    kept = classes[(counts >= n_folds) & (classes != MISSING_LABEL)]
    rows = np.flatnonzero(np.isin(labels, kept))
    if len(kept) > 1:
        parts = group_folds(labels[rows], groups[rows], n_folds, seed)
        for number, (_, tested) in enumerate(parts):
            folds[rows[tested]] = number
    return folds


def linear_probe(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Return for each picture whether a regression trained on the other folds finds its class.

    A logistic regression on rows of length 1; C is chosen by cross-validation inside the training
    rows.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    labels, groups, folds : ndarray of shape (n_images,), int
        Folds of :func:`folds_of`.
    seed : int
        Of the inner folds, and of the sample that C is chosen on.

    Returns
    -------
    ndarray of shape (n_images,), float64
        1 right, 0 wrong, NaN where a picture is in no fold.
    """
    correct = np.full(len(labels), np.nan)
    rows = np.flatnonzero(folds >= 0)
    if not len(rows):
        return correct
    with one_thread():
        features = _rotated(vectors[rows])
        labels, groups, folds = labels[rows], groups[rows], folds[rows]
        for fold in np.unique(folds):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            c = _choose_c(features[train], labels[train], groups[train], seed)
            fitted = fit_regression(features[train], labels[train], c)
            correct[rows[test]] = predicted(fitted, features[test]) == labels[test]
    return correct


def out_of_fold_probabilities(
    vectors: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    c: float,
    *,
    n_classes: int,
    seed: int = 0,
    most_trained: int | None = None,
) -> np.ndarray:
    """Return what regressions trained on the other folds give each class of a picture.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    labels, groups : ndarray of shape (n_images,), int
        -1 is no label; copies have one number and stay in one fold.
    c : float
        Of the regression, on rows of length 1 about their mean.
    n_classes : int
        Labels are smaller.
    seed : int
        Of the folds, and of the sample that is trained on.
    most_trained : int, optional
        Pictures that a regression is trained on, drawn at random, and 20 of each class in any case;
        all without it.

    Returns
    -------
    ndarray of shape (n_images, n_classes), float64
        NaN where a picture is in no fold: its class is too small, or it has no label.
    """
    found = np.full((len(labels), n_classes), np.nan)
    folds = folds_of(labels, groups, seed=seed)
    rows = np.flatnonzero(folds >= 0)
    if not len(rows):
        return found
    with one_thread():
        features = _rotated(vectors[rows])
        for fold in np.unique(folds[rows]):
            train, test = np.flatnonzero(folds[rows] != fold), folds[rows] == fold
            if most_trained is not None and len(train) > most_trained:
                train = train[_drawn(labels[rows][train], most_trained, seed)]
            fitted = fit_regression(features[train], labels[rows][train], c)
            given = np.zeros((int(test.sum()), n_classes))
            given[:, fitted.classes_] = fitted.predict_proba(features[test])
            found[rows[test]] = given
    return found


def _drawn(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw rows at random, and some of each class in any case; ndarray of int, n rows and more."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    place_in_class = np.arange(len(labels)) - np.repeat(starts, counts)
    return np.union1d(order[:n], by_class[place_in_class < LEAST_OF_CLASS])


def fit_linear_probe(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a logistic regression; returns a function that predicts the classes of other vectors.

    The probe of :func:`linear_probe` for pictures that are not here yet: nothing of them is used,
    neither their mean nor the axes they span. C is chosen by the log loss in inner folds, which on
    photographs gives a better regression than the accuracy in them.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    labels, groups : ndarray of shape (n_images,), int
    seed : int
        Of the inner folds, and of the sample that C is chosen on.

    Returns
    -------
    callable
        From vectors of shape (n, n_dims) to labels of shape (n,).
    """
    with one_thread():
        directions = unit_rows(vectors).astype(np.float64)
        mean = directions.mean(axis=0)
        axes = spanned_axes(directions - mean)
        features = ((directions - mean) @ axes)[first_occurrence(directions)]
        _, logs = _tried(features, labels, groups, seed)
        fitted = fit_regression(features, labels, GRID[int(logs.argmax())])

    def classes_of(others: np.ndarray) -> np.ndarray:
        with one_thread():
            return predicted(fitted, (unit_rows(others) - mean) @ axes)

    return classes_of


def group_folds(
    labels: np.ndarray, groups: np.ndarray, n_folds: int, seed: int
) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """Split rows into training and test rows, fold by fold; copies stay together.

    Parameters
    ----------
    labels, groups : ndarray of shape (n,), int
    n_folds, seed : int
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes rarer than inner folds
        return list(folds.split(labels, labels, groups))


def _rotated(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1 about their mean, on as few axes as they span.

    A rotation changes no prediction: the penalty is on lengths alone.
    """
    features = unit_rows(vectors).astype(np.float64)
    firsts = first_occurrence(features)
    features -= features.mean(axis=0)
    if len(features) >= features.shape[1]:
        return features
    lengths, axes = np.linalg.eigh(features @ features.T)
    rotated: np.ndarray = axes * np.sqrt(np.maximum(lengths, 0.0))
    equal: np.ndarray = rotated[firsts]
    return equal


def spanned_axes(centered: np.ndarray) -> np.ndarray:
    """Give axes of length 1 that rows span, as columns; all axes where rows are many.

    The penalty leaves no weight on what no training row has a part in.
    """
    n, n_dims = centered.shape
    if n >= n_dims:
        return np.eye(n_dims)
    lengths, sides = np.linalg.eigh(centered @ centered.T)
    kept = lengths > lengths[-1] * n * np.finfo(np.float64).eps
    if not kept.any():  # all rows are equal
        return np.eye(n_dims, 1)
    axes: np.ndarray = (centered.T @ sides[:, kept]) / np.sqrt(lengths[kept])
    return axes


def _choose_c(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int) -> float:
    """Choose by accuracy in inner folds; the least of equals, which bends to noise least."""
    hits, _ = _tried(features, labels, groups, seed)
    return GRID[int(hits.argmax())]


def _tried(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Try each C in inner folds: right answers, and the log of what was given to the right class.

    Accuracy alone ties and turns with the last digits of a fit; the log does not.
    """
    if len(labels) > MOST_TUNED:
        chosen = np.random.default_rng(seed).choice(len(labels), MOST_TUNED, replace=False)
        features, labels, groups = features[chosen], labels[chosen], groups[chosen]
    hits, logs = np.zeros(len(GRID), int), np.zeros(len(GRID))
    for train, test in group_folds(labels, groups, INNER_FOLDS, seed):
        test = test[np.isin(labels[test], labels[train])]
        if len(np.unique(labels[train])) < 2 or not len(test):
            continue
        for i, c in enumerate(GRID):
            fitted = fit_regression(features[train], labels[train], c)
            logs_of_all = fitted.predict_log_proba(features[test])
            places = np.searchsorted(fitted.classes_, labels[test])
            hits[i] += int((first_of_greatest(logs_of_all, LEVEL) == places).sum())
            logs[i] += float(logs_of_all[np.arange(len(test)), places].sum())
    return hits, logs


def predicted(fitted: Any, features: np.ndarray) -> np.ndarray:
    """Give the likeliest class of each row, the first of those that are as likely.

    Parameters
    ----------
    fitted : LogisticRegression
    features : ndarray of shape (n, n_dims)
    """
    found: np.ndarray = fitted.classes_[
        first_of_greatest(fitted.predict_log_proba(features), LEVEL)
    ]
    return found


def fit_regression(features: np.ndarray, labels: np.ndarray, c: float) -> Any:
    """Fit a logistic regression of strength ``c`` as scikit-learn has it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # further digits change no class
        return LogisticRegression(C=c, max_iter=MOST_ITERATIONS).fit(features, labels)
