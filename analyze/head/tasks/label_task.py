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
from analyze.head.training.taught import Taught, UnseenPictures

BASELINES = ("logistic_regression", "knn")
FROZEN = "frozen_head"
"""The same head on the frozen backbone: what a trained last stage is held against."""

UNLIKE = "unlike"
"""What is said, beside the labels, of pictures that resemble none trained on."""

Predictor = Callable[[UnseenPictures], Mapping[str, Any]]
"""From tested pictures to what is said of them, by the name of who says it."""


def finding_unlike(trained: Trained, taught: Taught) -> Predictor:
    """Give what says which pictures are unlike all that a head was trained on."""
    known = trained.training_vectors(taught)
    return lambda tested: {UNLIKE: known.unlike(tested.by(trained.stage))}


class Answers(Protocol):
    """What head and baselines say of each tested picture, run by run."""

    def record(self, run: int, rows: np.ndarray, said: Mapping[str, Any]) -> None:
        """Write down what a run says of its tested rows."""

    def right(self, name: str) -> np.ndarray:
        """Say where all is told right: 1, 0, or NaN; ndarray of shape (n_runs, n_images)."""


class LabelTask(Protocol):
    """The pictures that can be taught and tested, and what their labels are."""

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

    def baselines(self, taught: Taught, groups: np.ndarray, seed: int) -> list[Predictor]:
        """Fit what the head is held against."""

    def predictor(self, trained: Trained, name: str) -> Predictor:
        """Give what says a head's answers under a name."""

    def alone(
        self, taught: Taught, head: HeadSpec, training: TrainingSpec, seed: int
    ) -> list[Predictor]:
        """Train what else is held against a head of one seed."""

    def notes(self, splits: Sequence[Split], final: Trained | None) -> list[str]:
        """Say what a reader has to know of labels and splits."""

    def report(self, answers: Any, known: Mapping[str, Any]) -> HeadReport:
        """Report answers; ``known`` are the fields that all reports share."""
