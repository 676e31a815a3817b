"""What an HEVC decoder's configuration states of the pictures that it makes."""

from __future__ import annotations

from dataclasses import dataclass

MOST_READ = 512
_SEQUENCE, _GRAY, _SEPARATE = 33, 0, 3


@dataclass(frozen=True)
class CodedPicture:
    """The size that a decoder makes of a picture, whatever the file around it states.

    Parameters
    ----------
    width, height : int
    gray : bool
        Whether it has no color planes.
    """

    width: int
    height: int
    gray: bool


def coded_picture(configuration: bytes) -> CodedPicture | None:
    """Read the sequence parameter set of an ``hvcC`` box; None where it has none."""
    at = 23
    for _ in range(configuration[22] if len(configuration) > at else 0):
        kind, n_units = configuration[at] & 0x3F, _number(configuration, at + 1)
        at += 3
        for _ in range(n_units):
            length = _number(configuration, at)
            if kind == _SEQUENCE:
                return _sequence(configuration[at + 4 : at + 2 + length])
            at += 2 + length
        if at + 3 > len(configuration):
            break
    return None


def _sequence(unit: bytes) -> CodedPicture:
    """Read the start of a sequence parameter set (H.265, 7.3.2.2) behind its head."""
    bits = _Bits(unit[:MOST_READ].replace(b"\0\0\3", b"\0\0"))
    bits.take(4)
    n_layers = bits.take(3)
    bits.take(1 + 96)
    there = [(bits.take(1), bits.take(1)) for _ in range(n_layers)]
    bits.take(2 * (8 - n_layers) if n_layers else 0)
    for profile, level in there:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    chroma = bits.golomb()
    bits.take(1 if chroma == _SEPARATE else 0)
    return CodedPicture(bits.golomb(), bits.golomb(), chroma == _GRAY)


def _number(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 2], "big")


class _Bits:
    """Bits of some bytes, the highest of each first; zeros behind the last."""

    def __init__(self, content: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in content)
        self._at = 0

    def take(self, n: int) -> int:
        taken = self._bits[self._at : self._at + n].ljust(n, "0")
        self._at += n
        return int(taken or "0", 2)

    def golomb(self) -> int:
        """Take a number of Exp-Golomb code, of at most 32 bits."""
        n = 0
        while n < 32 and not self.take(1):
            n += 1
        return (1 << n) - 1 + self.take(n)
