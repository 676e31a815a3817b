"""Any number of labels a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.prediction.head_file import MultilabelOutput
from analyze.head.prediction.set_tree import SetTree, grow_set_tree
from analyze.head.prediction.thresholds import EVEN, LEAST_POSITIVES, thresholds_of
from analyze.head.reporting.report import HEAD
from analyze.head.reporting.set_report import SetAnswers, SetReport
from analyze.head.reporting.set_scores import exactly_right, resamples_that_fit
from analyze.head.splitting.iterative_splits import (
    IterativeSplitter,
    enough_pictures,
    unseen_note,
)
from analyze.head.splitting.splits import N_PARTS, Split
from analyze.head.tasks.label_task import BASELINES, Predictor
from analyze.head.tasks.pictures import Pictures, usable_pictures
from analyze.head.tasks.set_baselines import fit_one_against_rest, fit_shares
from analyze.head.training.head_training import Trained
from analyze.head.training.inputs import StageMaps
from analyze.head.training.objective import ClassSets
from analyze.head.training.probabilities import sigmoid
from analyze.head.training.spec import HeadSpec, Plan, TrainingSpec
from analyze.head.training.training_set import TrainingData, UnseenPictures
from analyze.pictures.near_duplicates import Copies
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

NEVER = 1.0
"""The threshold of a class that a head was not trained on: its probability is 0."""


class ProbabilityAnswers:
    """Probabilities and thresholds of every class, of the head and each baseline.

    Parameters
    ----------
    has : ndarray of shape (n_images, n_classes), bool
        The truth.
    tree : SetTree
        Of the classes: no answer contradicts it.
    """

    def __init__(self, has: np.ndarray, tree: SetTree, n_runs: int, names: Sequence[str]) -> None:
        shape = (n_runs, *has.shape)
        self.has, self.tree = has, tree
        self.of = {
            name: SetAnswers(
                np.full(shape, np.nan, np.float32),
                *(np.zeros(shape, bool), np.zeros(shape, bool), []),
                contradicting=np.zeros(shape[:2], bool),
            )
            for name in names
        }

    def record(self, run: int, rows: np.ndarray, predictions: Mapping[str, Any]) -> None:
        """Record a run's predictions of its tested rows."""
        raised = self.tree.raised
        for name, (given, thresholds) in predictions.items():
            own, probabilities, alone = self.of[name], raised(given), given >= thresholds
            own.probabilities[run, rows] = probabilities
            own.predictions[run, rows] = raised(probabilities >= thresholds)
            own.at_half[run, rows] = probabilities >= EVEN
            own.contradicting[run, rows] = (raised(alone) != alone).any(axis=1)
            own.thresholds.append(thresholds)

    def right(self, name: str) -> np.ndarray:
        """Return where every class is right: 1, 0, or NaN."""
        own = self.of[name]
        return exactly_right(own.predictions, self.has, ~np.isnan(own.probabilities[:, :, 0]))


@dataclass(frozen=True, eq=False)
class MultipleLabels:
    """The pictures that have any of some classes.

    Parameters
    ----------
    labels : MultiLabel
        Of all pictures there are; of several levels the first.
    has : ndarray of shape (n_images, n_classes), bool
        Of the pictures, and of the classes that are kept.
    tree : SetTree
        Of these classes.
    """

    pictures: Pictures
    labels: MultiLabel
    has: np.ndarray
    tree: SetTree
    plan: Plan

    @classmethod
    def of(
        cls,
        embeddings: EmbeddingSet,
        views: np.ndarray | None,
        labels: MultiLabel,
        plan: Plan,
        copies: Copies | None = None,
        maps: StageMaps | None = None,
    ) -> MultipleLabels:
        """Keep pictures with a label and a direction, and classes of enough pictures.

        Raises
        ------
        UsageError
            When there are fewer than two classes, the plan does not go with such labels, or the
            columns trained on together are no tree.
        """
        columns = _columns_from(labels, embeddings.multi_labels, plan.n_levels)
        has = np.concatenate([own.matrix() for own in columns], axis=1)
        labelled: np.ndarray = np.asarray(has.any(axis=1))
        rows, pictures = usable_pictures(embeddings, views, labelled, copies, maps)
        kept, note = _kept_classes(has[rows], pictures.groups, plan)
        has = has[np.ix_(rows, kept)]
        places = np.flatnonzero(has.any(axis=1))
        pictures = pictures.take(places, "labels of too few pictures")
        pictures = replace(pictures, notes=(*pictures.notes, *note))
        tree = SetTree(tuple(c.name for c in columns), tuple(c.categories for c in columns))
        tree = grow_set_tree(tree.take(kept), has[places], pictures.embeddings.ids)
        return cls(pictures, labels, has[places], tree, plan)

    @property
    def level(self) -> str:
        """Name of the column; of several the first."""
        return self.labels.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, of several levels with theirs."""
        return self.tree.spelled

    @property
    def targets(self) -> ClassSets:
        """What training is given."""
        return ClassSets(self.has)

    @cached_property
    def splitter(self) -> IterativeSplitter:
        """Splits by all classes."""
        return IterativeSplitter(self.has, self.pictures.groups)

    def answers(self, n_runs: int, names: Sequence[str]) -> ProbabilityAnswers:
        """Make room for what the head and the named baselines say."""
        return ProbabilityAnswers(self.has, self.tree, n_runs, (HEAD, *names))

    def baselines(
        self, training_set: TrainingData, groups: np.ndarray, seed: int
    ) -> list[Predictor]:
        """Fit a regression a class, and nearest neighbors, with votes as shares."""
        vectors, (has,) = training_set.features[0], training_set.targets.arrays
        regression, nearest = BASELINES
        linear, thresholds = fit_one_against_rest(vectors, has, groups, seed)
        shares, halves = fit_shares(vectors, has), np.full(has.shape[1], EVEN)
        return [
            lambda tested: {regression: (linear(tested.vectors), thresholds)},
            lambda tested: {nearest: (shares(tested.vectors), halves)},
        ]

    def predictor(self, trained: Trained, name: str) -> Predictor:
        """Put a head's answers at the places of its classes; others are never predicted."""
        (known,) = trained.head.classes
        thresholds = np.full(len(self.classes), NEVER)
        thresholds[known] = thresholds_of(trained)

        def predictions(tested: UnseenPictures) -> dict[str, Any]:
            found = np.zeros((len(tested.vectors), len(self.classes)))
            found[:, known] = sigmoid(trained.logits(tested)[0] / trained.temperatures[0])
            return {name: (found, thresholds)}

        return predictions

    def alone(
        self, training_set: TrainingData, head: HeadSpec, training: TrainingSpec, seed: int
    ) -> list[Predictor]:
        """Nothing else is trained."""
        return []

    def notes(self, splits: Sequence[Split], final: Trained | None) -> list[str]:
        """Say which classes are unseen, or too rare for a threshold."""
        few = self._few_note(final) if final else ()
        return [*unseen_note(self.has, splits, self.classes), *few]

    def labels_of_head(self, trained: Trained) -> dict[str, Any]:
        """Give the names of its classes, their thresholds, and how a set is spelled."""
        thresholds = tuple(thresholds_of(trained).tolist())
        return {
            **vars(self.tree.take(trained.head.classes[0])),
            "multilabel": MultilabelOutput(thresholds, self.labels.separator),
        }

    def report(self, answers: ProbabilityAnswers, known: Mapping[str, Any]) -> SetReport:
        """Report answers."""
        report = SetReport(
            **known,
            separator=self.labels.separator,
            has=self.has,
            tree=self.tree,
            answers=answers.of,
        )
        largest, wanted = int(report.tested.sum(axis=1).max()), self.plan.n_resamples
        fewer = resamples_that_fit(len(report.tested), largest, len(self.classes), wanted)
        if fewer == wanted:
            return report
        note = f"intervals of the average precision are of {fewer} resamples: time"
        return replace(report, notes=(*report.notes, note))

    def _few_note(self, final: Trained) -> tuple[str, ...]:
        """Note how many classes have no threshold of their own, and a remedy."""
        counts = final.validation_labels[0].sum(axis=0)
        n_few = int((counts < LEAST_POSITIVES).sum())
        if not n_few:
            return ()
        weighted = self.plan.training.class_weights
        more = "" if weighted else "; --class-weights predicts rare labels more often"
        return (
            f"{n_few} of {len(counts)} classes have fewer than {LEAST_POSITIVES} validation "
            f"pictures: their threshold is a half{more}",
        )


def choose_multi_label(
    embeddings: EmbeddingSet, wanted: str | None, n_levels: int = 1
) -> MultiLabel | None:
    """Find the column of several labels that is meant; None where a level is.

    Parameters
    ----------
    wanted : str or None
        A name, or a number where there are no levels; without it the only column, if no level is
        there.
    n_levels : int
        Of several that are trained together the first is meant.

    Raises
    ------
    UsageError
        When there is none of that name and no level either, or several could be meant.
    """
    columns = embeddings.multi_labels
    by_name = {own.name: own for own in columns}
    if wanted in by_name:
        return by_name[wanted]
    if embeddings.levels or not columns:
        return None
    by_name = {str(number): own for number, own in enumerate(columns, start=1)}
    if wanted in by_name:
        return by_name[wanted]
    have = ", ".join(own.name for own in columns)
    if wanted is not None:
        raise UsageError(f"no level {wanted!r}: this catalogue has {have}; name one with --level")
    if len(columns) > 1 and n_levels == 1:
        raise UsageError(
            f"several columns of labels, say which with --level: {have}; or train them together, "
            f"where they are a tree, with --levels {len(columns)}"
        )
    return columns[0]


def _columns_from(
    first: MultiLabel, there: tuple[MultiLabel, ...], n_levels: int
) -> tuple[MultiLabel, ...]:
    """Take a column and those below it that are trained together."""
    found = there[there.index(first) :][:n_levels]
    if len(found) < n_levels:
        raise UsageError(
            f"--levels {n_levels} trains a tree of {n_levels} columns: column {first.name} lists "
            f"several labels a picture, and {len(found) - 1} below it do; give fewer, or leave "
            "--levels out"
        )
    return found


def _kept_classes(
    has: np.ndarray, groups: np.ndarray, plan: Plan
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes that can be trained and tested on; note what is left out."""
    there = has.any(axis=0)
    if there.sum() < 2:
        raise UsageError("one class alone: there is nothing to tell apart")
    n_parts = 1 if plan.split_column else plan.n_folds or N_PARTS
    enough = enough_pictures(has, groups, n_parts)
    kept = np.flatnonzero(there & enough)
    if len(kept) < 2:
        raise UsageError(
            f"fewer than two classes of {n_parts} different pictures, which {n_parts} parts need: "
            "label more pictures"
        )
    n_lost = int((there & ~enough).sum())
    if not n_lost:
        return kept, ()
    note = f"{n_lost} classes left out: they have fewer than {n_parts} different pictures"
    # what stands above a class has at least its pictures
    levels = ", so do all that stand below them" if plan.n_levels > 1 else ""
    return kept, (note + levels,)
