"""Drawing heads of several levels beside heads and baselines of one."""

from __future__ import annotations

from typing import Any

from analyze.figure_style import FAINT, axis_labels, drawing, entitle, new_figure
from analyze.head.evaluation import Estimate
from analyze.head.tree_report import TreeReport
from analyze.palette import BACKBONE_COLORS

ROWS = {
    "head": "together, its own output",
    "path": "together, path down the tree",
    "alone": "a head of this level alone",
    "logistic_regression": "logistic regression",
    "knn": "nearest neighbors",
}
TOGETHER, OTHERS = BACKBONE_COLORS[0], FAINT


@drawing()
def draw_levels(report: TreeReport, *, title: str) -> Any:
    """Draw accuracy with its interval, a panel a level, a row for each that answers."""
    figure = new_figure(2.4 + 3.0 * len(report.levels), 3.1)
    panels = figure.subplots(1, len(report.levels), sharey=True, squeeze=False)[0]
    for axes, level in zip(panels, report.levels, strict=True):
        found: dict[str, Estimate | None] = {
            "head": level.accuracy,
            "path": level.path,
            "alone": level.alone,
            **level.baselines,
        }
        for place, (name, estimate) in enumerate(found.items()):
            if estimate is not None:
                _dot(axes, place, estimate, TOGETHER if name in ("head", "path") else OTHERS)
        axes.set_yticks(range(len(found)), [ROWS[name] for name in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel(
            f"accuracy at {axis_labels([level.level], 32)[0]}: {level.n_classes} classes"
        )
        axes.set_xlim(left=max(0.0, axes.get_xlim()[0]), right=min(1.0, axes.get_xlim()[1]))
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    f1 = report.hierarchical_f1
    entitle(
        panels[0],
        title,
        f"hierarchical F1 {f1['head'].mean:.3f}, of logistic regression "
        f"{f1['logistic_regression'].mean:.3f} · bars: 95 % over pictures",
    )
    return figure


def _dot(axes: Any, place: int, estimate: Estimate, color: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [place, place], color=color, linewidth=2.2)
    axes.plot([estimate.mean], [place], "o", color=color, markersize=6)
    axes.annotate(
        f"{estimate.mean:.3f}",
        (estimate.mean, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        size=8,
        color=color,
    )
