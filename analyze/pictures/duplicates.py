"""Copies and variants: what shows the same picture, and what the same shape looking otherwise.

A copy is the same picture saved again, scaled, a little lighter or darker, or cut by a few pixels
at its borders. A variant shows the same shape in another lightness or color, or with another print:
the same picture of another product. Limits were chosen on pairs that a benchmark makes
(``python -m tests.benchmarks copies``), and stand between what copies and what others give.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from PIL import Image

from analyze.pictures.image_differences import (
    SIDE,
    Difference,
    blurred,
    difference,
    edges,
    halved,
    lay,
    same_shape,
)
from analyze.pictures.image_registration import Placement, register

ENOUGH_PIXELS = 1024
"""Of the shorter side: a larger picture is made smaller first, by a whole number."""

LEAST_SIMILARITY = 0.6
"""Below, no picture is opened. Photographs at a quarter of their size, saved as JPEG of quality 30,
keep this cosine (efficientnet_lite0: 0.64 and more; at a third 0.75, at half 0.84)."""

MOST_LIGHTER = 12.0
"""Levels of 255. Copies made lighter or darker by up to 8 differ by up to 8.5, saving and scaling
alone by up to 5; products in another lightness that the benchmark makes, by 25 and more."""

MOST_COLORED = 8.0
"""Levels of 255. Saved copies differ by up to 3; products in another hue, by 20 and more."""

MOST_STRUCTURE = 0.95
"""Copies differ by up to 0.75; one text in place of another a third as wide as its picture, from
1.2 on."""

MOST_MOVED = 0.05
"""Of the side: borders cut off by more leave another picture."""

LEAST_ALIKE = 0.75
"""Of the edges that two pictures have in common where they lie: below, no fit is looked for. With 3
% cut off at each border 0.82 and more, with 4 % 0.77."""

SAME_SHAPE = 0.86
"""Of the edges where a fit was found: drawn products of one kind have up to 0.85 in common, a black
T-shirt and one of light gray 0.87, products in another hue 0.98 and more."""


class Relation(Enum):
    """What one picture may be to another."""

    COPY = "copy"
    VARIANT = "variant"


@dataclass(frozen=True)
class Compared:
    """What one picture is to another, and how near to it.

    Parameters
    ----------
    relation : Relation or None
        None where they show different things, as far as can be seen.
    apart : float or None
        Of copies, their largest difference in shares of its limit: 0 to 1.
    alike : float or None
        The share of their edges that agrees, 0 to 1; None where no picture was compared.
    """

    relation: Relation | None
    apart: float | None = None
    alike: float | None = None


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What of a picture survives saving and scaling.

    Parameters
    ----------
    small : ndarray of shape (3, SIDE, SIDE), uint8
        The picture, however wide and high, on a grid: luma, Cb and Cr in levels.
    """

    small: np.ndarray

    @property
    def planes(self) -> np.ndarray:
        """Its compared form, made again each time: it is large, and few pairs need it."""
        return blurred(self.small)

    @cached_property
    def edges(self) -> np.ndarray:
        """Its edges."""
        return edges(self.planes)


def fingerprint(picture: Image.Image) -> Fingerprint:
    """Take a picture's fingerprint.

    Parameters
    ----------
    picture : PIL.Image.Image
        Upright, RGB.
    """
    factor = min(picture.size) // ENOUGH_PIXELS
    if factor > 1:  # of a large one, two more copies would take most of the memory there is
        picture = picture.reduce(factor)
    small = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("YCbCr")
    return Fingerprint(np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)))


def relation(one: Fingerprint, other: Fingerprint, similarity: float = 1.0) -> Relation | None:
    """Say whether two pictures are copies, or one is a variant of the other.

    Parameters
    ----------
    one, other : Fingerprint
        In any order: the answer is the same.
    similarity : float
        Cosine of their vectors, where they may be far apart.

    Returns
    -------
    Relation or None
        None where they show different things, as far as can be seen.
    """
    return compared(one, other, similarity).relation


def compared(one: Fingerprint, other: Fingerprint, similarity: float = 1.0) -> Compared:
    """Return what one picture is to another, and how near copies are.

    Parameters
    ----------
    one, other, similarity
        As of :func:`relation`.
    """
    if similarity < LEAST_SIMILARITY:
        return Compared(None)
    alike = same_shape(one.edges, other.edges)
    if alike < LEAST_ALIKE:
        return Compared(None, alike=alike)
    first, second = (each.planes for each in sorted((one, other), key=_by_cells))
    found = difference(first, second)
    if is_small(found):
        return Compared(Relation.COPY, share_of_limits(found), alike)
    placement = place(first, second)
    if placement.most_moved <= MOST_MOVED:
        found = difference(first, second, placement)
        if is_small(found):
            return Compared(Relation.COPY, share_of_limits(found), alike)
        alike = max(alike, same_shape(edges(first), edges(lay(second, placement))))
    return Compared(Relation.VARIANT if alike >= SAME_SHAPE else None, alike=alike)


def _by_cells(known: Fingerprint) -> bytes:
    return known.small.tobytes()


def near_equal(one: Fingerprint, other: Fingerprint, similarity: float) -> bool:
    """Say whether two pictures are copies."""
    return relation(one, other, similarity) is Relation.COPY


def place(one: np.ndarray, other: np.ndarray) -> Placement:
    """Find where a picture's planes lie on another's, by their luma on half as many cells."""
    return register(halved(one[0]), halved(other[0]), 2 * MOST_MOVED)


def is_small(found: Difference) -> bool:
    """Say whether saving, scaling and a little more light may make such a difference."""
    return share_of_limits(found) <= 1


def share_of_limits(found: Difference) -> float:
    """Return the largest of the differences, each in shares of its limit; 1 and less is a copy."""
    return max(
        found.lightness / MOST_LIGHTER,
        found.color / MOST_COLORED,
        found.structure / MOST_STRUCTURE,
    )


def groups_of_equal_bytes(content_sha256: np.ndarray | None, n_images: int) -> np.ndarray:
    """Number pictures so that those of equal bytes have one number.

    Parameters
    ----------
    content_sha256 : ndarray of shape (n_images, 32), uint8, or None
        A row of zeros is a picture with an unknown hash: a group of its own.

    Returns
    -------
    ndarray of shape (n_images,), int
    """
    if content_sha256 is None:
        return np.arange(n_images)
    _, groups = np.unique(content_sha256, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    unknown = ~content_sha256.any(axis=1)
    groups[unknown] = len(content_sha256) + np.flatnonzero(unknown)
    return groups
