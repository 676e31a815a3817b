"""Drawing heads of several levels next to heads and baselines of one."""

from __future__ import annotations

from typing import Any

from analyze.head.reporting.text import WORDS
from analyze.head.reporting.tree_report import TreeReport
from analyze.measures.estimates import Estimate
from analyze.presentation.figure_style import FAINT, axis_labels, drawing, entitle, new_figure
from analyze.presentation.interval_axes import draw_dot, name_rows
from analyze.presentation.palette import BACKBONE_COLORS

ROWS = {
    **WORDS,
    "head": "together, its own output",
    "path": "together, path down the tree",
    "alone": "a head of this level alone",
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
                draw_dot(axes, place, estimate, TOGETHER if name in ("head", "path") else OTHERS)
        name_rows(axes, [ROWS[name] for name in found])
        name = axis_labels([level.level], 32)[0]
        axes.set_xlabel(f"accuracy at {name}:\n{level.n_classes} classes")
        axes.set_xlim(left=max(0.0, axes.get_xlim()[0]), right=min(1.0, axes.get_xlim()[1]))
    f1 = report.hierarchical_f1
    entitle(
        panels[0],
        title,
        f"hierarchical F1 {f1['head'].mean:.3f}, of logistic regression "
        f"{f1['logistic_regression'].mean:.3f} · bars: 95 % over pictures",
    )
    return figure
