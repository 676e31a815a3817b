"""Drawing heads on several backbones side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.head.figures.class_f1_figure import draw_f1_of_each
from analyze.head.figures.head_figures import not_drawn, seen_classes
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.set_report import SetReport
from analyze.head.rivals import HeadComparison
from analyze.measures.confusion_figure import confusion_size, draw_matrix, draw_shares
from analyze.presentation import wording
from analyze.presentation.figure_style import (
    axis_labels,
    drawing,
    entitle,
    figure_text,
    new_figure,
)

MOST_ADJACENT = 40
"""Classes of a matrix that stands next to others; the smaller ones are taken together."""

LEAST_SCALE = 0.1
"""Share of a class that a scale of differences reaches at least: less is to look like little."""

SMALL_CELL, NUMBERED_CELL = 0.16, 0.4
"""Inches, of a matrix that stands next to others: of many classes, and of few with numbers."""

TITLE_LETTER = 0.095
"""Inches, of a title above one of them."""


@drawing()
def draw_against(comparison: HeadComparison) -> Any:
    """Draw two confusions and their difference, a row a rival; of several labels F1 a class.

    Of many classes the largest are drawn, the others taken together.
    """
    named = comparison.named_reports
    sets = {name: each for name, each in named.items() if isinstance(each, SetReport)}
    if sets:
        return draw_f1_of_each(sets)
    rivals, reports = comparison.rivals, named.values()
    matrices = [each.confusion for each in reports if isinstance(each, ClassReport)]
    report = comparison.report
    seen = seen_classes(matrices)
    kept = _largest(matrices[0], seen, MOST_ADJACENT)
    names = axis_labels([report.classes[i] for i in kept], 30)
    if len(kept) < len(seen):
        names = [*names, f"{len(seen) - len(kept)} smaller classes"]
    first, *others = [_taken_together(counts, kept, seen) for counts in matrices]
    tested = np.maximum(first.sum(axis=1, keepdims=True), 1)
    most = max(LEAST_SCALE, *(float((np.abs(first - o) / tested).max()) for o in others))
    width, height = confusion_size(len(names), len(names), SMALL_CELL, NUMBERED_CELL)
    width = max(width, TITLE_LETTER * max(map(len, named)))
    figure = new_figure(3 * width + 3.0, len(rivals) * (height + 1.1))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)
    panels = figure.subplots(len(rivals), 3, squeeze=False)
    for row, rival, counts in zip(panels, rivals, others, strict=True):
        across = names if rival is rivals[-1] else None
        entitle(row[0], comparison.name, f"accuracy {report.accuracy.mean:.3f}")
        draw_shares(row[0], first, across, names, bar=False)
        entitle(row[1], rival.name, f"accuracy {rival.report.accuracy.mean:.3f}")
        draw_shares(row[1], counts, across, None, bar=False)
        apart = f"accuracy {wording.estimate(rival.difference, signed=True)}"
        entitle(row[2], "the first minus the second", apart)
        _draw_difference(row[2], first - counts, tested, across, most)
        row[0].set_ylabel("class")
    for axes in panels[-1]:
        axes.set_xlabel("predicted class")
    unseen = len(report.classes) - len(seen)
    about = f"The head on {comparison.name} against others" + not_drawn(unseen)
    figure.suptitle(figure_text(about, 160), x=0.01, ha="left", weight="bold", size=11)
    return figure


def _draw_difference(
    axes: Any, apart: np.ndarray, tested: np.ndarray, across: Sequence[str] | None, most: float
) -> None:
    """Color how much larger a share of its class one head puts there, and write how many."""
    spelled = np.array([[f"{n:+d}" if n else "0" for n in row] for row in apart.tolist()])
    draw_matrix(
        axes,
        apart / tested,
        spelled,
        across,
        None,
        explained="difference of shares",
        written="",
        cmap="PuOr_r",
        vmin=-most,
        vmax=most,
    )


def _largest(counts: np.ndarray, seen: np.ndarray, most: int) -> np.ndarray:
    """Give the places of those classes most often tested, in their order."""
    sizes = counts.sum(axis=1)[seen]
    return np.sort(seen[np.argsort(-sizes, kind="stable")[:most]])


def _taken_together(counts: np.ndarray, kept: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Add up the rows and columns of classes that are seen but not kept into one, the last."""
    place = np.full(len(counts), len(kept))
    place[kept] = np.arange(len(kept))
    side = len(kept) + (len(kept) < len(seen))
    together = np.zeros((side, side), counts.dtype)
    there = np.ix_(seen, seen)
    np.add.at(together, np.ix_(place[seen], place[seen]), counts[there])
    return together
