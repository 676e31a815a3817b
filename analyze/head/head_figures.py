"""Drawing what is known of heads: confusions, learning curves, rivals side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.figure_style import (
    FAINT,
    axis_labels,
    drawing,
    entitle,
    figure_text,
    new_figure,
)
from analyze.figures import (
    MOST_ANNOTATED,
    MOST_NAMED,
    confusion_size,
    draw_matrix,
    draw_shares,
)
from analyze.head.report import HeadReport
from analyze.head.rivals import HeadComparison, Rival
from analyze.palette import BACKBONE_COLORS

MOST_BESIDE = 40
"""Classes of a matrix that stands beside others; the smaller ones are taken together."""

TRAIN, VALIDATION = "#888888", BACKBONE_COLORS[0]
LEAST_RUNNING = 0.5
"""Share of the runs that a mean of curves needs: those that run on longest are not the average."""


def draw_all(report: HeadReport, comparison: HeadComparison | None = None) -> dict[str, Any]:
    """Draw every figure of a head, by the name of its file."""
    drawn = {"confusion": draw_head_confusion(report), "curves": draw_curves(report)}
    if comparison is not None:
        drawn["against"] = draw_against(comparison)
    return drawn


@drawing()
def draw_head_confusion(report: HeadReport) -> Any:
    """Draw what heads predict of pictures that they were not taught: classes down."""
    n_classes = len(report.classes)
    width, height = confusion_size(n_classes, n_classes)
    figure = new_figure(width + 1.2, height)
    axes = figure.subplots()
    named = axis_labels(report.classes, 30) if n_classes <= MOST_NAMED else None
    draw_shares(axes, report.confusion, named, named)
    _name_classes(axes, n_classes if named is None else None)
    entitle(axes, f"What the head on {report.model} takes for what", _subtitle(report))
    return figure


@drawing()
def draw_curves(report: HeadReport) -> Any:
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
    entitle(panels[0], f"Learning curves of the head on {report.model}", _curves_subtitle(report))
    figure.subplots_adjust(wspace=0.2)
    return figure


@drawing()
def draw_against(comparison: HeadComparison) -> Any:
    """Draw two confusions and their difference, a row a rival.

    Of many classes the largest are drawn, the others taken together.
    """
    rivals, report = comparison.rivals, comparison.report
    kept = _largest(report.confusion, MOST_BESIDE)
    n_shown = len(kept) + (len(kept) < len(report.classes))
    names = axis_labels([report.classes[i] for i in kept], 30)
    if n_shown > len(kept):
        names = [*names, f"{len(report.classes) - len(kept)} smaller classes"]
    width, height = confusion_size(n_shown, n_shown)
    figure = new_figure(3 * width + 3.0, len(rivals) * (height + 1.1))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)
    panels = figure.subplots(len(rivals), 3, squeeze=False)
    for row, rival in zip(panels, rivals, strict=True):
        _draw_pair(row, comparison, rival, kept, names, last=rival is rivals[-1])
    figure.suptitle(
        figure_text(f"The head on {comparison.name} against others", 120),
        x=0.01,
        ha="left",
        weight="bold",
        size=11,
    )
    return figure


def _draw_pair(
    panels: Sequence[Any],
    comparison: HeadComparison,
    rival: Rival,
    kept: np.ndarray,
    names: Sequence[str],
    *,
    last: bool,
) -> None:
    one, other = (
        _taken_together(each.confusion, kept) for each in (comparison.report, rival.report)
    )
    across = names if last else None
    titles = (comparison.name, rival.name)
    for axes, name, counts, report, down in zip(
        panels, titles, (one, other), (comparison.report, rival.report), (names, None), strict=False
    ):
        draw_shares(axes, counts, across, down, bar=False)
        entitle(axes, name, f"accuracy {report.accuracy.mean:.3f}")
    tested = np.maximum(one.sum(axis=1, keepdims=True), 1)
    apart = (one - other) / tested
    most = max(float(np.abs(apart).max()), 0.01)
    draw_matrix(
        panels[2],
        apart,
        one - other,
        across,
        None,
        explained="difference of shares",
        written="+d",
        cmap="PuOr_r",
        vmin=-most,
        vmax=most,
    )
    entitle(panels[2], f"{comparison.name} minus {rival.name}", _short(rival))
    for axes in panels:
        axes.set_xlabel("predicted class" if last else "")
    panels[0].set_ylabel("class")


def _short(rival: Rival) -> str:
    mean, low, high = rival.difference.mean, rival.difference.low, rival.difference.high
    between = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
    return f"accuracy {mean:+.3f}{between}"


def _largest(counts: np.ndarray, most: int) -> np.ndarray:
    """Give the places of the classes most often tested, in their order."""
    sizes = counts.sum(axis=1)
    if len(sizes) <= most:
        return np.arange(len(sizes))
    kept: np.ndarray = np.sort(np.argsort(-sizes, kind="stable")[:most])
    return kept


def _taken_together(counts: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Add up the rows and columns of classes that are not kept into one, the last."""
    n = len(counts)
    if len(kept) == n:
        return counts
    place = np.full(n, len(kept))
    place[kept] = np.arange(len(kept))
    together = np.zeros((len(kept) + 1,) * 2, counts.dtype)
    np.add.at(together, (place[:, None], place[None, :]), counts)
    return together


def _name_classes(axes: Any, unnamed: int | None) -> None:
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class" if unnamed is None else f"{unnamed} classes, by name")


def _subtitle(report: HeadReport) -> str:
    n_runs, n_folds = len(report.logits), report.split.get("n_folds")
    runs = f"{n_runs} shuffles" if n_folds else f"{n_runs} seeds"
    tested = int((report.predicted["head"] >= 0).any(axis=0).sum())
    parts = [f"accuracy {report.accuracy.mean:.3f}", f"{tested} tested pictures, {runs}"]
    if len(report.classes) <= MOST_ANNOTATED:
        parts.append("numbers: answers of all runs" if n_runs > 1 else "numbers: pictures")
    return " · ".join(parts)


def _curves(report: HeadReport, name: str, longest: int) -> np.ndarray:
    """Give one figure of each training by epoch; NaN after it stopped."""
    curves = np.full((len(report.runs), longest), np.nan)
    for row, run in zip(curves, report.runs, strict=True):
        values = [getattr(epoch, name) for epoch in run.trained.curves]
        row[: len(values)] = values
    return curves


def _mean(curves: np.ndarray) -> np.ndarray:
    """Average trainings, as long as most of them run."""
    running = ~np.isnan(curves)
    mean: np.ndarray = np.nansum(curves, axis=0) / np.maximum(running.sum(axis=0), 1)
    mean[running.mean(axis=0) < LEAST_RUNNING] = np.nan
    return mean


def _curves_subtitle(report: HeadReport) -> str:
    n = len(report.runs)
    if n == 1:
        return "one training"
    return f"thin: {n} trainings · thick: their mean, while half of them run · dots: best epochs"


def _name_curves(axes: Any, kind: str, longest: int) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross-entropy" if kind == "loss" else "accuracy")
    axes.set_xlim(1, max(longest, 2))
    axes.set_ylim(bottom=0 if kind == "loss" else None, top=None if kind == "loss" else 1.005)
    axes.grid(color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FAINT)
