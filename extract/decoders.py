"""A picture's bytes to the pixels that models see, by the reference path or a faster one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from extract.decoding import OpenedPicture, decode_picture, opened_picture, refusing
from extract.fast_geometry import has_fast_geometry, place, resized_size
from extract.jpeg import SCALES, can_decode_plain, decode_plain, is_plain
from extract.jpeg_screening import MOST_HEADER, PlainJpeg, plain_jpeg
from extract.picture_memory import (
    MAX_BYTES_AT_WORK,
    OPENING_BYTES,
    decoding_memory,
    reckon_plain_memory,
)
from extract.pixels import BAND_PIXELS
from extract.preprocessing import Preprocessing

DECODERS = ("reference", "fast", "scaled")
"""What ``prepare_picture`` knows; each decodes with its forerunner what it cannot."""

SCALED_MARGIN = 3
"""How many times larger than its target a picture decoded at a smaller scale still is."""

ARRAY_BYTES = 3
"""A pixel of the array that is made of Pillow's picture."""


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """One picture as each preprocessing wants it, and what really made it so.

    Parameters
    ----------
    pixels : mapping of Preprocessing to ndarray of shape (size, size, 3), uint8
        RGB, not normalised yet; C-contiguous.
    decoder : str
        ``reference``, ``fast`` or ``scaled``.
    resize : str
        ``pillow`` or ``torchvision``.
    """

    pixels: Mapping[Preprocessing, np.ndarray[Any, Any]]
    decoder: str
    resize: str


def prepare_picture(
    content: bytes, wanted: Collection[Preprocessing], decoder: str
) -> PreparedPicture:
    """Decode a picture once and make it ready for some preprocessings.

    Parameters
    ----------
    content : bytes
    wanted : collection of Preprocessing
    decoder : str
        One of ``DECODERS``. ``fast`` gives the pixels of ``reference`` before they are resized;
        ``scaled`` decodes a JPEG much larger than all that is wanted at a smaller scale.

    Raises
    ------
    Refused
        Exactly where, and for what, ``decode_picture`` refuses.
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, got {decoder!r}")
    if decoder == "reference" or not all(map(has_fast_geometry, wanted)):
        with refusing():
            return _placed_by_pillow(decode_picture(content), wanted)
    usual = _usual_jpeg(content)
    if usual is not None:
        return _prepare_usual(content, usual, wanted, allow_scale=decoder == "scaled")
    with opened_picture(content) as opened:
        if is_plain(opened.picture, content):
            return _plain_jpeg(opened, wanted, allow_scale=decoder == "scaled")
        return _any_picture(opened, wanted)


def _placed_by_pillow(picture: Image.Image, wanted: Collection[Preprocessing]) -> PreparedPicture:
    return PreparedPicture({each: each.placed(picture) for each in wanted}, "reference", "pillow")


def _usual_jpeg(content: bytes) -> PlainJpeg | None:
    """Tell a JPEG that is plain from its first bytes, where simplejpeg is here.

    Opening it with Pillow, only to find that out, takes an eighth of the time of decoding it.
    """
    if len(content) >= OPENING_BYTES or not can_decode_plain():
        return None
    return plain_jpeg(content[:MOST_HEADER], content[-2:])


def _prepare_usual(
    content: bytes, header: PlainJpeg, wanted: Collection[Preprocessing], *, allow_scale: bool
) -> PreparedPicture:
    size = header.width, header.height
    scale = _scale(size, wanted) if allow_scale else 1
    with refusing(), decoding_memory(reckon_plain_memory(size, len(content))):
        stored = decode_plain(content, size, scale)
        if stored is None:
            with opened_picture(content) as opened:  # in the memory that is held already
                return _placed_by_pillow(opened.upright(), wanted)
        pixels = {each: place(stored, each) for each in wanted}
    return PreparedPicture(pixels, "scaled" if scale > 1 else "fast", "torchvision")


def _plain_jpeg(
    opened: OpenedPicture, wanted: Collection[Preprocessing], *, allow_scale: bool
) -> PreparedPicture:
    size, orientation = opened.picture.size, opened.orientation
    scale = _scale(size, wanted) if allow_scale else 1
    with opened.memory():
        stored = decode_plain(opened.content, size, scale)
        if stored is None:
            return _placed_by_pillow(opened.upright(), wanted)
        pixels = {each: place(stored, each, orientation) for each in wanted}
    return PreparedPicture(pixels, "scaled" if scale > 1 else "fast", "torchvision")


def _any_picture(opened: OpenedPicture, wanted: Collection[Preprocessing]) -> PreparedPicture:
    """Decode with Pillow; resize with torchvision where there is room for the copy it needs."""
    copy = opened.picture.width * opened.picture.height * ARRAY_BYTES
    if opened.needed + copy > MAX_BYTES_AT_WORK:
        with opened.memory():
            return _placed_by_pillow(opened.upright(), wanted)
    with opened.memory(copy):
        picture = opened.upright()
        stored = _as_array(picture)
        pixels = {each: place(stored, each) for each in wanted}
    return PreparedPicture(pixels, "reference", "torchvision")


def _scale(size: tuple[int, int], wanted: Collection[Preprocessing]) -> int:
    """Choose how many times smaller a JPEG may be decoded, for the largest that is wanted."""
    width, height = size  # as it is stored: every geometry treats both sides alike
    targets = [resized_size(each, height, width) for each in wanted]
    for scale in SCALES:
        smaller = height // scale, width // scale
        if all(
            side >= SCALED_MARGIN * aim
            for target in targets
            for side, aim in zip(smaller, target, strict=True)
        ):
            return scale
    return 1


def _as_array(picture: Image.Image) -> np.ndarray[Any, Any]:
    """Copy Pillow's pixels a band at a time: its own conversion holds them twice."""
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    n_rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, n_rows):
        end = min(top + n_rows, height)
        pixels[top:end] = np.asarray(picture.crop((0, top, width, end)))
    return pixels
