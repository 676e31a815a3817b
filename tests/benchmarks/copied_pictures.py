"""Pairs of pictures that are copies, and pairs that show one shape and are none, made by seeds."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from extract.catalog.demo import KINDS
from extract.catalog.drawing import SIZE, Array, Drawing, backdrop

Picture = Image.Image
WORDS = (
    "COTTON CLASSIC ORIGINAL SUMMER FRESH HERBAL PREMIUM SPORT ORGANIC TRAVEL SILVER DELUXE BAMBOO "
    "GENTLE MANGO ROYAL STRONG ULTRA NATURAL VINTAGE"
).split()
PACK_SIZES = (
    "100 g|250 g|500 g|750 g|1 kg|2 kg|200 ml|330 ml|450 ml|900 ml|Pack of 2|Pack of 4|Pack of 6|"
    "32 GB|64 GB|128 GB"
).split("|")
PLATES = ((255, 255, 255), (250, 240, 220), (30, 60, 140), (180, 30, 40))
FILTERS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)
LARGEST, SMALLEST = 1400, 64
"""Pixels of a side."""

MOST_BRIGHTER = 8
MOST_CROPPED = 0.02
"""Of the shorter side, at each edge."""

LEVELS = (25, 110)
"""By how much another lightness differs, of 255, over the product."""

TURNED = (40, 180)
"""Degrees of hue."""

LEAST_CHROMA = 20
"""By how much another hue differs at least, of 255, over the product."""

LEAST_CONTRAST = 60
"""Of a printed text."""

TEXT_WIDTH = 1 / 3
YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])


@dataclass(frozen=True, eq=False)
class Pair:
    """Two pictures, and whether one is a copy of the other.

    Parameters
    ----------
    source : str
        ``drawn`` or ``photo``.
    how : str
        What was done to the one.
    copy : bool
    one, other : Image
    """

    source: str
    how: str
    copy: bool
    one: Picture
    other: Picture


# copies


def saved(picture: Picture, kind: str, **options: int) -> Picture:
    """Save and open again."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(file).convert("RGB")


def jpeg(picture: Picture, rng: random.Random) -> Picture:
    """Save as JPEG."""
    return saved(picture, "JPEG", quality=rng.randint(30, 95))


def webp(picture: Picture, rng: random.Random) -> Picture:
    """Save as WebP."""
    return saved(picture, "WEBP", quality=rng.randint(30, 95))


def png(picture: Picture, _rng: random.Random) -> Picture:
    """Save without loss."""
    return saved(picture, "PNG")


def scaled(picture: Picture, rng: random.Random) -> Picture:
    """Scale by 0.35 to 2, both sides alike but for whole pixels."""
    by = rng.choice((rng.uniform(0.35, 0.95), rng.uniform(1.05, 2)))
    sides = [min(LARGEST, max(SMALLEST, round(side * by))) for side in picture.size]
    return picture.resize((sides[0], sides[1]), rng.choice(FILTERS))


def brightened(picture: Picture, rng: random.Random) -> Picture:
    """Make every pixel lighter or darker by up to 8 levels, or in proportion."""
    levels = rng.choice((-1, 1)) * rng.randint(2, MOST_BRIGHTER)
    if rng.random() < 0.5:
        return picture.point(lambda v: min(255, max(0, v + levels)))
    return picture.point(lambda v: min(255, round(v * (1 + levels / 255))))


def cropped(picture: Picture, rng: random.Random) -> Picture:
    """Cut a few pixels off the edges."""
    (width, height), most = picture.size, max(2, int(min(picture.size) * MOST_CROPPED))
    left, top, right, bottom = (rng.randint(0, most) for _ in range(4))
    return picture.crop((left, top, width - right, height - max(1, bottom)))


Change = Callable[[Picture, random.Random], Picture]
COPIED: dict[str, tuple[Change, ...]] = {
    "jpeg": (jpeg,),
    "webp": (webp,),
    "png": (png,),
    "scaled": (scaled,),
    "brightened": (brightened,),
    "cropped": (cropped,),
    "scaled, jpeg": (scaled, jpeg),
    "brightened, jpeg": (brightened, jpeg),
    "cropped, jpeg": (cropped, jpeg),
    "cropped, scaled, webp": (cropped, scaled, webp),
}


# another product


def drawing(seed: str) -> tuple[Drawing, Array]:
    """Draw a product and a ground for it, white ones among them."""
    rng = random.Random(seed)
    art = KINDS[rng.choice(list(KINDS))](rng)
    if rng.random() < 0.4:
        return art, np.ones((SIZE, SIZE, 3), np.float32)
    return art, backdrop(rng, art.color[art.alpha > 0.9].mean(0))


def in_another_lightness(color: Array, mask: Array, rng: random.Random) -> Array:
    """Make what a mask shows lighter or darker, 25 to 110 levels in the mean; 0 to 1."""
    levels = rng.uniform(*LEVELS) / 255
    mean = float(np.average(color @ YCC[0], weights=mask))
    darker = mean - levels > 0.02 and (rng.random() < 0.5 or mean + levels > 0.98)
    if darker:
        return color * (1 - levels / mean)
    return color + (1 - color) * min(1, levels / (1 - mean))


def in_another_hue(color: Array, mask: Array, rng: random.Random) -> Array:
    """Turn the hue of what a mask shows by 40 to 180 degrees; give gray one."""
    planes = color @ YCC.T
    turn = np.radians(rng.choice((-1, 1)) * rng.uniform(*TURNED))
    turned = planes[..., 1:] @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    )
    moved = np.linalg.norm(turned - planes[..., 1:], axis=2)
    if np.average(moved, weights=mask) < LEAST_CHROMA / 255:
        hue, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(25, 50) / 255
        turned = turned + chroma * np.array([np.cos(hue), np.sin(hue)])
    planes = np.concatenate([planes[..., :1], turned], axis=2)
    return np.clip(planes @ np.linalg.inv(YCC).T, 0, 1)


RECOLORED = {"lightness": in_another_lightness, "hue": in_another_hue}


def drawn_twice(seed: str, how: str, rng: random.Random) -> tuple[Picture, Picture]:
    """Draw one product on one ground, as it is and in another lightness or hue."""
    art, ground = drawing(seed)
    one = art.on(ground)
    alpha = art.alpha[..., None]
    color = np.clip(art.color / np.maximum(alpha, 1e-3), 0, 1)
    art.color = (alpha * RECOLORED[how](color, art.alpha, rng)).astype(np.float32)
    return one, art.on(ground)


def photographed_twice(picture: Picture, how: str, rng: random.Random) -> tuple[Picture, Picture]:
    """Give a photograph and itself with its product, or all of it, in another lightness or hue."""
    color = np.asarray(picture, np.float64) / 255
    mask = product_mask(color)
    laid = color + mask[..., None] * (RECOLORED[how](color, mask, rng) - color)
    return picture, Image.fromarray((255 * np.clip(laid, 0, 1) + 0.5).astype(np.uint8))


def product_mask(color: Array) -> Array:
    """Say where the product of a photograph on white is, 0 to 1; everywhere on other grounds."""
    from scipy import ndimage

    edge = np.concatenate([color[0], color[-1], color[:, 0], color[:, -1]])
    if (edge.min(axis=1) > 0.92).mean() > 0.6:
        there = ndimage.binary_opening(color.min(axis=2) < 0.93, iterations=2)
        there = ndimage.binary_fill_holes(there)
        if there.mean() > 0.02:
            soft: Array = ndimage.gaussian_filter(there.astype(np.float64), 1)
            return soft
    return np.ones(color.shape[:2])


def printed_twice(
    picture: Picture, texts: Sequence[str], rng: random.Random, width: float = TEXT_WIDTH
) -> tuple[Picture, Picture]:
    """Print one text and another at one place of a picture, at times on a plate.

    Parameters
    ----------
    width : float
        Of the longer text, of the picture's width.
    """
    x, y = picture.width * rng.uniform(0.35, 0.65), picture.height * rng.uniform(0.3, 0.7)
    across = width * picture.width
    widest = max(ImageFont.load_default(100).getlength(text) for text in texts)
    font = ImageFont.load_default(100 * across / widest)
    tall = 75 * across / widest
    box = tuple(map(int, (x - 0.55 * across, y - tall, x + 0.55 * across, y + tall)))
    plate = rng.choice(PLATES) if rng.random() < 0.5 else None
    under = np.array(plate) if plate else np.asarray(picture.crop(box)).mean(axis=(0, 1))
    ground, contrast = float(YCC[0] @ under), rng.uniform(LEAST_CONTRAST, 255)
    ink = int(np.clip(ground + (-contrast if ground > 128 else contrast), 0, 255))
    printed = []
    for text in texts:
        page = picture.copy()
        draw = ImageDraw.Draw(page)
        if plate:
            draw.rectangle(box, fill=plate)
        draw.text((x, y), text, fill=(ink, ink, ink), font=font, anchor="mm")
        printed.append(page)
    return printed[0], printed[1]


# pairs


def base_pictures(
    numbers: Sequence[int], images: Path | None
) -> Iterator[tuple[str, str, Picture]]:
    """Give source, seed and picture: drawn ones, or photographs of a folder drawn by lot."""
    files = sorted(path for path in images.rglob("*") if path.is_file()) if images else []
    random.Random(0).shuffle(files)
    for i in numbers:
        if images is None:
            art, ground = drawing(f"{i}")
            yield "drawn", f"{i}", art.on(ground)
        else:
            picture = Image.open(files[i % len(files)]).convert("RGB")
            picture.thumbnail((LARGEST, LARGEST))
            yield "photo", f"{i}", picture


def copied_pairs(numbers: Sequence[int], images: Path | None = None) -> Iterator[Pair]:
    """Make pairs that are copies, all kinds of copying in turn.

    Parameters
    ----------
    numbers : sequence of int
        A pair depends on its number alone.
    images : Path, optional
        A folder of photographs; pictures are drawn without it.
    """
    kinds = list(COPIED)
    for source, seed, picture in base_pictures(numbers, images):
        how, rng = kinds[int(seed) % len(kinds)], random.Random(f"copy {seed}")
        other = picture
        for change in COPIED[how]:
            other = change(other, rng)
        yield Pair(source, how, True, picture, other)


def other_pairs(
    numbers: Sequence[int],
    images: Path | None = None,
    kinds: Sequence[str] = ("lightness", "hue", "text"),
    width: float = TEXT_WIDTH,
) -> Iterator[Pair]:
    """Make pairs of one shape that are no copies, every second saved again.

    Parameters
    ----------
    numbers, images
        As of :func:`copied_pairs`.
    kinds : sequence of str
        In turn; also ``pack size``, a text such as 500 g.
    width : float
        Of a text, of the picture's width.
    """
    for source, seed, picture in base_pictures(numbers, images):
        how, rng = kinds[int(seed) % len(kinds)], random.Random(f"other {seed}")
        if how in RECOLORED:
            recolored = drawn_twice(seed, how, rng) if images is None else None
            one, other = recolored or photographed_twice(picture, how, rng)
        else:
            texts = rng.sample(WORDS if how == "text" else PACK_SIZES, 2)
            one, other = printed_twice(picture, texts, rng, width)
        yield Pair(source, how, False, one, jpeg(other, rng) if rng.random() < 0.5 else other)
