"""JPEGs decoded by simplejpeg, where that gives the very pixels that Pillow gives."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from extract.formats.picture_headers import frames

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SCALES = (8, 4, 2)
"""How many times smaller libjpeg decodes without cost: it leaves out frequencies."""

SUBSAMPLINGS = frozenset({"444", "422", "420", "440", "411", "Gray"})
_BASELINE, _PROGRESSIVE = 0xC0, 0xC2
_YCC = 1


def can_decode_plain() -> bool:
    """Whether simplejpeg is installed."""
    return _simplejpeg() is not None


def is_plain(picture: Image.Image, content: bytes) -> bool:
    """Whether a picture is by its header a JPEG of the usual kind, and simplejpeg is installed.

    Both libraries rest on libjpeg-turbo, so they agree on 8 bits of gray or YCbCr, in one frame
    that is baseline or progressive. Whatever else there is, Pillow has habits of its own about.

    Parameters
    ----------
    picture : Image
        Opened, not decoded.
    content : bytes
    """
    if picture.format != "JPEG" or not can_decode_plain():
        return False
    if frames(content) not in ([_BASELINE], [_PROGRESSIVE]) or "mp" in picture.info:
        return False
    if picture.info.get("adobe_transform", _YCC) != _YCC and picture.mode != "L":
        return False
    try:
        height, width, space, subsampling = _simplejpeg().decode_jpeg_header(content)
    except ValueError:
        return False
    if (width, height) != picture.size or subsampling not in SUBSAMPLINGS:
        return False
    return (picture.mode, space) in (("RGB", "YCbCr"), ("L", "Gray"))


def decode_plain(
    content: bytes, size: tuple[int, int], scale: int = 1
) -> np.ndarray[Any, Any] | None:
    """Decode a plain JPEG as it is stored, or give None for one that is damaged in any way.

    Pillow takes some damage without a word, and refuses other: it has to decide.

    Parameters
    ----------
    content : bytes
    size : tuple of int
        Width and height as its header has them.
    scale : int
        1, or one of ``SCALES``.

    Returns
    -------
    ndarray of shape (ceil(height / scale), ceil(width / scale), 3), uint8
        RGB; C-contiguous.
    """
    width, height = (-(-side // scale) for side in size)
    try:
        pixels = _simplejpeg().decode_jpeg(
            content, min_width=width, min_height=height, min_factor=scale, strict=True
        )
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None


@cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg  # type: ignore[import-untyped]
    except ImportError:
        return None
    return simplejpeg
