"""Colors and markers: one class looks the same in every figure, also to the color-blind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extract.catalog.catalog import Level

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


def colored_places(sizes: Sequence[int]) -> list[int]:
    """Give each class its place among the colors, or -1 for gray.

    Up to 20 classes have the place that they have anyway. Of more, the 20 largest are colored, in
    their order, and the rest is gray: no color stands for two classes.
    """
    if len(sizes) <= len(CLASS_COLORS):
        return list(range(len(sizes)))
    largest = sorted(range(len(sizes)), key=lambda i: -sizes[i])[: len(CLASS_COLORS)]
    place = {i: k for k, i in enumerate(sorted(i for i in largest if sizes[i]))}
    return [place.get(i, -1) for i in range(len(sizes))]


def style_at(place: int) -> tuple[str, str]:
    """Give the style of a place of :func:`colored_places`; gray circles below 0."""
    return (UNMATCHED, "o") if place < 0 else class_style(place)


def class_style(index: int) -> tuple[str, str]:
    """Give the color and marker of a class by its place: no color twice among the first 20."""
    rounds = index // len(CLASS_COLORS)
    return CLASS_COLORS[index % len(CLASS_COLORS)], MARKERS[(index + rounds) % len(MARKERS)]


def places_of(level: Level) -> list[int]:
    """Give the classes of a level their places among the colors, as :func:`colored_places` does."""
    import numpy as np

    counts = np.bincount(level.codes[level.codes >= 0], minlength=len(level.categories))
    return colored_places(counts.tolist())


def styles_of(level: Level | None) -> dict[str, tuple[str, str]]:
    """Give the style of each class by name; nothing without labels."""
    if level is None:
        return {}
    return {n: style_at(p) for n, p in zip(level.categories, places_of(level), strict=True)}
