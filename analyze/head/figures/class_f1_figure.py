"""Drawing heads of several labels: F1 a class, beside the baselines or heads on other backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analyze.head.reporting.report import HEAD
from analyze.head.reporting.set_class_scores import SetClassScore
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.text import WORDS
from analyze.presentation.figure_style import FAINT, axis_labels, drawing, entitle, new_figure
from analyze.presentation.palette import BACKBONE_COLORS, MARKERS

MOST_DRAWN = 60
"""Classes; of more those that most pictures have."""

MOST_COMPARED = 40
"""Classes drawn of several backbones."""

MARKS = {
    HEAD: (BACKBONE_COLORS[0], "o", 64),
    "logistic_regression": (BACKBONE_COLORS[1], "D", 22),
    "knn": (FAINT, "s", 9),
    "frozen_head": (BACKBONE_COLORS[2], "^", 22),
}


@drawing()
def draw_class_f1(report: SetReport) -> Any:
    """Draw F1 at the thresholds, a row a class, the most frequent above."""
    dots = [(WORDS[name], *MARKS[name], _f1(own)) for name, own in report.class_scores.items()]
    kept = np.argsort(-_tested(report), kind="stable")[:MOST_DRAWN]
    axes = _draw_rows(report, kept, dots)
    entitle(axes, f"Which labels the head on {report.name} finds", _subtitle(report, len(kept)))
    return axes.figure


@drawing()
def draw_f1_of_each(reports: Mapping[str, SetReport]) -> Any:
    """Draw F1 of heads by the names of their backbones, classes that the first finds better above.

    Of many classes those whose F1 differs most.
    """
    name, first = next(iter(reports.items()))
    said = [f"{n}, macro F1 {own.scores[HEAD].macro_f1.mean:.3f}" for n, own in reports.items()]
    f1 = [_f1(own.class_scores[HEAD]) for own in reports.values()]
    dots = [
        (label, BACKBONE_COLORS[i % 8], MARKERS[i % 9], 9 + 55 / 4**i, own)
        for i, (label, own) in enumerate(zip(axis_labels(said, 60), f1, strict=True))
    ]
    gained = np.nan_to_num(f1[0] - np.stack(f1[1:]))
    largest = np.argsort(-np.abs(gained).max(axis=0), kind="stable")[:MOST_COMPARED]
    kept = largest[np.argsort(-gained.mean(axis=0)[largest], kind="stable")]
    axes, of = _draw_rows(first, kept, dots), len(first.classes)
    some = f": the {len(kept)} of {of} classes that differ most" if len(kept) < of else ""
    about = f"{int(first.tested.any(axis=0).sum())} tested pictures"
    title = f"The head on {name} against others{some}"
    entitle(axes, title, f"{about} · classes that it finds better stand above")
    return axes.figure


def _draw_rows(
    report: SetReport, kept: np.ndarray, dots: Sequence[tuple[str, str, str, float, np.ndarray]]
) -> Any:
    """Draw a row a kept class: name, color, marker, size and F1 of each, the largest below."""
    figure = new_figure(7.2, 1.5 + 0.24 * len(kept))
    axes = figure.subplots()
    places, counts = np.arange(len(kept)), _tested(report)
    stacked = np.stack([f1[kept] for *_, f1 in dots])
    lows, highs = np.fmin.reduce(stacked), np.fmax.reduce(stacked)  # NaN where all are
    axes.hlines(places, lows, highs, color="#CCCCCC", linewidth=1.6, zorder=1)
    for label, color, marker, size, f1 in dots:
        axes.scatter(f1[kept], places, s=size, color=color, marker=marker, label=label, zorder=3)
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
    return axes


def _tested(report: SetReport) -> np.ndarray:
    """Count the tested pictures of each class."""
    return np.array([each.score.n for each in report.class_scores[HEAD]])


def _f1(scores: Sequence[SetClassScore]) -> np.ndarray:
    return np.array([np.nan if own.score.f1 is None else own.score.f1 for own in scores])


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
