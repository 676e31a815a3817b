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

SIGNS = {
    "clipped": (0.5, 11.5),
    "white": (-2.0, -3.9),
    "lost_inside": (-14.7, 17.8),
    "varied": (9.0, -11.8),
    "thin": (-2.9, 9.0),
    "nearly_white": (-27.5, 13.3),
    "white_around": (-15.7, 15.6),
    "hard_edges": (2.7, 2.7),
    "rim": (-10.4, 0.0),
    "darkest": (10.1, 0.0),
    "light": (-3.2, 0.0),
    "lightest": (12.5, 0.0),
}
"""Signs of lost light, each with its weight and that of its root. Shares of the product, gaps in it
closed, clipped in two colors; of the product, white; of its inside, a color lost where another
varies, and any varying; of the product, too thin; of the picture, nearly white; of the ground
around, white; of what borders on white, steep. Then the luma at the rim, of the darkest and the
light parts inside, and of the lightest."""

OFFSET = -10.9

CELL = 8
"""Pixels a side of which means are compared to see whether a picture shows anything."""

BLANK = 0.985
"""Blankness of pictures of one color, saved and with noise: they have 0.99 and more; 98 of 100
photographs have less than 0.6."""

SAVED = 4.0
"""Levels that saving leaves."""

OF_NOISE = 7.0
"""Standard deviations that the means of some thousand cells of one color range over."""

CLIPPED = 254
LEVEL, VARIED = 2, 8
"""Levels that a color ranges over within three pixels: where it is lost, where there is detail."""

STEEP = 40.0
"""Levels a pixel."""

THIN = 7
"""Pixels."""

GAP = 7
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
        Levels that luma or a chroma ranges over, from cell to cell, beyond noise.
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

    A logistic regression on :func:`signs_of_lost_light` and their roots, fitted on 525 photographs
    of a marketplace as they are, darker, blurred, with white grounds cleaned, and exposed 2 to 6
    times as long, in light or in levels, or lifted by 80 to 190 levels.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8

    Returns
    -------
    float
        0 to 1.
    """
    signs = signs_of_lost_light(pixels)
    weights, of_roots = np.transpose(list(SIGNS.values()))
    return float(1 / (1 + np.exp(-(weights @ signs + of_roots @ np.sqrt(signs) + OFFSET))))


def signs_of_lost_light(pixels: np.ndarray) -> np.ndarray:
    """Measure what overexposure does to a product, that is to what is no white ground.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8

    Returns
    -------
    ndarray of shape (12,), float64
        In the order of :data:`SIGNS`.
    """
    luma = pixels @ LUMA
    ground = white_ground(pixels)
    product = ~ground
    if product.sum() < FEWEST_EDGES:
        product[:] = True
    inner = _shrunk(product, 5)
    inner = inner if inner.sum() >= FEWEST_EDGES else product
    n_clipped = (pixels >= CLIPPED).sum(axis=2)
    white = n_clipped == 3
    lost_inside, varies = _lost_and_varied(pixels)
    return np.array(
        [
            (n_clipped[_closed(product)] >= 2).mean(),
            white[product].mean(),
            lost_inside[inner].mean(),
            varies[inner].mean(),
            1 - _grown(_shrunk(product, THIN), THIN)[product].mean(),
            ((pixels.min(axis=2) >= WHITE) & ~white).mean(),
            _mean_of(white, _grown(product, 5) & ground, 0.0),
            _mean_of(_steepness(luma) > STEEP, _grown(white, 3) & ~white, 0.0),
            _mean_of(luma, _grown(ground, 3) & product, float(luma[product].mean())) / 255,
            *np.quantile(luma[inner], (0.01, 0.9)) / 255,
            np.quantile(luma[product], 0.99) / 255,
        ]
    )


def _lost_and_varied(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say where a color is level at its end while another varies, and where any varies."""
    window = (3, 3, 1)
    spread = _grown(pixels, window) - _shrunk(pixels, window)
    varies = spread.max(axis=2) >= VARIED
    level = ((pixels >= CLIPPED) & (spread <= LEVEL)).any(axis=2)
    return level & varies, varies


def _grown(plane: np.ndarray, window: int | tuple[int, ...]) -> np.ndarray:
    from scipy.ndimage import maximum_filter

    found: np.ndarray = maximum_filter(plane, window)
    return found


def _shrunk(plane: np.ndarray, window: int | tuple[int, ...]) -> np.ndarray:
    from scipy.ndimage import minimum_filter

    found: np.ndarray = minimum_filter(plane, window)
    return found


def _closed(product: np.ndarray) -> np.ndarray:
    """Close gaps of a product, and what is lost between its outlines."""
    room, window = 2 * GAP, 2 * GAP + 1
    closed = _shrunk(_grown(np.pad(product, room), window), window)
    return closed[room:-room, room:-room]


def _steepness(luma: np.ndarray) -> np.ndarray:
    down, right = np.gradient(luma) if min(luma.shape) > 1 else (np.zeros_like(luma),) * 2
    steepness: np.ndarray = np.hypot(down, right)
    return steepness


def _mean_of(values: np.ndarray, where: np.ndarray, otherwise: float) -> float:
    return float(values[where].mean()) if where.any() else otherwise


def _plain(picture: Image.Image) -> float:
    """Give how far cells of a picture differ, of luma and both chromas, beyond what noise makes.

    Noise is what varies within half of the cells: it is left in their means by its standard
    deviation over the side of a cell. So a small thing on a plain ground is seen, and grain is not.
    """
    planes = np.asarray(picture.convert("YCbCr"), np.float32)
    down, right = (side // CELL for side in planes.shape[:2])
    if not (down and right):
        return float(np.ptp(planes.reshape(-1, 3), axis=0).max())
    cells = planes[: down * CELL, : right * CELL].reshape(down, CELL, right, CELL, 3)
    means, noise = cells.mean(axis=(1, 3)), np.median(cells.std(axis=(1, 3)), axis=(0, 1))
    ranged = np.ptp(means.reshape(-1, 3), axis=0) - OF_NOISE * noise / CELL
    return float(max(0.0, ranged.max()))
