"""Drawing multilabel heads: F1 a class, next to the baselines or heads on other backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analyze.head.reporting.report import HEAD
from analyze.head.reporting.set_class_scores import SetClassScore
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.text import WORDS
from analyze.presentation.figure_style import FAINT, axis_labels, drawing, entitle, new_figure
from analyze.presentation.palette import BACKBONE_COLORS, MARKERS

MOST_DRAWN = 60
"""Classes of a level; of more those that most pictures have."""

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
    """Draw F1 at the thresholds, a row a class, the most frequent above; level below level."""
    rows = [
        Rows(
            level,
            np.argsort(-_tested(level), kind="stable")[:MOST_DRAWN],
            [(WORDS[name], *MARKS[name], _f1(own)) for name, own in level.class_scores.items()],
        )
        for level in report.levels or (report,)
    ]
    axes = _draw(rows, titled=bool(report.levels))
    n_drawn = sum(len(each.kept) for each in rows)
    entitle(axes, f"Which labels the head on {report.name} finds", _subtitle(report, n_drawn))
    return axes.figure


@drawing()
def draw_f1_of_each(reports: Mapping[str, SetReport]) -> Any:
    """Draw F1 of heads by the names of their backbones, classes that the first finds better above.

    Of many classes those with the largest differences of F1.
    """
    name, first = next(iter(reports.items()))
    named = [f"{n}, macro F1 {own.scores[HEAD].macro_f1.mean:.3f}" for n, own in reports.items()]
    f1 = [_f1(own.class_scores[HEAD]) for own in reports.values()]
    dots = [
        (label, BACKBONE_COLORS[i % 8], MARKERS[i % 9], 9 + 55 / 4**i, own)
        for i, (label, own) in enumerate(zip(axis_labels(named, 60), f1, strict=True))
    ]
    gained = np.nan_to_num(f1[0] - np.stack(f1[1:]))
    largest = np.argsort(-np.abs(gained).max(axis=0), kind="stable")[:MOST_COMPARED]
    kept = largest[np.argsort(-gained.mean(axis=0)[largest], kind="stable")]
    axes, of = _draw([Rows(first, kept, dots)]), len(first.classes)
    some = f": the {len(kept)} of {of} classes that differ most" if len(kept) < of else ""
    about = f"{int(first.tested.any(axis=0).sum())} tested pictures"
    title = f"The head on {name} against others{some}"
    entitle(axes, title, f"{about} · classes that it finds better stand above")
    return axes.figure


class Rows(NamedTuple):
    """Classes below each other.

    Parameters
    ----------
    kept : ndarray of int
        Places of the classes that are drawn.
    dots : sequence of (name, color, marker, size, ndarray of shape (n_classes,))
        F1 of each that is compared, the largest dot first: it lies below.
    """

    report: SetReport
    kept: np.ndarray
    dots: Sequence[tuple[str, str, str, float, np.ndarray]]


def _draw(parts: Sequence[Rows], titled: bool = False) -> Any:
    """Draw parts below each other, each below the name of its level where they are titled."""
    n_rows = sum(titled + len(each.kept) for each in parts)
    axes = new_figure(7.2, 1.5 + 0.24 * n_rows).subplots()
    names: list[str] = []
    for report, kept, dots in parts:
        names += axis_labels([report.level], 34) if titled else []
        places, stacked = np.arange(len(kept)) + len(names), np.stack([f1[kept] for *_, f1 in dots])
        lows, highs = np.fmin.reduce(stacked), np.fmax.reduce(stacked)  # NaN where all are
        axes.hlines(places, lows, highs, color="#CCCCCC", linewidth=1.6, zorder=1)
        for label, color, mark, size, f1 in dots:
            axes.scatter(f1[kept], places, s=size, color=color, marker=mark, label=label, zorder=3)
        labels = axis_labels([report.classes[i] for i in kept.tolist()], 34)
        names += [f"{n}  {k}" for n, k in zip(labels, _tested(report)[kept], strict=True)]
    axes.set_yticks(np.arange(n_rows), names)
    for place in np.cumsum([0, *(len(each.kept) + 1 for each in parts)])[:-1] if titled else ():
        axes.get_yticklabels()[place].set_fontweight("bold")
    axes.set_ylim(n_rows - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("F1 at each class's threshold; next to a class its test pictures")
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    once = [own[: len(parts[0].dots)] for own in axes.get_legend_handles_labels()]
    axes.legend(*once, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
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
