"""From logits to labels: a temperature for all classes, and a threshold for each."""

from __future__ import annotations

import numpy as np

EVEN = 0.5
LEAST_POSITIVES = 5
"""Validation pictures that a class must have before its threshold is another than a half."""

DOUBT = 10
"""Pictures that speak for a half: the logit of the best threshold is taken for n / (n + DOUBT) of
what n pictures of the class say."""

COLDEST, HOTTEST = 0.05, 20.0
SUREST = 20.0
"""Logit beyond which no threshold goes: a probability that is still less than 1."""


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, each class apart, in float64; ndarray of the same shape."""
    halved: np.ndarray = np.tanh(0.5 * logits.astype(np.float64))
    probabilities: np.ndarray = 0.5 * (1 + halved)
    return probabilities


def fit_shared_temperature(logits: np.ndarray, has: np.ndarray) -> float:
    """Find the temperature of least binary cross-entropy over all classes.

    Targets are those of Platt (1999), class by class: a few pictures that are all right ask for
    some doubt.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        Of pictures that the head was not trained on.
    has : ndarray of shape (n, n_classes), bool

    Returns
    -------
    float
        Between 0.05 and 20; 1 without pictures.
    """
    from scipy.optimize import minimize_scalar

    if not logits.size:
        return 1.0
    n_yes, n_no = has.sum(axis=0), (~has).sum(axis=0)
    targets = np.where(has, (n_yes + 1) / (n_yes + 2), 1 / (n_no + 2))
    wide = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = wide / np.exp(log_temperature)
        return float((np.logaddexp(0, scaled) - targets * scaled).mean())

    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    return float(np.exp(minimize_scalar(loss, bounds=ends, method="bounded").x))


def choose_thresholds(logits: np.ndarray, has: np.ndarray, doubt: float = DOUBT) -> np.ndarray:
    """Choose for each class the probability from which on it is said.

    That of the best F1 on these pictures, drawn towards a half by as much as they are few.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        Divided by the temperature; of pictures that were not trained on.
    has : ndarray of shape (n, n_classes), bool
    doubt : float
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
            drawn = np.clip(best * n_yes / (n_yes + doubt), -SUREST, SUREST)
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
    said = np.arange(1, len(scores) + 1)
    f1 = 2 * right / (said + right[-1])
    after = np.append(ranked[1:], ranked[-1])
    between = (ranked + after) / 2  # after the last there is nothing to stand between
    cuts = np.append(ranked[:-1] > ranked[1:], True)
    f1, between = f1[cuts], between[cuts]
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(between[best[np.abs(between[best]).argmin()]])
