"""Quality of a picture by its pixels: how sharp, how dark, how light, how plain it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

LONGEST = 384
"""Pixels of the longer side at which a picture is measured: larger ones are made smaller first, so
that sharpness is that of the picture on a page, not of each pixel of a camera."""

WINDOW = 9
"""Pixels a side in which an edge is compared with the contrast around it."""

LEAST_CONTRAST = 12.0
"""Levels of 255 in such a window that make an edge, of a picture with white in it: most blocks of
JPEG stay below."""

OF_STRONGEST = 0.25
"""And of the strongest contrast of the picture."""

SHARPEST = 0.95
"""Of the pixels at edges: a product may be sharp before a ground that is not."""

FEWEST_EDGES = 64
"""Pixels: with fewer there is no edge to measure."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
WHITE = 240
"""Levels of all colors: a light ground, connected to the border, is not the product."""

WEIGHTS, OFFSET = np.array([-7.9, 25.4, 11.5, 12.4, 5.2, -9.8, -18.0]), 14.8
"""Of the signs of lost light, in their order: fitted on 220 photographs of a marketplace as they
are, and exposed 2 to 5 times as long, lifted by 90 to 180 levels, or blended with white."""

CELLS = 48
"""A side, on which is looked whether a picture shows anything."""

BLANK = 0.97
"""Blankness of pictures of one color, saved and with a little noise; 98 of 100 photographs have
less than 0.6, pictures of one color 0.99 and more."""

SAVED = 4.0
"""Levels that saving and noise alone leave."""

CLIPPED = 254
THIN = 7
"""Pixels."""

GAP = 9
"""Pixels from each side over which a gap is closed."""


@dataclass(frozen=True)
class Quality:
    """What is measured of a picture.

    Parameters
    ----------
    width, height : int
        Pixels.
    edge_width : float
        How blurred the sharpest edges are: the standard deviation, in pixels of the picture made as
        small as it is measured, of the Gaussian that makes a step as wide. NaN without edges.
    scale : float
        Pixels of the picture a pixel measured.
    brightest : float
        The luma that all but 1 % of the pixels are below; levels of 255.
    darkest : float
        The luma that all but 5 % of the pixels are above.
    overexposed : float
        How likely light was lost: 0 to 1, of :func:`overexposure`.
    plain : float
        Levels that luma or a chroma ranges over, but for a few cells of the picture.
    """

    width: int
    height: int
    edge_width: float
    scale: float
    brightest: float
    darkest: float
    overexposed: float
    plain: float


def measure_quality(picture: Image.Image) -> Quality:
    """Measure a picture.

    Parameters
    ----------
    picture : PIL.Image.Image
        Upright, RGB.
    """
    scale = max(1.0, max(picture.size) / LONGEST)
    small = picture
    if scale > 1:
        sides = [max(1, round(side / scale)) for side in picture.size]
        small = picture.resize((sides[0], sides[1]), Image.Resampling.BOX)
    pixels = np.asarray(small)
    luma = pixels @ LUMA
    return Quality(
        *picture.size,
        edge_width(luma),
        scale,
        float(np.quantile(luma, 0.99)),
        float(np.quantile(luma, 0.05)),
        overexposure(pixels),
        _plain(small),
    )


def edge_width(luma: np.ndarray) -> float:
    r"""Estimate how blurred the sharpest edges are, whatever their contrast.

    A step of height c, blurred by a Gaussian of standard deviation s, is at most c / (s sqrt(2 pi))
    steep: so the steepness over the contrast around gives s (edge width as a measure of blur:
    Marziliano et al. 2002).

    Parameters
    ----------
    luma : ndarray of shape (height, width)
        Levels of 255.

    Returns
    -------
    float
        Pixels; NaN without edges.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    if min(luma.shape) < WINDOW:
        return float("nan")
    contrast = maximum_filter(luma, WINDOW) - minimum_filter(luma, WINDOW)
    least = LEAST_CONTRAST * max(1.0, float(luma.max())) / 255
    at_edges = contrast >= max(least, OF_STRONGEST * float(np.quantile(contrast, 0.99)))
    if at_edges.sum() < FEWEST_EDGES:
        return float("nan")
    down, right = np.gradient(luma)
    steepness = np.hypot(down, right)[at_edges] / contrast[at_edges]
    return float(1 / (np.sqrt(2 * np.pi) * max(1e-3, float(np.quantile(steepness, SHARPEST)))))


def blankness(plain: np.ndarray, brightest: np.ndarray) -> np.ndarray:
    """Give how blank pictures are: 1 less the range of levels, in shares of the brightest.

    Parameters
    ----------
    plain, brightest : ndarray of shape (n,)
        As of :class:`Quality`.
    """
    ranged: np.ndarray = np.maximum(0, plain - SAVED) / (brightest + 8)
    return 1 - ranged


def white_ground(pixels: np.ndarray) -> np.ndarray:
    """Say where a light ground that reaches the border is; ndarray of shape (height, width), bool.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
    """
    from scipy.ndimage import label

    parts, _ = label((pixels >= WHITE).all(axis=2))
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    ground: np.ndarray = np.isin(parts, np.unique(edge[edge > 0]))
    return ground


def overexposure(pixels: np.ndarray) -> float:
    """Estimate how likely the light of a product was lost to white; a white ground is none of it.

    A logistic regression on :func:`signs_of_lost_light`, with weights fitted on photographs.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8

    Returns
    -------
    float
        0 to 1.
    """
    signs = signs_of_lost_light(pixels)
    return float(1 / (1 + np.exp(-(np.dot(WEIGHTS, signs) + OFFSET))))


def signs_of_lost_light(pixels: np.ndarray) -> np.ndarray:
    """Measure what overexposure leaves of a product; ndarray of shape (7,), float64.

    Shares of the product, that is of what is no white ground: clipped in one color or more; clipped
    in one or two inside of it; clipped in two or more once gaps in it are closed; too thin, since
    light parts join the ground; then its darkest luma and its mean saturation, of 1; and the share
    of the closed product that is left.
    """
    from scipy.ndimage import (
        binary_closing,
        binary_erosion,
        binary_opening,
        generate_binary_structure,
    )

    product = ~white_ground(pixels)
    if product.sum() < FEWEST_EDGES:
        product[:] = True
    room, cross = 2 * GAP, generate_binary_structure(2, 1)
    closed = binary_closing(np.pad(product, room), cross, iterations=GAP)[room:-room, room:-room]
    inner = binary_erosion(product, cross, iterations=3)
    inner = inner if inner.sum() >= FEWEST_EDGES else product
    solid = binary_opening(product, np.ones((THIN, THIN), bool))
    n_clipped = (pixels >= CLIPPED).sum(axis=2)
    shown = pixels[product]
    return np.array(
        [
            (n_clipped[product] >= 1).mean(),
            ((n_clipped[inner] == 1) | (n_clipped[inner] == 2)).mean(),
            (n_clipped[closed] >= 2).mean(),
            1 - solid.sum() / product.sum(),
            np.quantile(shown @ LUMA, 0.05) / 255,
            np.ptp(shown, axis=1).mean() / 255,
            product.sum() / closed.sum(),
        ]
    )


def _plain(picture: Image.Image) -> float:
    """Give how far levels range, but for a few cells, of luma and both chromas.

    Means of some pixels are compared, in which noise is small.
    """
    few = picture.convert("YCbCr").resize((CELLS, CELLS), Image.Resampling.BOX)
    planes = np.asarray(few).reshape(-1, 3)
    low, high = np.quantile(planes, (0.002, 0.998), axis=0)
    return float((high - low).max())
