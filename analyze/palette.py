"""Colors and markers: one class looks the same in every figure, also to the color-blind."""

from __future__ import annotations

from collections.abc import Sequence

MUTED = (
    "#332288", "#CC6677", "#44AA99", "#DDAA33", "#88CCEE",
    "#882255", "#117733", "#AA4499", "#999933",
)  # fmt: skip
"""Paul Tol's muted scheme, told apart under the common color deficiencies."""

MARKERS = ("o", "s", "^", "D", "v", "p", "h", "<", ">")
UNMATCHED = "#BBBBBB"


def class_style(index: int) -> tuple[str, str]:
    """Give the color and marker of a class by its place in its level's categories."""
    return MUTED[index % len(MUTED)], MARKERS[(index + index // len(MUTED)) % len(MARKERS)]


def style_of(name: str | None, categories: Sequence[str]) -> tuple[str, str]:
    """Give the style of a class by name; gray circles where there is none."""
    if name is None or name not in categories:
        return UNMATCHED, "o"
    return class_style(categories.index(name))
