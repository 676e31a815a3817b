"""The tables of a head's report: a header, then rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from analyze.head.network import softmax
from analyze.head.report import HeadReport, HeadRun
from extract.catalog.catalog import MISSING_LABEL

Table = Iterator[list[Any]]


class Runs(Protocol):
    """What every report of heads has: its trainings, and the pictures that they are about."""

    @property
    def name(self) -> str:
        """Of the backbone, with the geometry."""

    @property
    def ids(self) -> Sequence[str]:
        """Of the pictures."""

    @property
    def groups(self) -> np.ndarray:
        """Copies have one number."""

    @property
    def runs(self) -> Sequence[HeadRun]:
        """Of each training."""


def runs(report: Runs) -> Table:
    """A row a trained head: where it was tested, how well, beside the baselines."""
    said = [run.to_json() for run in report.runs]
    plain = [name for name in said[0] if name != "baselines"]
    yield [*plain, *said[0]["baselines"]]
    for row in said:
        yield [*(row[name] for name in plain), *row["baselines"].values()]


def sides(report: Runs) -> Table:
    """A row a picture, a column a split: train, validation, test, or nothing."""
    splits = {id(run.split): run for run in report.runs}
    yield ["id", "group", *(_split_name(run) for run in splits.values())]
    columns = [run.split.sides(len(report.ids)) for run in splits.values()]
    for i, row_id in enumerate(report.ids):
        yield [row_id, int(report.groups[i]), *(column[i] for column in columns)]


def curves(report: Runs) -> Table:
    """A row an epoch of each head."""
    names = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    yield ["shuffle", "fold", "seed", "epoch", *names]
    for run in report.runs:
        for number, epoch in enumerate(run.trained.curves, start=1):
            values = [getattr(epoch, name) for name in names]
            yield [run.shuffle, run.fold, run.seed, number, *values]


def predictions(report: HeadReport) -> Table:
    """A row a tested picture and run: its class, what head and baselines say, how sure."""
    names = list(report.predicted)
    yield ["id", "run", "class", *names, "probability"]
    for number, logits in enumerate(report.logits):
        rows = np.flatnonzero(report.predicted["head"][number] != MISSING_LABEL)
        sure = softmax(logits[rows]).max(axis=1)
        for i, probability in zip(rows.tolist(), sure.tolist(), strict=True):
            said = [report.classes[report.predicted[name][number, i]] for name in names]
            yield [report.ids[i], number, report.classes[report.labels[i]], *said, probability]


def classes(report: HeadReport) -> Table:
    """A row a class: precision, recall, F1, tested pictures."""
    said = [score.to_json() for score in report.scores]
    yield list(said[0])
    for row in said:
        yield list(row.values())


def confusion(report: HeadReport) -> Table:
    """A row a class, a column a predicted class: tested pictures, over all runs."""
    yield ["class", *report.classes]
    for name, counts in zip(report.classes, report.confusion.tolist(), strict=True):
        yield [name, *counts]


def suspects(report: HeadReport) -> Table:
    """A row a label that heads which were not taught it do not believe, the worst first."""
    yield ["id", "label", "suggested", "probability", "probability_suggested"]
    for suspect in report.suspects:
        yield list(suspect.to_json().values())


def coverage(report: HeadReport) -> Table:
    """A row a probability below which nothing is answered: share answered, and its accuracy."""
    said = report.calibration.to_json()["coverage"]
    yield list(said[0])
    for row in said:
        yield list(row.values())


def _split_name(run: HeadRun) -> str:
    return f"shuffle {run.shuffle} {run.split.method}"
