"""Drawing what is known of heads: confusions, learning curves, and each kind's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, singledispatch
from typing import Any

import numpy as np

from analyze.head.figures.calibration_figure import draw_calibration
from analyze.head.figures.class_f1_figure import draw_class_f1
from analyze.head.figures.levels_figure import draw_levels
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.report import HeadReport
from analyze.head.reporting.set_report import SetReport
from analyze.measures.confusion_figure import (
    MOST_ANNOTATED,
    MOST_NAMED,
    confusion_size,
    draw_shares,
    order_by_parent,
    outline_groups,
)
from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import FAINT, axis_labels, drawing, entitle, new_figure
from analyze.presentation.palette import BACKBONE_COLORS
from analyze.presentation.result import Draw

TRAIN, VALIDATION = "#888888", BACKBONE_COLORS[0]


@singledispatch
def figures_of(report: HeadReport) -> dict[str, Draw]:
    """Give what draws every figure of a report, by the name of its file."""
    raise TypeError(f"no figures of a {type(report).__name__}")


@figures_of.register
def _(report: ClassReport) -> dict[str, Draw]:
    believed = f"How far the head on {report.name} can be believed"
    drawn: dict[str, Draw] = {
        "confusion": head_confusion_chart(report).figure,
        "curves": partial(draw_curves, report),
        "calibration": lambda: draw_calibration(report.calibration, title=believed),
    }
    if report.tree is not None:
        title = f"Levels trained together, {report.name}"
        drawn["levels"] = partial(draw_levels, report.tree, title=title)
    return drawn


@figures_of.register
def _(report: SetReport) -> dict[str, Draw]:
    return {
        "class_f1": partial(draw_class_f1, report),
        "curves": partial(draw_curves, report),
        "calibration": lambda: draw_calibration(
            report.calibration,
            title=f"How far the head on {report.name} can be believed",
            probability="probability of a label",
            share="share of pictures that have it",
            counted="labels of tested pictures",
        ),
    }


def head_confusion_chart(report: ClassReport) -> Chart:
    """Draw what heads predict of pictures that they were not trained on: classes down."""
    counts = report.confusion
    kept = seen_classes([counts])
    n_shown = len(kept)
    groups: list[tuple[str, int]] = []
    if n_shown > MOST_ANNOTATED:
        order, groups = _by_path([report.classes[i] for i in kept])
        kept = kept[order]
    width, height = confusion_size(n_shown, n_shown)
    some = [report.classes[i] for i in kept]
    named = axis_labels(some, 30) if n_shown <= MOST_NAMED else None

    def draw(axes: Any) -> None:
        draw_shares(axes, counts[np.ix_(kept, kept)], named, named)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("class" if named is not None else f"{n_shown} classes, by name")
        outline_groups(axes, [(name, n, n) for name, n in groups], named=named is None)

    def fill(figure: Any) -> Any:
        axes = figure.subplots()
        draw(axes)
        entitle(axes, f"What the head on {report.name} takes for what", _subtitle(report))
        return axes

    return Chart((width + 1.2, height), fill, draw)


def _by_path(classes: Sequence[str]) -> tuple[list[int], list[tuple[str, int]]]:
    """Order classes that are paths by what they begin with; as they are where some are none."""
    parents = {name: name.partition(" >> ")[0] for name in classes if " >> " in name}
    if len(parents) < len(classes):
        return list(range(len(classes))), []
    return order_by_parent(classes, parents)


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
            # trainings that stop late are not the average: NaN where one has stopped
            mean = curves.mean(axis=0)
            axes.plot(epochs, mean, color=color, linewidth=2.4, label=side, zorder=4)
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
            clip_on=False,
            zorder=5,
        )
        _name_curves(axes, kind, longest)
    panels[0].legend(frameon=False, fontsize=8, loc="upper right")
    entitle(panels[0], f"Learning curves of the head on {report.name}", _curves_subtitle(report))
    figure.subplots_adjust(wspace=0.2)
    return figure


def seen_classes(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Give the places of the classes that were tested, or that any head predicts."""
    times = sum(counts.sum(axis=0) + counts.sum(axis=1) for counts in matrices)
    return np.flatnonzero(times)


def not_drawn(unseen: int) -> str:
    """Say how many classes are not drawn; nothing where all are."""
    return f" · {unseen} classes not drawn: none tested, none predicted" if unseen else ""


def _subtitle(report: ClassReport) -> str:
    n_runs = len(report.logits)
    tested = int((report.predicted["head"] >= 0).any(axis=0).sum())
    parts = [f"accuracy {report.accuracy.mean:.3f}", f"{tested} tested pictures"]
    if n_runs > 1:
        parts.append(f"{n_runs} {'shuffles' if report.split.get('n_folds') else 'seeds'}")
    seen = len(seen_classes([report.confusion]))
    if seen <= MOST_ANNOTATED:
        parts.append("numbers: answers of all runs" if n_runs > 1 else "numbers: pictures")
    return " · ".join(parts) + not_drawn(len(report.classes) - seen)


def _curves(report: HeadReport, name: str, longest: int) -> np.ndarray:
    """Give one figure of each training by epoch; NaN after it stopped."""
    curves = np.full((len(report.runs), longest), np.nan)
    for row, run in zip(curves, report.runs, strict=True):
        values = [getattr(epoch, name) for epoch in run.trained.curves]
        row[: len(values)] = values
    return curves


def _curves_subtitle(report: HeadReport) -> str:
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
