"""What is known of a head: accuracy on tested pictures, beside baselines, and its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.head.evaluation import ClassScore, Estimate
from analyze.head.splits import Split
from analyze.head.training import Trained


@dataclass(frozen=True, eq=False)
class HeadRun:
    """One head, taught on one split with one seed.

    Parameters
    ----------
    split : Split
    shuffle, fold : int
        From 0; both 0 without folds.
    seed : int
        Of the training.
    trained : Trained
    accuracy : float
        On the tested rows.
    baselines : mapping of str to float
        Accuracy on the same rows.
    """

    split: Split
    shuffle: int
    fold: int
    seed: int
    trained: Trained
    accuracy: float
    baselines: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            **self.split.to_json(),
            "shuffle": self.shuffle,
            "fold": self.fold,
            "training_seed": self.seed,
            "accuracy": self.accuracy,
            "baselines": dict(self.baselines),
            "best_epoch": self.trained.best_epoch,
            "stopped_epoch": self.trained.stopped_epoch,
            "seconds": self.trained.seconds,
        }


@dataclass(frozen=True, eq=False)
class HeadReport:
    """How good a head is on pictures it was not taught.

    Parameters
    ----------
    model, identity, weights : str
    level : str
    classes : tuple of str
        Those of tested or taught pictures.
    ids : tuple of str
        The labelled pictures; row i of the arrays below is about ``ids[i]``.
    labels : ndarray of shape (n_images,), int
        Places in ``classes``.
    groups : ndarray of shape (n_images,), int
    runs : tuple of HeadRun
    logits : ndarray of shape (n_shuffles or n_seeds, n_images, n_classes), float32
        Of heads that were not taught the picture; NaN where it was not tested, -inf for a class
        that the head does not know.
    predicted : mapping of str to ndarray of shape (n_shuffles or n_seeds, n_images), int
        Of ``head`` and each baseline; -1 where a picture was not tested.
    accuracy, difference : Estimate
        The difference is head minus logistic regression, picture by picture.
    baselines, baseline_differences : mapping of str to Estimate
        The differences are head minus baseline.
    scores : tuple of ClassScore
    confusion : ndarray of shape (n_classes, n_classes), int
    leaks : mapping
    settings : mapping
        Of the head and its training, as typed or by default.
    split : mapping
    n_views : int
    left_out : mapping of str to int
    notes : tuple of str
    """

    model: str
    identity: str
    weights: str
    level: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray
    groups: np.ndarray
    runs: tuple[HeadRun, ...]
    logits: np.ndarray
    predicted: Mapping[str, np.ndarray]
    accuracy: Estimate
    baselines: Mapping[str, Estimate]
    baseline_differences: Mapping[str, Estimate]
    scores: tuple[ClassScore, ...]
    confusion: np.ndarray
    leaks: Mapping[str, int | float]
    settings: Mapping[str, Any]
    split: Mapping[str, Any]
    n_views: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> Estimate:
        """Head minus logistic regression, on the same pictures."""
        return self.baseline_differences["logistic_regression"]

    def to_json(self) -> dict[str, Any]:
        """Spell the report with the keys that programs read."""
        return {
            "model": self.model,
            "identity": self.identity,
            "weights": self.weights,
            "n_images": len(self.ids),
            "n_views": self.n_views,
            "left_out": sum(self.left_out.values()),
            "left_out_by_reason": dict(self.left_out),
            "level": self.level,
            "settings": dict(self.settings),
            "split": dict(self.split),
            "folds": [run.to_json() for run in self.runs],
            "accuracy": self.accuracy.to_json(),
            "baselines": {
                name: {
                    "accuracy": estimate.mean,
                    "low": estimate.low,
                    "high": estimate.high,
                    "difference": self.baseline_differences[name].to_json(),
                }
                for name, estimate in self.baselines.items()
            },
            "difference": self.difference.to_json(),
            "against": [],
            "calibration": None,
            "classes": [score.to_json() for score in self.scores],
            "confusion": {"classes": list(self.classes), "counts": self.confusion.tolist()},
            "leaks": dict(self.leaks),
            "head": None,
            "notes": list(self.notes),
        }
