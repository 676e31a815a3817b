"""A drawing on one axes: in a figure of its own, or in axes that somebody has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyze.presentation.figure_style import drawing, new_figure
from extract.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.1
"""Inches around what would lie outside of a figure."""


@dataclass(frozen=True)
class Chart:
    """What is drawn, and how large.

    Parameters
    ----------
    size : tuple of float
        Inches of a figure of its own.
    fill : callable
        Draws into an empty figure, with headings and a legend around the axes; gives the axes.
    draw : callable
        Draws into axes, without headings.
    """

    size: tuple[float, float]
    fill: Callable[[Any], Any]
    draw: Callable[[Any], None]

    @drawing()
    def figure(self) -> Any:
        """A figure of its own, for a file: Matplotlib's pyplot knows nothing of it."""
        figure = new_figure(*self.size)
        self.fill(figure)
        return figure

    @drawing()
    def plot(self, ax: Axes | None) -> Axes:
        """Axes with the drawing: those given, else those of a new figure of pyplot.

        Raises
        ------
        UsageError
            When what is given is no axes.
        """
        if ax is not None:
            _check_axes(ax)
            self.draw(ax)
            return ax
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=self.size)
        axes: Axes = self.fill(figure)
        # ticks are made when they are first drawn, and would be in the style of that moment
        figure.draw_without_rendering()
        _enclose(figure)
        return axes


def _check_axes(ax: Any) -> None:
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise UsageError(
            f"ax: {type(ax).__name__} is no axes of Matplotlib; give plt.gca(), or leave it out: "
            "labels and clusters take a map each"
        )


def _enclose(figure: Any) -> None:
    """Let a figure grow around all that is drawn, where something lies outside of it.

    Files are cut to what is drawn; a window, and a file of the user's, shows the figure alone.
    """
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    outside = (-box.x0, -box.y0, box.x1 - width, box.y1 - height)
    left, bottom, right, top = (by + MARGIN if by > 0 else 0.0 for by in outside)
    if not any((left, bottom, right, top)):
        return
    wide, high = left + width + right, bottom + height + top
    texts = [(text, text.get_position()) for text in figure.texts]
    boxes = [
        (legend, legend.get_bbox_to_anchor().transformed(figure.transFigure.inverted()))
        for legend in figure.legends
    ]
    for axes in figure.axes:
        x, y, w, h = axes.get_position(original=True).bounds
        place = (x * width + left, y * height + bottom, w * width, h * height)
        axes.set_position([n / of for n, of in zip(place, (wide, high) * 2, strict=True)])
        axes.set_in_layout(True)
    for text, (x, y) in texts:
        text.set_position(((x * width + left) / wide, (y * height + bottom) / high))
    for legend, box in boxes:
        anchor = ((box.x0 * width + left) / wide, (box.y0 * height + bottom) / high)
        legend.set_bbox_to_anchor(anchor, figure.transFigure)
    figure.set_size_inches(wide, high)
