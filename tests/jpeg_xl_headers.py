"""Headers of JPEG XL, written bit by bit (ISO 18181-1, annex D)."""

from __future__ import annotations

from collections.abc import Sequence

USUAL = "1"
"""An extra channel that is an alpha of 8 bits; colors that are sRGB."""


def number(value: int, n_bits: int) -> str:
    return f"{value:0{n_bits}b}"[::-1]


def kind(value: int) -> str:
    """Write an enumerated value: 0, 1, or 2 to 17."""
    return number(value, 2) if value < 2 else number(2, 2) + number(value - 2, 4)


def channel(what: int, *, held: bool | None = None) -> str:
    """Write an extra channel of 8 bits and no name; of an alpha, whether colors hold it already."""
    return "0" + kind(what) + "000" + "00" + "00" + ("" if held is None else str(int(held)))


def point(x: float, y: float) -> str:
    halves = (round(2e6 * value) for value in (x, y))  # positive: the sign is the last bit
    return "".join(_large(half) for half in halves)


def _large(value: int) -> str:
    if value < 0x80000:
        return number(0, 2) + number(value, 19)
    if value < 0x100000:
        return number(1, 2) + number(value - 0x80000, 19)
    return number(2, 2) + number(value - 0x100000, 20)


def colors(white: str = kind(1), primaries: str = kind(1), curve: str = "0" + kind(13)) -> str:
    """Write colors of an RGB picture by numbers: those of sRGB, but for what is given."""
    return "0" + "0" + kind(0) + white + primaries + curve + kind(0)


def header(
    width: int,
    height: int,
    *,
    animated: bool = False,
    channels: Sequence[str] = (),
    mixed: bool = False,
    said: str = USUAL,
) -> bytes:
    """Write the header of a picture of 8 bits, as encoders do."""
    small = max(width, height) <= 256 and width % 8 == height % 8 == 0

    def side(value: int) -> str:
        return number(value // 8 - 1, 5) if small else number(3, 2) + number(value - 1, 30)

    square = width == height
    bits = str(int(small)) + side(height) + number(int(square), 3)
    bits += "" if square else side(width)
    bits += "0" + ("1" + "000" + "0" + "0" + "1" + "00" + "00" + "00" + "0" if animated else "0")
    bits += "000" + "1"
    n = len(channels)
    bits += number(n, 2) if n < 2 else number(2, 2) + number(n - 2, 4)
    if n > 17:
        raise ValueError("at most 17 channels beside the colors")
    bits += "".join(channels) + str(int(mixed)) + said
    bits += ("1" if animated else "") + "00" + "1"  # tone mapping, extensions, weights as usual
    bits += "0" * (-len(bits) % 8)
    return b"\xff\x0a" + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
