"""How each class fares where pictures have several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.head.reporting.class_scores import ClassScore
from analyze.head.reporting.set_scores import average_precision, count_sets


@dataclass(frozen=True)
class SetClassScore:
    """How one class fares.

    Parameters
    ----------
    score : ClassScore
        At its threshold.
    f1_at_half : float or None
    average_precision : float or None
        Mean over the runs; None where no tested picture has the class.
    threshold : float or None
        Mean over the trainings that know the class; None without any.
    """

    score: ClassScore
    f1_at_half: float | None
    average_precision: float | None
    threshold: float | None

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        own = ("f1_at_half", "average_precision", "threshold")
        return {**self.score.to_json(), **{name: getattr(self, name) for name in own}}


def score_set_classes(
    probabilities: np.ndarray,
    predictions: np.ndarray,
    at_half: np.ndarray,
    thresholds: np.ndarray,
    has: np.ndarray,
    tested: np.ndarray,
    names: tuple[str, ...],
) -> tuple[SetClassScore, ...]:
    """Reckon precision, recall, F1 and average precision of each class, over all runs.

    Parameters
    ----------
    probabilities : ndarray of shape (n_runs, n_images, n_classes), float
        NaN where a run did not test a picture.
    predictions, at_half : ndarray of shape (n_runs, n_images, n_classes), bool
        By the thresholds, and by a half for every class.
    thresholds : ndarray of shape (n_trainings, n_classes), float
        1 of a class that a training does not know.
    has : ndarray of shape (n_images, n_classes), bool
    tested : ndarray of shape (n_runs, n_images), bool
    """
    times, ever = tested.sum(axis=0), tested.any(axis=0)
    shared, both = (own.sum(axis=0) for own in count_sets(predictions, has, tested))
    shared_half, both_half = (own.sum(axis=0) for own in count_sets(at_half, has, tested))
    there = (has * times[:, None]).sum(axis=0)
    found = []
    for i, name in enumerate(names):
        score = ClassScore(
            name,
            _share(shared[i], both[i] - there[i]),
            _share(shared[i], there[i]),
            _share(2 * shared[i], both[i]),
            int(has[ever, i].sum()),
        )
        known = thresholds[:, i][thresholds[:, i] < 1]
        found.append(
            SetClassScore(
                score,
                _share(2 * shared_half[i], both_half[i]),
                _average_precision(probabilities[:, :, i], has[:, i], tested),
                float(known.mean()) if len(known) else None,
            )
        )
    return tuple(found)


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _average_precision(
    probabilities: np.ndarray, yes: np.ndarray, tested: np.ndarray
) -> float | None:
    found = [
        float(average_precision(own[judged], yes[judged], np.ones((int(judged.sum()), 1)))[0])
        for own, judged in zip(probabilities, tested, strict=True)
    ]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else None
