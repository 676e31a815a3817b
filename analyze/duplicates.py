"""Copies: pictures of equal bytes, and pictures that are equal to the eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

HASH_SIDE = 16
GRAY_SIDE = 4 * HASH_SIDE
COLOR_SIDE = 8
ENOUGH_PIXELS = 1024
"""Of the shorter side: a larger picture is made smaller first, by a whole number."""

MOST_BITS_APART = 20
"""Of 256. Re-saved and scaled photographs lie 0 to 18 apart; the nearest two products that differ,
30 (525 photographs of a marketplace)."""

MOST_COLOR_APART = 0.05
"""Re-saved and scaled photographs differ by up to 0.02 in any place, one recolored by 30 degrees of
hue by 0.07 in the median."""

LEAST_SIMILARITY = 0.8
"""Photographs at half their size keep this cosine (efficientnet_lite0)."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What of a picture survives saving and scaling.

    Parameters
    ----------
    bits : ndarray of shape (256,), bool
        Perceptual hash: the signs, about their median, of the lowest frequencies of the luma.
    color : ndarray of shape (8, 8, 2), float32
        Chroma on a coarse grid, 0 to 1; the hash is blind to it.
    """

    bits: np.ndarray
    color: np.ndarray


def fingerprint(picture: Image.Image) -> Fingerprint:
    """Take a picture's perceptual hash (Zauner 2010, by discrete cosine transform) and its colors.

    Parameters
    ----------
    picture : PIL.Image.Image
        Upright, RGB.
    """
    from scipy.fft import dctn

    factor = min(picture.size) // ENOUGH_PIXELS
    if factor > 1:  # of a large one, two more copies would take most of the memory there is
        picture = picture.reduce(factor)
    gray = picture.convert("L").resize((GRAY_SIDE, GRAY_SIDE), Image.Resampling.LANCZOS)
    lowest = dctn(np.asarray(gray, dtype=np.float64), norm="ortho")[:HASH_SIDE, :HASH_SIDE].ravel()
    color = picture.convert("YCbCr").resize((COLOR_SIDE, COLOR_SIDE), Image.Resampling.BOX)
    chroma = np.asarray(color, dtype=np.float32)[..., 1:] / 255
    return Fingerprint(lowest > np.median(lowest[1:]), chroma)


def near_equal(one: Fingerprint, other: Fingerprint, similarity: float) -> bool:
    """Say whether two pictures are copies: by hash, by color and by their vectors together.

    Parameters
    ----------
    similarity : float
        Cosine of their vectors.
    """
    return (
        similarity >= LEAST_SIMILARITY
        and int((one.bits != other.bits).sum()) <= MOST_BITS_APART
        and float(np.abs(one.color - other.color).max()) <= MOST_COLOR_APART
    )


def groups_of_equal_bytes(content_sha256: np.ndarray | None, n_images: int) -> np.ndarray:
    """Number pictures so that those of equal bytes have one number.

    Parameters
    ----------
    content_sha256 : ndarray of shape (n_images, 32), uint8, or None
        A row of zeros is a picture whose hash is not known: a group of its own.

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
