"""A JPEG XL's header, read before it is decoded: size, channels, and what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass

from extract.formats.color_primaries import (
    D65,
    LINEAR,
    SRGB,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    VIDEO_CURVE,
    ColorNumbers,
    Point,
)
from extract.formats.iso_boxes import boxes

CODESTREAM = b"\xff\x0a"
STARTS = (CODESTREAM, b"\0\0\0\x0cJXL \r\n\x87\n")
MOST_HEADER = 1 << 16

_ALPHA, _SPOT, _INK, _MOSAIC = 0, 2, 4, 5
_RGB, _GRAY = 0, 1
_CUSTOM = 2
_WHITES = {1: D65, 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
_CURVES = {1: VIDEO_CURVE, 8: LINEAR, 13: SRGB_CURVE, 17: (2.6,)}
"""By the format's numbers; curves of high dynamic range and unknown ones are none of these."""

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE = ((1, 9), (1, 13), (1, 18), (1, 30))
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))
_PREVIEW_EIGHTHS = ((16, 0), (32, 0), (1, 5), (33, 9))
_PREVIEW = ((1, 6), (65, 8), (321, 10), (1345, 12))


@dataclass(frozen=True)
class JpegXl:
    """The part of a header that bounds what decoding takes and defines what the numbers mean.

    Parameters
    ----------
    width, height : int
        Upright.
    n_channels : int
        With the extra channels: alpha, depth and others.
    gray, animated : bool
    premultiplied : bool
        Whether colors are multiplied by their alpha.
    has_ink : bool
        Whether it is CMYK.
    has_icc : bool
        Whether a profile defines its colors.
    mixed : bool
        Whether it is stored in the format's own colors, XYB, as lossy encoders do.
    colors : ColorNumbers, optional
        None where a profile defines them, or the numbers are not known here.
    """

    width: int
    height: int
    n_channels: int
    gray: bool = False
    animated: bool = False
    premultiplied: bool = False
    has_ink: bool = False
    has_icc: bool = False
    mixed: bool = True
    colors: ColorNumbers | None = SRGB


def codestream(content: bytes) -> bytes:
    """Take the picture out of the boxes around it."""
    if content.startswith(CODESTREAM):
        return content
    parts = []
    for name, start, end in boxes(content):
        if name == b"jxlc":
            return content[start:end]
        if name == b"jxlp":
            parts.append(content[start + 4 : end])
    return b"".join(parts)


def read_jpeg_xl(stream: bytes) -> JpegXl:
    """Read the header of a codestream (ISO 18181-1, annex D).

    Raises
    ------
    ValueError
        Where it is none, or ends within its header.
    """
    if not stream.startswith(CODESTREAM):
        raise ValueError("a JPEG XL without a picture: truncated")
    bits = _Bits(stream[2:MOST_HEADER])
    width, height = _size(bits)
    if bits.take(1):  # all else is as usual
        return JpegXl(width, height, 3)
    turned, animated = _more(bits) if bits.take(1) else (False, False)
    _depth(bits)
    bits.take(1)
    extra = [_extra(bits) for _ in range(bits.choose((0, 0), (1, 0), (2, 4), (1, 12)))]
    mixed = bool(bits.take(1))
    has_icc, gray, colors = _colors(bits)
    return JpegXl(
        *((height, width) if turned else (width, height)),
        n_channels=(1 if gray else 3) + len(extra),
        gray=gray,
        animated=animated,
        premultiplied=(_ALPHA, True) in extra,
        has_ink=any(kind == _INK for kind, _ in extra),
        has_icc=has_icc,
        mixed=mixed,
        colors=colors,
    )


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.choose(*_SIZE)

    height, ratio = side(), bits.take(3)
    if not ratio:
        return side(), height
    one, other = _RATIOS[ratio - 1]
    return height * one // other, height


def _more(bits: _Bits) -> tuple[bool, bool]:
    """Whether its sides are exchanged when it is turned upright, and whether it is animated."""
    turned = bits.take(3) >= 4
    if bits.take(1):  # the size to show it in
        _size(bits)
    if bits.take(1):
        choices = _PREVIEW_EIGHTHS if bits.take(1) else _PREVIEW
        bits.choose(*choices)
        if not bits.take(3):
            bits.choose(*choices)
    animated = bool(bits.take(1))
    if animated:
        bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
        bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
        bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
        bits.take(1)
    return turned, animated


def _depth(bits: _Bits) -> None:
    if bits.take(1):
        bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
    else:
        bits.choose((8, 0), (10, 0), (12, 0), (1, 6))


def _extra(bits: _Bits) -> tuple[int, bool]:
    """Give the kind of an extra channel, and whether it is an alpha that colors hold already."""
    if bits.take(1):
        return _ALPHA, False
    kind = bits.choose(*_ENUM)
    _depth(bits)
    bits.choose((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.choose((0, 0), (0, 4), (16, 5), (48, 10)))
    held = bool(bits.take(1)) if kind == _ALPHA else False
    if kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _MOSAIC:
        bits.choose((1, 0), (0, 2), (3, 4), (19, 8))
    return kind, held


def _colors(bits: _Bits) -> tuple[bool, bool, ColorNumbers | None]:
    """Whether a profile defines the colors, whether there are none, and the colors by numbers."""
    if bits.take(1):
        return False, False, SRGB
    has_icc, space = bool(bits.take(1)), bits.choose(*_ENUM)
    if has_icc or space not in (_RGB, _GRAY):
        return has_icc, space == _GRAY, None
    white = _point(bits) if (number := bits.choose(*_ENUM)) == _CUSTOM else _WHITES.get(number)
    primaries = _primaries(bits) if space == _RGB else ()
    if bits.take(1):
        exponent = bits.take(24)
        curve: tuple[float, ...] | None = (1e7 / exponent,) if exponent else None
    else:
        curve = _CURVES.get(bits.choose(*_ENUM))
    if white is None or primaries is None or curve is None:
        return False, space == _GRAY, None
    return False, space == _GRAY, ColorNumbers(white, primaries, curve)


def _primaries(bits: _Bits) -> tuple[Point, ...] | None:
    number = bits.choose(*_ENUM)
    if number == _CUSTOM:
        return tuple(_point(bits) for _ in range(3))
    return _PRIMARIES.get(number)


def _point(bits: _Bits) -> Point:
    """Read millionths, with the sign in the last bit."""
    x, y = (bits.choose((0, 19), (0x80000, 19), (0x100000, 20), (0x200000, 21)) for _ in range(2))
    return (x >> 1 ^ -(x & 1)) / 1e6, (y >> 1 ^ -(y & 1)) / 1e6


class _Bits:
    """Bits of some bytes, the lowest of each first."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, n: int) -> int:
        first, self._at = self._at, self._at + n
        if self._at > 8 * len(self._content):
            raise ValueError("a JPEG XL that ends within its header: truncated")
        taken = int.from_bytes(self._content[first // 8 : -(-self._at // 8)], "little")
        return taken >> first % 8 & (1 << n) - 1

    def choose(self, *choices: tuple[int, int]) -> int:
        """Take a number of four kinds: what it begins at, and how many bits follow."""
        least, n = choices[self.take(2)]
        return least + self.take(n)
