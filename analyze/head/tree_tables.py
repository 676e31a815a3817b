"""The tables of heads of several levels: a header, then rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from analyze.head.tree_report import TreeReport
from analyze.measures.estimates import Estimate

Table = Iterator[list[Any]]


def summary(report: TreeReport) -> Table:
    """A row a level and answerer: accuracy, and what the head's output of the level has over it."""
    yield [
        "level",
        "n_classes",
        "answers",
        "accuracy",
        "low",
        "high",
        "difference",
        "d_low",
        "d_high",
    ]
    for level in report.levels:
        about = [level.level, level.n_classes]
        yield [*about, "head", *_of(level.accuracy), *_of(None)]
        yield [*about, "path", *_of(level.path), *_of(None)]
        yield [*about, "alone", *_of(level.alone), *_of(level.together_minus_alone)]
        for name, found in level.baselines.items():
            yield [*about, name, *_of(found), *_of(level.baseline_differences[name])]


def classes(report: TreeReport) -> Table:
    """A row a class of each level: precision, recall, F1, tested pictures."""
    first = report.levels[0].scores[0].to_json()
    yield ["level", *first]
    for level in report.levels:
        for score in level.scores:
            yield [level.level, *score.to_json().values()]


def predictions(report: TreeReport, ids: Sequence[str]) -> Table:
    """A row a tested picture, run and level: its label, and what each says."""
    names = list(report.answers)
    yield ["id", "run", "level", "label", *names]
    for number, level in enumerate(report.tree.levels):
        said = [report.answers[name][number] for name in names]
        for run, asked in enumerate(said[0] >= 0):
            for i in np.flatnonzero(asked).tolist():
                spelled = [level.categories[own[run, i]] for own in said]
                yield [ids[i], run, level.name, level.value(i), *spelled]


def _of(found: Estimate | None) -> list[Any]:
    return ["", "", ""] if found is None else [found.mean, found.low, found.high]
