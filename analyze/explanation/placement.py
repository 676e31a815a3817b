"""Where the cells of a map lie on the picture as it is, upright and before anything was cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from extract.transforms.fast_geometry import center
from extract.transforms.preprocessing import Preprocessing, resized_size


@dataclass(frozen=True)
class Placement:
    """The box that a model sees, in pixels of the upright picture.

    Parameters
    ----------
    left, top, right, bottom : float
        Outside the picture where it was padded.
    width, height : int
        Of the picture.
    """

    left: float
    top: float
    right: float
    bottom: float
    width: int
    height: int


def place_of(preprocessing: Preprocessing, width: int, height: int) -> Placement:
    """Return what a model sees of a picture of this size."""
    sides = []
    sizes = resized_size(preprocessing, height, width)
    for resized, original in zip(sizes, (height, width), strict=True):
        cut, padded = center(resized, preprocessing)
        first, scale = cut.start - padded, original / resized
        sides.append((first * scale, (first + preprocessing.size) * scale))
    (top, bottom), (left, right) = sides
    return Placement(left, top, right, bottom, width, height)


def peak_of(cells: np.ndarray, place: Placement) -> tuple[int, int]:
    """Find the highest cell of those that lie on the picture; give its middle.

    Parameters
    ----------
    cells : ndarray of shape (rows, columns)
        A map.

    Returns
    -------
    tuple of int
        x and y in pixels of the picture; the middle of what of the cell lies on it.
    """
    rows, columns = cells.shape
    tops, bottoms = _on_picture(place.top, place.bottom, rows, place.height)
    lefts, rights = _on_picture(place.left, place.right, columns, place.width)
    there = (bottoms > tops)[:, None] & (rights > lefts)[None, :]
    row, column = np.unravel_index(np.where(there, cells, -np.inf).argmax(), cells.shape)
    x, y = (lefts[column] + rights[column]) / 2, (tops[row] + bottoms[row]) / 2
    return min(int(x), place.width - 1), min(int(y), place.height - 1)


def _on_picture(first: float, end: float, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Give where each of n cells begins and ends on a picture so long."""
    edges = np.clip(np.linspace(first, end, n + 1), 0, length)
    return edges[:-1], edges[1:]


def spread(cells: np.ndarray, place: Placement, width: int, height: int) -> np.ndarray:
    """Draw a map out over the whole picture, linearly between the middles of its cells.

    Parameters
    ----------
    cells : ndarray of shape (rows, columns)
    width, height : int
        Of what is drawn, such as the picture made small.

    Returns
    -------
    ndarray of shape (height, width), float64
        NaN where the model saw nothing.
    """
    down = _weights(place.top, place.bottom, cells.shape[0], place.height, height)
    across = _weights(place.left, place.right, cells.shape[1], place.width, width)
    drawn: np.ndarray = down @ cells.astype(np.float64) @ across.T
    return drawn


def _weights(first: float, end: float, n: int, length: int, n_drawn: int) -> np.ndarray:
    """Say how much of each cell goes into each drawn pixel; ndarray of shape (n_drawn, n)."""
    middles = (np.arange(n_drawn) + 0.5) * length / n_drawn
    in_cells = (middles - first) / (end - first) * n - 0.5
    weights: np.ndarray = np.maximum(
        0, 1 - np.abs(np.clip(in_cells, 0, n - 1)[:, None] - np.arange(n))
    )
    weights[(middles < first) | (middles > end)] = np.nan
    return weights
