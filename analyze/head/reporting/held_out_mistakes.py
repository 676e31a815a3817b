"""Mistakes on pictures that the heads which made them were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

MOST_KEPT = 1000
"""Mistakes that are listed; all of them are counted."""

LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Mistake:
    """A picture with a wrong prediction.

    Parameters
    ----------
    labels, predicted : tuple of str
        The truth and the prediction: one class each, or any number of labels.
    probability : float
        Of the truth; of several labels, that all of them are right.
    worst_label : str
        The wrong prediction; of several labels the one with the largest loss.
    worst_label_probability : float
        Of that class.
    """

    id: str
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float
    worst_label: str
    worst_label_probability: float


@dataclass(frozen=True)
class HeldOutMistakes:
    """Mistakes on pictures that were not trained on, at one level.

    Parameters
    ----------
    mistakes : tuple of Mistake
        The least probable truth first, at most ``MOST_KEPT``.
    """

    level: str
    n_images: int
    n_errors: int
    mistakes: tuple[Mistake, ...]

    def to_json(self) -> dict[str, Any]:
        """Spell it as a head's file keeps it."""
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> HeldOutMistakes:
        """Read what :meth:`to_json` spelled."""
        return cls(
            str(content["level"]),
            int(content["n_images"]),
            int(content["n_errors"]),
            tuple(
                Mistake(
                    str(each["id"]),
                    tuple(map(str, each["labels"])),
                    tuple(map(str, each["predicted"])),
                    float(each["probability"]),
                    str(each["worst_label"]),
                    float(each["worst_label_probability"]),
                )
                for each in content["mistakes"]
            ),
        )


def class_mistakes(
    level: str,
    probabilities: np.ndarray,
    answers: np.ndarray,
    labels: Sequence[str | None],
    ids: Sequence[str],
    classes: Sequence[str],
) -> HeldOutMistakes:
    """Find mistakes of one class a picture, the least probable truth first.

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
        NaN where a picture was not tested.
    answers : ndarray of shape (n_images,), int
        Places in ``classes``.
    labels : sequence of (str or None)
        The truth; a class that is not among the classes has the probability 0.
    """
    places = {name: i for i, name in enumerate(classes)}
    judged = ~np.isnan(probabilities).any(axis=1) & np.array([name is not None for name in labels])
    code = np.array([places.get(name or "", -1) for name in labels], int)
    own = np.where(code >= 0, probabilities[np.arange(len(ids)), code], 0.0)
    wrong = np.flatnonzero(judged & (answers != code))
    order = wrong[np.argsort(own[wrong], kind="stable")]
    mistakes = tuple(
        Mistake(
            ids[i],
            (labels[i] or "",),
            (classes[answers[i]],),
            float(own[i]),
            classes[answers[i]],
            float(probabilities[i, answers[i]]),
        )
        for i in order[:MOST_KEPT].tolist()
    )
    return HeldOutMistakes(level, int(judged.sum()), len(wrong), mistakes)


def set_mistakes(
    level: str,
    probabilities: np.ndarray,
    predictions: np.ndarray,
    has: np.ndarray,
    ids: Sequence[str],
    classes: Sequence[str],
) -> HeldOutMistakes:
    """Return the sets of labels with mistakes, the largest loss first.

    Parameters
    ----------
    probabilities : ndarray of shape (n_runs, n_images, n_classes)
        NaN where a run did not ask about a picture.
    predictions : ndarray of shape (n_runs, n_images, n_classes), bool
        A label counts as predicted where more than half of the runs predict it.
    has : ndarray of shape (n_images, n_classes), bool
    """
    times = (~np.isnan(probabilities[:, :, 0])).sum(axis=0)
    judged, runs = times > 0, np.maximum(times, 1)[:, None]
    loss, mean = np.zeros(has.shape), np.zeros(has.shape)
    for own in np.nan_to_num(probabilities, nan=-1.0):
        there = own[:, :1] >= 0
        of_truth = np.where(has, own, 1.0 - own).astype(np.float64)
        loss -= np.where(there, np.log(np.clip(of_truth, LEAST_PROBABILITY, 1)), 0) / runs
        mean += np.where(there, own, 0) / runs
    by_most = 2 * predictions.sum(axis=0) > times[:, None]
    odd = by_most != has
    wrong = np.flatnonzero(judged & odd.any(axis=1))
    total = loss.sum(axis=1)
    order = wrong[np.argsort(-total[wrong], kind="stable")]
    worst = np.where(odd, loss, -1.0).argmax(axis=1)

    def named(row: np.ndarray) -> tuple[str, ...]:
        return tuple(classes[c] for c in np.flatnonzero(row).tolist())

    mistakes = tuple(
        Mistake(
            ids[i],
            named(has[i]),
            named(by_most[i]),
            float(np.exp(-total[i])),
            classes[worst[i]],
            float(mean[i, worst[i]]),
        )
        for i in order[:MOST_KEPT].tolist()
    )
    return HeldOutMistakes(level, int(judged.sum()), len(wrong), mistakes)
