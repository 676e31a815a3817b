"""A picture's bytes to the pixels that models see, by the reference path or a faster one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from extract.formats.jpeg_screening import MOST_HEADER, PlainJpeg, plain_jpeg
from extract.images.decoding import (
    HOW_READ,
    OpenedPicture,
    decode_picture,
    opened_picture,
    refusing,
)
from extract.images.fast_jpeg import SCALES, can_decode_plain, decode_plain, is_plain
from extract.images.memory_limits import (
    MAX_BYTES_AT_WORK,
    OPENING_BYTES,
    decoding_memory,
    estimate_plain_memory,
)
from extract.images.pixels import BAND_PIXELS
from extract.images.sample_formats import USUAL
from extract.transforms.fast_geometry import has_fast_geometry, place, upright
from extract.transforms.pillow_geometry import placed_by_pillow
from extract.transforms.preprocessing import Preprocessing, resized_size

DECODERS = ("reference", "light", "fast", "scaled")
"""What ``prepare_picture`` knows; each leaves what it cannot decode to the reference."""

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
        ``reference``, ``light``, ``fast`` or ``scaled``.
    resize : str
        ``pillow`` or ``torchvision``.
    dimensions : tuple of int
        Height and width of the picture upright, as it is stored.
    reading : str, optional
        How its header had it read, where its mode alone does not suffice.
    """

    pixels: Mapping[Preprocessing, np.ndarray[Any, Any]]
    decoder: str
    resize: str
    dimensions: tuple[int, int]
    reading: str | None = None


@dataclass(frozen=True, eq=False)
class DecodedPicture:
    """One picture decoded, before any preprocessing resizes it.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        RGB, as stored: what is small is turned upright, not what is large.
    orientation : int
        EXIF's number that still turns it, 1 to 8.
    decoder, resize, dimensions, reading
        As of :class:`PreparedPicture`.
    """

    pixels: np.ndarray[Any, Any]
    orientation: int
    decoder: str
    resize: str
    dimensions: tuple[int, int]
    reading: str | None = None

    def placed(self, wanted: Preprocessing) -> np.ndarray[Any, Any]:
        """Make it ready for one preprocessing; ndarray of shape (size, size, 3), uint8."""
        if self.resize == "pillow":
            return np.array(placed_by_pillow(self.upright(), wanted))
        return place(self.pixels, wanted, self.orientation)

    def upright(self) -> Image.Image:
        """Give the picture as people see it."""
        return Image.fromarray(upright(self.pixels, self.orientation))


def prepare_picture(
    content: bytes, wanted: Collection[Preprocessing], decoder: str
) -> PreparedPicture:
    """Decode a picture once and make it ready for some preprocessings.

    Parameters
    ----------
    content : bytes
    wanted : collection of Preprocessing
    decoder : str
        One of ``DECODERS``. ``light`` gives the pixels of ``reference`` without loading torch, and
        ``fast`` before they are resized; ``scaled`` decodes a JPEG much larger than all that is
        wanted at a smaller scale.

    Raises
    ------
    Refused
        Exactly where, and for what, ``decode_picture`` refuses.
    """
    with _decoded(content, wanted, decoder) as decoded:
        if isinstance(decoded, Image.Image):
            return _placed_by_pillow(decoded, wanted, decoder)
        pixels = {each: decoded.placed(each) for each in wanted}
        return PreparedPicture(
            pixels, decoded.decoder, decoded.resize, decoded.dimensions, decoded.reading
        )


def decode_for(content: bytes, wanted: Preprocessing, decoder: str) -> DecodedPicture:
    """Decode a picture here, to be made ready for a preprocessing elsewhere.

    Raises
    ------
    Refused
        Exactly where, and for what, ``decode_picture`` refuses.
    """
    with _decoded(content, {wanted}, decoder) as decoded:
        if isinstance(decoded, Image.Image):
            return _decoded_by_pillow(decoded, "pillow")
        return decoded


@contextmanager
def _decoded(
    content: bytes, wanted: Collection[Preprocessing], decoder: str
) -> Iterator[DecodedPicture | Image.Image]:
    """Decode a picture; while it is used its memory is held, and what it raises is its refusal.

    A picture of Pillow's is for Pillow to resize.
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, got {decoder!r}")
    light = decoder == "light"
    if decoder == "reference" or not (light or all(map(has_fast_geometry, wanted))):
        with refusing():
            yield decode_picture(content)
        return
    usual = _usual_jpeg(content)
    if usual is not None:
        with _usual_decoded(content, usual, wanted, decoder) as decoded:
            yield decoded
        return
    with opened_picture(content) as opened:
        if opened.stored == USUAL and is_plain(opened.picture, content):
            with opened.memory():
                yield _plain_decoded(opened, wanted, decoder)
        elif light:
            with opened.memory():
                yield opened.upright()
        else:
            with _any_decoded(opened) as decoded:
                yield decoded


def _placed_by_pillow(
    picture: Image.Image, wanted: Collection[Preprocessing], decoder: str
) -> PreparedPicture:
    if decoder == "light":
        pixels = {each: np.asarray(placed_by_pillow(picture, each)) for each in wanted}
    else:
        pixels = {each: each.placed(picture) for each in wanted}
    dimensions = picture.height, picture.width
    return PreparedPicture(pixels, "reference", "pillow", dimensions, _reading(picture))


def _decoded_by_pillow(picture: Image.Image, resize: str) -> DecodedPicture:
    dimensions = picture.height, picture.width
    return DecodedPicture(_as_array(picture), 1, "reference", resize, dimensions, _reading(picture))


def _reading(picture: Image.Image) -> str | None:
    reading: str | None = picture.info.get(HOW_READ)
    return reading


def _usual_jpeg(content: bytes) -> PlainJpeg | None:
    """Recognize a plain JPEG by its first bytes, where simplejpeg is installed.

    Opening it with Pillow, only to find that out, takes an eighth of the time of decoding it.
    """
    if len(content) >= OPENING_BYTES or not can_decode_plain():
        return None
    return plain_jpeg(content[:MOST_HEADER], content[-2:])


@contextmanager
def _usual_decoded(
    content: bytes, header: PlainJpeg, wanted: Collection[Preprocessing], decoder: str
) -> Iterator[DecodedPicture | Image.Image]:
    size = header.width, header.height
    scale = _scale(size, wanted) if decoder == "scaled" else 1
    with refusing(), decoding_memory(estimate_plain_memory(size, len(content))):
        stored = decode_plain(content, size, scale)
        if stored is not None:
            name, resize = _way_of(decoder, scale)
            yield DecodedPicture(stored, 1, name, resize, (header.height, header.width))
            return
        with opened_picture(content) as opened:  # in the memory that is held already
            yield opened.upright()


def _plain_decoded(
    opened: OpenedPicture, wanted: Collection[Preprocessing], decoder: str
) -> DecodedPicture | Image.Image:
    size = opened.picture.size
    scale = _scale(size, wanted) if decoder == "scaled" else 1
    stored = decode_plain(opened.content, size, scale)
    if stored is None:
        return opened.upright()
    name, resize = _way_of(decoder, scale)
    upright_size = size if opened.orientation >= 5 else size[::-1]
    return DecodedPicture(stored, opened.orientation, name, resize, upright_size)


def _way_of(decoder: str, scale: int) -> tuple[str, str]:
    """Name what decoded a plain JPEG, and what resizes it."""
    if decoder == "light":
        return "light", "pillow"
    return "scaled" if scale > 1 else "fast", "torchvision"


@contextmanager
def _any_decoded(opened: OpenedPicture) -> Iterator[DecodedPicture | Image.Image]:
    """Decode with Pillow; resize with torchvision where there is room for the copy it needs."""
    copy = opened.picture.width * opened.picture.height * ARRAY_BYTES
    if opened.needed + copy > MAX_BYTES_AT_WORK:
        with opened.memory():
            yield opened.upright()
        return
    with opened.memory(copy):
        # the picture and its copy, as estimated
        yield _decoded_by_pillow(opened.upright(), "torchvision")


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
