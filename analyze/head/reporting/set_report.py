"""Report of multilabel heads: their sets of labels, next to baselines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from analyze.head.prediction.head_file import MULTI_LABEL
from analyze.head.prediction.predictions import sureness
from analyze.head.prediction.set_tree import SetTree
from analyze.head.reporting.calibration import Calibration, calibrate
from analyze.head.reporting.held_out_mistakes import HeldOutMistakes, set_mistakes
from analyze.head.reporting.report import HEAD, HeadReport
from analyze.head.reporting.set_class_scores import SetClassScore, score_set_classes
from analyze.head.reporting.set_scores import SCORES, SetScores, exactly_right, score_sets
from analyze.head.training.probabilities import sigmoid
from analyze.measures.estimates import Estimate


@dataclass(frozen=True, eq=False)
class SetAnswers:
    """Predictions of the head, or of a baseline, of each tested picture, run by run.

    Parameters
    ----------
    probabilities : ndarray of shape (n_runs, n_images, n_classes), float32
        NaN where a run did not test a picture.
    predictions : ndarray of shape (n_runs, n_images, n_classes), bool
        By the thresholds.
    at_half : ndarray of shape (n_runs, n_images, n_classes), bool
        By a half for every class.
    thresholds : list of ndarray of shape (n_classes,)
        Of each training.
    contradicting : ndarray of shape (n_runs, n_images), bool
        Where the tree of several levels alters what the thresholds say.
    """

    probabilities: np.ndarray
    predictions: np.ndarray
    at_half: np.ndarray
    thresholds: list[np.ndarray]
    contradicting: np.ndarray

    def of(self, part: slice) -> SetAnswers:
        """Return the predictions of some classes."""
        return SetAnswers(
            *(
                self.probabilities[:, :, part],
                self.predictions[:, :, part],
                self.at_half[:, :, part],
            ),
            *([own[part] for own in self.thresholds], self.contradicting),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class SetReport(HeadReport):
    """How good a multilabel head is on pictures that it was not trained on.

    Scores are of all classes together, also where they are of several levels.

    Parameters
    ----------
    As of :class:`HeadReport`, and:
    separator : str
        What stands between the labels of a picture.
    has : ndarray of shape (n_images, n_classes), bool
    tree : SetTree
        Of the classes.
    answers : mapping of str to SetAnswers
        Of ``head`` and each baseline.
    """

    separator: str
    has: np.ndarray
    tree: SetTree
    answers: Mapping[str, SetAnswers]

    @property
    def accuracies(self) -> dict[str, Estimate]:
        """Share of the pictures with every class right, of head and baselines."""
        return {name: own.accuracy for name, own in self.scores.items()}

    @cached_property
    def scores(self) -> dict[str, SetScores]:
        """At the thresholds, of the head and each baseline."""
        about = (self.has, self.tested, self.groups)
        return {
            name: score_sets((own.predictions, own.probabilities), *about, **self.plan.resampling)
            for name, own in self.answers.items()
        }

    def differences_to(self, other: Self) -> dict[str, Estimate]:
        """Give the F1 of both kinds and the mean average precision minus another's, paired."""
        own, others = (
            (each.predictions, each.probabilities)
            for each in (self.answers[HEAD], other.answers[HEAD])
        )
        about = (self.has, self.tested, self.groups)
        found = score_sets(own, *about, minus=others, **self.plan.resampling)
        return {name: getattr(found, name) for name in SCORES if name != "accuracy"}

    @cached_property
    def scores_at_half(self) -> dict[str, SetScores]:
        """At a half for every class."""
        about = (self.has, self.tested, self.groups)
        return {
            name: score_sets(
                (own.at_half, own.probabilities),
                *about,
                by_probability=self.scores[name].mean_average_precision,
                **self.plan.resampling,
            )
            for name, own in self.answers.items()
        }

    @cached_property
    def class_scores(self) -> dict[str, tuple[SetClassScore, ...]]:
        """How each class fares, of the head and each baseline."""
        return {
            name: score_set_classes(
                *(own.probabilities, own.predictions, own.at_half, np.stack(own.thresholds)),
                *(self.has, self.tested, self.classes),
            )
            for name, own in self.answers.items()
        }

    @cached_property
    def levels(self) -> tuple[SetReport, ...]:
        """The report of each level's classes alone; nothing where there is one level."""
        tree = self.tree
        each = zip(tree.levels, tree.classes, tree.parts, strict=True)
        return tuple(itertools.starmap(self._of_level, each)) if len(tree.levels) > 1 else ()

    def _of_level(self, level: str, classes: tuple[str, ...], part: slice) -> SetReport:
        has, answers = self.has[:, part], {k: own.of(part) for k, own in self.answers.items()}
        return replace(
            self,
            level=level,
            classes=classes,
            has=has,
            tree=SetTree((level,), (classes,)),
            answers=answers,
            right={
                k: exactly_right(own.predictions, has, self.tested) for k, own in answers.items()
            },
        )

    @property
    def contradicted(self) -> float:
        """Share of the head's answers that would contradict the tree if nothing altered them."""
        return float(self.answers[HEAD].contradicting.sum() / self.tested.sum())

    @cached_property
    def calibration(self) -> Calibration:
        """Every answer, a picture and a class, held against the truth; whole sets for coverage."""
        answers, has = self.answers[HEAD], self.has
        temperatures = [run.trained.temperatures[0] for run in self.runs]
        warm, cold, yes, sure, right = [], [], [], [], []
        for run, temperature in zip(self.runs, temperatures, strict=True):
            place, rows = run.place, run.split.test
            (known_classes,) = run.trained.head.classes
            own = answers.probabilities[place, rows].astype(np.float64)[:, known_classes]
            predictions = answers.predictions[place, rows]
            warm.append(own.ravel())
            cold.append(sigmoid(temperature * _logit(own)).ravel())
            yes.append(has[np.ix_(rows, known_classes)].ravel())
            sure.append(sureness(own, predictions[:, known_classes]))
            right.append((predictions == has[rows]).all(axis=1))
        return calibrate(warm, cold, yes, temperatures, of_pictures=(sure, right))

    @property
    def held_out(self) -> tuple[HeldOutMistakes, ...]:
        """Sets predicted wrong by most of the heads that were not trained on the picture."""
        return tuple(
            set_mistakes(
                *(own.level, own.answers[HEAD].probabilities, own.answers[HEAD].predictions),
                *(own.has, own.ids, own.classes),
            )
            for own in self.levels or (self,)
        )

    def spelled_labels(self) -> list[str]:
        """Spell the labels of each picture."""
        return self._spelled(self.has)

    def spelled_answers(self, name: str = HEAD) -> list[list[str]]:
        """Return the predicted labels of each picture, run by run."""
        return [self._spelled(run) for run in self.answers[name].predictions]

    def _spelled(self, has: np.ndarray) -> list[str]:
        joined = self.separator.join
        return [joined(self.classes[i] for i in np.flatnonzero(own).tolist()) for own in has]

    def scores_json(self) -> dict[str, Any]:
        """Spell accuracy, F1 and average precision."""
        return self.scores[HEAD].to_json()

    def baseline_json(self, name: str) -> dict[str, Any]:
        """Return the scores of a baseline in addition to its accuracy."""
        scores = {k: v for k, v in self.scores[name].to_json().items() if k != "accuracy"}
        return {**scores, "at_half": self.scores_at_half[name].to_json()}

    def details_json(self) -> dict[str, Any]:
        """Spell the kind, what a half for every class would give, each class and each level."""
        found: dict[str, Any] = {
            "kind": MULTI_LABEL,
            "at_half": self.scores_at_half[HEAD].to_json(),
            "classes": [score.to_json() for score in self.class_scores[HEAD]],
        }
        if self.levels:
            scores = [(own.level, own.class_scores[HEAD]) for own in self.levels]
            found["classes"] = [{"level": name, **s.to_json()} for name, own in scores for s in own]
            found["levels"] = [own.level_json() for own in self.levels]
            found["contradicted"] = self.contradicted
        return found

    def level_json(self) -> dict[str, Any]:
        """Return this level's part of a report of all levels."""
        about = {"level": self.level, "n_classes": len(self.classes)}
        return {**about, **self.scores_json(), "baselines": self.baselines_json()}


def _logit(probabilities: np.ndarray) -> np.ndarray:
    inside = np.clip(probabilities, 1e-7, 1 - 1e-7)
    found: np.ndarray = np.log(inside / (1 - inside))
    return found
