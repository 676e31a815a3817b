"""Drawing heads of several labels: F1 a class, beside the baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyze.head.reporting.report import HEAD
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.text import WORDS
from analyze.presentation.figure_style import FAINT, axis_labels, drawing, entitle, new_figure
from analyze.presentation.palette import BACKBONE_COLORS

MOST_DRAWN = 60
"""Classes; of more those that most pictures have."""

MARKS = {
    HEAD: (BACKBONE_COLORS[0], "o", 64),
    "logistic_regression": (BACKBONE_COLORS[1], "D", 22),
    "knn": (FAINT, "s", 9),
    "frozen_head": (BACKBONE_COLORS[2], "^", 22),
}


@drawing()
def draw_class_f1(report: SetReport) -> Any:
    """Draw F1 at the thresholds, a row a class, the most frequent above."""
    counts = np.array([each.score.n for each in report.class_scores[HEAD]])
    kept = np.argsort(-counts, kind="stable")[:MOST_DRAWN]
    figure = new_figure(7.2, 1.5 + 0.24 * len(kept))
    axes = figure.subplots()
    places = np.arange(len(kept))
    values = {
        name: np.array([_f1(own[i].score.f1) for i in kept])
        for name, own in report.class_scores.items()
    }
    stacked = np.stack(list(values.values()))
    lows, highs = np.fmin.reduce(stacked), np.fmax.reduce(stacked)  # NaN where all are
    axes.hlines(places, lows, highs, color="#CCCCCC", linewidth=1.6, zorder=1)
    for name, f1 in values.items():  # the head's dot is the largest, and lies below
        color, marker, size = MARKS[name]
        axes.scatter(f1, places, s=size, color=color, marker=marker, label=WORDS[name], zorder=3)
    some = [report.classes[i] for i in kept.tolist()]
    named = [f"{n}  {counts[i]}" for n, i in zip(axis_labels(some, 34), kept.tolist(), strict=True)]
    axes.set_yticks(places, named)
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("F1 at each class's threshold; beside a class its tested pictures")
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    entitle(axes, f"Which labels the head on {report.name} finds", _subtitle(report, len(kept)))
    return figure


def _f1(value: float | None) -> float:
    return np.nan if value is None else value


def _subtitle(report: SetReport, n_drawn: int) -> str:
    scores = report.scores
    parts = [
        f"macro F1 {scores[HEAD].macro_f1.mean:.3f}, of logistic regression "
        f"{scores['logistic_regression'].macro_f1.mean:.3f}",
        f"{int(report.tested.any(axis=0).sum())} tested pictures",
    ]
    if n_drawn < len(report.classes):
        parts.append(f"the {n_drawn} most frequent of {len(report.classes)} classes")
    return " · ".join(parts)
