"""From logits to probabilities: softmax or sigmoids, and the temperature that suits them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

UNKNOWN = -100
"""The class of a row without a target for an output: torch's own mark, which no loss counts."""

COLDEST, HOTTEST = 0.05, 20.0

N_PARTS, MOST_CHECKED = 10, 2000
"""A temperature is tried on each part of this many pictures, fitted on the others."""


class Activation(NamedTuple):
    """How logits become probabilities.

    Parameters
    ----------
    probabilities : callable
        From logits to probabilities of the same shape, float64.
    fit_temperature : callable
        From logits of shape (n, n_classes) and labels of pictures that the head was not trained on
        to what logits are divided by: between 0.05 and 20, 1 without pictures.
    cross_entropy : callable
        From logits and labels to their sum over the pictures.
    """

    probabilities: Callable[[np.ndarray], np.ndarray]
    fit_temperature: Callable[[np.ndarray, np.ndarray], float]
    cross_entropy: Callable[[np.ndarray, np.ndarray], float]

    def choose_temperature(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Fit a temperature, and take 1 where cross-validation finds that better.

        Of few pictures it is fitted to their luck: with 80 photographs the calibration error of
        tested ones was 0.18 with a temperature, 0.15 without.

        Parameters
        ----------
        logits : ndarray of shape (n, n_classes)
        labels : ndarray
            Of pictures that the head was not trained on.
        """
        order = np.random.default_rng(0).permutation(len(logits))[:MOST_CHECKED]
        warm = 0.0
        for number in range(N_PARTS):
            others = np.delete(order, np.s_[number::N_PARTS])
            one = order[number::N_PARTS]
            temperature = self.fit_temperature(logits[others], labels[others])
            warm += self.cross_entropy(logits[one] / temperature, labels[one])
        if warm >= self.cross_entropy(logits[order], labels[order]):
            return 1.0
        return self.fit_temperature(logits, labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, in float64; ndarray of the same shape."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    found: np.ndarray = raised / raised.sum(axis=-1, keepdims=True)
    return found


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, each class apart, in float64; ndarray of the same shape."""
    halved: np.ndarray = np.tanh(0.5 * logits.astype(np.float64))
    return 0.5 * (1 + halved)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature of least cross-entropy (Guo et al. 2017).

    A few pictures that are all right would give no uncertainty; so each counts as right but for
    1 / (n + 2), as in Platt (1999), which many pictures make nothing of.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
    labels : ndarray of shape (n,), int
        Places of their classes; rows of ``UNKNOWN`` do not count.
    """
    logits, labels = logits[labels != UNKNOWN], labels[labels != UNKNOWN]
    n, n_classes = logits.shape
    targets = np.full((n, n_classes), 1 / (n + 2) / max(n_classes - 1, 1))
    targets[np.arange(n), labels] = 1 - 1 / (n + 2)

    def loss(temperature: float) -> float:
        predictions = softmax(logits / temperature)
        return float(-(targets * np.log(np.maximum(predictions, 1e-300))).sum(axis=1).mean())

    return _least(loss) if n else 1.0


def fit_shared_temperature(logits: np.ndarray, has: np.ndarray) -> float:
    """Find the temperature of least binary cross-entropy over all classes.

    Targets are those of Platt (1999), class by class: a few pictures that are all right ask for
    some uncertainty.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
    has : ndarray of shape (n, n_classes), bool
    """
    n_yes, n_no = has.sum(axis=0), (~has).sum(axis=0)
    targets = np.where(has, (n_yes + 1) / (n_yes + 2), 1 / (n_no + 2))
    wide = logits.astype(np.float64)

    def loss(temperature: float) -> float:
        scaled = wide / temperature
        return float((np.logaddexp(0, scaled) - targets * scaled).mean())

    return _least(loss) if logits.size else 1.0


def _least(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    found = minimize_scalar(lambda log: loss(np.exp(log)), bounds=ends, method="bounded")
    return float(np.exp(found.x))


def _of_one_class(logits: np.ndarray, labels: np.ndarray) -> float:
    known = np.flatnonzero(labels != UNKNOWN)
    right = softmax(logits[known])[np.arange(len(known)), labels[known]]
    return float(-np.log(np.maximum(right, 1e-300)).sum())


def _of_sets(logits: np.ndarray, has: np.ndarray) -> float:
    wide = logits.astype(np.float64)
    return float((np.logaddexp(0, wide) - has * wide).sum())


SOFTMAX = Activation(softmax, fit_temperature, _of_one_class)
SIGMOID = Activation(sigmoid, fit_shared_temperature, _of_sets)
