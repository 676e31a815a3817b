"""Corruptions: what befalls pictures between a camera and a shop, in families of five severities.

Families and severities of noise, light, blur, JPEG and scale are those of ImageNet-C (Hendrycks and
Dietterich 2019, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations:
``gaussian_noise``, ``brightness``, ``gaussian_blur``, ``jpeg_compression``, ``pixelate``), which
are of pictures of 224 pixels a side, as a model sees them. The others, which it lacks, are ours.
"""

from __future__ import annotations

import colorsys
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from extract.errors import one_of

Box = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""

N_SEVERITIES = 5
USUAL_SIDE = 224
"""Pixels a side of the pictures that the severities of ImageNet-C are of."""

GRAY = 128
RING = 2
"""Pixels along the border that the color of a ground is read from."""

SAME_COLOR = 24
"""Levels of 255 that a plain ground varies by in each channel."""

LEAST_PLAIN, LEAST_GROUND, MOST_GROUND = 0.9, 0.05, 0.95
"""Share of the border in the ground's color, and of the picture that is ground."""


@dataclass(frozen=True)
class Family:
    """One kind of corruption.

    Parameters
    ----------
    name : str
    amounts : tuple
        Of each severity, the least first.
    spelled : str
        An amount in words, as in ``{} degrees``.
    corrupt : callable
        (pixels (height, width, 3) uint8, amount, random) -> pixels of that shape, or None where it
        does not apply. What is drawn does not depend on the amount.
    n_ordered : int
        Of the severities, those that are each worse than the one before.
    with_padding : bool
        Whether it moves the picture within the square that the model sees.
    """

    name: str
    amounts: tuple[Any, ...]
    spelled: str
    corrupt: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray | None]
    n_ordered: int = N_SEVERITIES
    with_padding: bool = False

    def amount(self, severity: int) -> str:
        """Spell the amount of a severity, 1 to 5, as in ``15 degrees``."""
        return self.spelled.format(self.amounts[severity - 1])


@dataclass(frozen=True)
class Corruption:
    """One family at one severity.

    Parameters
    ----------
    family : str
        A key of ``FAMILIES``.
    severity : int
        1 to 5.
    """

    family: str
    severity: int

    def __post_init__(self) -> None:
        one_of(self.family, FAMILIES, "family of corruptions")
        if self.severity not in range(1, N_SEVERITIES + 1):
            raise ValueError(f"severity must be 1 to {N_SEVERITIES}, got {self.severity!r}")

    @property
    def amount(self) -> str:
        """What is done, in words, as in ``15 degrees``."""
        return FAMILIES[self.family].amount(self.severity)


def corrupt(
    pixels: np.ndarray,
    corruption: Corruption,
    content_sha256: bytes,
    *,
    seed: int | str = 0,
    box: Box | None = None,
) -> np.ndarray | None:
    """Corrupt one picture as a model sees it.

    What is drawn (noise, directions, places, colors) depends on the family, the seed and the
    picture's bytes alone: a second run gives the same bits, and a higher severity does more of the
    same.

    Parameters
    ----------
    pixels : ndarray of shape (size, size, 3), uint8
        Left as they are.
    corruption : Corruption
    content_sha256 : bytes
    seed : int or str
    box : tuple of int, optional
        Where in the square the picture lies, without its padding; all of it without.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8, or None
        None where it does not apply: a background that is not plain cannot be exchanged.
    """
    family = FAMILIES[corruption.family]
    key = hashlib.sha256(f"{family.name}\0{seed}\0".encode() + content_sha256).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))
    amount = family.amounts[corruption.severity - 1]
    if box is None or family.with_padding:
        return family.corrupt(pixels, amount, random)
    top, left, height, width = box
    inside = slice(top, top + height), slice(left, left + width)
    made = family.corrupt(np.ascontiguousarray(pixels[inside]), amount, random)
    if made is None:
        return None
    whole = pixels.copy()
    whole[inside] = made
    return whole


def turned(
    picture: Image.Image, degrees: float, *, mirrored: bool = False, zoom: float = 1.0
) -> Image.Image:
    """Turn, mirror and zoom a square about its center; what comes in repeats the edge."""
    angle = np.deg2rad(degrees)
    size = picture.size[0]
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    # as far as the corners of a turned and smaller square reach, and the filter's pixel
    margin = 1 + int(np.ceil(max(0.0, size / 2 * (abs(cosine) + abs(sine) - 1))))
    inside = np.clip(np.arange(-margin, size + margin), 0, size - 1)
    wide = Image.fromarray(np.asarray(picture)[inside][:, inside])
    mirror = -1.0 if mirrored else 1.0
    turn = np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])
    # Pillow needs the place that the middle of each new pixel comes from, counted from the corner
    offset = (size / 2 + margin) - turn @ np.full(2, size / 2)
    affine = (*turn[0], offset[0], *turn[1], offset[1])
    return wide.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)


def _noise(pixels: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    noise = random.standard_normal(pixels.shape, np.float32)
    noise *= np.float32(255 * sigma)
    noise += pixels
    return _as_levels(noise)


def _light(pixels: np.ndarray, by: float, random: np.random.Generator) -> np.ndarray:
    """Shift the value of HSV: half of the pictures become lighter, half darker."""
    shift = 255 * by * _sign(random)
    value = pixels.max(axis=2, keepdims=True).astype(np.float32)
    shifted = np.clip(value + np.float32(shift), 0, 255)
    return _as_levels(np.where(value > 0, pixels * (shifted / np.maximum(value, 1)), shifted))


def _blur(pixels: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    del random
    radius = sigma * max(pixels.shape) / USUAL_SIDE
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _jpeg(pixels: np.ndarray, quality: int, random: np.random.Generator) -> np.ndarray:
    del random
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _rotation(pixels: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    return np.asarray(turned(Image.fromarray(pixels), degrees * _sign(random)))


def _flip(pixels: np.ndarray, how: str, random: np.random.Generator) -> np.ndarray:
    del random
    return np.ascontiguousarray(_MIRRORS[how](pixels))


def _crop(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Cut off a share of both sides, wherever, and enlarge what is left."""
    height, width = pixels.shape[:2]
    top, left = random.random(2) * share * (height, width)
    part = (left, top, left + (1 - share) * width, top + (1 - share) * height)
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, part)
    return np.asarray(resized)


def _scale(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Leave fewer pixels, each the mean of those it stands for, and enlarge them."""
    del random
    height, width = pixels.shape[:2]
    fewer = max(1, round(share * width)), max(1, round(share * height))
    small = Image.fromarray(pixels).resize(fewer, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _border(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Put a white frame around, as wide as a share of the side, and shrink all to fit again."""
    del random
    height, width = pixels.shape[:2]
    inner = max(1, round(width / (1 + 2 * share))), max(1, round(height / (1 + 2 * share)))
    framed = np.full_like(pixels, 255)
    small = np.asarray(Image.fromarray(pixels).resize(inner, Image.Resampling.BICUBIC))
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    framed[top : top + inner[1], left : left + inner[0]] = small
    return framed


def _background(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray | None:
    """Move a plain ground, with its shadows, towards a color."""
    color = 255 * np.array(colorsys.hsv_to_rgb(random.random(), 0.6, 0.75), np.float32)
    found = find_ground(pixels)
    if found is None:
        return None
    own, mask = found
    soft = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    soft = soft.filter(ImageFilter.GaussianBlur(1))
    weight = np.asarray(soft, np.float32)[..., None] * np.float32(share / 255)
    return _as_levels(pixels + weight * (color - own))


def find_ground(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Find the plain ground of a picture: what its border is connected with in one color.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        Without padding.

    Returns
    -------
    tuple of (ndarray of shape (3,), ndarray of shape (height, width), bool), or None
        The color and where the ground is; None where the border is not of one color, or the picture
        all ground or nearly none.
    """
    from scipy.ndimage import label

    inner = np.zeros(pixels.shape[:2], bool)
    inner[RING:-RING, RING:-RING] = True
    own = np.median(pixels[~inner], axis=0).astype(np.float32)
    near = (np.abs(pixels - own) <= SAME_COLOR).all(axis=2)
    if near[~inner].mean() < LEAST_PLAIN:
        return None
    parts, n_parts = label(near)
    at_border = np.zeros(n_parts + 1, bool)
    at_border[parts[~inner & near]] = True
    mask = at_border[parts]
    return (own, mask) if LEAST_GROUND <= mask.mean() <= MOST_GROUND else None


def _cast(pixels: np.ndarray, less: float, random: np.random.Generator) -> np.ndarray:
    """Take from blue, and half as much from green, as warm light does; or from red, as cold."""
    gains = np.array([1, 1 - less / 2, 1 - less], np.float32)[:: int(_sign(random))]
    return _as_levels(pixels * gains)


def _watermark(pixels: np.ndarray, opacity: float, random: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    down, right = (
        int(share * side) for share, side in zip(random.random(2), (height, width), strict=True)
    )
    mark = np.roll(_mark(height, width), (down, right), axis=(0, 1))
    weight = mark[..., None] * np.float32(opacity)
    return _as_levels(pixels + weight * (GRAY - pixels.astype(np.float32)))


@lru_cache(64)
def _mark(height: int, width: int) -> np.ndarray:
    """Draw a slanted text all over a page; ndarray of shape (height, width), 0 to 1."""
    side = max(height, width)
    page = Image.new("L", (2 * side, 2 * side))
    font = ImageFont.load_default(max(6, side / 9))
    pen = ImageDraw.Draw(page)
    for line, top in enumerate(range(0, 2 * side, max(8, side // 4))):
        pen.text((-(line % 2) * side / 4, top), "SAMPLE   " * 6, fill=255, font=font)
    slanted = page.rotate(30, Image.Resampling.BILINEAR)
    top, left = side - height // 2, side - width // 2
    return np.asarray(slanted.crop((left, top, left + width, top + height)), np.float32) / 255


def _as_levels(numbers: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.clip(np.rint(numbers), 0, 255).astype(np.uint8)
    return levels


def _sign(random: np.random.Generator) -> float:
    return 1.0 if random.random() < 0.5 else -1.0


_MIRRORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "both": lambda pixels: pixels[::-1, ::-1],
    "diagonal": lambda pixels: pixels.swapaxes(0, 1),
    "other diagonal": lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
}

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("noise", (0.08, 0.12, 0.18, 0.26, 0.38), "sigma {:g}", _noise),
        Family("light", (0.1, 0.2, 0.3, 0.4, 0.5), "{:g} lighter or darker", _light),
        Family("blur", (1, 2, 3, 4, 6), "sigma {} px", _blur),
        Family("jpeg", (25, 18, 15, 10, 7), "quality {}", _jpeg),
        Family("rotation", (5, 15, 30, 90, 180), "{} degrees", _rotation, 4, with_padding=True),
        Family("flip", tuple(_MIRRORS), "{}", _flip, 1, with_padding=True),
        Family("crop", (0.05, 0.1, 0.2, 0.3, 0.4), "{:.0%} of each side cut off", _crop),
        Family("scale", (0.6, 0.5, 0.4, 0.3, 0.25), "{:.0%} of the side's pixels", _scale),
        Family("border", (0.05, 0.1, 0.2, 0.35, 0.5), "{:.0%} of the side wide", _border),
        Family("background", (0.2, 0.4, 0.6, 0.8, 1.0), "{:.0%} of a color", _background),
        Family("cast", (0.1, 0.2, 0.3, 0.4, 0.5), "{:.0%} less of blue, or of red", _cast),
        Family("watermark", (0.1, 0.2, 0.3, 0.45, 0.6), "{:.0%} opaque", _watermark),
    )
}
"""By name. A severity never changes: a file of views and a kept result depend on it."""
