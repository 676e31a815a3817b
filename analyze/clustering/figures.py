"""Drawing, apart from computing: finished numbers in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.measures.agreement import Agreement
from analyze.measures.contingency_metrics import NOISE
from analyze.presentation.figure_style import (
    FAINT,
    axis_labels,
    drawing,
    entitle,
    figure_text,
    new_figure,
    save,
)
from analyze.presentation.palette import UNMATCHED, style_of

__all__ = ["axis_labels", "draw_confusion", "draw_map", "figure_text", "save"]

MOST_IN_LEGEND = 20
MOST_ANNOTATED = 25
MOST_NAMED = 80
Group = tuple[str, str | None, np.ndarray]
"""Rows drawn alike: text for people, name that gives the style, which rows."""


@drawing()
def draw_confusion(agreement: Agreement, *, title: str, subtitle: str) -> Any:
    """Draw the aligned confusion matrix: classes down, their clusters across, the rest last.

    Color is the share of the class, numbers are pictures.
    """
    n_classes, n_clusters = agreement.confusion.shape
    width, height = confusion_size(n_classes, n_clusters)
    figure = new_figure(width + 1.2, height)  # the bar takes the rest
    axes = figure.subplots()
    draw_shares(
        axes,
        agreement.confusion,
        _cluster_labels(agreement) if n_clusters <= MOST_NAMED else None,
        axis_labels(agreement.classes, 40) if n_classes <= MOST_NAMED else None,
    )
    many = f", in the order of the {n_classes} classes matched to them"
    named = ", and the class matched to it"
    axes.set_xlabel("cluster" + (named if n_clusters <= MOST_NAMED else many))
    axes.set_ylabel("class" if n_classes <= MOST_NAMED else f"{n_classes} classes, by name")
    entitle(axes, title, subtitle)
    return figure


def confusion_size(n_down: int, n_across: int, small: float = 0.24) -> tuple[float, float]:
    """Size a matrix in inches: width and height, smaller cells where there are no numbers."""
    side = 0.62 if max(n_down, n_across) <= MOST_ANNOTATED else small
    width, height = (min(max(side * n, 2.4), 20) for n in (n_across, n_down))
    return width, height


def draw_shares(
    axes: Any,
    counts: np.ndarray,
    across: Sequence[str] | None,
    down: Sequence[str] | None,
    *,
    bar: bool = True,
) -> None:
    """Color each count by its share of its row, and write it in where there is room.

    Parameters
    ----------
    axes : matplotlib axes
    counts : ndarray of shape (n_down, n_across), int
    across, down : sequence of str or None
        Names of columns and rows; None where there is no room for them.
    bar : bool
        Whether the colors are explained.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    draw_matrix(
        axes,
        share,
        counts,
        across,
        down,
        cmap="Blues",
        vmin=0,
        vmax=1,
        explained="share of the class" if bar else None,
    )


def draw_matrix(
    axes: Any,
    values: np.ndarray,
    numbers: np.ndarray,
    across: Sequence[str] | None,
    down: Sequence[str] | None,
    *,
    explained: str | None,
    written: str = "d",
    **colors: Any,
) -> None:
    """Color values, and write numbers in where there is room.

    Parameters
    ----------
    axes : matplotlib axes
    values, numbers : ndarray of shape (n_down, n_across)
    across, down : sequence of str or None
    explained : str or None
        Label of the bar of colors; no bar without.
    written : str
        Format of a number.
    colors
        ``cmap``, ``vmin``, ``vmax``.
    """
    import seaborn as sns

    annotated = max(values.shape) <= MOST_ANNOTATED
    sns.heatmap(
        values,
        annot=numbers if annotated else None,
        fmt=written,
        ax=axes,
        linewidths=0.5 if annotated else 0,
        linecolor="white",
        annot_kws={"size": 9},
        cbar=explained is not None,
        cbar_kws={"label": explained, "shrink": 0.8},
        xticklabels=False if across is None else across,
        yticklabels=False if down is None else down,
        **colors,
    )
    axes.tick_params(length=0, labelsize=8 if annotated else 6)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)


def _cluster_labels(agreement: Agreement) -> list[str]:
    matched = agreement.cluster_to_class
    short = dict(zip(agreement.classes, axis_labels(agreement.classes, 30), strict=True))
    return [
        "noise" if c == NOISE else f"{c} · {short[matched[c]] if c in matched else 'unmatched'}"
        for c in agreement.clusters
    ]


def _cluster_name(number: int) -> str:
    return "noise" if number == NOISE else f"cluster {number}"


@drawing()
def draw_map(
    points: np.ndarray,
    axis_names: tuple[str, str],
    *,
    labels: Sequence[str | None] | None,
    categories: Sequence[str],
    assignments: np.ndarray,
    cluster_to_class: dict[int, str],
    title: str,
    subtitle: str,
) -> Any:
    """Draw the rows in the plane, by class on the left and by cluster on the right.

    A cluster has the color of the class matched to it; unmatched ones and noise are gray. Without
    labels only the clusters are drawn, each in a color of its own, and noise.

    Parameters
    ----------
    points : ndarray of shape (n_images, 2)
    labels : sequence of str or None, or None
        The class of each row; None without labels.
    """
    panels = 2 if labels is not None else 1
    figure = new_figure(*_map_size(points, panels))
    all_axes = figure.subplots(1, panels, squeeze=False)
    numbers = [int(c) for c in np.unique(assignments)]
    if labels is not None:
        code = {name: i for i, name in enumerate(categories)}
        codes = np.array([-1 if v is None else code[v] for v in labels])
        groups: list[Group] = [
            (figure_text(categories[c]), categories[c], codes == c)
            for c in np.unique(codes[codes >= 0])
        ]
        if (codes < 0).any():
            groups.append(("no label", None, codes < 0))
        _scatter(all_axes[0, 0], points, groups, categories)
        all_axes[0, 0].set_title("by class")
        clusters = [(_cluster_name(c), cluster_to_class.get(c), assignments == c) for c in numbers]
        _scatter(all_axes[0, 1], points, clusters, categories)
        all_axes[0, 1].set_title("by cluster, in the color of its class")
        _legend(figure, all_axes[0, 0], groups)
        gray = [c for c in numbers if c not in cluster_to_class]
        if gray:
            kinds = ["clusters matched to no class"] if set(gray) - {NOISE} else []
            note = f"gray: {' and '.join([*kinds, *(['noise'] if NOISE in gray else [])])}"
            all_axes[0, 1].annotate(
                note, (0.01, 0.01), xycoords="axes fraction", size=7, color=FAINT
            )
    else:
        own = [_cluster_name(c) for c in numbers if c != NOISE]
        groups = [(_cluster_name(c), _cluster_name(c), assignments == c) for c in numbers]
        _scatter(all_axes[0, 0], points, groups, own)
        all_axes[0, 0].set_title("by cluster")
        _legend(figure, all_axes[0, 0], groups)
    for axes in all_axes[0]:
        axes.set(xticks=[], yticks=[], xlabel=axis_names[0])
        axes.set_aspect("equal", adjustable="datalim")
    all_axes[0, 0].set_ylabel(axis_names[1])
    height = figure.get_size_inches()[1]
    top = 1 - 0.68 / height
    figure.subplots_adjust(left=0.03, right=0.99, top=top, bottom=0.28 / height, wspace=0.04)
    left = 0.03
    figure.text(left, top + 0.46 / height, figure_text(title, 120), weight="bold", size=11)
    figure.text(left, top + 0.28 / height, figure_text(subtitle, 160), size=8, color=FAINT)
    return figure


def _map_size(points: np.ndarray, panels: int) -> tuple[float, float]:
    """Size a map in inches so that its panels fit the points; the axes share one scale."""
    spread = np.maximum(np.ptp(points, axis=0), 1e-12)
    return 5.2 * panels, 5.0 * float(np.clip(spread[1] / spread[0], 0.5, 1.1)) + 0.8


def _scatter(
    axes: Any,
    points: np.ndarray,
    groups: Sequence[Group],
    categories: Sequence[str],
) -> None:
    size = float(np.clip(6_000 / len(points), 3, 28))
    for text, name, members in groups:
        color, marker = style_of(name, categories)
        axes.scatter(
            points[members, 0],
            points[members, 1],
            s=size,
            c=color,
            marker=marker,
            linewidths=0.3,
            edgecolors="white" if color != UNMATCHED else FAINT,
            alpha=0.9,
            label=text,
            rasterized=len(points) > 20_000,
        )


def _legend(figure: Any, axes: Any, groups: Sequence[Group]) -> None:
    """Name the classes below the panels: of many only the largest, and how many more there are."""
    from matplotlib.lines import Line2D

    handles = list(axes.collections)
    texts = [text for text, _, _ in groups]
    if len(groups) > MOST_IN_LEGEND:
        sizes = np.array([members.sum() for _, _, members in groups])
        unlabelled = [i for i, (_, name, _) in enumerate(groups) if name is None]
        largest = np.argsort(-sizes, kind="stable")[:MOST_IN_LEGEND].tolist()
        kept = sorted({*largest, *unlabelled})
        handles = [*(handles[i] for i in kept), Line2D([], [], linestyle="none")]
        texts = [*(texts[i] for i in kept), f"and {len(groups) - len(kept)} smaller classes"]
    longest = max(map(len, texts))
    columns = max(1, min(len(texts), (130 if len(figure.axes) > 1 else 60) // (longest + 6)))
    legend = figure.legend(
        handles,
        [str(i) for i in range(len(texts))],  # matplotlib leaves out names like "_misc"
        loc="upper center",
        bbox_to_anchor=(0.5, 0.06 / figure.get_size_inches()[1]),
        ncols=columns,
        frameon=False,
        fontsize=8,
        markerscale=1.3,
    )
    for drawn, text in zip(legend.get_texts(), texts, strict=True):
        drawn.set_text(text)
