"""ICC profiles written by hand, and what their colors are in sRGB, reckoned without littleCMS."""

from __future__ import annotations

import itertools
import struct

import numpy as np

SRGB = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
"""Red, green and blue as columns of XYZ, under D50."""

WIDE = np.array(
    [
        [0.6097559, 0.2052401, 0.1492240],
        [0.3111242, 0.6256560, 0.0632197],
        [0.0194811, 0.0608902, 0.7448387],
    ]
)
"""Those of Adobe RGB (1998)."""

D50 = np.array([0.9642, 1.0, 0.8249])
GAMMA = 563 / 256


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)


def profile(
    space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ "
) -> bytes:
    """Write a profile of version 2."""
    head = struct.pack(">8xI4s4s4s12x4s28x", 0x02400000, kind, space, pcs, b"acsp") + _fixed(*D50)
    table, body, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += struct.pack(">4sII", name, place + len(body), len(value))
        body += value
    head = head.ljust(128, b"\0")
    size = 128 + len(table) + len(body)
    return struct.pack(">I", size) + head[4:] + table + body


def rgb_profile(primaries: np.ndarray = WIDE, gamma: float = GAMMA) -> bytes:
    """Write the profile of a display of some primaries and one gamma."""
    tags = {b"wtpt": _xyz(D50)}
    for column, name in enumerate((b"r", b"g", b"b")):
        tags[name + b"XYZ"] = _xyz(primaries[:, column])
        tags[name + b"TRC"] = _curve(gamma)
    return profile(b"RGB ", tags)


def gray_profile(gamma: float) -> bytes:
    """Write the profile of a gray scale of one gamma."""
    return profile(b"GRAY", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


CORNERS = np.array(
    [
        (
            255 * (1 - 0.3 * c) * (1 - 0.4 * m) * (1 - 0.1 * y) * (1 - 0.9 * k),
            128 + (1 - k) * (60 * m - 40 * c),
            128 + (1 - k) * (70 * y - 45 * c),
        )
        for c, m, y, k in itertools.product((0, 1), repeat=4)
    ]
).round()
"""Lab in eight bits of each mixture of full inks, the last ink's number changing fastest."""


def cmyk_profile() -> bytes:
    """Write the profile of a press whose inks mix linearly in Lab."""
    ramp = bytes(range(256))
    body = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    body += ramp * 4 + CORNERS.astype(np.uint8).tobytes() + ramp * 3
    return profile(b"CMYK", {b"wtpt": _xyz(D50), b"A2B0": body}, b"prtr", b"Lab ")


def srgb_of_xyz(xyz: np.ndarray) -> np.ndarray:
    """Give levels of sRGB, rounded and clipped; ndarray of shape (..., 3), int."""
    linear = np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * encoded + 0.5).astype(int)


def srgb_of_rgb(
    levels: np.ndarray, primaries: np.ndarray = WIDE, gamma: float = GAMMA
) -> np.ndarray:
    """Convert levels of such a display."""
    return srgb_of_xyz((levels / 255.0) ** gamma @ primaries.T)


def srgb_of_gray(levels: np.ndarray, gamma: float) -> np.ndarray:
    """Convert levels of such a gray scale; ndarray of shape (..., 3)."""
    return srgb_of_xyz(((levels / 255.0) ** gamma)[..., None] * D50)


def srgb_of_inks(inks: np.ndarray) -> np.ndarray:
    """Convert levels of inks, of which no more than one is neither 0 nor 255; all are black."""
    share = inks / 255.0
    lab = np.zeros((*inks.shape[:-1], 3))
    for corner, mixture in zip(CORNERS, itertools.product((0, 1), repeat=4), strict=True):
        weight = np.where(np.array(mixture), share, 1 - share).prod(-1, keepdims=True)
        lab += weight * corner
    black = _xyz_of_lab(np.array([CORNERS[-1][0], 128, 128]))
    return srgb_of_xyz(D50 * (_xyz_of_lab(lab) - black) / (D50 - black))


def _xyz_of_lab(lab: np.ndarray) -> np.ndarray:
    middle = (lab[..., 0] / 255 * 100 + 16) / 116
    along = [middle + (lab[..., 1] - 128) / 500, middle, middle - (lab[..., 2] - 128) / 200]
    cube = np.stack(along, -1) ** 3
    linear = (116 * np.stack(along, -1) - 16) * 27 / 24389
    return np.where(cube > 216 / 24389, cube, linear) * D50
