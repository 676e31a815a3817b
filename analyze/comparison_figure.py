"""Drawing a comparison of backbones: finished numbers in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.figure_style import FAINT, INK, axis_labels, drawing, entitle, new_figure
from analyze.palette import backbone_style

LONGEST_BACKBONE = 44
LETTER_INCHES = 0.08


@drawing()
def draw_comparison(
    scores: np.ndarray,
    names: Sequence[str],
    reductions: Sequence[str],
    *,
    score: str,
    title: str,
    subtitle: str,
) -> Any:
    """Draw a bar for each backbone and reduction: mean over seeds, deviation, and each seed.

    Parameters
    ----------
    scores : ndarray of shape (n_models, n_reductions, n_seeds)
        Finite.
    names : sequence of str
        Of the models.
    reductions : sequence of str
    score : str
        What the height is.
    """
    n_models, n_reductions = scores.shape[:2]
    width = min(0.3, 0.8 / n_models)
    columns = _columns(names)
    inches = float(np.clip(1.2 + 0.3 * (n_models + 1) * n_reductions, 8.2, 16))
    figure = new_figure(inches, 4.3 + 0.2 * -(-n_models // columns))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for i in range(n_models):
        color, hatch = backbone_style(i)
        places = np.arange(n_reductions) + (i - (n_models - 1) / 2) * width
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
        _draw_spread(axes, places, scores[i], 0.92 * width)
    _name_axes(axes, scores, reductions, inches / n_reductions, score)
    legend = figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    for drawn, name in zip(legend.get_texts(), axis_labels(names, LONGEST_BACKBONE), strict=True):
        drawn.set_text(name)
    entitle(axes, title, subtitle)
    return figure


def _name_axes(
    axes: Any, scores: np.ndarray, reductions: Sequence[str], inches_each: float, score: str
) -> None:
    n_reductions, n_seeds = scores.shape[1:]
    labels = axis_labels(reductions, 40)
    axes.set_xticks(np.arange(n_reductions), labels)
    if max(map(len, labels)) * LETTER_INCHES > inches_each:
        axes.set_xticklabels(labels, rotation=20, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, n_reductions - 0.5)
    axes.set_xlabel("reduction")
    axes.set_ylabel(f"{score}: mean over {n_seeds} seeds" if n_seeds > 1 else score)
    axes.set_ylim(min(0, 1.08 * float(scores.min())), max(0.1, 1.08 * _top(scores)))
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _draw_spread(axes: Any, places: np.ndarray, scores: np.ndarray, width: float) -> None:
    """Draw each seed as a dot beside the others, and the deviation of all over them."""
    n_seeds = scores.shape[1]
    if n_seeds < 2:
        return
    beside = np.linspace(-0.32, 0.32, n_seeds) * width
    axes.scatter(
        (places[:, None] + beside).ravel(),
        scores.ravel(),
        s=float(np.clip(120 * width / n_seeds**0.5, 2, 9)),
        color="white",
        edgecolors=INK,
        linewidths=0.5,
        zorder=3,
    )
    axes.errorbar(
        places,
        scores.mean(axis=1),
        scores.std(axis=1, ddof=1),
        fmt="none",
        ecolor=INK,
        elinewidth=1.3,
        capsize=float(np.clip(18 * width, 2, 5)),
        capthick=1.3,
        zorder=4,
    )


def _top(scores: np.ndarray) -> float:
    """Say how high dots and whiskers reach."""
    highest = float(scores.max())
    if scores.shape[2] > 1:
        highest = max(highest, float((scores.mean(axis=2) + scores.std(axis=2, ddof=1)).max()))
    return highest


def _columns(names: Sequence[str]) -> int:
    longest = min(LONGEST_BACKBONE, max(map(len, names)))
    return max(1, min(len(names), 100 // (longest + 7)))
