"""Drawing what methods' maps are worth, and what shares say of all pictures together."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analyze.explanation.evaluation.evaluation import Score
from analyze.explanation.faithfulness import RANDOM
from analyze.explanation.saliency_maps import METHODS
from analyze.explanation.shapley.attributions import ATTRIBUTIONS
from analyze.measures.estimates import Estimate
from analyze.presentation.figure_style import (
    FAINT,
    axis_labels,
    drawing,
    entitle,
    figure_text,
    new_figure,
)
from analyze.presentation.interval_axes import draw_dot, name_rows
from analyze.presentation.palette import BACKBONE_COLORS

PANELS = {
    "insertion": "area under insertion: more is better",
    "deletion": "area under deletion: less is better",
    "unchanged": "like the map of random weights: less is better",
}
MOST_FEATURES = 12
LETTERS_A_LINE = 21
MOST_CLASSES = 40
"""Classes drawn; of more those with the most pictures, or the largest shares."""


def title_of_method(method: str) -> str:
    """Spell a method for people."""
    if method == RANDOM:
        return "a map of noise"
    return METHODS[method].title if method in METHODS else ATTRIBUTIONS[method].title


@drawing()
def draw_evaluation(scores: Sequence[Score], *, title: str, subtitle: str) -> Any:
    """Draw each method's scores with their intervals, the floor as a line."""
    figure = new_figure(10.2, 1.2 + 0.42 * len(scores))
    panels = figure.subplots(1, len(PANELS), sharey=True)
    floor = next(score for score in scores if score.method == RANDOM)
    for axes, (name, explained) in zip(panels, PANELS.items(), strict=True):
        of_noise: Estimate | None = getattr(floor, name)
        if of_noise is not None:
            axes.axvline(of_noise.mean, color=FAINT, linewidth=1, linestyle="--", zorder=1)
        for place, score in enumerate(scores):
            found: Estimate | None = getattr(score, name)
            if found is not None:
                draw_dot(axes, place, found, FAINT if score is floor else BACKBONE_COLORS[0])
        name_rows(axes, [title_of_method(each.method) for each in scores])
        axes.set_xlabel(explained, fontsize=8)
    entitle(panels[0], title, subtitle)
    figure.subplots_adjust(wspace=0.12)
    return figure


@drawing()
def draw_places(
    places: Mapping[str, np.ndarray], counts: Mapping[str, int], *, title: str, subtitle: str
) -> Any:
    """Draw where in the frame the shares of a class are large, all classes on one scale."""
    kept = sorted(places, key=lambda name: -counts[name])[:MOST_CLASSES]
    kept = [name for name in places if name in kept]
    columns = min(4 if len(kept) <= 20 else 8, len(kept))
    n_rows = -(-len(kept) // columns)
    figure = new_figure(2.3 * columns + 0.9, 2.3 * n_rows + 0.6)
    panels = figure.subplots(n_rows, columns, squeeze=False).ravel()
    most = max(float(places[name].max()) for name in kept) or 1.0
    image = None
    for axes, name, label in zip(panels, kept, axis_labels(kept, 40), strict=False):
        image = axes.imshow(places[name], cmap="viridis", vmin=0, vmax=most)
        n = counts[name]
        lines = [
            *textwrap.wrap(label, LETTERS_A_LINE),
            f"{n} {'picture' if n == 1 else 'pictures'}",
        ]
        axes.set_xlabel("\n".join(lines), fontsize=7)
        axes.set(xticks=[], yticks=[])
    for axes in panels[len(kept) :]:
        axes.axis("off")
    figure.subplots_adjust(hspace=0.25)
    if len(kept) < len(places):
        subtitle += f" · the {len(kept)} of {len(places)} classes with the most pictures"
    figure.colorbar(image, ax=list(panels), shrink=0.8, label="mean |share| of a cell")
    entitle(panels[0], title, subtitle)
    return figure


@drawing()
def draw_features(shares: Mapping[str, np.ndarray], *, title: str, subtitle: str) -> Any:
    """Draw which numbers of the embedding carry each class: its largest mean |share|.

    Parameters
    ----------
    shares : mapping of str to ndarray of shape (n_dims,)
        Mean |share| of each number, by class.
    """
    kept = sorted(shares, key=lambda name: -float(shares[name].max()))[:MOST_CLASSES]
    if len(kept) < len(shares):
        subtitle += f" · the {len(kept)} of {len(shares)} classes with the largest shares"
    shares = {name: own for name, own in shares.items() if name in kept}
    figure = new_figure(9.6, 1.0 + 0.42 * len(shares))
    axes = figure.subplots()
    most = max(float(own.max()) for own in shares.values()) or 1.0
    table = np.zeros((len(shares), MOST_FEATURES))
    numbers = np.zeros(table.shape, int)
    for row, own in enumerate(shares.values()):
        order = np.argsort(-own, kind="stable")[:MOST_FEATURES]
        table[row, : len(order)], numbers[row, : len(order)] = own[order], order
    image = axes.imshow(table, cmap="viridis", vmin=0, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        color = "white" if value < 0.6 * most else "black"
        text = str(numbers[row, column])
        axes.text(column, row, text, ha="center", va="center", size=7.5, color=color)
    axes.set_yticks(range(len(shares)), axis_labels(list(shares), 30))
    axes.set_xticks([])
    axes.set_xlabel("the numbers of the embedding that carry the class most, in order")
    figure.colorbar(image, ax=axes, label="mean |share|")
    entitle(axes, figure_text(title, 120), subtitle)
    return figure
