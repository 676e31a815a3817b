"""What is known of a head of several labels: its sets of labels, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.head.calibration import Calibration
from analyze.head.head_file import MULTI_LABEL, SeveralLabels, StoredHead
from analyze.head.multilabel.answers import Answers
from analyze.head.multilabel.calibration import calibrate_several
from analyze.head.multilabel.class_scores import SeveralScore, score_several_classes
from analyze.head.multilabel.scores import (
    SetScores,
    exactly_right,
    resamples_that_fit,
    score_sets,
)
from analyze.head.report import Assessed
from analyze.head.splits import Split
from analyze.head.training import Trained
from analyze.measures.estimates import Estimate, mean_over_pictures
from extract.storage.embeddings import Provenance

HEAD, STRONGEST = "head", "logistic_regression"


@dataclass(frozen=True, eq=False, kw_only=True)
class SeveralReport(Assessed):
    """How good a head of several labels is on pictures that it was not taught.

    Parameters
    ----------
    As of :class:`Assessed`, with the accuracy of a run the share of pictures of which every class
    is told right, and:
    separator : str
        What stands between the labels of a picture.
    has : ndarray of shape (n_images, n_classes), bool
    answers : mapping of str to Answers
        Of ``head`` and each baseline.
    scores, scores_at_half : mapping of str to SetScores
        At the thresholds, and at a half for every class.
    differences : mapping of str to Estimate
        Accuracy of the head minus that of each baseline, picture by picture.
    class_scores : mapping of str to tuple of SeveralScore
    calibration : Calibration
        Bins are of a class's probability and how often pictures have it; coverage is of whole sets.
    final : Trained
        The head to keep.
    final_split : Split
    final_temperature : float
    final_thresholds : ndarray
        Of the classes that it was taught.
    """

    separator: str
    has: np.ndarray
    answers: Mapping[str, Answers]
    scores: Mapping[str, SetScores]
    scores_at_half: Mapping[str, SetScores]
    differences: Mapping[str, Estimate]
    class_scores: Mapping[str, tuple[SeveralScore, ...]]
    calibration: Calibration
    final: Trained
    final_split: Split
    final_temperature: float
    final_thresholds: np.ndarray

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
        return StoredHead(
            head=self.final.head,
            classes=(tuple(self.classes[code] for code in taught.tolist()),),
            levels=(self.level,),
            temperatures=(self.final_temperature,),
            provenance=provenance,
            about={
                **self.about_stored(split),
                **self.scores[HEAD].to_json(),
                "difference": self.differences[STRONGEST].to_json(),
                "calibration": self.calibration.to_json(),
            },
            several=SeveralLabels(tuple(self.final_thresholds.tolist()), self.separator),
        )

    def to_json(self) -> dict[str, Any]:
        """Spell the report with the keys that programs read."""
        return {
            **self.shared_json(),
            "kind": MULTI_LABEL,
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
            "calibration": self.calibration.to_json(),
            "classes": [score.to_json() for score in self.class_scores[HEAD]],
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
        resize=made.resize,
        pooling=made.pooling,
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
