"""Drawing rows in the plane: finished numbers in, a figure or a chart out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.contingency_metrics import NOISE
from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import (
    FAINT,
    drawing,
    figure_text,
    new_figure,
)
from analyze.presentation.palette import UNMATCHED, colored_places, style_at, styles_of
from analyze.reduction.map_names import name_groups
from extract.catalog.catalog import Level

MOST_IN_LEGEND = 20
LEGEND_MARKER = 26
PANEL_INCHES = 5.2
GRAY = style_at(-1)
Group = tuple[str, str | None, np.ndarray]
"""Rows drawn alike: text for people, name that gives the style, which rows."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Two coordinates a row.

    Parameters
    ----------
    points : ndarray of shape (n_images, 2)
    axis_names : tuple of str
    """

    points: np.ndarray
    axis_names: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Panel:
    """Which rows are drawn alike.

    Parameters
    ----------
    title : str
    groups : sequence of Group
    styles : mapping of str to (str, str)
        Color and marker of names; what has none is gray.
    note : str
        In a corner; empty for none.
    kind : str
        What is drawn alike, for people.
    """

    title: str
    groups: Sequence[Group]
    styles: Mapping[str, tuple[str, str]]
    note: str = ""
    kind: str = "classes"


def class_panel(codes: np.ndarray, categories: Sequence[str]) -> Panel:
    """Rows by class; gray where the code is -1, which is no label."""
    groups: list[Group] = [
        (figure_text(categories[c]), categories[c], codes == c)
        for c in np.unique(codes[codes >= 0])
    ]
    if (codes < 0).any():
        groups.append(("no label", None, codes < 0))
    return Panel("by class", groups, styles_of(Level("", tuple(categories), codes)))


def cluster_panel(assignments: np.ndarray) -> Panel:
    """Rows by cluster, each in a color of its own; noise is gray."""
    numbers = [int(c) for c in np.unique(assignments)]
    groups = [(_cluster_name(c), _cluster_name(c), assignments == c) for c in numbers]
    own = {_cluster_name(c): int((assignments == c).sum()) for c in numbers if c != NOISE}
    places = colored_places([*own.values()])
    styles = {name: style_at(place) for name, place in zip(own, places, strict=True)}
    return Panel("by cluster", groups, styles, kind="clusters")


def matched_panel(
    assignments: np.ndarray, cluster_to_class: Mapping[int, str], classes: Panel
) -> Panel:
    """Rows by cluster in the color of its class; clusters of no class, and noise, are gray.

    Parameters
    ----------
    assignments : ndarray of shape (n_images,), int
    cluster_to_class : mapping of int to str
    classes : Panel
        The same rows by class.
    """
    numbers = [int(c) for c in np.unique(assignments)]
    groups = [(_cluster_name(c), cluster_to_class.get(c), assignments == c) for c in numbers]
    gray = [c for c in numbers if c not in cluster_to_class]
    kinds = ["clusters matched to no class"] if set(gray) - {NOISE} else []
    kinds += ["noise"] if NOISE in gray else []
    matched = {classes.styles.get(name, GRAY) for name in cluster_to_class.values()}
    kinds += ["clusters of smaller classes"] if GRAY in matched else []
    note = f"gray: {' and '.join(kinds)}" if kinds else ""
    title = "by cluster, in the color of its class"
    return Panel(title, groups, classes.styles, note, "clusters")


def _cluster_name(number: int) -> str:
    return "noise" if number == NOISE else f"cluster {number}"


@drawing()
def draw_map(plane: Plane, panels: Sequence[Panel], *, title: str, subtitle: str) -> Any:
    """Draw the rows in the plane, panels from left to right; the legend is of the first."""
    figure = new_figure(*_map_size(plane.points, len(panels)))
    _fill(figure, plane, panels, title, subtitle)
    return figure


def map_chart(plane: Plane, panel: Panel, *, title: str, subtitle: str) -> Chart:
    """Draw one panel of a map."""

    def draw(axes: Any) -> None:
        _draw_panel(axes, plane, panel)
        axes.set_ylabel(plane.axis_names[1])
        _legend(axes, axes, panel, fontsize=7)

    def fill(figure: Any) -> Any:
        return _fill(figure, plane, [panel], title, subtitle)

    return Chart(_map_size(plane.points, 1), fill, draw)


def _map_size(points: np.ndarray, panels: int) -> tuple[float, float]:
    """Size a map in inches so that its panels fit the points; the axes share one scale."""
    spread = np.maximum(np.ptp(points, axis=0), 1e-12)
    return PANEL_INCHES * panels, 5.0 * float(np.clip(spread[1] / spread[0], 0.5, 1.1)) + 0.8


def _fill(figure: Any, plane: Plane, panels: Sequence[Panel], title: str, subtitle: str) -> Any:
    """Draw panels with headings above and a legend below; give the first axes."""
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, plane, panel)
    all_axes[0].set_ylabel(plane.axis_names[1])
    height, left = figure.get_size_inches()[1], 0.03
    _legend(
        figure,
        all_axes[0],
        panels[0],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.06 / height),
        fontsize=8,
    )
    top = 1 - 0.68 / height
    figure.subplots_adjust(left=left, right=0.99, top=top, bottom=0.28 / height, wspace=0.04)
    figure.text(left, top + 0.46 / height, figure_text(title, 120), weight="bold", size=11)
    figure.text(left, top + 0.28 / height, figure_text(subtitle, 160), size=8, color=FAINT)
    named = [
        (text.removeprefix("cluster "), members)
        for text, name, members in panels[0].groups
        if name is not None
    ]
    marker = _marker_size(len(plane.points)) ** 0.5
    name_groups(figure, all_axes[0], plane.points, named, marker)
    return all_axes[0]


def _draw_panel(axes: Any, plane: Plane, panel: Panel) -> None:
    """Draw the rows of each group; what the legend does not list is gray, and below the rest."""
    points = plane.points
    size = _marker_size(len(points))
    for text, name, members in panel.groups:
        color, marker = GRAY if name is None else panel.styles.get(name, GRAY)
        known = color != UNMATCHED
        axes.scatter(
            points[members, 0],
            points[members, 1],
            s=size,
            c=color,
            marker=marker,
            linewidths=0.3,
            edgecolors="white" if known else FAINT,
            alpha=0.9,
            label=text,
            rasterized=len(points) > 20_000,
            zorder=2 if known else 1,
        )
    axes.set_title(panel.title)
    if panel.note:
        axes.annotate(panel.note, (0.01, 0.01), xycoords="axes fraction", size=7, color=FAINT)
    axes.set(xticks=[], yticks=[], xlabel=plane.axis_names[0])
    axes.set_aspect("equal", adjustable="datalim")


def _marker_size(n_points: int) -> float:
    """Give the area of a marker in points of type, squared."""
    return float(np.clip(6_000 / n_points, 3, 28))


def _legend(holder: Any, axes: Any, panel: Panel, **placed: Any) -> None:
    """Name the groups in a figure or in axes: of many the largest alone, and how many more."""
    from matplotlib.lines import Line2D

    groups = panel.groups
    handles = list(axes.collections)[-len(groups) :]
    texts = [text for text, _, _ in groups]
    if len(groups) > MOST_IN_LEGEND:
        sizes = np.array([members.sum() for _, _, members in groups])
        unlabelled = [i for i, (_, name, _) in enumerate(groups) if name is None]
        largest = np.argsort(-sizes, kind="stable")[:MOST_IN_LEGEND].tolist()
        kept = sorted({*largest, *unlabelled})
        handles = [*(handles[i] for i in kept), Line2D([], [], linestyle="none")]
        texts = [*(texts[i] for i in kept), f"and {len(groups) - len(kept)} smaller {panel.kind}"]
    longest = max(map(len, texts))
    room = 1 if holder is axes else (130 if len(holder.axes) > 1 else 60) // (longest + 6)
    legend = holder.legend(
        handles,
        [str(i) for i in range(len(texts))],  # matplotlib leaves out names like "_misc"
        ncols=max(1, min(len(texts), room)),
        frameon=False,
        **placed,
    )
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):  # a marker is known where it is as large as text
            handle.set_sizes([LEGEND_MARKER])
    for drawn, text in zip(legend.get_texts(), texts, strict=True):
        drawn.set_text(text)
