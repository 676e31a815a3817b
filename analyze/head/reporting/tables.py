"""The tables of tested heads: a header, then rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from typing import Any

import numpy as np

from analyze.head.prediction.predictions import sureness
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.report import HEAD, HeadReport
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.set_scores import SCORES
from analyze.head.reporting.tree_report import TreeReport
from analyze.head.training.probabilities import softmax
from analyze.measures.estimates import Estimate

Table = Iterator[list[Any]]


@singledispatch
def tables_of(report: HeadReport) -> dict[str, Table]:
    """Give the tables of a report by the names of their files."""
    raise TypeError(f"no tables of a {type(report).__name__}")


@tables_of.register
def _(report: ClassReport) -> dict[str, Table]:
    found = {
        **_of_all(report),
        "predictions.csv": predictions(report),
        "classes.csv": classes(report),
        "confusion.csv": confusion(report),
        "suspects.csv": suspects(report),
    }
    if report.tree is not None:
        found |= {
            "levels.csv": levels(report.tree),
            "level_classes.csv": level_classes(report.tree),
            "level_predictions.csv": level_predictions(report.tree, report.ids),
        }
    return found


@tables_of.register
def _(report: SetReport) -> dict[str, Table]:
    return {
        **_of_all(report),
        "predictions.csv": set_predictions(report),
        "classes.csv": _by_level(report, set_classes),
        "scores.csv": set_scores(report),
        **({"levels.csv": _by_level(report, set_scores)} if report.levels else {}),
    }


def _of_all(report: HeadReport) -> dict[str, Table]:
    return {
        "folds.csv": runs(report),
        "split.csv": sides(report),
        "curves.csv": curves(report),
        "coverage.csv": coverage(report),
    }


def runs(report: HeadReport) -> Table:
    """A row a trained head: where it was tested, how well, next to the baselines."""
    runs = [run.to_json(report.right) for run in report.runs]
    plain = [name for name in runs[0] if name != "baselines"]
    yield [*plain, *runs[0]["baselines"]]
    for row in runs:
        yield [*(row[name] for name in plain), *row["baselines"].values()]


def sides(report: HeadReport) -> Table:
    """A row a picture, a column a split: train, validation, test, or nothing."""
    splits = {id(run.split): run for run in report.runs}
    yield ["id", "group", *(f"shuffle {r.shuffle} {r.split.method}" for r in splits.values())]
    columns = [run.split.sides(len(report.ids)) for run in splits.values()]
    for i, row_id in enumerate(report.ids):
        yield [row_id, int(report.groups[i]), *(column[i] for column in columns)]


def curves(report: HeadReport) -> Table:
    """A row an epoch of each head."""
    names = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    yield ["shuffle", "fold", "seed", "epoch", *names]
    for run in report.runs:
        for number, epoch in enumerate(run.trained.curves, start=1):
            values = [getattr(epoch, name) for name in names]
            yield [run.shuffle, run.fold, run.seed, number, *values]


def coverage(report: HeadReport) -> Table:
    """A row a probability below which nothing is answered: share answered, and its accuracy."""
    yield from _spelled(report.calibration.to_json()["coverage"])


def predictions(report: ClassReport) -> Table:
    """A row a tested picture and run: its class, what head and baselines say, how sure."""
    sure = [softmax(own).max(axis=1) for own in np.nan_to_num(report.logits, nan=0.0)]
    yield from _answers(report, "class", list(report.predicted), sure)


def classes(report: ClassReport) -> Table:
    """A row a class: precision, recall, F1, tested pictures."""
    yield from _spelled([score.to_json() for score in report.scores])


def confusion(report: ClassReport) -> Table:
    """A row a class, a column a predicted class: tested pictures, over all runs."""
    yield ["class", *report.classes]
    for name, counts in zip(report.classes, report.confusion.tolist(), strict=True):
        yield [name, *counts]


def suspects(report: ClassReport) -> Table:
    """A row a likely label error by heads that were not trained on it, the worst first."""
    yield ["id", "label", "suggested", "probability", "probability_suggested"]
    for suspect in report.suspects:
        yield list(suspect.to_json().values())


def levels(report: TreeReport) -> Table:
    """A row a level and answerer: accuracy, and what the head's output of the level has over it."""
    scores = ["accuracy", "low", "high", "difference", "d_low", "d_high"]
    yield ["level", "n_classes", "answers", *scores]
    for level in report.levels:
        about = [level.level, level.n_classes]
        yield [*about, "head", *_of(level.accuracy), *_of(None)]
        yield [*about, "path", *_of(level.path), *_of(None)]
        yield [*about, "alone", *_of(level.alone), *_of(level.together_minus_alone)]
        for name, found in level.baselines.items():
            yield [*about, name, *_of(found), *_of(level.baseline_differences[name])]


def level_classes(report: TreeReport) -> Table:
    """A row a class of each level: precision, recall, F1, tested pictures."""
    scores = [
        {"level": own.level, **each.to_json()} for own in report.levels for each in own.scores
    ]
    yield from _spelled(scores)


def level_predictions(report: TreeReport, ids: tuple[str, ...]) -> Table:
    """A row a tested picture, run and level: its label, and each prediction."""
    names = list(report.answers)
    yield ["id", "run", "level", "label", *names]
    for number, level in enumerate(report.tree.levels):
        predictions = [report.answers[name][number] for name in names]
        for run, judged in enumerate(predictions[0] >= 0):
            for i in np.flatnonzero(judged).tolist():
                spelled = [level.categories[own[run, i]] for own in predictions]
                yield [ids[i], run, level.name, level.value(i), *spelled]


def set_predictions(report: SetReport) -> Table:
    """A row a tested picture and run: its labels, what head and baselines say, how sure."""
    head = report.answers[HEAD]
    both = zip(head.probabilities, head.predictions, strict=True)
    sure = [sureness(own, predictions) for own, predictions in both]
    yield from _answers(report, "labels", list(report.answers), sure)


def _answers(report: HeadReport, truth: str, names: list[str], sure: list[np.ndarray]) -> Table:
    yield ["id", "run", truth, *names, "probability"]
    labels, predictions = report.spelled_labels(), [report.spelled_answers(name) for name in names]
    for run, tested in enumerate(report.tested):
        for i in np.flatnonzero(tested).tolist():
            answers = (own[run][i] for own in predictions)
            yield [report.ids[i], run, labels[i], *answers, float(sure[run][i])]


def set_classes(report: SetReport) -> Table:
    """A row a class: scores at its threshold and at a half, and the baselines' F1."""
    others = [name for name in report.class_scores if name != HEAD]
    yield from _spelled(
        [
            {
                **score.to_json(),
                **{f"f1_{name}": report.class_scores[name][i].score.f1 for name in others},
            }
            for i, score in enumerate(report.class_scores[HEAD])
        ]
    )


def set_scores(report: SetReport) -> Table:
    """A row a score of each that answers, at the thresholds and at a half, with its interval."""
    yield ["answers", "threshold", "score", "mean", "low", "high"]
    for name in report.scores:
        for threshold, found in (("own", report.scores), ("0.5", report.scores_at_half)):
            for score in SCORES:
                yield [name, threshold, score, *_of(getattr(found[name], score))]


def _by_level(report: SetReport, rows: Callable[[SetReport], Table]) -> Table:
    """Rows of each level, its name in front; of one level alone as they are."""
    if not report.levels:
        yield from rows(report)
    for number, level in enumerate(report.levels):
        header, *own = rows(level)
        yield from ([["level", *header]] if number == 0 else [])
        yield from ([level.level, *row] for row in own)


def _spelled(rows: list[dict[str, Any]]) -> Table:
    yield list(rows[0])
    yield from (list(row.values()) for row in rows)


def _of(found: Estimate | None) -> list[Any]:
    return ["", "", ""] if found is None else [found.mean, found.low, found.high]
