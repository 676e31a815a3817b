"""Bytes of a picture to upright RGB pixels, or a reason why not.

The reference path: Pillow decodes, the model's own evaluation transform does the rest. Pictures
come from anywhere, so what they claim is checked before it is believed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from extract.formats.extra_formats import READER, READERS, open_extra
from extract.formats.picture_headers import MOST_EXIF, check_header
from extract.formats.picture_kinds import kind_of
from extract.formats.tiff_pages import TiffPages, is_tiff
from extract.images.memory_limits import (
    RGB_BYTES,
    decoding_memory,
    estimate_memory,
    opening_memory,
)
from extract.images.pixels import UPRIGHT, upright_rgb
from extract.images.sample_formats import USUAL, Stored, stored_numbers
from extract.refusals import Reason, Refused

FORMATS = frozenset("JPEG PNG WEBP GIF BMP DIB TIFF AVIF JPEG2000 PPM".split())
"""Formats that are read, as far as this build of Pillow has them; an extra adds others."""

ORIENTATION = 0x0112
RULES = {
    "exif_orientation": "applied",
    "alpha": "composited on white",
    "color": "converted to RGB, profiles not applied",
    "sixteen_bit": "divided by 257",
    "frame": "first",
}
"""What every path does to a picture; part of the identity, so that its words stay as they are.
A profile that is applied to a row all the same stands in its execution config."""

HOW_READ = "how_read"
"""Key of a decoded picture's ``info``: its reading, or None."""

READING = (
    "colors to sRGB by ICC profile, perceptual; depth, alpha and canvas as the header has them"
)
"""In the execution config of rows with a picture that is not read by its mode alone: its profile is
of other colors than sRGB, or its header states of its numbers what earlier versions ignored."""

READINGS = {None: READING} | {reader: f"{READING}; {reader}" for reader in READERS}
"""By what read it where that is no part of Pillow: two libraries may differ by a level."""

# A picture's oddities are no news to a terminal; filters are the process's, not a thread's.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Image.init()
_formats = tuple(sorted(FORMATS & set(Image.OPEN)))


def decode_picture(content: bytes) -> Image.Image:
    """Decode a picture to RGB: first frame, upright, alpha on white, 16 bits scaled to 8.

    Raises
    ------
    Refused
        For whatever Pillow reports of it, and for pictures over the aspect and memory limits, which
        are estimated from the header before a pixel is decoded.
    """
    with opened_picture(content) as opened, opened.memory():
        return opened.upright()


@dataclass(frozen=True, eq=False)
class OpenedPicture:
    """A picture of which only the header was read, and found fit to be decoded.

    Parameters
    ----------
    picture : Image
        Not decoded yet.
    content : bytes
    needed : int
        Bytes that decoding it takes at once.
    stored : Stored
        What its numbers are.
    """

    picture: Image.Image
    content: bytes
    needed: int
    stored: Stored = USUAL

    @property
    def orientation(self) -> int:
        """EXIF's number, 1 where nothing in it turns the picture."""
        found = _orientation(self.picture)
        return found if found in UPRIGHT else 1

    def memory(self, extra: int = 0) -> AbstractContextManager[None]:
        """Wait until it may be decoded, and this many extra bytes be taken."""
        return decoding_memory(self.needed + extra)

    @property
    def reading(self) -> str | None:
        """How it is read where its mode alone does not suffice; of some only once decoded."""
        reader = self.picture.info.get(READER)
        return READINGS[reader] if reader or self.stored != USUAL else None

    def upright(self) -> Image.Image:
        """Decode it with Pillow and turn it upright."""
        self.picture.load()
        orientation = self.orientation
        _estimate_memory(self.picture, self.content, orientation in UPRIGHT)
        reading = self.reading
        upright = upright_rgb(self.picture, orientation, self.stored)
        upright.info[HOW_READ] = reading
        return upright


@contextmanager
def opened_picture(content: bytes) -> Iterator[OpenedPicture]:
    """Open a picture and check its header; whatever it raises in the block is its refusal.

    Raises
    ------
    Refused
    """
    with refusing(content):
        check_header(content)
        with opening_memory(len(content)):
            opened, inverted = _open(content)
        with opened as picture:
            # a PNG may keep its EXIF behind its pixels: reading that would decode them
            turned = picture.format != "PNG" and _orientation(picture) in UPRIGHT
            needed = _estimate_memory(picture, content, turned)
            if picture.format == "PNG":
                needed += picture.width * picture.height * RGB_BYTES
            stored = stored_numbers(picture, content, inverted=inverted)
            yield OpenedPicture(picture, content, needed, stored)


def _open(content: bytes) -> tuple[Image.Image, bool]:
    """Open a picture at the page that is shown; also, whether as the positive of a negative."""
    extra = open_extra(content)
    if extra is not None:
        return extra, False
    if not is_tiff(content):
        return Image.open(io.BytesIO(content), formats=_formats), False
    pages = TiffPages(content)
    page = pages.shown()
    positive = pages.positive(page)
    opened = Image.open(io.BytesIO(positive or content), formats=_formats)
    if page:
        opened.info.pop("icc_profile", None)  # the first page's own, which Pillow would keep
        opened.seek(page)
    return opened, positive is not None


@contextmanager
def refusing(content: bytes = b"") -> Iterator[None]:
    """Turn whatever a picture raises into its refusal, with the class of the exception.

    Parameters
    ----------
    content : bytes
        Where it is known: what no library knows is named by its first bytes.
    """
    try:
        yield
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(Reason.TOO_LARGE, "more memory than there is") from error
    except UnidentifiedImageError as error:
        raise Refused(Reason.UNIDENTIFIED, kind_of(content)) from error
    except Exception as error:
        message = " ".join(str(error).split())
        raise Refused(_reason_of(error), f"{type(error).__name__}: {message}") from error


def _estimate_memory(picture: Image.Image, content: bytes, turned: bool) -> int:
    return estimate_memory(picture, content, turned=turned, clear=picture.has_transparency_data)


def _orientation(picture: Image.Image) -> int:
    if len(picture.info.get("exif") or b"") > MOST_EXIF:
        return 1
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - EXIF that cannot be read turns nothing
        return 1


def _reason_of(error: Exception) -> Reason:
    text = str(error).lower()
    if (
        isinstance(error, Image.DecompressionBombError)
        or "too large" in text
        or "limit exceeded" in text
    ):
        return Reason.TOO_LARGE
    if "truncated" in text or "unexpected end" in text:
        return Reason.TRUNCATED
    if isinstance(error, NotImplementedError) or "unsupported" in text:
        return Reason.UNSUPPORTED
    return Reason.CORRUPT
