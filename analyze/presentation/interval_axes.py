"""Drawing estimates as dots on their intervals, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class HasInterval(Protocol):
    """A mean with its interval, where there is one."""

    @property
    def mean(self) -> float:
        """Where the dot is."""

    @property
    def low(self) -> float | None:
        """Where the bar begins."""

    @property
    def high(self) -> float | None:
        """Where it ends."""


def draw_dot(axes: Any, place: int, found: HasInterval, color: str) -> None:
    """Draw an estimate in its row: a dot on a bar, its value above."""
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [place, place], color=color, linewidth=2.2, zorder=2)
    axes.plot([found.mean], [place], "o", color=color, markersize=6, clip_on=False, zorder=3)
    axes.annotate(
        f"{found.mean:.3f}",
        (found.mean, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        size=8,
        color=color,
    )


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Name the rows, the first on top, and leave of the frame what is read along."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
