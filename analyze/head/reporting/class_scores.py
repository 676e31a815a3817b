"""What answers on tested pictures are worth: accuracy, paired differences, scores a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analyze.measures.bootstrap import interval, resampled_weights
from analyze.measures.estimates import LEAST_UNITS, Estimate


@dataclass(frozen=True)
class ClassScore:
    """How one class fares.

    Parameters
    ----------
    precision, recall, f1 : float or None
        None where nothing was predicted, or nothing tested.
    n : int
        Pictures of it that were tested.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        scores = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {"class": self.name, **scores, "n": self.n}


def f1_over_pictures(
    shared: np.ndarray,
    both: np.ndarray,
    groups: np.ndarray,
    *,
    minus: tuple[np.ndarray, np.ndarray] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Reckon F1 over all labels of all pictures, or the difference of two; pictures are resampled.

    Parameters
    ----------
    shared : ndarray of shape (n_images,), number
        Labels of a picture that answers and truth have in common, summed over the runs.
    both : ndarray of shape (n_images,), number
        Labels of its answers and of its truth together.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    minus : pair of ndarray, optional
        The same of another's answers, to take off its F1.
    """
    counts = [(shared, both), *([] if minus is None else [minus])]
    rows = np.flatnonzero(sum(of for _, of in counts))
    scores = [partial(_pooled_f1, own[rows], of[rows]) for own, of in counts]
    return resampled_estimate(scores, groups[rows], n_resamples=n_resamples, seed=seed)


def _pooled_f1(shared: np.ndarray, both: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(2 * (shared @ weights) / (both @ weights))


def resampled_estimate(
    scores: Sequence[Callable[[np.ndarray], np.ndarray]],
    groups: np.ndarray,
    *,
    n_resamples: int,
    seed: int,
) -> Estimate:
    """Reckon a score of pictures, or the difference of two, and of resamples of the pictures.

    Parameters
    ----------
    scores : sequence of callable
        From weights of shape (n_images, n_resamples), how often each picture counts, to a number
        from 0 to 1 for each column.
    groups : ndarray of shape (n_images,), int
        Copies have one number, and are drawn together.
    """

    def reckoned(weights: np.ndarray) -> np.ndarray:
        first, *second = (score(weights) for score in scores)
        return first - second[0] if second else first

    mean = float(reckoned(np.ones((len(groups), 1)))[0])
    if len(np.unique(groups)) < LEAST_UNITS:
        return Estimate(mean, None, None)
    drawn = [
        reckoned(weights.astype(np.float64))
        for weights in resampled_weights(groups, n_resamples, seed)
    ]
    low, high = interval(mean, np.concatenate(drawn))
    return Estimate(mean, max(low, 1.0 - len(scores)), min(high, 1.0))


def count_confusion(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count tested pictures by class and by predicted class, over all runs.

    Parameters
    ----------
    labels : ndarray of shape (n_images,), int
    predicted : ndarray of shape (n_runs, n_images), int
        -1 where a run did not test a picture.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), int64
        A row a class, a column a predicted class.
    """
    counts = np.zeros((n_classes, n_classes), np.int64)
    for answers in predicted:
        tested = answers >= 0
        np.add.at(counts, (labels[tested], answers[tested]), 1)
    return counts


def score_classes(
    counts: np.ndarray, names: Sequence[str], n_tested: Sequence[int]
) -> tuple[ClassScore, ...]:
    """Reckon precision, recall and F1 of each class from a confusion.

    Parameters
    ----------
    counts : ndarray of shape (n_classes, n_classes), int
    n_tested : sequence of int
        Different pictures of each class that were tested.
    """
    scores = []
    for i, name in enumerate(names):
        right, judged, n_predicted = (
            int(counts[i, i]),
            int(counts[i].sum()),
            int(counts[:, i].sum()),
        )
        both = judged + n_predicted
        scores.append(
            ClassScore(
                name,
                right / n_predicted if n_predicted else None,
                right / judged if judged else None,
                2 * right / both if both else None,
                int(n_tested[i]),
            )
        )
    return tuple(scores)
