"""Drawing the choice of a number of clusters: three curves over it, one mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.presentation.figure_style import FAINT, INK, drawing, entitle, new_figure

BLUE, VERMILION = "#0072B2", "#D55E00"
SPELLED = {
    "silhouette": "silhouette",
    "stability": "stability,\nover no structure",
    "gap": "gap",
}


@drawing()
def draw_choice(
    ks: Sequence[int],
    curves: Sequence[tuple[str, np.ndarray, np.ndarray, int]],
    chosen: int,
    *,
    title: str,
    subtitle: str,
) -> Any:
    """Draw a curve a criterion over the numbers of clusters, with its spread and its own choice.

    Parameters
    ----------
    ks : sequence of int
    curves : sequence of (str, ndarray, ndarray, int)
        Name, values and spreads of shape (n_ks,), and what it would choose alone.
    chosen : int
    """
    figure = new_figure(8.2, 1.2 + 1.6 * len(curves))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values, spreads, alone) in zip(panels, curves, strict=True):
        axes.axvline(chosen, color=VERMILION, linewidth=1.2, zorder=1)
        axes.fill_between(ks, values - spreads, values + spreads, color=BLUE, alpha=0.2, zorder=2)
        axes.plot(ks, values, color=BLUE, marker="o", markersize=3, linewidth=1.3, zorder=3)
        own = values[list(ks).index(alone)]
        axes.scatter([alone], [own], s=60, facecolors="none", edgecolors=INK, zorder=4)
        axes.set_ylabel(SPELLED.get(name, name))
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.7, zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.02)
    panels[-1].set_xlabel("clusters (line: chosen; rings: what each criterion would choose alone)")
    panels[-1].xaxis.label.set_color(FAINT)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    entitle(panels[0], title, subtitle)
    return figure
