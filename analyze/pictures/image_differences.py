"""Differences of two small pictures: what saving and scaling leave, and what they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.pictures.image_registration import Placement

SIDE = 96
"""Cells: letters of a text a third as wide as its picture are some cells wide each."""

BLUR = 1.0
"""Cells: what is finer depends on the filter that a picture was scaled with."""

EDGE = 3
"""Cells at the border of what both show that are not compared: blur reaches across it."""

WIDE, NARROW = SIDE // 8, SIDE // 10
"""Windows over which lightness and color, and structure, are compared."""

NOISE = 4.0
"""Levels of structure that saving may make anywhere."""

SLACK = 0.3
"""Cells by which an edge may lie elsewhere: scaling filters and whole pixels move it."""

STRONGEST = 127

PLAIN = 0.01
"""Share of the cells with edges that any two pictures have in common: plain ones are alike."""


@dataclass(frozen=True)
class Difference:
    """By how much two pictures differ where they differ most.

    Parameters
    ----------
    lightness : float
        Levels of 255 of the mean luma over an eighth of the side.
    color : float
        Levels of the mean chroma there (Cb and Cr together).
    structure : float
        What else differs over a tenth of the side, in root mean square, of what saving, scaling and
        a shift by a fraction of a cell may change there: a print, an edge, a texture.
    """

    lightness: float
    color: float
    structure: float


def difference(
    one: np.ndarray, other: np.ndarray, placement: Placement | None = None
) -> Difference:
    """Measure by how much two pictures differ, the other one laid where it is placed.

    Parameters
    ----------
    one, other : ndarray of shape (3, SIDE, SIDE)
        Luma, Cb and Cr in levels, blurred (:func:`blurred`).
    placement : Placement, optional
        As it is without one.
    """
    placement = placement or Placement()
    if placement != Placement():
        other = lay(other, placement)
    shown = placement.covers(SIDE, EDGE) & Placement().covers(SIDE, EDGE)
    apart = one - other
    wide = np.stack([_mean(plane, shown, WIDE) for plane in apart])
    slopes = sum(np.square(slope) for luma in (one[0], other[0]) for slope in np.gradient(luma))
    left = _mean((apart[0] - wide[0]) ** 2, shown, NARROW)
    allowed = NOISE**2 + SLACK**2 * _mean(slopes / 2, shown, NARROW)
    return Difference(
        float(np.abs(wide[0])[shown].max()),
        float(np.hypot(wide[1], wide[2])[shown].max()),
        float(np.sqrt((left / allowed)[shown].max())),
    )


def blurred(small: np.ndarray) -> np.ndarray:
    """Take from the planes of a small picture what depends on how it was scaled; float32."""
    from scipy.ndimage import gaussian_filter

    planes: np.ndarray = gaussian_filter(small.astype(np.float32), (0, BLUR, BLUR))
    return planes


def lay(planes: np.ndarray, placement: Placement) -> np.ndarray:
    """Lay the planes of a picture where it is placed."""
    return np.stack([placement.lay(plane) for plane in planes])


def halved(planes: np.ndarray) -> np.ndarray:
    """Take the means of two by two cells; float64."""
    shape = (*planes.shape[:-2], SIDE // 2, 2, SIDE // 2, 2)
    means: np.ndarray = planes.reshape(shape).mean(axis=(-3, -1), dtype=np.float64)
    return means


def edges(planes: np.ndarray) -> np.ndarray:
    """Take the edges of a blurred picture on half as many cells, strong ones all as strong.

    An edge of a cell is that of the plane where it is strongest: stripes of two colors stay edges
    where other two colors are equally light.

    Returns
    -------
    ndarray of shape (2, SIDE / 2, SIDE / 2), int8
        Direction and strength, up to 127.
    """
    slopes = np.stack(np.gradient(halved(planes), axis=(1, 2)))
    lengths = np.hypot(*slopes)
    strongest = lengths.argmax(axis=0)[None]
    found = np.take_along_axis(slopes, strongest[None], axis=1)[:, 0]
    strength = STRONGEST / (np.take_along_axis(lengths, strongest, axis=0) + NOISE)
    return np.round(found * strength).astype(np.int8)


def same_shape(one: np.ndarray, other: np.ndarray) -> float:
    """Say how far edges of two pictures agree, whichever side of them is lighter; 0 to 1."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    common = PLAIN * STRONGEST**2 * a[0].size
    both = float(np.abs((a * b).sum(axis=0)).sum())
    own = [float(np.square(each).sum()) for each in (a, b)]
    return float((both + common) / np.sqrt((own[0] + common) * (own[1] + common)))


def _mean(values: np.ndarray, shown: np.ndarray, window: int) -> np.ndarray:
    """Average over windows, of the cells shown alone."""
    from scipy.ndimage import uniform_filter

    there = uniform_filter(shown.astype(np.float64), window, mode="constant")
    sums = uniform_filter(np.where(shown, values, 0.0).astype(np.float64), window, mode="constant")
    # running sums: of values that are not negative, rounding may leave less than 0
    least = 0.0 if values.min() >= 0 else -np.inf
    means: np.ndarray = np.maximum(sums / np.maximum(there, 1 / window**2), least)
    return means
