"""From logits to probabilities: softmax or sigmoids, and the temperature that suits them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

UNKNOWN = -100
"""The class of a row that an output is not asked about: torch's own mark, which no loss counts."""

COLDEST, HOTTEST = 0.05, 20.0


class Activation(NamedTuple):
    """How logits become probabilities.

    Parameters
    ----------
    probabilities : callable
        From logits to probabilities of the same shape, float64.
    fit_temperature : callable
        From logits of shape (n, n_classes) and labels of pictures that the head was not trained on
        to what logits are divided by: between 0.05 and 20, 1 without pictures.
    """

    probabilities: Callable[[np.ndarray], np.ndarray]
    fit_temperature: Callable[[np.ndarray, np.ndarray], float]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, in float64; ndarray of the same shape."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = raised / raised.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, each class apart, in float64; ndarray of the same shape."""
    halved: np.ndarray = np.tanh(0.5 * logits.astype(np.float64))
    probabilities: np.ndarray = 0.5 * (1 + halved)
    return probabilities


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature of least cross-entropy (Guo et al. 2017).

    A few pictures that are all right would ask for no doubt at all; so each counts as right but for
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
        said = softmax(logits / temperature)
        return float(-(targets * np.log(np.maximum(said, 1e-300))).sum(axis=1).mean())

    return _least(loss) if n else 1.0


def fit_shared_temperature(logits: np.ndarray, has: np.ndarray) -> float:
    """Find the temperature of least binary cross-entropy over all classes.

    Targets are those of Platt (1999), class by class: a few pictures that are all right ask for
    some doubt.

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


SOFTMAX = Activation(softmax, fit_temperature)
SIGMOID = Activation(sigmoid, fit_shared_temperature)
