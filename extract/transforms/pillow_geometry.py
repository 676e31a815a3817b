"""The geometry of a preprocessing by Pillow alone: the reference's very pixels, without torch."""

from __future__ import annotations

from PIL import Image

from extract.transforms.fast_geometry import center, ground
from extract.transforms.preprocessing import Preprocessing, resized_size

FILTERS = {
    name: Image.Resampling[name.upper()]
    for name in ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
}
"""Every interpolation that a preprocessing may name."""


def placed_by_pillow(picture: Image.Image, wanted: Preprocessing) -> Image.Image:
    """Make a picture what :meth:`Preprocessing.placed` gives, without loading torch for it.

    Parameters
    ----------
    picture : Image
        Upright RGB.
    wanted : Preprocessing

    Returns
    -------
    Image
        RGB, ``wanted.size`` pixels a side.
    """
    height, width = resized_size(wanted, picture.height, picture.width)
    resized, by = picture, FILTERS[wanted.interpolation]
    if wanted.columns_first:
        resized = resized.resize((width, picture.height), by)
    resized = resized.resize((width, height), by)
    (rows, top), (columns, left) = (center(n, wanted) for n in (height, width))
    inside = (columns.start, rows.start, min(columns.stop, width), min(rows.stop, height))
    placed = Image.new("RGB", (wanted.size, wanted.size), (ground(wanted),) * 3)
    placed.paste(resized.crop(inside), (left, top))
    return placed


def share_seen(picture: Image.Image, wanted: Preprocessing) -> float:
    """Give the share of a picture's area that is left when it is placed; 1 where all of it is."""
    sides = resized_size(wanted, picture.height, picture.width)
    height, width = (min(1.0, wanted.size / side) for side in sides)
    return height * width
