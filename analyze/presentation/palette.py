"""Colors and markers: one class looks the same in every figure, also to the color-blind."""

from __future__ import annotations

from collections.abc import Sequence

MUTED = (
    "#332288", "#CC6677", "#44AA99", "#DDAA33", "#88CCEE",
    "#882255", "#117733", "#AA4499", "#999933",
)  # fmt: skip
"""Paul Tol's muted scheme, distinct under the common color deficiencies."""

CLASS_COLORS = (
    *MUTED,
    "#10ECC4", "#601010", "#74249C", "#1060C4", "#746060", "#EC74D8",
    "#242438", "#60C460", "#244C38", "#8874EC", "#D8D810",
)  # fmt: skip
"""Muted, then what a search found furthest from these and from each other.

Any two are as far apart as those of the muted scheme are (0.119 in OKLab). To the color-blind two
may look alike (0.045 apart where protanopia, deuteranopia and tritanopia are simulated): they have
different markers then. Those of one marker are 0.24 apart, whatever is seen.
"""

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
    """Give the color and marker of a class by its place: no color twice among the first 20."""
    rounds = index // len(CLASS_COLORS)
    return CLASS_COLORS[index % len(CLASS_COLORS)], MARKERS[(index + rounds) % len(MARKERS)]


def style_of(name: str | None, categories: Sequence[str]) -> tuple[str, str]:
    """Give the style of a class by name; gray circles where there is none."""
    if name is None or name not in categories:
        return UNMATCHED, "o"
    return class_style(categories.index(name))
