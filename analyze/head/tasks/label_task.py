"""What a kind of labels must say of itself, so that heads can be trained and tested on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from analyze.head.reporting.report import HeadReport
from analyze.head.splitting.splits import Split, Splitter
from analyze.head.tasks.pictures import Pictures
from analyze.head.training.head_training import Trained
from analyze.head.training.objective import Targets
from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData, UnseenPictures

BASELINES = ("logistic_regression", "knn")
FROZEN = "frozen_head"
"""The same head on the frozen backbone: what a trained last stage is held against."""

UNLIKE = "unlike"
"""Key of the predictions that mark pictures unlike all trained on."""

Predictor = Callable[[UnseenPictures], Mapping[str, Any]]
"""From test pictures to predictions, by the name of what predicts."""


def finding_unlike(trained: Trained, training_set: TrainingData) -> Predictor:
    """Return the predictor of pictures unlike all that a head was trained on."""
    known = trained.training_vectors(training_set)
    return lambda tested: {UNLIKE: known.unlike(tested.by(trained.stage))}


class Answers(Protocol):
    """What head and baselines say of each tested picture, run by run."""

    def record(self, run: int, rows: np.ndarray, predictions: Mapping[str, Any]) -> None:
        """Record a run's predictions of its tested rows."""

    def right(self, name: str) -> np.ndarray:
        """Return where all is right: 1, 0, or NaN; ndarray of shape (n_runs, n_images)."""


class LabelTask(Protocol):
    """The pictures that can be trained and tested on, and their labels."""

    @property
    def pictures(self) -> Pictures:
        """Their vectors, and what is known of them."""

    @property
    def level(self) -> str:
        """Name of the level, or of the column of several labels."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def targets(self) -> Targets:
        """What training is given."""

    @property
    def splitter(self) -> Splitter:
        """What splits the pictures."""

    def answers(self, n_runs: int, names: Sequence[str]) -> Answers:
        """Make room for what the head and the named baselines say."""

    def baselines(
        self, training_set: TrainingData, groups: np.ndarray, seed: int
    ) -> list[Predictor]:
        """Fit what the head is held against."""

    def predictor(self, trained: Trained, name: str) -> Predictor:
        """Return a predictor of a head's answers under a name."""

    def alone(
        self, training_set: TrainingData, head: HeadSpec, training: TrainingSpec, seed: int
    ) -> list[Predictor]:
        """Train what else is held against a head of one seed."""

    def notes(self, splits: Sequence[Split], final: Trained | None) -> list[str]:
        """Say what a reader has to know of labels and splits."""

    def labels_of_head(self, trained: Trained) -> dict[str, Any]:
        """Give what a head's logits stand for, as fields of :class:`StoredHead`."""

    def report(self, answers: Any, known: Mapping[str, Any]) -> HeadReport:
        """Report answers; ``known`` are the fields that all reports share."""
