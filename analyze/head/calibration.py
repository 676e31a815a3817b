"""How far a head's probabilities can be believed, and what it costs to abstain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analyze.head.network import softmax

N_BINS = 15
COLDEST, HOTTEST = 0.05, 20.0
THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Bin:
    """Answers of about the same probability.

    Parameters
    ----------
    low, high : float
        Between which their probability lies.
    confidence : float
        Its mean.
    accuracy : float
    n : int
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class Coverage:
    """What is left when answers below a probability are not given.

    Parameters
    ----------
    threshold : float
    coverage : float
        Share of the pictures that are answered.
    accuracy : float or None
        Of those; None where there are none.
    """

    threshold: float
    coverage: float
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """Probabilities held against what is true, on tested pictures.

    Parameters
    ----------
    temperature : float
        Geometric mean over the heads; each has its own, of its validation pictures.
    ece, ece_before : float
        Expected calibration error with the temperature, and without.
    bins : tuple of Bin
    coverage : tuple of Coverage
    """

    temperature: float
    ece: float
    ece_before: float
    bins: tuple[Bin, ...]
    coverage: tuple[Coverage, ...]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "temperature": self.temperature,
            "ece": self.ece,
            "ece_before": self.ece_before,
            "bins": [asdict(each) for each in self.bins],
            "coverage": [asdict(each) for each in self.coverage],
        }


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature of least cross-entropy (Guo et al. 2017).

    A few pictures that are all right would ask for no doubt at all; so each counts as right but for
    1 / (n + 2), as in Platt (1999), which many pictures make nothing of.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        Of pictures that the head was not trained on.
    labels : ndarray of shape (n,), int
        Places of their classes.

    Returns
    -------
    float
        Between 0.05 and 20, the ends of what is looked through; 1 without pictures.
    """
    from scipy.optimize import minimize_scalar

    if not len(labels):
        return 1.0

    n, n_classes = logits.shape
    targets = np.full((n, n_classes), 1 / (n + 2) / max(n_classes - 1, 1))
    targets[np.arange(n), labels] = 1 - 1 / (n + 2)

    def loss(log_temperature: float) -> float:
        said = softmax(logits / np.exp(log_temperature))
        return float(-(targets * np.log(np.maximum(said, 1e-300))).sum(axis=1).mean())

    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    return float(np.exp(minimize_scalar(loss, bounds=ends, method="bounded").x))


def calibrate(
    heads: Sequence[tuple[np.ndarray, np.ndarray, float]], labels: np.ndarray
) -> Calibration:
    """Hold the probabilities of some heads against the truth.

    Parameters
    ----------
    heads : sequence of (rows, logits, temperature)
        Of each head the pictures it was tested on, ndarray of shape (n,), its logits there,
        (n, n_classes), and its temperature.
    labels : ndarray of shape (n_images,), int
    """
    sure, cold, right = [], [], []
    for rows, logits, temperature in heads:
        sure.append(softmax(logits / temperature).max(axis=1))
        cold.append(softmax(logits).max(axis=1))
        right.append(logits.argmax(axis=1) == labels[rows])
    confidence, correct = np.concatenate(sure), np.concatenate(right)
    bins = bin_answers(confidence, correct)
    return Calibration(
        temperature=float(np.exp(np.mean([np.log(t) for *_, t in heads]))),
        ece=expected_error(bins),
        ece_before=expected_error(bin_answers(np.concatenate(cold), correct)),
        bins=bins,
        coverage=cover(confidence, correct),
    )


def bin_answers(confidence: np.ndarray, right: np.ndarray) -> tuple[Bin, ...]:
    """Gather answers in fifteen bins of equal width, those that hold any.

    Parameters
    ----------
    confidence : ndarray of shape (n,)
        Probability of the class that is answered.
    right : ndarray of shape (n,), bool
    """
    edges = np.linspace(0, 1, N_BINS + 1)
    # a probability on an edge belongs to the bin below it, as Guo et al. have it
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, N_BINS - 1)
    found = []
    for i in np.unique(place).tolist():
        inside = place == i
        means = float(confidence[inside].mean()), float(right[inside].mean())
        found.append(Bin(float(edges[i]), float(edges[i + 1]), *means, int(inside.sum())))
    return tuple(found)


def expected_error(bins: Sequence[Bin]) -> float:
    """Reckon the expected calibration error (Naeini et al. 2015): mean |accuracy - confidence|."""
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.accuracy - each.confidence) for each in bins) / n


def cover(confidence: np.ndarray, right: np.ndarray) -> tuple[Coverage, ...]:
    """Say for some thresholds how many pictures are answered, and how well."""
    found = []
    for threshold in THRESHOLDS:
        answered = confidence >= threshold
        accuracy = float(right[answered].mean()) if answered.any() else None
        found.append(Coverage(threshold, float(answered.mean()), accuracy))
    return tuple(found)
