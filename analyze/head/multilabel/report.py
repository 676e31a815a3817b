"""What is known of a head of several labels: its sets of labels, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyze.head.calibration import Calibration, bin_answers, cover, expected_error
from analyze.head.evaluation import ClassScore, Estimate, mean_over_pictures
from analyze.head.head_file import MULTI_LABEL, SeveralLabels, StoredHead
from analyze.head.multilabel.scores import (
    SetScores,
    average_precision,
    count_sets,
    exactly_right,
    resamples_that_fit,
    score_sets,
)
from analyze.head.multilabel.thresholds import EVEN, sigmoid
from analyze.head.report import HeadRun
from analyze.head.splits import SIDES, Split
from analyze.head.training import Trained
from extract.embeddings import Provenance

HEAD, STRONGEST = "head", "logistic_regression"


@dataclass(frozen=True, eq=False)
class Answers:
    """What one of those that were asked says, run by run.

    Parameters
    ----------
    probabilities : ndarray of shape (n_runs, n_images, n_classes), float32
        NaN where a run did not test a picture.
    said : ndarray of shape (n_runs, n_images, n_classes), bool
        By the thresholds.
    at_half : ndarray of shape (n_runs, n_images, n_classes), bool
        By a half for every class.
    thresholds : list of ndarray of shape (n_classes,)
        Of each training.
    """

    probabilities: np.ndarray
    said: np.ndarray
    at_half: np.ndarray
    thresholds: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def blank(cls, n_runs: int, has: np.ndarray) -> Answers:
        """Make room for the answers about some pictures."""
        shape = (n_runs, *has.shape)
        nothing = np.full(shape, np.nan, np.float32)
        return cls(nothing, np.zeros(shape, bool), np.zeros(shape, bool))

    def record(
        self, run: int, rows: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray
    ) -> None:
        """Write down what a run says of its tested rows."""
        self.probabilities[run, rows] = probabilities
        self.said[run, rows] = probabilities >= thresholds
        self.at_half[run, rows] = probabilities >= EVEN
        self.thresholds.append(thresholds)


@dataclass(frozen=True)
class SeveralScore:
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


@dataclass(frozen=True, eq=False)
class SeveralReport:
    """How good a head of several labels is on pictures that it was not taught.

    Parameters
    ----------
    model, identity, weights : str
    level : str
        The column of labels.
    separator : str
        What stands between the labels of a picture.
    classes : tuple of str
        Those that could be taught and tested.
    ids : tuple of str
        The labelled pictures; row i of the arrays is about ``ids[i]``.
    has : ndarray of shape (n_images, n_classes), bool
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    runs : tuple of HeadRun
        Their accuracy is the share of pictures of which every class is told right.
    answers : mapping of str to Answers
        Of ``head`` and each baseline.
    scores, scores_at_half : mapping of str to SetScores
        At the thresholds, and at a half for every class.
    differences : mapping of str to Estimate
        Accuracy of the head minus that of each baseline, picture by picture.
    class_scores : mapping of str to tuple of SeveralScore
    calibration : Calibration
        Bins are of a class's probability and how often pictures have it; coverage is of whole sets.
    leaks, settings, split : mapping
    n_views : int
    left_out : mapping of str to int
    final : Trained
        The head to keep.
    final_split : Split
    final_temperature : float
    final_thresholds : ndarray
        Of the classes that it was taught.
    notes : tuple of str
    """

    model: str
    identity: str
    weights: str
    level: str
    separator: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    has: np.ndarray
    groups: np.ndarray
    runs: tuple[HeadRun, ...]
    answers: Mapping[str, Answers]
    scores: Mapping[str, SetScores]
    scores_at_half: Mapping[str, SetScores]
    differences: Mapping[str, Estimate]
    class_scores: Mapping[str, tuple[SeveralScore, ...]]
    calibration: Calibration
    leaks: Mapping[str, int | float]
    settings: Mapping[str, Any]
    split: Mapping[str, Any]
    n_views: int
    left_out: Mapping[str, int]
    final: Trained
    final_split: Split
    final_temperature: float
    final_thresholds: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def tested(self) -> np.ndarray:
        """Say which run tested which picture; ndarray of shape (n_runs, n_images), bool."""
        there: np.ndarray = ~np.isnan(self.answers[HEAD].probabilities[:, :, 0])
        return there

    @property
    def accuracy(self) -> Estimate:
        """Share of the pictures of which the head tells every class right."""
        return self.scores[HEAD].accuracy

    def stored(self, provenance: Provenance) -> StoredHead:
        """Give the head to keep, with what it must be used with and what is known of it."""
        (taught,) = self.final.head.classes
        split = self.final_split
        sides = {side: [self.ids[i] for i in getattr(split, side).tolist()] for side in SIDES}
        return StoredHead(
            head=self.final.head,
            classes=(tuple(self.classes[code] for code in taught.tolist()),),
            levels=(self.level,),
            temperatures=(self.final_temperature,),
            provenance=provenance,
            about={
                "weights": self.weights,
                "settings": dict(self.settings),
                "n_views": self.n_views,
                "split": {**split.to_json(), **sides},
                "tested": dict(self.split),
                **self.scores[HEAD].to_json(),
                "difference": self.differences[STRONGEST].to_json(),
                "calibration": self.calibration.to_json(),
            },
            several=SeveralLabels(tuple(self.final_thresholds.tolist()), self.separator),
        )

    def to_json(self) -> dict[str, Any]:
        """Spell the report with the keys that programs read."""
        return {
            "model": self.model,
            "identity": self.identity,
            "weights": self.weights,
            "kind": MULTI_LABEL,
            "n_images": len(self.ids),
            "n_views": self.n_views,
            "left_out": sum(self.left_out.values()),
            "left_out_by_reason": dict(self.left_out),
            "level": self.level,
            "settings": dict(self.settings),
            "split": dict(self.split),
            "folds": [run.to_json() for run in self.runs],
            **self.scores[HEAD].to_json(),
            "at_half": self.scores_at_half[HEAD].to_json(),
            "baselines": {
                name: {
                    "accuracy": own.accuracy.mean,
                    "low": own.accuracy.low,
                    "high": own.accuracy.high,
                    "difference": self.differences[name].to_json(),
                    **{k: v for k, v in own.to_json().items() if k != "accuracy"},
                    "at_half": self.scores_at_half[name].to_json(),
                }
                for name, own in self.scores.items()
                if name != HEAD
            },
            "difference": self.differences[STRONGEST].to_json(),
            "against": [],
            "calibration": self.calibration.to_json(),
            "classes": [score.to_json() for score in self.class_scores[HEAD]],
            "leaks": dict(self.leaks),
            "head": None,
            "notes": list(self.notes),
        }


def several_report(
    *,
    made: Provenance,
    temperatures: tuple[float, ...],
    n_resamples: int,
    seed: int,
    notes: tuple[str, ...],
    **known: Any,
) -> SeveralReport:
    """Reckon what answers are worth, and report it.

    Parameters
    ----------
    made : Provenance
        Of the vectors.
    temperatures : tuple of float
        Of each run.
    n_resamples, seed : int
    notes : tuple of str
    **known
        The fields of :class:`SeveralReport` that are not reckoned here.
    """
    answers: Mapping[str, Answers] = known["answers"]
    has, groups, classes, runs = (known[n] for n in ("has", "groups", "classes", "runs"))
    tested = ~np.isnan(answers[HEAD].probabilities[:, :, 0])
    words: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}

    def scored(own: Answers, said: np.ndarray, known: Estimate | None = None) -> SetScores:
        asked = (said, own.probabilities, has, tested, groups)
        return score_sets(*asked, by_probability=known, **words)

    scores = {name: scored(own, own.said) for name, own in answers.items()}
    right = {name: exactly_right(own.said, has, tested) for name, own in answers.items()}
    fewer = resamples_that_fit(
        len(tested), int(tested.sum(axis=1).max()), len(classes), n_resamples
    )
    if fewer < n_resamples:
        notes = (*notes, f"intervals of the average precision are of {fewer} resamples: time")
    return SeveralReport(
        model=made.model,
        identity=made.short_identity,
        weights=made.weights,
        scores=scores,
        scores_at_half={
            name: scored(own, own.at_half, scores[name].mean_average_precision)
            for name, own in answers.items()
        },
        differences={
            name: mean_over_pictures(right[HEAD] - own, groups, **words)
            for name, own in right.items()
            if name != HEAD
        },
        class_scores={
            name: score_several_classes(own, has, tested, classes) for name, own in answers.items()
        },
        calibration=calibrate_several(answers[HEAD], has, runs, temperatures),
        notes=notes,
        **known,
    )


def score_several_classes(
    answers: Answers, has: np.ndarray, tested: np.ndarray, names: tuple[str, ...]
) -> tuple[SeveralScore, ...]:
    """Reckon precision, recall, F1 and average precision of each class, over all runs.

    Parameters
    ----------
    answers : Answers
    has : ndarray of shape (n_images, n_classes), bool
    tested : ndarray of shape (n_runs, n_images), bool
    names : tuple of str
    """
    times, ever = tested.sum(axis=0), tested.any(axis=0)
    shared, both = (own.sum(axis=0) for own in count_sets(answers.said, has, tested))
    shared_half, both_half = (own.sum(axis=0) for own in count_sets(answers.at_half, has, tested))
    there = (has * times[:, None]).sum(axis=0)
    thresholds = np.stack(answers.thresholds)
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
            SeveralScore(
                score,
                _share(2 * shared_half[i], both_half[i]),
                _average_precision(answers.probabilities[:, :, i], has[:, i], tested),
                float(known.mean()) if len(known) else None,
            )
        )
    return tuple(found)


def calibrate_several(
    answers: Answers, has: np.ndarray, runs: tuple[HeadRun, ...], temperatures: tuple[float, ...]
) -> Calibration:
    """Hold every answer, a picture and a class, against the truth; and whole sets for coverage.

    Parameters
    ----------
    answers : Answers
        Of the head.
    has : ndarray of shape (n_images, n_classes), bool
    runs : tuple of HeadRun
    temperatures : tuple of float
        Of each run.
    """
    warm, cold, yes, sure, right = [], [], [], [], []
    for run, temperature in zip(runs, temperatures, strict=True):
        place, rows = run.place, run.split.test
        probabilities = answers.probabilities[place, rows].astype(np.float64)
        (taught,) = run.trained.head.classes
        own = probabilities[:, taught]
        warm.append(own.ravel())
        cold.append(sigmoid(temperature * _logit(own)).ravel())
        yes.append(has[np.ix_(rows, taught)].ravel())
        said = answers.said[place, rows]
        sure.append(sureness(own, said[:, taught]))
        right.append((said == has[rows]).all(axis=1))
    truth = np.concatenate(yes)
    bins = bin_answers(np.concatenate(warm), truth)
    return Calibration(
        temperature=float(np.exp(np.mean(np.log(temperatures)))),
        ece=expected_error(bins),
        ece_before=expected_error(bin_answers(np.concatenate(cold), truth)),
        bins=bins,
        coverage=cover(np.concatenate(sure), np.concatenate(right)),
    )


def sureness(probabilities: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Give the probability that a whole set is right, classes taken apart; ndarray (n_images,).

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
    said : ndarray of shape (n_images, n_classes), bool
    """
    of_all: np.ndarray = np.where(said, probabilities, 1 - probabilities).prod(axis=1)
    return of_all


def _logit(probabilities: np.ndarray) -> np.ndarray:
    inside = np.clip(probabilities, 1e-7, 1 - 1e-7)
    logits: np.ndarray = np.log(inside / (1 - inside))
    return logits


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _average_precision(
    probabilities: np.ndarray, yes: np.ndarray, tested: np.ndarray
) -> float | None:
    found = [
        float(average_precision(own[asked], yes[asked], np.ones((int(asked.sum()), 1)))[0])
        for own, asked in zip(probabilities, tested, strict=True)
    ]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else None
