"""Drawing how good look-ups are: finished numbers in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.measures.estimates import Estimate
from analyze.neighbors.retrieval_scores import Retrieved
from analyze.presentation.chart import Chart
from analyze.presentation.figure_style import (
    FAINT,
    axis_labels,
    drawing,
    entitle,
    figure_text,
    new_figure,
)
from analyze.presentation.palette import backbone_style

RETRIEVAL_TITLE = "How many of the pictures found are of the query's class?"
PANEL_INCHES = 3.0
GROUP_INCHES = 0.26
DOT_INCHES = 0.11
MOST_CLASSES, MOST_INCHES = 40, 22
LONGEST_CLASS = 38
LONGEST_NAME = 44
METRICS = {
    "precision": "precision at {k}",
    "recall": "recall at {k}",
    "map": "mAP",
    "mrr": "MRR",
    "one_nn_accuracy": "1-NN accuracy",
}


def metric_in_words(metric: str, k: int | None) -> str:
    """Spell a metric for people."""
    return METRICS[metric].format(k=k)


@drawing()
def draw_retrieval(found: Sequence[Retrieved], *, subtitle: str) -> Any:
    """Draw each metric's estimate and interval, a dot an embedding, a panel a level."""
    levels = list(dict.fromkeys(each.level.name for each in found))
    figure = new_figure(PANEL_INCHES * len(levels), _depth(found))
    panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.14)
    for axes, level in zip(panels, levels, strict=True):
        _draw_level(axes, [each for each in found if each.level.name == level])
    entitle(panels[0], RETRIEVAL_TITLE, subtitle)
    _name_dots(panels[0], found)
    return figure


def retrieval_chart(found: Sequence[Retrieved], *, subtitle: str) -> Chart:
    """Draw the panel of one level.

    Parameters
    ----------
    found : sequence of Retrieved
        Of one level.
    """

    def draw(axes: Any) -> None:
        _draw_level(axes, found)
        _name_dots(axes, found, inside=True)

    def fill(figure: Any) -> Any:
        axes = figure.subplots()
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
        _draw_level(axes, found)
        entitle(axes, RETRIEVAL_TITLE, subtitle)
        _name_dots(axes, found)
        return axes

    return Chart((PANEL_INCHES, _depth(found)), fill, draw)


def _depth(found: Sequence[Retrieved]) -> float:
    names = {each.name for each in found}
    return len(found[0].estimates) * (GROUP_INCHES + DOT_INCHES * len(names))


def _draw_level(axes: Any, found: Sequence[Retrieved]) -> None:
    metrics = list(found[0].estimates)
    _draw_dots(
        axes,
        [metric_in_words(*key) for key in metrics],
        [[each.estimates[key] for key in metrics] for each in found],
        [each.number for each in found],
    )
    axes.set_xlabel(figure_text(f"level {found[0].level.name}", LONGEST_CLASS))


def classes_chart(found: Sequence[Retrieved], *, subtitle: str) -> Chart:
    """Draw the mean average precision a class, the worst on top, a dot an embedding.

    Parameters
    ----------
    found : sequence of Retrieved
        Of one level.
    """
    key = ("map", None)
    first = found[0]
    classes = sorted(first.by_class, key=lambda name: first.by_class[name][1][key].mean)
    row = GROUP_INCHES / 2 + DOT_INCHES * len(found)
    most = min(MOST_CLASSES, int(MOST_INCHES / row))
    left = f" · the {most} worst of {len(classes)} classes" if len(classes) > most else ""
    classes = classes[:most]

    def draw_rows(axes: Any) -> None:
        _draw_dots(
            axes,
            [
                f"{name} ({first.by_class[c][0]})"
                for c, name in zip(classes, axis_labels(classes, LONGEST_CLASS), strict=True)
            ],
            [[each.by_class[name][1][key] for name in classes] for each in found],
            [each.number for each in found],
        )
        axes.set_xlabel("mAP, 95 % interval over pictures")

    def draw(axes: Any) -> None:
        draw_rows(axes)
        _name_dots(axes, found, inside=True)

    def fill(figure: Any) -> Any:
        axes = figure.subplots()
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
        draw_rows(axes)
        entitle(axes, "Which classes are found, and which are not?", subtitle + left)
        _name_dots(axes, found)
        return axes

    return Chart((1.7 * PANEL_INCHES, max(1.0, len(classes) * row)), fill, draw)


def _draw_dots(
    axes: Any,
    labels: Sequence[str],
    estimates: Sequence[Sequence[Estimate]],
    numbers: Sequence[int],
) -> None:
    """Draw a group of dots a label, one an embedding, with their intervals."""
    n = len(estimates)
    # as far apart however many there are, but for the space between two groups
    half = (n - 1) / 2 * DOT_INCHES / (GROUP_INCHES / 2 + DOT_INCHES * n)
    spread = np.linspace(-half, half, n)
    for own, number, apart in zip(estimates, numbers, spread, strict=True):
        color, hatch = backbone_style(number)
        for place, each in enumerate(own):
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [place + apart] * 2, color=color, linewidth=1.8)
        axes.scatter(
            [each.mean for each in own],
            np.arange(len(own)) + apart,
            s=26,
            color="white" if hatch else color,
            edgecolors=color,
            linewidths=1.4,
            zorder=3,
        )
    axes.set_yticks(np.arange(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", color=FAINT)


def _name_dots(axes: Any, found: Sequence[Retrieved], *, inside: bool = False) -> None:
    """Draw below the axes which dots are of which embedding, where there are several."""
    from matplotlib.lines import Line2D

    named = {each.number: each.name for each in found}
    if len(named) < 2:
        return
    handles = []
    for number, name in named.items():
        color, hatch = backbone_style(number)
        face = "white" if hatch else color
        label = figure_text(name, LONGEST_NAME)
        handles.append(Line2D([], [], color=color, marker="o", markerfacecolor=face, label=label))
    below = {"bbox_to_anchor": (0, -34 / (72 * axes.figure.get_size_inches()[1]))}
    placed = {"loc": "best"} if inside else {"loc": "upper left", **below}
    axes.legend(handles=handles, **placed, frameon=False, fontsize=8)
