"""What a JPEG 2000 says of its numbers and colors, beside what Pillow tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from extract.iso_boxes import boxes

_CODESTREAM = b"\xff\x4f\xff\x51"
_ENUMERATED, _ICC = 1, (2, 3)


@dataclass(frozen=True)
class Jpeg2000:
    """The part of a header that says what the numbers mean.

    Parameters
    ----------
    bits : tuple of int
        Of each component.
    color_space : int, optional
        The number of an enumerated color space; None where none is named.
    icc : bytes, optional
    """

    bits: tuple[int, ...]
    color_space: int | None = None
    icc: bytes | None = None


def read_jpeg2000(content: bytes) -> Jpeg2000:
    """Read it from a file or a naked codestream; no component where there is no codestream."""
    if content[:4] == _CODESTREAM:
        return Jpeg2000(_bits(content, 0))
    color_space = icc = None
    bits: tuple[int, ...] = ()
    for name, start, end in boxes(content):
        if name == b"jp2h":
            color_space, icc = _colors(content, start, end)
        elif name == b"jp2c":
            bits = _bits(content, start)
            break
    return Jpeg2000(bits, color_space, icc)


def _colors(content: bytes, start: int, end: int) -> tuple[int | None, bytes | None]:
    """Take the first specification of color in a header: its number, or its profile."""
    for name, first, last in boxes(content, start, end):
        if name == b"colr" and last - first > 3:
            if content[first] == _ENUMERATED:
                return int.from_bytes(content[first + 3 : first + 7], "big"), None
            return None, content[first + 3 : last] if content[first] in _ICC else None
    return None, None


def _bits(content: bytes, start: int) -> tuple[int, ...]:
    n_components = int.from_bytes(content[start + 40 : start + 42], "big")
    depths = content[start + 42 : start + 42 + 3 * n_components : 3]
    return tuple((depth & 0x7F) + 1 for depth in depths)
