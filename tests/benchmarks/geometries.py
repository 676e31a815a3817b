"""The geometries that are measured: those of the product, and others built on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from extract.transforms.preprocessing import Preprocessing

PLACE = 32
"""Pixels a side of one place of the backbone's last stage: the next size up has one place more."""

BATCH = 8


@dataclass(frozen=True)
class Geometry:
    """One geometry.

    Parameters
    ----------
    resize : str
        The product's name of it: ``crop``, ``squash`` or ``pad``.
    places : int
        Of the last stage, more than at the backbone's own size.
    ground : str
        What a padded picture is filled with: ``white``, or a name of :data:`GROUNDS`.
    """

    resize: str
    places: int = 0
    ground: str = "white"

    def preprocessing(self, own: Preprocessing) -> Preprocessing:
        """Take the product's geometry, at the size that is wanted."""
        return replace(own.resized(self.resize), size=own.size + PLACE * self.places)

    def pixels(self, picture: Image.Image, wanted: Preprocessing) -> np.ndarray:
        """Place an upright RGB picture as Pillow does; ndarray (size, size, 3), uint8."""
        if self.ground == "white":
            return wanted.placed(picture)
        whole = np.asarray(wanted.transform().transforms[0](picture))
        return _centered(whole, wanted.size, GROUNDS[self.ground])


def edge_color(whole: np.ndarray) -> np.ndarray:
    """Take the median of each channel over the outermost pixels; ndarray (3,), uint8."""
    rows, columns = whole[[0, -1]].reshape(-1, 3), whole[1:-1, [0, -1]].reshape(-1, 3)
    color: np.ndarray = np.median(np.concatenate([rows, columns]), axis=0).round().astype(np.uint8)
    return color


def on_edge_color(whole: np.ndarray, missing: Sequence[tuple[int, int]]) -> np.ndarray:
    """Fill with the color of the picture's own edge."""
    return np.stack(
        [
            np.pad(whole[..., channel], missing, constant_values=value)
            for channel, value in enumerate(edge_color(whole))
        ],
        axis=-1,
    )


def mirrored(whole: np.ndarray, missing: Sequence[tuple[int, int]]) -> np.ndarray:
    """Fill with the picture, mirrored at its edges as often as it takes."""
    filled: np.ndarray = np.pad(whole, [*missing, (0, 0)], mode="symmetric")
    return filled


GROUNDS: Mapping[str, Callable[[np.ndarray, Sequence[tuple[int, int]]], np.ndarray]] = {
    "edge": on_edge_color,
    "mirrored": mirrored,
}

CROP = "crop"
GEOMETRIES: Mapping[str, Geometry] = {
    CROP: Geometry("crop"),
    "squash": Geometry("squash"),
    "pad": Geometry("pad"),
    "pad, edge color": Geometry("pad", ground="edge"),
    "pad, mirrored": Geometry("pad", ground="mirrored"),
    "pad, one size up": Geometry("pad", 1),
    "pad, two sizes up": Geometry("pad", 2),
    "squash, one size up": Geometry("squash", 1),
    "squash, two sizes up": Geometry("squash", 2),
}
"""``crop`` is the own transform of all three backbones that are measured."""

AVERAGES: Mapping[str, tuple[str, ...]] = {
    "mean of pad and crop": ("pad", CROP),
    "mean of squash and crop": ("squash", CROP),
    "mean of pad and squash": ("pad", "squash"),
}
"""Of vectors of length 1: as many forward passes as there are parts."""


def _centered(
    whole: np.ndarray,
    size: int,
    fill: Callable[[np.ndarray, Sequence[tuple[int, int]]], np.ndarray],
) -> np.ndarray:
    """Fill what is missing, half of it on each side as timm and torchvision do."""
    missing = []
    for n in whole.shape[:2]:
        before = max(size - n, 0) // 2
        missing.append((before, max(size - n, 0) - before))
    return np.ascontiguousarray(fill(whole, missing)[:size, :size])
