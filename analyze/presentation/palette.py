"""Colors and markers: one class looks the same in every figure, also to the color-blind."""

from __future__ import annotations

from collections.abc import Sequence

MUTED = (
    "#332288", "#CC6677", "#44AA99", "#DDAA33", "#88CCEE",
    "#882255", "#117733", "#AA4499", "#999933",
)  # fmt: skip
"""Paul Tol's muted scheme, distinct under the common color deficiencies."""

MARKERS = ("o", "s", "^", "D", "v", "p", "h", "<", ">")
UNMATCHED = "#BBBBBB"


BACKBONE_COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#777777",
)  # fmt: skip
"""Okabe and Ito's scheme, also safe for the color-blind; other than that of the classes."""

HATCHES = ("", "///", "...", "xxx")


def backbone_style(index: int) -> tuple[str, str]:
    """Give the color and hatch of the bars of a backbone, different for the first 32."""
    rounds = index // len(BACKBONE_COLORS)
    return BACKBONE_COLORS[index % len(BACKBONE_COLORS)], HATCHES[rounds % len(HATCHES)]


def class_style(index: int) -> tuple[str, str]:
    """Give the color and marker of a class by its place in its level's categories."""
    return MUTED[index % len(MUTED)], MARKERS[(index + index // len(MUTED)) % len(MARKERS)]


def style_of(name: str | None, categories: Sequence[str]) -> tuple[str, str]:
    """Give the style of a class by name; gray circles where there is none."""
    if name is None or name not in categories:
        return UNMATCHED, "o"
    return class_style(categories.index(name))
