"""What a picture's header must not hold, looked at before a library is let near it."""

from __future__ import annotations

from collections.abc import Iterator

from extract.formats.tiff_pages import TiffPages, is_tiff
from extract.refusals import Reason, Refused

MOST_SEGMENTS = 1_000
"""Before a JPEG's pixels; each becomes an object, so empty ones take 30 times their bytes."""

MOST_JUNK = 1 << 20
MOST_EXIF = 2 << 20
"""Bytes of EXIF: the numbers of a longer one would take gigabytes as objects."""

MOST_CHUNKS = 1_000_000
MOST_METADATA = 64 << 20
"""Bytes of a PNG's chunks that are no pixels: a text is copied five times as it is read."""

MOST_NUMBERS = 16 << 20
"""Bytes of the lists of numbers in a TIFF's tags: each number becomes an object."""

MOST_FRACTIONS = 1 << 16
TAG_TYPES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a number, by type; the other types are kept as bytes."""

FRACTIONS = {5, 10}

_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
_SOS = 0xDA
_JPEG_LS = 0xF7


def check_header(content: bytes) -> None:
    """Refuse headers that cost far more than the picture: too many segments, endless tags.

    Raises
    ------
    Refused
    """
    if content[:3] == b"\xff\xd8\xff":
        exif = sum(end - start for start, end in _jpeg_exif(content))
        if exif > MOST_EXIF:
            raise Refused(Reason.CORRUPT, f"{exif:,} bytes of EXIF")
    elif content[:8] == b"\x89PNG\r\n\x1a\n":
        _check_chunks(content)
    elif is_tiff(content):
        pages = TiffPages(content)
        for start in pages.starts()[: pages.shown() + 1]:
            _check_tags(content, pages, start)


def has_many_scans(content: bytes) -> bool:
    """Whether a JPEG comes in more than one scan, progressive or not: it is then kept whole."""
    n_components = 0
    for marker, start, _end in _segments(content):
        if marker in _SOF:
            n_components = content[start + 5] if start + 5 < len(content) else 0
            if marker not in (0xC0, 0xC1, 0xC9):
                return True
        elif marker == _SOS:
            return start >= len(content) or content[start] < n_components
    return False


def frames(content: bytes) -> list[int]:
    """List the markers of a JPEG's frames before its first scan; a sound file has one."""
    return [marker for marker, _start, _end in _segments(content) if marker in _SOF]


def frame_bits(content: bytes) -> int | None:
    """Give the bits of a number in a JPEG's first frame; None where there is none.

    Raises
    ------
    Refused
    """
    for marker, start, _end in _segments(content):
        if marker in _SOF or marker == _JPEG_LS:
            return content[start] if start < len(content) else None
    return None


def _jpeg_exif(content: bytes) -> Iterator[tuple[int, int]]:
    for marker, start, end in _segments(content):
        if marker == 0xE1 and content[start : start + 6] == b"Exif\0\0":
            yield start, end


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Give marker, start and end of a JPEG's segments up to its first scan."""
    place, n_steps, junk = 2, 0, 0
    while True:
        found = content.find(b"\xff", place)
        if found < 0 or found + 2 > len(content):
            return
        n_steps, junk = n_steps + 1, junk + found - place
        if n_steps > MOST_SEGMENTS or junk > MOST_JUNK:
            raise Refused(Reason.CORRUPT, "no pixels behind a thousand segments")
        marker = content[found + 1]
        if marker == 0xFF:
            place = found + 1
        elif marker in _BARE:
            place = found + 2
        else:
            length = int.from_bytes(content[found + 2 : found + 4], "big")
            place = found + 2 + max(length, 2)
            yield marker, found + 4, place
            if marker == _SOS:
                return


def _check_chunks(content: bytes) -> None:
    """Refuse a PNG of endless chunks, or of more text than picture."""
    place, n_chunks, metadata = 8, 0, 0
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        n_chunks += 1
        if content[place + 4 : place + 8] not in (b"IDAT", b"fdAT"):
            metadata += length
        if n_chunks > MOST_CHUNKS or MOST_METADATA < metadata <= len(content):
            raise Refused(
                Reason.TOO_LARGE, f"{metadata:,} bytes in {n_chunks:,} chunks of no pixels"
            )
        place += 12 + length


def _check_tags(content: bytes, pages: TiffPages, start: int) -> None:
    """Refuse a directory of a TIFF that holds more numbers than a picture has use for."""
    numbers = held = 0
    for _tag, kind, count, _place in pages.entries(start):
        size = TAG_TYPES.get(kind, 1) * count
        if size > len(content):
            continue  # reaches behind the end: the library passes over it
        held += size
        if held > len(content):
            raise Refused(Reason.CORRUPT, "tags that hold the same bytes over and over")
        numbers += size if kind in TAG_TYPES else 0
        if numbers > MOST_NUMBERS or (kind in FRACTIONS and size > MOST_FRACTIONS):
            raise Refused(Reason.CORRUPT, f"a tag of {count:,} numbers")
