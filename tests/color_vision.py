"""How colors are seen, by eyes that lack a kind of cone too, and how far apart they are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

LINEAR = np.array([[0.2126], [0.7152], [0.0722]])
TO_CONES = np.array(
    [[0.41222, 0.53633, 0.05145], [0.2119, 0.6807, 0.1074], [0.0883, 0.28172, 0.62998]]
)
TO_OKLAB = np.array(
    [[0.21045, 0.79362, -0.00407], [1.978, -2.42859, 0.45059], [0.0259, 0.78277, -0.80868]]
)
VISIONS = {
    "all colors": np.eye(3),
    "no red": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]],
    "no green": [[0.3673, 0.8606, -0.228], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "no blue": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
"""How linear RGB is seen (Machado, Oliveira and Fernandes 2009, of the full severity)."""


def linear(color: str) -> np.ndarray:
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Reckon the contrast of two colors, as WCAG has it."""
    low, high = sorted(float((linear(each) @ LINEAR)[0]) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def apart(one: str, other: str, vision: Any) -> float:
    """Give how far two colors are apart in OKLab, as they are seen."""
    seen = [np.clip(np.array(vision) @ linear(each), 0, 1) for each in (one, other)]
    a, b = (TO_OKLAB @ np.cbrt(TO_CONES @ each) for each in seen)
    return float(np.linalg.norm(a - b))


def least_apart(colors: Sequence[str], vision: Any) -> float:
    """Give how far the two most alike of some colors are apart."""
    return min(apart(a, b, vision) for a, b in itertools.combinations(colors, 2))
