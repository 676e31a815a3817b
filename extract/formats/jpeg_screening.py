"""Which JPEGs a hardware decoder reads exactly as the reference does, by their headers."""

from __future__ import annotations

from dataclasses import dataclass

from extract.formats.color_profiles import find_profile
from extract.refusals import Refused

MOST_HEADER = 1 << 17
"""Bytes before the pixels; whoever carries more goes to the reference."""

MOST_MARKERS = 64
SIDES = range(16, 8193)
MOST_PIXELS = 40_000_000
MOST_ASPECT = 10

_BASELINE, _SCAN, _HUFFMAN, _QUANTIZATION, _ADOBE, _APP1, _APP2 = (
    0xC0,
    0xDA,
    0xC4,
    0xDB,
    0xEE,
    0xE1,
    0xE2,
)
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {_HUFFMAN, 0xC8, 0xCC})
_ICC = b"ICC_PROFILE\0"
_YCBCR_IDS = (1, 2, 3)
_SAMPLINGS = {
    (0x11, 0x11, 0x11): (1, 1),
    (0x21, 0x11, 0x11): (1, 2),
    (0x22, 0x11, 0x11): (2, 2),
}
"""Sampling bytes of luma and chroma, and the pixels down and across that share a chroma value."""


@dataclass(frozen=True)
class PlainJpeg:
    """The header of a plain JPEG.

    Parameters
    ----------
    height, width : int
        Pixels.
    sampling : tuple of int
        Pixels down and across that share one chroma value: (1, 1), (1, 2) or (2, 2).
    """

    height: int
    width: int
    sampling: tuple[int, int]


def plain_jpeg(head: bytes, tail: bytes) -> PlainJpeg | None:
    """Give the size of a JPEG that every decoder reads alike, or None for all other bytes.

    Plain is: baseline, 8 bits, one scan of Y, Cb and Cr at 4:4:4, 4:2:2 or 4:2:0, upright, in
    sRGB, of sane size, with its end in place. All else is the reference's to decode, or to refuse.

    Parameters
    ----------
    head : bytes
        The first ``MOST_HEADER`` bytes of the file, or all of it.
    tail : bytes
        The last two.
    """
    if head[:3] != b"\xff\xd8\xff" or tail != b"\xff\xd9":
        return None
    place = 2
    found: PlainJpeg | None = None
    seen: set[int] = set()
    profile: list[bytes] = []
    for _ in range(MOST_MARKERS):
        if place + 4 > len(head) or head[place] != 0xFF:
            return None
        marker = head[place + 1]
        length = head[place + 2] << 8 | head[place + 3]
        start, end = place + 4, place + 2 + length
        if not 0xC0 <= marker <= 0xFE or length < 2 or end > len(head):
            return None
        if marker == _SCAN:
            complete = seen >= {_BASELINE, _HUFFMAN, _QUANTIZATION} and _is_srgb(profile)
            return found if complete and head[start] == len(_YCBCR_IDS) else None
        segment = head[start:end]
        if marker in _FRAMES:
            found = _frame(segment) if marker == _BASELINE and _BASELINE not in seen else None
            if found is None:
                return None
        elif marker == _APP2 and segment[:12] == _ICC:
            profile.append(segment[12:])
        elif not _harmless(marker, segment):
            return None
        seen.add(marker)
        place = end
    return None


def _frame(segment: bytes) -> PlainJpeg | None:
    if len(segment) != 15 or segment[0] != 8 or segment[5] != 3:
        return None
    height, width = segment[1] << 8 | segment[2], segment[3] << 8 | segment[4]
    sampling = _SAMPLINGS.get((segment[7], segment[10], segment[13]))
    if sampling is None or (segment[6], segment[9], segment[12]) != _YCBCR_IDS:
        return None
    if height not in SIDES or width not in SIDES or height * width > MOST_PIXELS:
        return None
    if max(height, width) > MOST_ASPECT * min(height, width):
        return None
    return PlainJpeg(height, width, sampling)


def _harmless(marker: int, segment: bytes) -> bool:
    """Whether a segment has no bearing on colors, orientation or further pictures."""
    if marker == _ADOBE and segment[:5] == b"Adobe":
        return len(segment) >= 12 and segment[11] == 1
    if marker == _APP1:
        if segment[:6] == b"Exif\0\0":
            return _upright(segment[6:])
        return b"rientation" not in segment
    return not (marker == _APP2 and segment[:4] == b"MPF\0")


def _is_srgb(parts: list[bytes]) -> bool:
    """Whether the parts of a profile, each behind its number and their count, change no color."""
    if not parts:
        return True
    count = len(parts)
    if any(part[:2] != bytes([i + 1, count]) for i, part in enumerate(parts)):
        return False  # out of order or incomplete: Pillow decides what to make of it
    try:
        return find_profile(b"".join(part[2:] for part in parts), "RGB") is None
    except Refused:
        return False


def _upright(tiff: bytes) -> bool:
    """Whether a first directory that can be read turns nothing."""
    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return False
    little = tiff[:1] == b"I"

    def number(place: int, n_bytes: int) -> int:
        return int.from_bytes(tiff[place : place + n_bytes], "little" if little else "big")

    start = number(4, 4)
    n_tags = number(start, 2)
    if start + 2 + 12 * n_tags > len(tiff):
        return False
    for place in range(start + 2, start + 2 + 12 * n_tags, 12):
        if number(place, 2) == 0x0112:
            return (number(place + 2, 2), number(place + 4, 4), number(place + 8, 2)) == (3, 1, 1)
    return True
