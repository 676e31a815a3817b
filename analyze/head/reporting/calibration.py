"""How far a head's probabilities can be believed, and what it costs to abstain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

N_BINS = 15
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
    """

    temperature: float
    ece: float
    ece_before: float
    bins: tuple[Bin, ...]
    coverage: tuple[Coverage, ...]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return asdict(self)


def calibrate(
    warm: Sequence[np.ndarray],
    cold: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    temperatures: Sequence[float],
    of_pictures: tuple[Sequence[np.ndarray], Sequence[np.ndarray]] | None = None,
) -> Calibration:
    """Hold the probabilities of some heads against the truth.

    Parameters
    ----------
    warm, cold : sequence of ndarray of shape (n,), float
        Of each head, probabilities of its predictions of pictures it was tested on, with its
        temperature and without.
    true : sequence of ndarray of shape (n,), bool
    of_pictures : pair of sequence of ndarray, optional
        How sure an answer about a picture is, and whether it is right, where that is not the same.
    """
    confidence, correct = np.concatenate(warm), np.concatenate(true)
    bins = bin_answers(confidence, correct)
    if of_pictures is not None:
        confidence, correct = (np.concatenate(each) for each in of_pictures)
    return Calibration(
        temperature=float(np.exp(np.mean(np.log(temperatures)))),
        ece=expected_error(bins),
        ece_before=expected_error(bin_answers(np.concatenate(cold), np.concatenate(true))),
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
