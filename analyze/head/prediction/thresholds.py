"""From probabilities to sets of labels: a threshold for each class."""

from __future__ import annotations

import numpy as np

from analyze.head.training.head_training import Trained
from analyze.head.training.probabilities import sigmoid

EVEN = 0.5
LEAST_POSITIVES = 5
"""Validation pictures that a class must have before its threshold is another than a half."""

PRIOR_PICTURES = 10
"""Prior pictures of a half: of n pictures of the class the logit of the best threshold counts
n / (n + PRIOR_PICTURES)."""

SUREST = 20.0
"""Logit beyond which no threshold goes: a probability that is still less than 1."""


def thresholds_of(trained: Trained) -> np.ndarray:
    """Choose the thresholds of a head's classes; ndarray of shape (n_classes,), float64.

    By its validation pictures, which the head that gave the logits was not trained on.
    """
    logits, has = trained.validation_logits[0], trained.validation_labels[0]
    return choose_thresholds(logits / trained.temperatures[0], has)


def choose_thresholds(
    logits: np.ndarray, has: np.ndarray, prior: float = PRIOR_PICTURES
) -> np.ndarray:
    """Return for each class the probability from which on it is predicted.

    That of the best F1 on these pictures, drawn towards a half by as much as they are few.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        Divided by the temperature; of pictures that were not trained on.
    has : ndarray of shape (n, n_classes), bool
    prior : float
        How many pictures of a class weigh as much as the half does.

    Returns
    -------
    ndarray of shape (n_classes,), float64
        A half where fewer than 5 pictures have the class, or all have it.
    """
    thresholds = np.full(has.shape[1], EVEN)
    for place, (own, yes) in enumerate(zip(logits.T, has.T, strict=True)):
        n_yes = int(yes.sum())
        if LEAST_POSITIVES <= n_yes < len(yes):
            best = best_cut(own.astype(np.float64), yes)
            drawn = np.clip(best * n_yes / (n_yes + prior), -SUREST, SUREST)
            thresholds[place] = sigmoid(np.array(drawn))
    return thresholds


def best_cut(scores: np.ndarray, yes: np.ndarray) -> float:
    """Find the score from which on saying yes gives the best F1, midway between two pictures.

    Of several as good, that nearest to 0.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    yes : ndarray of shape (n,), bool
    """
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], np.cumsum(yes[order])
    n_predicted = np.arange(1, len(scores) + 1)
    f1 = 2 * right / (n_predicted + right[-1])
    after = np.append(ranked[1:], ranked[-1])
    between = (ranked + after) / 2  # after the last there is nothing to stand between
    cuts = np.append(ranked[:-1] > ranked[1:], True)
    f1, between = f1[cuts], between[cuts]
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(between[best[np.abs(between[best]).argmin()]])
