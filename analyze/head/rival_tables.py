"""The tables of heads held against each other: a header, then rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analyze.head.reporting.report import HeadReport
from analyze.head.reporting.runs import epochs_of, seconds_of
from analyze.head.reporting.tables import Table, tables_of
from analyze.head.rivals import HeadComparison

STACKED = "classes confusion folds scores levels level_classes level_predictions".split()
"""Tables of a report that are given for every backbone, where it has them."""


def tables_of_rivals(comparison: HeadComparison) -> dict[str, Table]:
    """Give the tables of a comparison by the names of their files."""
    of_each = {name: tables_of(own) for name, own in comparison.named_reports.items()}
    there = [f"{name}.csv" for name in STACKED if f"{name}.csv" in of_each[comparison.name]]
    return {
        "against.csv": summary(comparison),
        **{f"against_{file}": _stacked(of_each, file) for file in there},
        "against_predictions.csv": predictions(comparison),
    }


def summary(comparison: HeadComparison) -> Table:
    """A row a backbone, the head compared first: accuracy, and what its scores lie above those."""
    estimates = ["accuracy", "difference"]
    estimates += [f"difference_{name}" for name in comparison.rivals[0].differences]
    spelled = [f"{name}{end}" for name in estimates for end in ("", "_low", "_high")]
    tests = ["only_head_right", "only_rival_right", "mcnemar_p", "p_adjusted", "verdict"]
    about = ["name", "model", "identity", "weights"]
    ends = ["seconds", "best_epoch", "stopped_epoch", "resize", "pooling"]
    yield [*about, *spelled[:6], *tests, *ends, *spelled[6:]]
    own = [*_about(comparison.name, comparison.report), *[None] * 8, *_ends(comparison.report)]
    yield [*own, *[None] * len(spelled[6:])]
    for rival in comparison.rivals:
        difference, discordant = rival.difference, rival.discordant
        yield [
            *_about(rival.name, rival.report),
            *(difference.mean, difference.low, difference.high),
            *(*discordant, discordant.p_value, rival.p_adjusted, rival.verdict),
            *_ends(rival.report),
            *(value for own in rival.differences.values() for value in own.to_json().values()),
        ]


def predictions(comparison: HeadComparison) -> Table:
    """A row a tested picture and run: its class, and what the heads of each backbone say."""
    report = comparison.report
    yield ["id", "run", "class", *comparison.named_reports]
    predictions = [each.spelled_answers() for each in comparison.named_reports.values()]
    truth = report.spelled_labels()
    for run, tested in enumerate(report.tested):
        for i in np.flatnonzero(tested).tolist():
            yield [report.ids[i], run, truth[i], *(own[run][i] for own in predictions)]


def _about(name: str, report: HeadReport) -> list[Any]:
    accuracy, made = report.accuracy, report.provenance
    about = [name, made.model, made.short_identity, made.weights]
    return [*about, accuracy.mean, accuracy.low, accuracy.high]


def _ends(report: HeadReport) -> list[Any]:
    """Give what it cost, and how its vectors were made."""
    made, runs = report.provenance, report.runs
    return [seconds_of(runs), *epochs_of(runs).values(), made.resize, made.pooling]


def _stacked(of_each: Mapping[str, Mapping[str, Table]], file: str) -> Table:
    for number, (name, tables) in enumerate(of_each.items()):
        header, *rows = tables[file]
        if not number:
            yield ["name", *header]
        for row in rows:
            yield [name, *row]
