"""Decoded pixels of any mode to upright 8-bit RGB, a band at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from extract.images.sample_formats import USUAL, Stored
from extract.refusals import Reason, Refused

BAND_PIXELS = 1 << 22
"""Pixels converted at once: what stands between the picture and its RGB stays small."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.32, tag Orientation: what turns a picture upright."""


def upright_rgb(picture: Image.Image, orientation: int, stored: Stored = USUAL) -> Image.Image:
    """Make a decoded picture RGB and turn it upright; at most two copies are held at once."""
    if stored.alpha_may_be_unset and picture.getchannel("A").getextrema() == (0, 0):
        picture.putalpha(255)
    rgb = _to_rgb(picture, stored)
    if stored.filled is not None:
        _clear_outside(rgb, stored.filled)
    if rgb is not picture:
        picture.close()
    if orientation not in UPRIGHT:
        return rgb
    turned = rgb.transpose(UPRIGHT[orientation])
    rgb.close()
    return turned


def _to_rgb(picture: Image.Image, stored: Stored) -> Image.Image:
    plain = picture.mode == "RGB" and not picture.has_transparency_data
    if plain and stored.profile is None and stored.table is None:
        return picture
    width, height = picture.size
    n_rows = max(1, BAND_PIXELS // width)
    if n_rows >= height:
        return _band_to_rgb(picture, stored)
    rgb = picture if plain else Image.new("RGB", picture.size)
    for top in range(0, height, n_rows):
        band = picture.crop((0, top, width, min(top + n_rows, height)))
        rgb.paste(_band_to_rgb(band, stored), (0, top))
    return rgb


def _band_to_rgb(band: Image.Image, stored: Stored) -> Image.Image:
    if band.mode.startswith("I") or band.mode == "F":
        band = _eight_bits(band, band.info.get("transparency"), stored)
    if stored.table is not None:
        band = band.point(stored.table)
    if stored.profile is not None:
        band = stored.profile.to_srgb(band)
    if band.has_transparency_data:
        band = band.convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        band = Image.alpha_composite(white, band)
    return band.convert("RGB")


def _eight_bits(picture: Image.Image, transparent: object, stored: Stored) -> Image.Image:
    """Scale deep gray to 8 bits; Pillow's own conversion cuts it off and gives white.

    One gray of the 65,536 may stand for transparent, which others share at 8 bits.
    """
    values: np.ndarray[Any, Any] = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > stored.white:
        raise Refused(Reason.UNSUPPORTED, f"mode {picture.mode} outside 16 bits")
    scaled = stored.white - values if stored.inverted else values
    gray = (scaled.astype(np.float32) / (stored.white / 255) + 0.5).astype(np.uint8)
    if not isinstance(transparent, int):
        return Image.fromarray(gray)
    alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([gray, alpha]))


def _clear_outside(rgb: Image.Image, filled: tuple[int, int, int, int]) -> None:
    """Make white what of a canvas its first frame does not reach: nothing was drawn there."""
    left, top, right, bottom = filled
    width, height = rgb.size
    borders = ((0, 0, width, top), (0, bottom, width, height), (0, 0, left, height))
    for box in (*borders, (right, 0, width, height)):
        rgb.paste("white", box)
