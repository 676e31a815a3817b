"""Names written next to the groups of a map, over no point and over no other name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.presentation.figure_style import axis_labels

LONGEST_ON_MAP = 24
MANY = 20
"""Groups, of more of which names are smaller."""

WIDEST_NAMED = 0.16
"""Median distance of a group's rows from its middle, of the map's width: others lie nowhere."""

MOST_HIDDEN = 0.02
"""Share of its group's points that a name may hide: none of a small group's."""

MOST_TESTED = 4_000
"""Points that names keep off; of more an even sample."""

REACH = (0.8, 0.95, 1.0)
"""Quantiles of the distances of a group's rows from its middle, at which its name may stand."""

BETWEEN = 3
"""Pixels between two names."""

ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False) + np.pi / 2

Box = np.ndarray
"""Left, bottom, right, top, in pixels."""


def name_groups(
    figure: Any,
    axes: Any,
    points: np.ndarray,
    named: Sequence[tuple[str, np.ndarray]],
    marker: float,
) -> None:
    """Write names at groups that lie together, the largest first, where there is room.

    Parameters
    ----------
    figure, axes
        Of Matplotlib; the points are drawn.
    points : ndarray of shape (n_images, 2)
    named : sequence of (str, ndarray of bool)
        Names, and which rows are in the group.
    marker : float
        Side of a point's marker, in points of type.
    """
    if len(named) < 2:
        return
    named = sorted(named, key=lambda each: -int(each[1].sum()))
    axes.apply_aspect()
    drawn = axes.transData.transform(points)
    tested = drawn[:: -(-len(drawn) // MOST_TESTED)]
    middles = np.stack([np.median(drawn[members], axis=0) for _, members in named])
    extent = float(np.ptp(drawn, axis=0).max())
    inside = np.array(axes.get_window_extent().extents)
    renderer, radius = figure.canvas.get_renderer(), 0.6 * marker * figure.dpi / 72 + 1
    taken: list[Box] = []
    for i, (text, (_, members)) in enumerate(
        zip(_short([t for t, _ in named]), named, strict=True)
    ):
        far = np.abs(drawn[members] - middles[i])
        if not text or np.median(np.hypot(*far.T)) > WIDEST_NAMED * extent:
            continue
        written = _write(axes, text, 7 if len(named) <= MANY else 6)
        size = np.array(written.get_window_extent(renderer).size)
        place = _place(size, middles, i, far, (tested, radius, inside, taken))
        if place is None:
            written.remove()
        else:
            written.set_position(axes.transData.inverted().transform(place))
            taken.append(_box(place, size + 2 * BETWEEN))


def _short(words: Sequence[str]) -> list[str]:
    """Shorten names; of paths that end differently the last part is enough."""
    last = [word.rpartition(" >> ")[2] for word in words]
    return axis_labels(last if len({*last}) == len({*words}) else words, LONGEST_ON_MAP)


def _write(axes: Any, text: str, size: float) -> Any:
    from matplotlib.patheffects import withStroke

    written = axes.text(0, 0, text, size=size, ha="center", va="center", clip_on=True, zorder=5)
    written.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
    return written


def _place(
    size: np.ndarray,
    middles: np.ndarray,
    own: int,
    far: np.ndarray,
    around: tuple[np.ndarray, float, np.ndarray, Sequence[Box]],
) -> np.ndarray | None:
    """Find where the middle of a name goes: about its group, nearer to it than to any other.

    Parameters
    ----------
    size : ndarray of shape (2,)
        Of the text.
    middles : ndarray of shape (n_groups, 2)
    own : int
        Which of them is named.
    far : ndarray of shape (n_rows, 2)
        How far its rows are from its middle, across and down.
    around : tuple
        Points to keep off, and how far; the box to stay in; boxes of other names.
    """
    tested, radius, inside, taken = around
    best, least = None, MOST_HIDDEN * len(far) + 1
    for quantile in REACH:
        reach = np.quantile(far, quantile, axis=0) + size / 2 + radius
        for turn in ANGLES:
            direction = np.array([np.cos(turn), np.sin(turn)])
            place = middles[own] + reach * direction / np.abs(direction).max()
            box = _box(place, size)
            outside = (box[:2] < inside[:2]).any() or (box[2:] > inside[2:]).any()
            if outside or any(_overlap(box, each) for each in taken):
                continue
            if np.hypot(*(middles - place).T).argmin() != own:
                continue
            hidden = _n_inside(tested, box, radius)
            if hidden < least:
                best, least = place, hidden
        if best is not None and least == 0:
            break
    return best


def _box(place: np.ndarray, size: np.ndarray) -> Box:
    return np.concatenate([place - size / 2, place + size / 2])


def _overlap(one: Box, other: Box) -> bool:
    return bool((one[:2] < other[2:]).all() and (other[:2] < one[2:]).all())


def _n_inside(points: np.ndarray, box: Box, radius: float) -> int:
    inside = (points >= box[:2] - radius) & (points <= box[2:] + radius)
    return int(inside.all(axis=1).sum())
