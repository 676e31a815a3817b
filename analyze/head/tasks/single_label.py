"""One label a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.report import HEAD
from analyze.head.splitting.splits import Split
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.tasks.baselines import fit_nearest
from analyze.head.tasks.label_task import BASELINES, Predictor
from analyze.head.tasks.pictures import Pictures, usable_pictures
from analyze.head.training.head_training import Trained
from analyze.head.training.inputs import StageMaps
from analyze.head.training.objective import LevelTargets
from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData, UnseenPictures
from analyze.measures.levels import choose_level, no_labels
from analyze.measures.probes import fit_linear_probe
from analyze.pictures.near_duplicates import Copies
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

LOGITS, LEAVES = "logits", "leaves"


class LevelAnswers:
    """Codes at every level; of the head also the first level's logits.

    Of a tree ``leaves`` is the sum over runs of the last level's probabilities.

    Parameters
    ----------
    codes : ndarray of shape (n_levels, n_images), int
        The truth.
    n_runs, n_classes : int
        Classes of the first level.
    """

    def __init__(
        self, codes: np.ndarray, n_runs: int, n_classes: int, names: Sequence[str]
    ) -> None:
        shape = (len(codes), n_runs, codes.shape[1])
        self.codes = codes
        self.predictions = {name: np.full(shape, MISSING_LABEL) for name in names}
        self.leaves = np.zeros((codes.shape[1], 0))
        self.logits = np.full((*shape[1:], n_classes), np.nan, np.float32)

    def record(self, run: int, rows: np.ndarray, predictions: Mapping[str, Any]) -> None:
        """Record a run's predictions of its tested rows."""
        for name, own in predictions.items():
            if name == LOGITS:
                self.logits[run, rows] = own
            elif name == LEAVES:
                if not self.leaves.shape[1]:
                    self.leaves = np.zeros((len(self.leaves), own.shape[1]))
                self.leaves[rows] += own
            else:
                self.predictions[name][:, run, rows] = own

    def right(self, name: str, level: int = 0) -> np.ndarray:
        """Say where an answer is right: 1, 0, or NaN; ndarray of shape (n_runs, n_images)."""
        own = self.predictions[name][level]
        return np.where(own >= 0, own == self.codes[level], np.nan)


@dataclass(frozen=True, eq=False)
class SingleLabel:
    """The pictures that have a label at one level.

    Parameters
    ----------
    labels : Level
        Of all pictures there are.
    codes : ndarray of shape (n_levels, n_images), int
        Of the pictures; classes are numbered from 0, and each has some.
    classes : tuple of str
        Of the first level.
    """

    pictures: Pictures
    labels: Level
    codes: np.ndarray
    classes: tuple[str, ...]
    also_predicted: ClassVar[tuple[str, ...]] = ()
    """In addition to the head and its baselines."""

    @classmethod
    def of(
        cls,
        embeddings: EmbeddingSet,
        views: np.ndarray | None,
        level: str | None,
        copies: Copies | None = None,
        maps: StageMaps | None = None,
    ) -> SingleLabel:
        """Keep pictures with a label and a direction; number classes from 0.

        Raises
        ------
        UsageError
            When there is no such level, or no label.
        """
        chosen = labels_to_learn(embeddings, level)
        labelled = chosen.codes != MISSING_LABEL
        rows, pictures = usable_pictures(embeddings, views, labelled, copies, maps)
        present, codes = np.unique(chosen.codes[rows], return_inverse=True)
        classes = tuple(chosen.categories[code] for code in present)
        return cls(pictures, chosen, codes[None], classes)

    @property
    def level(self) -> str:
        """Name of the level."""
        return self.labels.name

    @property
    def targets(self) -> LevelTargets:
        """What training is given."""
        return LevelTargets(self.codes)

    @cached_property
    def splitter(self) -> StratifiedSplitter:
        """Splits by the classes of the first level."""
        return StratifiedSplitter(self.codes[0], self.pictures.groups)

    def answers(self, n_runs: int, names: Sequence[str]) -> LevelAnswers:
        """Make room for what the head and the named baselines say."""
        predictors = (HEAD, *self.also_predicted, *names)
        return LevelAnswers(self.codes, n_runs, len(self.classes), predictors)

    def baselines(
        self, training_set: TrainingData, groups: np.ndarray, seed: int
    ) -> list[Predictor]:
        """Fit logistic regression and nearest neighbors at each level."""
        vectors = training_set.features[0]
        regression, nearest = BASELINES
        linear = [
            fit_linear_probe(vectors, own, groups, seed) for own in training_set.targets.arrays
        ]
        near = [fit_nearest(vectors, own) for own in training_set.targets.arrays]
        return [
            lambda tested: {regression: np.stack([each(tested.vectors) for each in linear])},
            lambda tested: {nearest: np.stack([each(tested.vectors) for each in near])},
        ]

    def predictor(self, trained: Trained, name: str) -> Predictor:
        """Give a head's answers: the likeliest class of each output."""
        known, n_classes = trained.head.classes, len(self.classes)

        def predictions(tested: UnseenPictures) -> dict[str, np.ndarray]:
            logits = trained.logits(tested)
            codes = [of[own.argmax(axis=1)] for own, of in zip(logits, known, strict=True)]
            if name != HEAD:
                return {name: np.stack(codes)}
            spread = np.full((len(logits[0]), n_classes), -np.inf, np.float32)
            spread[:, known[0]] = logits[0]
            return {HEAD: np.stack(codes), LOGITS: spread, **self.of_logits(trained, logits)}

        return predictions

    def of_logits(self, trained: Trained, logits: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """Give what else a head's logits say."""
        return {}

    def alone(
        self, training_set: TrainingData, head: HeadSpec, training: TrainingSpec, seed: int
    ) -> list[Predictor]:
        """Nothing else is trained."""
        return []

    def notes(self, splits: Sequence[Split], final: Trained | None) -> list[str]:
        """Name classes that differ by a letter or two."""
        return list(alike_labels([self.labels]))

    def labels_of_head(self, trained: Trained) -> dict[str, Any]:
        """Give the names of its classes."""
        (known,) = trained.head.classes
        names = tuple(self.classes[code] for code in known.tolist())
        return {"classes": (names,), "levels": (self.level,), "parents": ()}

    def report(self, answers: LevelAnswers, known: Mapping[str, Any]) -> ClassReport:
        """Report answers at the first level."""
        predicted = {name: answers.predictions[name][0] for name in known["right"]}
        return ClassReport(
            **known, labels=self.codes[0], logits=answers.logits, predicted=predicted
        )


def labels_to_learn(embeddings: EmbeddingSet, level: str | None) -> Level:
    """Return the level of this name; the first by default.

    Raises
    ------
    UsageError
        When there is none, or it holds no label.
    """
    chosen = choose_level(embeddings.levels, level, embeddings.multi_labels)
    if chosen is None or not (chosen.codes != MISSING_LABEL).any():
        raise UsageError(
            f"{no_labels(embeddings.multi_labels)}, so there is nothing to train on: give extract "
            "a --manifest with a --label-column, or folders that are classes"
        )
    return chosen
