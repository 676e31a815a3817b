"""The tables of heads of several labels: a header, then rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyze.head.multilabel.answers import sureness
from analyze.head.multilabel.report import HEAD, SeveralReport
from analyze.head.multilabel.scores import SCORES
from analyze.head.report_tables import Table


def predictions(report: SeveralReport) -> Table:
    """A row a tested picture and run: its labels, what head and baselines say, how sure."""
    yield ["id", "run", "labels", *report.answers, "probability"]
    answers = report.answers
    for run, asked in enumerate(report.tested):
        rows = np.flatnonzero(asked)
        sure = sureness(answers[HEAD].probabilities[run, rows], answers[HEAD].said[run, rows])
        for i, probability in zip(rows.tolist(), sure.tolist(), strict=True):
            said = [_joined(report, own.said[run, i]) for own in answers.values()]
            yield [report.ids[i], run, _joined(report, report.has[i]), *said, probability]


def classes(report: SeveralReport) -> Table:
    """A row a class: scores at its threshold and at a half, and the baselines' F1."""
    others = [name for name in report.class_scores if name != HEAD]
    first = report.class_scores[HEAD][0].to_json()
    yield [*first, *(f"f1_{name}" for name in others)]
    for i, score in enumerate(report.class_scores[HEAD]):
        theirs = [report.class_scores[name][i].score.f1 for name in others]
        yield [*score.to_json().values(), *theirs]


def scores(report: SeveralReport) -> Table:
    """A row a score of each that answers, at the thresholds and at a half, with its interval."""
    yield ["answers", "threshold", "score", "mean", "low", "high"]
    for name in report.scores:
        for threshold, found in (("own", report.scores), ("0.5", report.scores_at_half)):
            for score in SCORES:
                estimate: Any = getattr(found[name], score)
                yield [name, threshold, score, estimate.mean, estimate.low, estimate.high]


def coverage(report: SeveralReport) -> Table:
    """A row a probability below which nothing is answered: share answered, and its accuracy."""
    said = report.calibration.to_json()["coverage"]
    yield list(said[0])
    for row in said:
        yield list(row.values())


def _joined(report: SeveralReport, has: np.ndarray) -> str:
    return report.separator.join(report.classes[i] for i in np.flatnonzero(has).tolist())
