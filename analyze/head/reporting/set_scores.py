"""What sets of labels are worth: F1 of three kinds, average precision, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analyze.head.reporting.class_scores import f1_over_pictures, resampled_estimate
from analyze.measures.estimates import Estimate, mean_over_pictures

MOST_NUMBERS = 4_000_000_000
"""Reckoned for one interval of the average precision: more resamples than fit are left out."""

LEAST_RESAMPLES = 200


@dataclass(frozen=True)
class SetScores:
    """What the answers of one are worth, with 95 % intervals over pictures.

    Parameters
    ----------
    accuracy : Estimate
        Share of the pictures with every class right.
    micro_f1, macro_f1 : Estimate
        Over all labels together, and the mean over classes.
    mean_average_precision : Estimate
        Mean over classes, by probability; no threshold is in it.
    """

    accuracy: Estimate
    micro_f1: Estimate
    macro_f1: Estimate
    mean_average_precision: Estimate

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {name: getattr(self, name).to_json() for name in SCORES}


SCORES = tuple(SetScores.__annotations__)


def score_sets(
    answers: tuple[np.ndarray, np.ndarray],
    has: np.ndarray,
    tested: np.ndarray,
    groups: np.ndarray,
    *,
    minus: tuple[np.ndarray, np.ndarray] | None = None,
    by_probability: Estimate | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> SetScores:
    """Score sets of labels and the probabilities behind them, or the difference of two.

    Parameters
    ----------
    answers : pair of ndarray of shape (n_runs, n_images, n_classes)
        Predictions, bool, and probabilities, NaN where a run did not test a picture.
    has : ndarray of shape (n_images, n_classes), bool
    tested : ndarray of shape (n_runs, n_images), bool
    groups : ndarray of shape (n_images,), int
        Copies have one number, and are drawn together.
    minus : pair of ndarray, optional
        Another's answers about the same pictures: its scores are taken off.
    by_probability : Estimate, optional
        The mean average precision where it is known: other thresholds leave it as it is.
    """
    words: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
    rows = np.flatnonzero(tested.any(axis=0))
    has, tested, groups = has[rows], tested[:, rows], groups[rows]
    both = [
        (predictions[:, rows], of[:, rows])
        for predictions, of in (answers, *([] if minus is None else [minus]))
    ]
    right, *others = (exactly_right(own, has, tested) for own, _ in both)
    counts = [count_sets(own, has, tested) for own, _ in both]
    pooled, *less = ((shared.sum(axis=1), own.sum(axis=1)) for shared, own in counts)
    if by_probability is None:
        of_each = [of for _, of in both]
        by_probability = _mean_average_precision(of_each, has, tested, groups, **words)
    right, least = (right - others[0], -1.0) if others else (right, 0.0)
    return SetScores(
        accuracy=mean_over_pictures(right, groups, least=least, **words),
        micro_f1=f1_over_pictures(*pooled, groups, minus=less[0] if less else None, **words),
        macro_f1=resampled_estimate([partial(macro_f1, *own) for own in counts], groups, **words),
        mean_average_precision=by_probability,
    )


def exactly_right(predictions: np.ndarray, has: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return where every class is right, 0 or 1, NaN untested; ndarray (n_runs, n_images)."""
    return np.where(tested, (predictions == has).all(axis=2), np.nan)


def count_sets(
    predictions: np.ndarray, has: np.ndarray, tested: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count over the runs, of each picture and class, what answer and truth share and have.

    Returns
    -------
    shared, both : ndarray of shape (n_images, n_classes), int64
        1 a run where both say yes; 1 for each that does.
    """
    judged = tested[:, :, None]
    shared = (predictions & has & judged).sum(axis=0)
    both = (predictions & judged).sum(axis=0) + has * tested.sum(axis=0)[:, None]
    return shared, both


def macro_f1(shared: np.ndarray, both: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average F1 over the classes that are predicted or there; a number a column of the weights.

    Parameters
    ----------
    shared, both : ndarray of shape (n_images, n_classes), int
    weights : ndarray of shape (n_images, n_resamples), number
    """
    above, below = 2.0 * (shared.T @ weights), both.T @ weights
    there = below > 0
    f1 = np.divide(above, below, out=np.zeros_like(above), where=there)
    found: np.ndarray = f1.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return found


def average_precision(scores: np.ndarray, yes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Reckon the average precision of one class, scikit-learn's, for each column of weights.

    Pictures of one score count as predicted together. NaN where no picture has the class.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    yes : ndarray of shape (n,), bool
    weights : ndarray of shape (n, n_resamples), number
        How often each picture counts.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, right, weights = scores[order], yes[order], weights[order].astype(np.float64)
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    n_predicted = np.cumsum(weights, axis=0)[last_of_equals]
    hits = np.cumsum(weights * right[:, None], axis=0)[last_of_equals]
    gained = np.diff(hits, axis=0, prepend=0.0)
    precision = np.divide(hits, n_predicted, out=np.zeros_like(hits), where=n_predicted > 0)
    total = hits[-1]
    found: np.ndarray = np.divide(
        (precision * gained).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0
    )
    return found


def mean_average_precision(
    probabilities: np.ndarray, has: np.ndarray, tested: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Average over classes, and over runs: one number a column of the weights."""
    of_runs = []
    for own, judged in zip(probabilities, tested, strict=True):
        rows = np.flatnonzero(judged)
        of_classes = np.stack(
            [
                average_precision(scores, yes, weights[rows])
                for scores, yes in zip(own[rows].T, has[rows].T, strict=True)
            ]
        )
        known = ~np.isnan(of_classes)
        sums = np.where(known, of_classes, 0.0).sum(axis=0)
        of_runs.append(sums / np.maximum(known.sum(axis=0), 1))
    return np.asarray(np.mean(of_runs, axis=0))


def resamples_that_fit(n_runs: int, n_images: int, n_classes: int, wanted: int) -> int:
    """Say how many resamples the average precision gets, at most as many as are wanted."""
    fitting = MOST_NUMBERS // max(1, n_runs * n_images * n_classes)
    return min(wanted, max(LEAST_RESAMPLES, fitting))


def _mean_average_precision(
    of_each: Sequence[np.ndarray],
    has: np.ndarray,
    tested: np.ndarray,
    groups: np.ndarray,
    *,
    n_resamples: int,
    seed: int,
) -> Estimate:
    kept = [_different_runs(probabilities, tested) for probabilities in of_each]
    size, n_runs = int(tested.sum(axis=1).max()), max(map(len, kept))
    return resampled_estimate(
        [
            partial(mean_average_precision, probabilities[runs], has, tested[runs])
            for probabilities, runs in zip(of_each, kept, strict=True)
        ],
        groups,
        n_resamples=resamples_that_fit(n_runs, size, has.shape[1], n_resamples),
        seed=seed,
    )


def _different_runs(probabilities: np.ndarray, tested: np.ndarray) -> list[int]:
    """Number the runs to reckon: one stands for all where a baseline answers all alike."""
    first = probabilities[0]
    if (tested == tested[0]).all() and all(
        np.array_equal(own, first, equal_nan=True) for own in probabilities[1:]
    ):
        return [0]
    return list(range(len(probabilities)))
