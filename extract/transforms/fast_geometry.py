"""The geometry of a preprocessing on plain arrays, resized by torchvision instead of Pillow."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import PIL

from extract.transforms.preprocessing import WHITE, Preprocessing, resized_size

INTERPOLATIONS = frozenset({"bilinear", "bicubic"})
"""What torchvision computes as Pillow does, with a filter as wide as the picture shrinks."""

_CHOOSES_ORDER = int(PIL.__version__.split(".")[0]) >= 13
"""Earlier Pillow always goes over the columns first."""


def has_fast_geometry(wanted: Preprocessing) -> bool:
    """Whether torchvision has an equal of what Pillow does for it."""
    return wanted.interpolation in INTERPOLATIONS


def center(n: int, wanted: Preprocessing) -> tuple[slice, int]:
    """Give what is cut out of n pixels, and where it begins in what the model sees."""
    size, left_over = wanted.size, max(n - wanted.size, 0)
    first = round(left_over / 2.0) if wanted.rounding == "timm" else left_over // 2
    return slice(first, first + size), max(size - n, 0) // 2


def ground(wanted: Preprocessing) -> int:
    """Give the level of all three channels where a picture does not reach: white or black."""
    return WHITE[0] if wanted.resize == "pad" else 0


def picture_box(wanted: Preprocessing, height: int, width: int) -> tuple[int, int, int, int]:
    """Find a picture in the square that the model sees, without what it is padded with.

    Parameters
    ----------
    wanted : Preprocessing
    height, width : int
        Of the picture upright.

    Returns
    -------
    tuple of int
        Top, left, height and width.
    """
    resized = resized_size(wanted, height, width)
    (_, top), (_, left) = (center(n, wanted) for n in resized)
    return top, left, min(resized[0], wanted.size), min(resized[1], wanted.size)


def place(
    pixels: np.ndarray[Any, Any], wanted: Preprocessing, orientation: int = 1
) -> np.ndarray[Any, Any]:
    """Resize a picture, turn it upright, and cut out or pad what the model sees.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        As it is stored; C-contiguous.
    wanted : Preprocessing
        One that ``has_fast_geometry``.
    orientation : int
        EXIF's number, 1 to 8; what is small is turned, not what is large.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
        C-contiguous.
    """
    size, on_its_side = pixels.shape[:2], orientation >= 5
    target = resized_size(wanted, *size)  # as it is stored: both sides are treated alike
    if on_its_side:  # the order is that of the picture upright
        down_first = not rows_first(size[::-1], target[::-1], wanted)
    else:
        down_first = rows_first(size, target, wanted)
    resized = _resized(pixels, target, wanted.interpolation, rows_first=down_first)
    return _cut_out(upright(resized, orientation), wanted)


def upright(pixels: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """Turn an array (height, width, 3) upright, without a copy, by EXIF 2.32's table."""
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return pixels[rows, columns]


def rows_first(size: tuple[int, int], target: tuple[int, int], wanted: Preprocessing) -> bool:
    """Whether Pillow resizes rows first; between its passes it rounds and cuts off overshoots."""
    fewer_rows, fewer_columns = size[0] - target[0], size[1] - target[1]
    chooses = _CHOOSES_ORDER and not wanted.columns_first
    return chooses and fewer_rows > max(0, 2 * fewer_columns)


def _resized(
    pixels: np.ndarray[Any, Any], size: tuple[int, int], interpolation: str, *, rows_first: bool
) -> np.ndarray[Any, Any]:
    import torch

    resize, modes = _torchvision()
    with torch.inference_mode():
        # seen as (3, height, width) without a copy: a layout that has a kernel of its own
        seen = torch.from_numpy(pixels).permute(2, 0, 1)
        sizes = [(size[0], pixels.shape[1]), size] if rows_first else [size]
        for each in sizes:  # in one step it goes over the columns first
            seen = resize(seen, list(each), interpolation=modes(interpolation), antialias=True)
        numbers: np.ndarray[Any, Any] = seen.permute(1, 2, 0).numpy()
    return numbers


@cache
def _torchvision() -> tuple[Any, Any]:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2.functional import resize_image

    return resize_image, InterpolationMode


def _cut_out(pixels: np.ndarray[Any, Any], wanted: Preprocessing) -> np.ndarray[Any, Any]:
    """Take the center, by the library's own rounding; what is missing has one level."""
    (rows, top), (columns, left) = (center(n, wanted) for n in pixels.shape[:2])
    inside = pixels[rows, columns]
    if inside.shape[:2] == (wanted.size, wanted.size):
        return np.ascontiguousarray(inside)
    placed = np.full((wanted.size, wanted.size, 3), ground(wanted), np.uint8)
    placed[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return placed
