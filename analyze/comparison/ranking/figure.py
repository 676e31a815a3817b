"""Drawing a ranking of backbones: finished numbers in, a chart out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.comparison.ranking.scores import RankRow
from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import FAINT, axis_labels, entitle
from analyze.presentation.palette import backbone_style

LONGEST_BACKBONE = 44
ROW_INCHES = 0.34


def ranking_chart(rows: Sequence[RankRow], *, score: str, title: str, subtitle: str) -> Chart:
    """Draw a dot for each backbone, the best on top, and its interval where there is one.

    Parameters
    ----------
    rows : sequence of RankRow
        Of one metric, the best first.
    score : str
        What the places along the axis are.
    """

    def draw(axes: Any) -> None:
        for place, row in enumerate(rows):
            _draw_row(axes, place, row)
        _name_axes(axes, rows, score)

    def fill(figure: Any) -> Any:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        draw(axes)
        entitle(axes, title, subtitle)
        return axes

    return Chart((8.2, 1.6 + ROW_INCHES * len(rows)), fill, draw)


def _draw_row(axes: Any, place: int, row: RankRow) -> None:
    color, hatch = backbone_style(row.model.number)
    if row.low is not None and row.high is not None:
        axes.plot(
            [row.low, row.high],
            [place, place],
            color=color,
            linewidth=2.2,
            solid_capstyle="butt",
            zorder=2,
        )
    axes.scatter(
        [row.value],
        [place],
        s=46,
        color="white" if hatch else color,
        edgecolors=color,
        linewidths=1.6,
        clip_on=False,
        zorder=3,
    )
    axes.annotate(
        f"{row.value + 0:.3f}",
        (1, place),
        xytext=(6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        size=8,
    )


def _name_axes(axes: Any, rows: Sequence[RankRow], score: str) -> None:
    names = axis_labels([row.model.name for row in rows], LONGEST_BACKBONE)
    axes.set_yticks(np.arange(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    margin = max(0.01, 0.06 * (max(ends) - min(ends)))
    # no score is above 1: the axis ends there, and half of a dot may stand out of it
    most = max(ends) + margin if max(ends) + margin < 1 else max(1.0, max(ends))
    axes.set_xlim(min(ends) - margin, most)
    axes.set_xlabel(score)
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", color=FAINT)
