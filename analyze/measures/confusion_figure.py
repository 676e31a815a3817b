"""Drawing matrices of classes and clusters: finished numbers in, a chart out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from analyze.measures.contingency_metrics import NOISE
from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import axis_labels, entitle

MOST_ANNOTATED = 25
MOST_NAMED = 80


class Matched(Protocol):
    """Counts of classes and clusters, matched."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the rows."""

    @property
    def clusters(self) -> tuple[int, ...]:
        """Numbers of the columns."""

    @property
    def confusion(self) -> np.ndarray:
        """Counts of shape (n_classes, n_clusters)."""

    @property
    def cluster_to_class(self) -> Mapping[int, str]:
        """The class of each cluster that is matched to one."""


def confusion_chart(agreement: Matched, *, title: str, subtitle: str) -> Chart:
    """Draw the aligned confusion matrix: classes down, their clusters across, the rest last.

    Color is the share of the class, numbers are pictures.
    """
    n_classes, n_clusters = agreement.confusion.shape
    width, height = confusion_size(n_classes, n_clusters)

    def draw(axes: Any) -> None:
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

    def fill(figure: Any) -> Any:
        axes = figure.subplots()
        draw(axes)
        entitle(axes, title, subtitle)
        return axes

    return Chart((width + 1.2, height), fill, draw)  # the bar takes the rest


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


def _cluster_labels(agreement: Matched) -> list[str]:
    matched = agreement.cluster_to_class
    short = dict(zip(agreement.classes, axis_labels(agreement.classes, 30), strict=True))
    return [
        "noise" if c == NOISE else f"{c} · {short[matched[c]] if c in matched else 'unmatched'}"
        for c in agreement.clusters
    ]
