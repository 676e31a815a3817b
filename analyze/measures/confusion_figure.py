"""Drawing matrices of classes and clusters: finished numbers in, a chart out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from analyze.measures.contingency_metrics import NOISE
from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import INK, axis_labels, entitle

MOST_ANNOTATED = 25
MOST_NAMED = 80
MOST_DRAWN_CELLS = 10_000
"""Of an SVG; more are one picture in it: 59,000 cells were 11 MB."""


TALLEST_BAR = 3.5
"""Inches of the bar of colors."""

Group = tuple[str, int, int]
"""A parent, and how many rows and columns of a matrix it has."""


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


@dataclass(frozen=True, eq=False)
class _Sorted:
    """A confusion matrix in another order."""

    classes: tuple[str, ...]
    clusters: tuple[int, ...]
    confusion: np.ndarray
    cluster_to_class: Mapping[int, str]


def confusion_chart(
    agreement: Matched,
    *,
    title: str,
    subtitle: str,
    parents: Mapping[str, str] | None = None,
) -> Chart:
    """Draw the aligned confusion matrix: classes down, their clusters across, the rest last.

    Color is the share of the class, numbers are pictures.

    Parameters
    ----------
    agreement : Agreement
    title, subtitle : str
    parents : mapping of str to str, optional
        The class above each class: one too large for numbers is grouped by it.
    """
    n_classes, n_clusters = agreement.confusion.shape
    groups: list[Group] = []
    if parents and max(n_classes, n_clusters) > MOST_ANNOTATED:
        agreement, groups = _grouped(agreement, parents)
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
        how = "in the order of their names" if not groups else "in groups of the level above"
        axes.set_ylabel("class" if n_classes <= MOST_NAMED else f"{n_classes} classes, {how}")
        outline_groups(axes, groups, named=n_classes > MOST_NAMED)

    def fill(figure: Any) -> Any:
        axes = figure.subplots()
        draw(axes)
        entitle(axes, title, subtitle)
        return axes

    return Chart((width + 1.2, height), fill, draw)  # the bar takes the rest


def _grouped(agreement: Matched, parents: Mapping[str, str]) -> tuple[Matched, list[Group]]:
    """Bring classes of one parent together, their clusters alike; and say how many each has."""
    order, groups = order_by_parent(agreement.classes, parents)
    classes = tuple(agreement.classes[i] for i in order)
    place = {name: i for i, name in enumerate(classes)}
    matched = agreement.cluster_to_class
    last = len(classes)
    across = sorted(
        range(len(agreement.clusters)),
        key=lambda j: (place.get(matched.get(agreement.clusters[j], ""), last), j),
    )
    clusters = tuple(agreement.clusters[j] for j in across)
    taken = [matched[c] for c in clusters if c in matched]
    own = [(name, n, sum(parents.get(c, "") == name for c in taken)) for name, n in groups]
    return _Sorted(classes, clusters, agreement.confusion[np.ix_(order, across)], matched), own


def order_by_parent(
    classes: Sequence[str], parents: Mapping[str, str]
) -> tuple[list[int], list[tuple[str, int]]]:
    """Give the places of classes so that those of one parent come together, and count each's."""
    of = [parents.get(name, "") for name in classes]
    order = sorted(range(len(of)), key=lambda i: of[i])
    return order, [(name, of.count(name)) for name in sorted({*of})]


def outline_groups(axes: Any, groups: Sequence[Group], *, named: bool) -> None:
    """Draw a box about the classes of one parent and their clusters, and name it if wanted.

    Parameters
    ----------
    axes : matplotlib axes
    groups : sequence of (str, int, int)
        The parent, how many rows it has, and how many columns.
    named : bool
    """
    from matplotlib.patches import Rectangle

    if not groups:
        return
    height = axes.get_ylim()[0]
    # classes in a line of text
    least = 10 / 72 / (axes.figure.get_size_inches()[1] * 0.77 / height)
    names = axis_labels([name or "no parent" for name, *_ in groups], 30)
    start, left, end_of_last = 0, 0, -least
    for name, (_, n, wide) in zip(names, groups, strict=True):
        box = Rectangle((left, start), wide, n, fill=False, edgecolor=INK, linewidth=0.8)
        axes.add_patch(box)
        middle = start + n / 2
        if named and middle - end_of_last >= least:
            axes.annotate(
                name,
                (0, middle),
                xytext=(-5, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                size=8,
            )
            end_of_last = middle
        start, left = start + n, left + wide
    if named:
        axes.yaxis.labelpad = 5.2 * max(map(len, names)) + 6


def confusion_size(
    n_down: int, n_across: int, small: float = 0.24, large: float = 0.62
) -> tuple[float, float]:
    """Size a matrix in inches: width and height, smaller cells where there are no numbers."""
    side = large if max(n_down, n_across) <= MOST_ANNOTATED else small
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
    height, before = axes.figure.get_size_inches()[1], len(axes.texts)
    sns.heatmap(
        values,
        annot=numbers if annotated else None,
        fmt=written,
        ax=axes,
        linewidths=0.5 if annotated else 0,
        linecolor="white",
        annot_kws={"size": 9},
        cbar=explained is not None,
        cbar_kws={"label": explained, "shrink": min(0.8, TALLEST_BAR / height), "aspect": 18},
        xticklabels=False if across is None else across,
        yticklabels=False if down is None else down,
        rasterized=values.size > MOST_DRAWN_CELLS,
        **colors,
    )
    if annotated:  # what is there stands out of many zeros
        for number, value in zip(axes.texts[before:], values.flat, strict=True):
            number.set_alpha(1 if value else 0.35)
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
