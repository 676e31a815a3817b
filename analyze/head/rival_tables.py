"""The tables of heads held against each other: a header, then rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analyze.head import report_tables
from analyze.head.report import HeadReport
from analyze.head.report_tables import Table
from analyze.head.rivals import HeadComparison, epochs_of, seconds_of
from extract.catalog.catalog import MISSING_LABEL


def summary(comparison: HeadComparison) -> Table:
    """A row a backbone, the head compared first: accuracy, and what it lies above the rival."""
    estimates = ("accuracy", "difference")
    spelled = [f"{name}{end}" for name in estimates for end in ("", "_low", "_high")]
    tests = ["only_head_right", "only_rival_right", "mcnemar_p", "p_adjusted", "verdict"]
    about = ["name", "model", "identity", "weights"]
    yield [*about, *spelled, *tests, "seconds", "best_epoch", "stopped_epoch", "resize", "pooling"]
    yield [*_about(comparison.name, comparison.report), *[None] * 8, *_ends(comparison.report)]
    for rival in comparison.rivals:
        difference, discordant = rival.difference, rival.discordant
        yield [
            *_about(rival.name, rival.report),
            *(difference.mean, difference.low, difference.high),
            *(*discordant, discordant.p_value, rival.p_adjusted, rival.verdict),
            *_ends(rival.report),
        ]


def classes(comparison: HeadComparison) -> Table:
    """A row a backbone and class: precision, recall, F1, tested pictures."""
    return _stacked(comparison, report_tables.classes)


def confusion(comparison: HeadComparison) -> Table:
    """A row a backbone and class, a column a predicted class."""
    return _stacked(comparison, report_tables.confusion)


def runs(comparison: HeadComparison) -> Table:
    """A row a backbone and trained head."""
    return _stacked(comparison, report_tables.runs)


def predictions(comparison: HeadComparison) -> Table:
    """A row a tested picture and run: its class, and what the heads of each backbone say."""
    report = comparison.report
    answers = [each.predicted["head"] for each in comparison.named_reports.values()]
    yield ["id", "run", "class", *comparison.named_reports]
    for run, tested in enumerate(answers[0] != MISSING_LABEL):
        for i in np.flatnonzero(tested).tolist():
            said = [report.classes[each[run, i]] for each in answers]
            yield [report.ids[i], run, report.classes[report.labels[i]], *said]


def _about(name: str, report: HeadReport) -> list[Any]:
    accuracy = report.accuracy
    about = [name, report.model, report.identity, report.weights]
    return [*about, accuracy.mean, accuracy.low, accuracy.high]


def _ends(report: HeadReport) -> list[Any]:
    """Give what it cost, and how its vectors were made."""
    return [seconds_of(report), *epochs_of(report).values(), report.resize, report.pooling]


def _stacked(comparison: HeadComparison, table: Callable[[HeadReport], Table]) -> Table:
    for number, (name, report) in enumerate(comparison.named_reports.items()):
        header, *rows = table(report)
        if not number:
            yield ["name", *header]
        for row in rows:
            yield [name, *row]
