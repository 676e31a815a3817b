"""Drawing what is known of heads: confusions, learning curves, rivals side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.clustering.figures import (
    MOST_ANNOTATED,
    MOST_NAMED,
    confusion_size,
    draw_matrix,
    draw_shares,
)
from analyze.head.calibration_figure import draw_calibration
from analyze.head.levels_figure import draw_levels
from analyze.head.report import HeadReport
from analyze.head.report_tables import Runs
from analyze.head.rivals import HeadComparison, Rival
from analyze.presentation.figure_style import (
    FAINT,
    axis_labels,
    drawing,
    entitle,
    figure_text,
    new_figure,
)
from analyze.presentation.palette import BACKBONE_COLORS

MOST_BESIDE = 40
"""Classes of a matrix that stands beside others; the smaller ones are taken together."""

TRAIN, VALIDATION = "#888888", BACKBONE_COLORS[0]
LEAST_SCALE = 0.1
"""Share of a class that a scale of differences reaches at least: less is to look like little."""

SMALL_CELL = 0.16
"""Inches, of a matrix of many classes that stands beside others."""

TITLE_LETTER = 0.095
"""Inches, of a title above one of them."""


def draw_all(report: HeadReport, comparison: HeadComparison | None = None) -> dict[str, Any]:
    """Draw every figure of a head, by the name of its file."""
    drawn = {
        "confusion": draw_head_confusion(report),
        "curves": draw_curves(report),
        "calibration": draw_calibration(
            report.calibration, title=f"How far the head on {report.name} can be believed"
        ),
    }
    if report.tree is not None:
        drawn["levels"] = draw_levels(report.tree, title=f"Levels taught together, {report.name}")
    if comparison is not None:
        drawn["against"] = draw_against(comparison)
    return drawn


@drawing()
def draw_head_confusion(report: HeadReport) -> Any:
    """Draw what heads predict of pictures that they were not taught: classes down."""
    counts = report.confusion
    kept = _seen([counts])
    n_shown = len(kept)
    width, height = confusion_size(n_shown, n_shown)
    figure = new_figure(width + 1.2, height)
    axes = figure.subplots()
    some = [report.classes[i] for i in kept]
    named = axis_labels(some, 30) if n_shown <= MOST_NAMED else None
    draw_shares(axes, counts[np.ix_(kept, kept)], named, named)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class" if named is not None else f"{n_shown} classes, by name")
    entitle(axes, f"What the head on {report.name} takes for what", _subtitle(report))
    return figure


@drawing()
def draw_curves(report: Runs) -> Any:
    """Draw loss and accuracy by epoch: thin lines are trainings, thick ones their mean."""
    figure = new_figure(9.6, 3.9)
    panels = figure.subplots(1, 2)
    longest = max(run.trained.stopped_epoch for run in report.runs)
    for axes, kind in zip(panels, ("loss", "accuracy"), strict=True):
        for side, color in (("train", TRAIN), ("validation", VALIDATION)):
            curves = _curves(report, f"{side}_{kind}", longest)
            epochs = np.arange(1, longest + 1)
            width, alpha = 0.7, float(np.clip(3 / len(curves), 0.12, 0.6))
            axes.plot(epochs, curves.T, color=color, linewidth=width, alpha=alpha, zorder=2)
            axes.plot(epochs, _mean(curves), color=color, linewidth=2.4, label=side, zorder=4)
        best = [
            (r.trained.best_epoch, r.trained.curves[r.trained.best_epoch - 1]) for r in report.runs
        ]
        axes.scatter(
            [epoch for epoch, _ in best],
            [getattr(at, f"validation_{kind}") for _, at in best],
            s=14,
            color=VALIDATION,
            edgecolors="white",
            linewidths=0.5,
            label="best epoch",
            zorder=5,
        )
        _name_curves(axes, kind, longest)
    panels[0].legend(frameon=False, fontsize=8, loc="upper right")
    entitle(panels[0], f"Learning curves of the head on {report.name}", _curves_subtitle(report))
    figure.subplots_adjust(wspace=0.2)
    return figure


@drawing()
def draw_against(comparison: HeadComparison) -> Any:
    """Draw two confusions and their difference, a row a rival.

    Of many classes the largest are drawn, the others taken together.
    """
    rivals, report = comparison.rivals, comparison.report
    matrices = [each.confusion for each in comparison.named_reports.values()]
    seen = _seen(matrices)
    kept = _largest(report.confusion, seen, MOST_BESIDE)
    names = axis_labels([report.classes[i] for i in kept], 30)
    if len(kept) < len(seen):
        names = [*names, f"{len(seen) - len(kept)} smaller classes"]
    first, *others = [_taken_together(counts, kept, seen) for counts in matrices]
    tested = np.maximum(first.sum(axis=1, keepdims=True), 1)
    most = max(LEAST_SCALE, *(float((np.abs(first - o) / tested).max()) for o in others))
    width, height = confusion_size(len(names), len(names), SMALL_CELL)
    width = max(width, TITLE_LETTER * max(map(len, comparison.named_reports)))
    figure = new_figure(3 * width + 3.0, len(rivals) * (height + 1.1))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)
    panels = figure.subplots(len(rivals), 3, squeeze=False)
    for row, rival, counts in zip(panels, rivals, others, strict=True):
        across = names if rival is rivals[-1] else None
        entitle(row[0], comparison.name, f"accuracy {report.accuracy.mean:.3f}")
        draw_shares(row[0], first, across, names, bar=False)
        entitle(row[1], rival.name, f"accuracy {rival.report.accuracy.mean:.3f}")
        draw_shares(row[1], counts, across, None, bar=False)
        entitle(row[2], "the first minus the second", _short(rival))
        _draw_difference(row[2], first - counts, tested, across, most)
        row[0].set_ylabel("class")
    for axes in panels[-1]:
        axes.set_xlabel("predicted class")
    unseen = len(report.classes) - len(seen)
    about = f"The head on {comparison.name} against others" + _left_out(unseen)
    figure.suptitle(
        figure_text(about, 160),
        x=0.01,
        ha="left",
        weight="bold",
        size=11,
    )
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


def _short(rival: Rival) -> str:
    mean, low, high = rival.difference.mean, rival.difference.low, rival.difference.high
    between = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
    return f"accuracy {mean:+.3f}{between}"


def _seen(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Give the places of the classes that were tested, or that any head predicts."""
    times = sum(counts.sum(axis=0) + counts.sum(axis=1) for counts in matrices)
    return np.flatnonzero(times)


def _largest(counts: np.ndarray, seen: np.ndarray, most: int) -> np.ndarray:
    """Give the places of those classes most often tested, in their order."""
    sizes = counts.sum(axis=1)[seen]
    kept: np.ndarray = np.sort(seen[np.argsort(-sizes, kind="stable")[:most]])
    return kept


def _taken_together(counts: np.ndarray, kept: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Add up the rows and columns of classes that are seen but not kept into one, the last."""
    place = np.full(len(counts), len(kept))
    place[kept] = np.arange(len(kept))
    side = len(kept) + (len(kept) < len(seen))
    together = np.zeros((side, side), counts.dtype)
    there = np.ix_(seen, seen)
    np.add.at(together, np.ix_(place[seen], place[seen]), counts[there])
    return together


def _left_out(unseen: int) -> str:
    return f" · {unseen} classes not drawn: none tested, none predicted" if unseen else ""


def _subtitle(report: HeadReport) -> str:
    n_runs = len(report.logits)
    tested = int((report.predicted["head"] >= 0).any(axis=0).sum())
    parts = [f"accuracy {report.accuracy.mean:.3f}", f"{tested} tested pictures"]
    if n_runs > 1:
        parts.append(f"{n_runs} {'shuffles' if report.split.get('n_folds') else 'seeds'}")
    seen = len(_seen([report.confusion]))
    if seen <= MOST_ANNOTATED:
        parts.append("numbers: answers of all runs" if n_runs > 1 else "numbers: pictures")
    return " · ".join(parts) + _left_out(len(report.classes) - seen)


def _curves(report: Runs, name: str, longest: int) -> np.ndarray:
    """Give one figure of each training by epoch; NaN after it stopped."""
    curves = np.full((len(report.runs), longest), np.nan)
    for row, run in zip(curves, report.runs, strict=True):
        values = [getattr(epoch, name) for epoch in run.trained.curves]
        row[: len(values)] = values
    return curves


def _mean(curves: np.ndarray) -> np.ndarray:
    """Average trainings as long as all of them run: those that stop late are not the average."""
    mean: np.ndarray = curves.mean(axis=0)
    return mean


def _curves_subtitle(report: Runs) -> str:
    n = len(report.runs)
    if n == 1:
        return "one training"
    return f"thin: {n} trainings · thick: their mean, while all of them run · dots: best epochs"


def _name_curves(axes: Any, kind: str, longest: int) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross-entropy" if kind == "loss" else "accuracy")
    axes.set_xlim(1, max(longest, 2))
    axes.set_ylim(bottom=0 if kind == "loss" else None, top=None if kind == "loss" else 1.005)
    axes.grid(color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FAINT)
