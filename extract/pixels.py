"""Decoded pixels of any mode to upright 8-bit RGB, a band at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

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


def upright_rgb(picture: Image.Image, orientation: int) -> Image.Image:
    """Make a decoded picture RGB and turn it upright; at most two copies are held at once."""
    rgb = _to_rgb(picture)
    if rgb is not picture:
        picture.close()
    if orientation not in UPRIGHT:
        return rgb
    turned = rgb.transpose(UPRIGHT[orientation])
    rgb.close()
    return turned


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    width, height = picture.size
    n_rows = max(1, BAND_PIXELS // width)
    if n_rows >= height:
        return _band_to_rgb(picture)
    rgb = Image.new("RGB", picture.size)
    for top in range(0, height, n_rows):
        band = picture.crop((0, top, width, min(top + n_rows, height)))
        rgb.paste(_band_to_rgb(band), (0, top))
    return rgb


def _band_to_rgb(band: Image.Image) -> Image.Image:
    if band.mode.startswith("I") or band.mode == "F":
        band = _eight_bits(band, band.info.get("transparency"))
    if band.has_transparency_data:
        band = band.convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        band = Image.alpha_composite(white, band)
    return band.convert("RGB")


def _eight_bits(picture: Image.Image, transparent: object) -> Image.Image:
    """Scale 16-bit gray to 8 bits; Pillow's own conversion cuts it off and gives white.

    One gray of the 65,536 may stand for transparent, which others share at 8 bits.
    """
    values: np.ndarray[Any, Any] = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise Refused(Reason.UNSUPPORTED, f"mode {picture.mode} outside 16 bits")
    gray = (values.astype(np.float32) / 257 + 0.5).astype(np.uint8)
    if not isinstance(transparent, int):
        return Image.fromarray(gray)
    alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([gray, alpha]))
