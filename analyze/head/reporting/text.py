"""The text of tested heads, line by line."""

from __future__ import annotations

from functools import singledispatch

from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.report import HEAD, STRONGEST, HeadReport
from analyze.head.reporting.runs import seconds_of
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.tree_report import TreeReport
from analyze.presentation import wording
from extract.command_line import counted_pictures
from extract.ids import shown

WIDEST_CLASS = 40
MOST_CLASSES = 60
"""Of several labels a picture."""

WORTH_KNOWING = 0.8
WORDS = {
    "head": "head",
    "logistic_regression": "logistic regression",
    "knn": "5 nearest neighbors",
    "frozen_head": "the same head on the frozen backbone",
}
COLUMNS = {"precision": 9, "recall": 6, "F1": 5, "AP": 5, "threshold": 9, "n": 5}
"""Of the table of classes, with their widths."""


def heading(report: HeadReport, file: str | None = None) -> list[str]:
    """Return what was trained, on which pictures and by which split."""
    split, labels = report.split, f"level {report.level}"
    if isinstance(report, SetReport):
        labels = f"several labels of {', '.join(report.tree.levels)}"
    made = f"{report.name}, {report.provenance.weights} weights"
    about = [counted_pictures(len(report.ids)), labels, split["method"]]
    if "n_seeds" in split:
        about.append(f"{split['n_seeds']} seeds")
    about += [f"{report.n_views} views"] if report.n_views else []
    return [
        f"{file}: {made}" if file else made,
        " · ".join([*about, f"seed {split['seed']}"]),
        *wording.left_out(report.left_out),
    ]


def training_summary(report: HeadReport) -> str:
    """Say how many heads were trained, for how long, and when they were best."""
    best = sorted(run.trained.best_epoch for run in report.runs)
    spread = f"{best[0]}" if best[0] == best[-1] else f"{best[0]} to {best[-1]}"
    return f"{len(report.runs)} heads in {seconds_of(report.runs):.1f} s, best epoch {spread}"


@singledispatch
def accuracy_lines(report: HeadReport) -> list[str]:
    """Say what the answers of head and baselines are worth."""
    raise TypeError(f"no words for a {type(report).__name__}")


@singledispatch
def class_lines(report: HeadReport) -> list[str]:
    """Say how each class fares, and how far probabilities can be believed."""
    raise TypeError(f"no words for a {type(report).__name__}")


@accuracy_lines.register
def _(report: ClassReport) -> list[str]:
    lines = [f"head: accuracy {wording.estimate(report.accuracy)}"]
    for name, estimate in report.baselines.items():
        difference = wording.estimate(report.baseline_differences[name], signed=True)
        lines.append(f"{WORDS[name]}: {wording.estimate(estimate)}; head minus it {difference}")
    return lines


@accuracy_lines.register
def _(report: SetReport) -> list[str]:
    words = {**WORDS, STRONGEST: f"{WORDS[STRONGEST]}, one against the rest"}
    lines = []
    for name, scores in report.scores.items():
        lines.append(
            f"{words[name]}: all labels right {wording.estimate(scores.accuracy)}; micro F1 "
            f"{wording.score(scores.micro_f1.mean)}, macro F1 "
            f"{wording.estimate(scores.macro_f1)}, mean average precision "
            f"{wording.estimate(scores.mean_average_precision)}"
        )
        if name != HEAD:
            apart = wording.estimate(report.baseline_differences[name], signed=True)
            lines.append(f"  head minus it, all labels right {apart}")
    half = report.scores_at_half[HEAD]
    lines.append(
        f"head with a half for every class: all labels right {wording.score(half.accuracy.mean)}, "
        f"macro F1 {wording.score(half.macro_f1.mean)}"
    )
    return lines


@class_lines.register
def _(report: ClassReport) -> list[str]:
    lines = [] if report.tree is None else level_lines(report.tree)
    rows = {
        each.name: {"precision": each.precision, "recall": each.recall, "F1": each.f1, "n": each.n}
        for each in report.scores
    }
    lines += [*_table(rows), _believed(report)]
    sure = next((c for c in report.calibration.coverage if c.threshold == WORTH_KNOWING), None)
    if sure is not None and sure.accuracy is not None:
        lines.append(
            f"{sure.coverage:.0%} of the pictures are answered at {sure.threshold:g} or more, "
            f"{sure.accuracy:.3f} of them right"
        )
    if report.suspects:
        lines.append(f"{len(report.suspects)} labels are doubtful: suspects.csv")
    return lines


@class_lines.register
def _(report: SetReport) -> list[str]:
    lines = []
    for level in report.levels:
        apart = wording.estimate(level.difference, signed=True)
        lines += [
            f"level {level.level}, {len(level.classes)} classes: all labels right "
            f"{wording.estimate(level.accuracy)}, macro F1 "
            f"{wording.estimate(level.scores[HEAD].macro_f1)}",
            f"  minus logistic regression, all labels right {apart}",
            *_set_table(level),
        ]
    if report.levels:
        share = f"{report.contradicted:.1%} of the head's answers would contradict this tree"
        lines.append(f"{share} if a class were not predicted with those below it")
    else:
        lines = _set_table(report)
    return [*lines, f"{_believed(report)}, over all pictures and classes"]


def _set_table(report: SetReport) -> list[str]:
    """Spell scores of the first classes, and how many more there are."""
    rows = {}
    for each in report.class_scores[HEAD][:MOST_CLASSES]:
        score = each.score
        values = {"precision": score.precision, "recall": score.recall, "F1": score.f1}
        more = {"AP": each.average_precision, "threshold": each.threshold, "n": score.n}
        rows[score.name] = {**values, **more}
    lines = _table(rows)
    if len(report.classes) > len(rows):
        lines.append(f"and {len(report.classes) - len(rows)} more classes: classes.csv")
    return lines


def level_lines(report: TreeReport) -> list[str]:
    """Say what each level's answers are worth, and how far off the wrong ones are."""
    lines = []
    for level in report.levels:
        lines.append(
            f"level {level.level}, {level.n_classes} classes: {wording.estimate(level.accuracy)}, "
            f"by the path down {wording.estimate(level.path)}"
        )
        if level.together_minus_alone is not None:
            apart = wording.estimate(level.together_minus_alone, signed=True)
            lines.append(f"  minus a head trained on this level alone {apart}")
        baseline = wording.estimate(level.baseline_differences[STRONGEST], signed=True)
        lines.append(f"  minus logistic regression {baseline}")
    f1, above = report.hierarchical_f1[HEAD], report.f1_differences[STRONGEST]
    return [
        *lines,
        f"hierarchical F1 of the path {wording.estimate(f1)}; minus logistic regression "
        f"{wording.estimate(above, signed=True)}",
        f"{report.right_parent_wrong_leaf:.0%} of the answers are wrong at the last level and "
        "right above it",
    ]


def _believed(report: HeadReport) -> str:
    found = report.calibration
    if found.temperature == 1:
        return f"calibration error {found.ece:.3f}, without a temperature"
    return (
        f"calibration error {found.ece:.3f} with temperature {found.temperature:.2f} "
        f"({found.ece_before:.3f} without)"
    )


def _table(rows: dict[str, dict[str, float | None]]) -> list[str]:
    """Spell scores of classes, a column each."""
    names = {name: _cut(shown(name)) for name in rows}
    width = min(WIDEST_CLASS, max(len(shown(name)) for name in rows))
    columns = list(next(iter(rows.values())))
    header = "  ".join(f"{column:>{COLUMNS[column]}}" for column in columns)
    lines = [f"{'class':<{width}}  {header}"]
    for name, values in rows.items():
        spelled = {c: "-" if v is None else wording.score(v) for c, v in values.items()}
        spelled["n"] = str(values["n"])
        cells = "  ".join(f"{text:>{COLUMNS[column]}}" for column, text in spelled.items())
        lines.append(f"{names[name]:<{width}}  {cells}")
    return lines


def _cut(name: str) -> str:
    """Cut a long name in its middle: of a path both ends tell most."""
    if len(name) <= WIDEST_CLASS:
        return name
    return f"{name[: WIDEST_CLASS // 3]}…{name[WIDEST_CLASS // 3 + 1 - WIDEST_CLASS :]}"
