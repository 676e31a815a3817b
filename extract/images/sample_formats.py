"""What a picture's header states of its numbers that the mode of Pillow does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from extract.formats.color_profiles import Profile, find_profile
from extract.formats.jpeg2000 import Jpeg2000, read_jpeg2000
from extract.formats.tiff_pages import DEEP
from extract.refusals import Reason, Refused

SIXTEEN_BITS = 0xFFFF
_BITS_TAG = 258
_JP2_COLORS = frozenset({None, 0, 12, 15, 16, 17, 18})
"""Bilevel, CMYK, sRGB, gray and sYCC; others Pillow takes for sRGB."""


@dataclass(frozen=True)
class Stored:
    """How the numbers of a decoded picture are to be read.

    Parameters
    ----------
    white : int
        The number that is white where gray has more than eight bits.
    inverted : bool
        Whether gray of more than eight bits is a negative: 0 is white.
    table : tuple of int, optional
        Of each band in turn, what its 256 numbers are in eight bits.
    filled : tuple of int, optional
        Left, top, right and bottom of the part of its canvas that the first frame fills.
    alpha_may_be_unset : bool
        Whether an alpha of 0 everywhere is one that nobody wrote.
    profile : Profile, optional
        What makes its colors sRGB; None where they are.
    page : int
        Which page of a TIFF it is, from 0: thumbnails are passed over.
    """

    white: int = SIXTEEN_BITS
    inverted: bool = False
    table: tuple[int, ...] | None = None
    filled: tuple[int, int, int, int] | None = None
    alpha_may_be_unset: bool = False
    profile: Profile | None = None
    page: int = 0


USUAL = Stored()
"""Nothing but the mode is needed to read the numbers."""


def stored_numbers(picture: Image.Image, content: bytes, *, inverted: bool = False) -> Stored:
    """Read what the header states of the numbers.

    Parameters
    ----------
    picture : Image
        Opened, not decoded.
    content : bytes
    inverted : bool
        Whether it was opened as the positive of a negative.

    Raises
    ------
    Refused
        Where Pillow would take the numbers for others than they are.
    """
    icc = picture.info.get("icc_profile")
    stored: dict[str, Any] = {"inverted": inverted}
    if picture.format == "JPEG2000":
        header = read_jpeg2000(content)
        _refuse_misread(header, picture.mode)
        icc = header.icc
        stored |= _scaled(header.bits, picture.mode)
    elif picture.format == "TIFF":
        stored |= {"page": picture.tell(), "white": _white_of_tiff(picture)}
    elif picture.format == "GIF":
        stored["filled"] = _filled(picture)
    elif picture.format in ("BMP", "DIB"):
        stored["alpha_may_be_unset"] = picture.mode == "RGBA"
    return Stored(profile=find_profile(icc, picture.mode), **stored)


def _refuse_misread(header: Jpeg2000, mode: str) -> None:
    most = 16 if mode.startswith("I;16") else 8
    if max(header.bits, default=0) > most:
        raise Refused(
            Reason.UNSUPPORTED,
            f"a JPEG 2000 of {max(header.bits)} bits in {len(header.bits)} channels is not read: "
            "its white would be black; save it as PNG or TIFF",
        )
    if header.color_space not in _JP2_COLORS:
        raise Refused(
            Reason.UNSUPPORTED, f"a JPEG 2000 of color space {header.color_space} is not read"
        )


def _scaled(bits: tuple[int, ...], mode: str) -> dict[str, Any]:
    """Give what is white: Pillow shifts numbers up to 8 or 16 bits, which leaves white gray."""
    if mode.startswith("I;16"):
        return {"white": SIXTEEN_BITS - (1 << 16 - bits[0]) + 1} if bits else {}
    if mode in ("P", "PA") or all(n == 8 for n in bits):
        return {}
    tops = [((1 << n) - 1) << (8 - n) for n in bits]
    table = (min(255, round(number * 255 / top)) for top in tops for number in range(256))
    return {"table": tuple(table)}


def _white_of_tiff(picture: Image.Image) -> int:
    """Give what is white: Pillow spreads 12 bits over two bytes as they are."""
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(_BITS_TAG, (16,))[0]
    return (1 << bits) - 1 if bits in DEEP and picture.mode == "I;16" else SIXTEEN_BITS


def _filled(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Find the part of its canvas that a GIF's first frame fills; None where it is all of it."""
    tiles: Any = getattr(picture, "tile", ())
    box = tuple(tiles[0][1]) if tiles else (0, 0, *picture.size)
    return None if box == (0, 0, *picture.size) else box  # type: ignore[return-value]
