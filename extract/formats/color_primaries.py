"""ICC profiles of colors that a file gives by numbers: primaries, white and a curve."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]
"""Chromaticity: x and y."""

D65: Point = (0.3127, 0.329)
SRGB_PRIMARIES: tuple[Point, ...] = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

LINEAR = (1.0,)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
VIDEO_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
"""An exponent; or one with factor and summand above a limit, the factor below it, the limit."""


@dataclass(frozen=True)
class ColorNumbers:
    """Colors given by numbers.

    Parameters
    ----------
    white : tuple of float
    primaries : sequence of tuple of float
        Red, green and blue; none of a gray.
    curve : sequence of float
        An exponent alone, or the five numbers of a curve with a straight part.
    """

    white: Point = D65
    primaries: Sequence[Point] = SRGB_PRIMARIES
    curve: Sequence[float] = SRGB_CURVE

    def icc(self) -> bytes:
        """Write their profile."""
        tags = {b"wtpt": _xyz(_D50)}
        if not self.primaries:
            return _profile(b"GRAY", {**tags, b"kTRC": _curve(self.curve)})
        for name, column in zip((b"r", b"g", b"b"), self._columns().T, strict=True):
            tags[name + b"XYZ"] = _xyz(column)
            tags[name + b"TRC"] = _curve(self.curve)
        return _profile(b"RGB ", tags)

    def _columns(self) -> np.ndarray:
        """Give red, green and blue as columns of XYZ, seen under D50 (Bradford)."""
        mixed = np.stack([_xyz_of(point) for point in self.primaries], axis=1)
        white = _xyz_of(self.white)
        mixed = mixed * np.linalg.solve(mixed, white)
        gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        columns: np.ndarray = np.linalg.solve(_BRADFORD, gains[:, None] * (_BRADFORD @ mixed))
        return columns


SRGB = ColorNumbers()


def _xyz_of(point: Point) -> np.ndarray:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(values: Sequence[float] | np.ndarray) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _curve(numbers: Sequence[float]) -> bytes:
    function = 3 if len(numbers) > 1 else 0
    return b"para\0\0\0\0" + struct.pack(">HH", function, 0) + _fixed(numbers)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(value))
        body += value
    head = struct.pack(">8xI4s4s4s12x4s28x", 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    head = (head + _fixed(_D50)).ljust(128, b"\0")
    return struct.pack(">I", place + len(body)) + head[4:] + table + body
