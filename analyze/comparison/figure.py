"""Drawing a comparison of backbones: finished numbers in, a chart out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import FAINT, INK, axis_labels, entitle
from analyze.presentation.palette import backbone_style

LONGEST_BACKBONE = 44
LETTER_INCHES = 0.08
LETTERS_AN_INCH = 13


def comparison_chart(
    scores: np.ndarray,
    names: Sequence[str],
    columns: Sequence[str],
    intervals: np.ndarray | None = None,
    *,
    score: str,
    title: str,
    subtitle: str,
) -> Chart:
    """Draw a bar for each backbone and reduction: mean over seeds, its interval, and each seed.

    Parameters
    ----------
    scores : ndarray of shape (n_models, n_columns, n_seeds)
        Finite.
    names : sequence of str
        Of the models.
    columns : sequence of str
        Reductions, with their clusterings where there are several.
    intervals : ndarray of shape (n_models, n_columns, 2), optional
        Low and high.
    score : str
        What the height is.
    """
    n_models, n_columns = scores.shape[:2]
    inches = float(np.clip(1.2 + 0.3 * (n_models + 1) * n_columns, 8.2, 16))
    legend_columns = _legend_columns(names, inches)

    def draw_bars(axes: Any) -> None:
        for i in range(n_models):
            _draw_backbone(axes, i, scores, intervals)
        _name_axes(axes, scores, intervals, columns, inches / n_columns, score)

    def draw(axes: Any) -> None:
        draw_bars(axes)
        _name_bars(axes.legend(frameon=False, fontsize=7), names)

    def fill(figure: Any) -> Any:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        draw_bars(axes)
        placed = {"loc": "outside lower center", "ncols": legend_columns}
        _name_bars(figure.legend(**placed, frameon=False, fontsize=8), names)
        entitle(axes, title, subtitle)
        return axes

    return Chart((inches, 4.3 + 0.2 * -(-n_models // legend_columns)), fill, draw)


def _draw_backbone(axes: Any, i: int, scores: np.ndarray, intervals: np.ndarray | None) -> None:
    n_models, n_columns = scores.shape[:2]
    width = min(0.3, 0.8 / n_models)
    color, hatch = backbone_style(i)
    places = np.arange(n_columns) + (i - (n_models - 1) / 2) * width
    axes.bar(
        places,
        scores[i].mean(axis=1),
        0.92 * width,
        color=color,
        hatch=hatch,
        edgecolor="white",
        linewidth=0,
        label=str(i),  # matplotlib leaves out names like "_misc"
        zorder=2,
    )
    _draw_seeds(axes, places, scores[i], 0.92 * width)
    if intervals is not None:
        _draw_intervals(axes, places, scores[i].mean(axis=1), intervals[i], width)


def _name_bars(legend: Any, names: Sequence[str]) -> None:
    for drawn, name in zip(legend.get_texts(), axis_labels(names, LONGEST_BACKBONE), strict=True):
        drawn.set_text(name)


def _name_axes(
    axes: Any,
    scores: np.ndarray,
    intervals: np.ndarray | None,
    columns: Sequence[str],
    inches_each: float,
    score: str,
) -> None:
    n_columns, n_seeds = scores.shape[1:]
    labels = axis_labels(columns, 40)
    axes.set_xticks(np.arange(n_columns), labels)
    if max(map(len, labels)) * LETTER_INCHES > inches_each:
        axes.set_xticklabels(labels, rotation=20, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, n_columns - 0.5)
    axes.set_xlabel("reduction")
    axes.set_ylabel(f"{score}: mean over {n_seeds} seeds" if n_seeds > 1 else score)
    drawn = scores if intervals is None else np.concatenate([scores, intervals], axis=2)
    axes.set_ylim(min(0, 1.08 * float(drawn.min())), max(0.1, 1.08 * float(drawn.max())))
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _draw_seeds(axes: Any, places: np.ndarray, scores: np.ndarray, width: float) -> None:
    """Draw each seed as a dot next to the others."""
    n_seeds = scores.shape[1]
    if n_seeds < 2:
        return
    offsets = np.linspace(-0.32, 0.32, n_seeds) * width
    axes.scatter(
        (places[:, None] + offsets).ravel(),
        scores.ravel(),
        s=float(np.clip(120 * width / n_seeds**0.5, 2, 9)),
        color="white",
        edgecolors=INK,
        linewidths=0.5,
        zorder=3,
    )


def _draw_intervals(
    axes: Any, places: np.ndarray, means: np.ndarray, intervals: np.ndarray, width: float
) -> None:
    """Draw the interval of each mean over its bar."""
    axes.errorbar(
        places,
        means,
        np.abs(intervals - means[:, None]).T,
        fmt="none",
        ecolor=INK,
        elinewidth=1.3,
        capsize=float(np.clip(18 * width, 2, 5)),
        capthick=1.3,
        zorder=4,
    )


def _legend_columns(names: Sequence[str], inches: float) -> int:
    longest = min(LONGEST_BACKBONE, max(map(len, names)))
    return max(1, min(len(names), int(LETTERS_AN_INCH * inches) // (longest + 7)))
