"""What is known of heads of one label a picture, and of levels of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from analyze.head.reporting.calibration import Calibration, calibrate
from analyze.head.reporting.class_scores import ClassScore, count_confusion, score_classes
from analyze.head.reporting.held_out_mistakes import HeldOutMistakes, class_mistakes
from analyze.head.reporting.report import HEAD, HeadReport
from analyze.head.reporting.suspects import Suspect, find_suspects
from analyze.head.reporting.tree_report import TreeReport
from analyze.head.training.probabilities import softmax
from analyze.measures.estimates import Estimate

MOST_SUSPECTS = 20
"""Of those that are shown; the table holds all."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassReport(HeadReport):
    """How good a head of one label a picture is on pictures it was not trained on.

    Parameters
    ----------
    As of :class:`HeadReport`, and:
    labels : ndarray of shape (n_images,), int
        Places in ``classes``.
    logits : ndarray of shape (n_shuffles or n_seeds, n_images, n_classes), float32
        Of heads that were not trained on the picture; NaN where it was not tested, -inf for a class
        that the head does not know.
    predicted : mapping of str to ndarray of shape (n_shuffles or n_seeds, n_images), int
        Of ``head`` and each baseline; -1 where a picture was not tested.
    tree : TreeReport or None
        Where several levels were trained together; the rest of the report is of the first.
    """

    labels: np.ndarray
    logits: np.ndarray
    predicted: Mapping[str, np.ndarray]
    tree: TreeReport | None = None

    @cached_property
    def confusion(self) -> np.ndarray:
        """Count answers by class and predicted class; ndarray of shape (n_classes, n_classes)."""
        return count_confusion(self.labels, self.predicted[HEAD], len(self.classes))

    @cached_property
    def scores(self) -> tuple[ClassScore, ...]:
        """How each class fares."""
        tested = self.labels[self.tested.any(axis=0)]
        n_tested = np.bincount(tested, minlength=len(self.classes))
        return score_classes(self.confusion, self.classes, n_tested.tolist())

    @cached_property
    def calibration(self) -> Calibration:
        """Probabilities of tested pictures held against the truth; each head its temperature."""
        warm, cold, right, temperatures = [], [], [], []
        for run in self.runs:
            rows, temperature = run.split.test, run.trained.temperatures[0]
            logits = self.logits[run.place, rows]
            warm.append(softmax(logits / temperature).max(axis=1))
            cold.append(softmax(logits).max(axis=1))
            right.append(logits.argmax(axis=1) == self.labels[rows])
            temperatures.append(temperature)
        return calibrate(warm, cold, right, temperatures)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated, the mean of the heads that were not trained on the picture.

        Returns
        -------
        ndarray of shape (n_images, n_classes), float64
            NaN where a picture was never tested.
        """
        total, times = np.zeros(self.logits.shape[1:]), np.zeros(len(self.ids))
        for run in self.runs:
            rows = run.split.test
            total[rows] += softmax(self.logits[run.place, rows] / run.trained.temperatures[0])
            times[rows] += 1
        times[times == 0] = np.nan
        return total / times[:, None]

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """Likely label errors: labels that heads not trained on them do not predict."""
        return find_suspects(self.probabilities, self.labels, self.ids, self.classes)

    def differences_to(self, other: Self) -> dict[str, Estimate]:
        """Return the differences at the levels of a tree, where several were trained together."""
        if self.tree is None or other.tree is None:
            return {}
        return self.tree.differences_to(other.tree, self.groups, **self.plan.resampling)

    @property
    def held_out(self) -> tuple[HeldOutMistakes, ...]:
        """Mistakes by the mean probabilities of the heads that were not trained on the picture."""
        if self.tree is not None:
            return self.tree.held_out(self.ids)
        own = self.probabilities
        about = (self.spelled_labels(), self.ids, self.classes)
        return (class_mistakes(self.level, own, own.argmax(axis=1), *about),)

    def spelled_labels(self) -> list[str]:
        """Spell the class of each picture."""
        return [self.classes[code] for code in self.labels.tolist()]

    def spelled_answers(self, name: str = HEAD) -> list[list[str]]:
        """Return the predicted class of each picture, run by run; empty where none is."""
        names = (*self.classes, "")  # -1 is the last
        return [[names[code] for code in run] for run in self.predicted[name].tolist()]

    def scores_json(self) -> dict[str, Any]:
        """Spell the accuracy."""
        return {"accuracy": self.accuracy.to_json()}

    def details_json(self) -> dict[str, Any]:
        """Spell each class, the confusion, likely label errors, and the levels of a tree."""
        return {
            "classes": [score.to_json() for score in self.scores],
            "confusion": {"classes": list(self.classes), "counts": self.confusion.tolist()},
            "suspects": [suspect.to_json() for suspect in self.suspects[:MOST_SUSPECTS]],
            "n_suspects": len(self.suspects),
            **(self.tree.to_json() if self.tree else {}),
        }
