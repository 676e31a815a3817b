"""What ``analyze head --levels`` says and writes of several levels taught together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from analyze.commands import wording

if TYPE_CHECKING:
    from analyze.head.report import HeadReport


def level_tables(report: HeadReport) -> Iterator[tuple[str, Iterator[list[Any]]]]:
    """Give names and rows of the tables; none where one level was taught."""
    if report.tree is None:
        return
    from analyze.head import tree_tables as tables

    yield "levels.csv", tables.summary(report.tree)
    yield "level_classes.csv", tables.classes(report.tree)
    yield "level_predictions.csv", tables.predictions(report.tree, report.ids)


def level_lines(report: HeadReport) -> list[str]:
    """Say what each level's answers are worth, and how far off the wrong ones are."""
    if report.tree is None:
        return []
    lines = []
    for level in report.tree.levels:
        line = (
            f"level {level.level}, {level.n_classes} classes: {wording.estimate(level.accuracy)}, "
            f"by the path down {wording.estimate(level.path)}"
        )
        lines.append(line)
        if level.together_minus_alone is not None:
            apart = wording.estimate(level.together_minus_alone, signed=True)
            lines.append(f"  minus a head taught this level alone {apart}")
        baseline = wording.estimate(level.baseline_differences["logistic_regression"], signed=True)
        lines.append(f"  minus logistic regression {baseline}")
    tree = report.tree
    lines.append(
        f"hierarchical F1 of the path {wording.estimate(tree.hierarchical_f1['head'])}; minus "
        "logistic regression "
        f"{wording.estimate(tree.f1_differences['logistic_regression'], signed=True)}"
    )
    lines.append(
        f"{tree.right_parent_wrong_leaf:.0%} of the answers are wrong at the last level and right "
        "above it"
    )
    return lines
