"""The fast geometry against Pillow's: sizes, offsets and grounds are equal, pixels nearly."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from PIL import Image

from extract.images.pixels import UPRIGHT
from extract.transforms.fast_geometry import has_fast_geometry, place, upright
from extract.transforms.preprocessing import RESIZES, ROUNDINGS, Preprocessing, resized_size

SCALE = (0.5, 0.5, 0.5)
ODD_SIZES = [(1, 1), (1, 2), (1, 100), (100, 1), (3, 300), (2, 199), (57, 57), (64, 64), (65, 63)]
LARGEST_DIFFERENCE = 2
"""Levels of 255; torchvision rounds its filters to 16 bits, Pillow to 22."""


def drawn(kind: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "gradient":
        down, along = np.linspace(0, 255, height)[:, None], np.linspace(255, 0, width)[None]
        return np.stack(np.broadcast_arrays(down, along, 128.0), -1).astype(np.uint8)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    return noise if kind == "noise" else (noise // 128 * 255).astype(np.uint8)


def sizes(seed: int, n: int) -> list[tuple[int, int]]:
    rng, found = random.Random(seed), list(ODD_SIZES)
    for _ in range(n):
        short = rng.randint(1, 60)
        sides = [short, rng.randint(short, min(100 * short, 900))]
        rng.shuffle(sides)
        found.append((sides[0], sides[1]))
    return found


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pixels_are_pillows_but_for_rounding(resize: str, interpolation: str) -> None:
    rng, worst, apart = np.random.default_rng(0), 0, []
    for i, (height, width) in enumerate(sizes(0, 60)):
        pixels = drawn(("noise", "gradient", "black and white")[i % 3], height, width, rng)
        crop_pct = (0.875, 1.0, 0.95, 1.2)[i // 3 % 4]
        rounding = ROUNDINGS[i % 4 % 3 if resize != "pad" else 0]
        wanted = Preprocessing(
            (64, 224)[i % 2], resize, crop_pct, interpolation, SCALE, SCALE, rounding
        )
        got, expected = place(pixels, wanted), wanted.placed(Image.fromarray(pixels))
        assert got.shape == expected.shape
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        difference = np.abs(got.astype(int) - expected)
        worst = max(worst, int(difference.max()))
        apart.append((difference > 0).mean())
    assert worst <= LARGEST_DIFFERENCE
    assert np.mean(apart) < 0.02


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_after_the_resize_is_turned_before_it(orientation: int) -> None:
    rng = np.random.default_rng(orientation)
    for resize in RESIZES:
        sizes = [(50, 80), (81, 50), (33, 200), (200, 33), (40, 40), (9, 7)]
        for size, rounding in itertools.product(sizes, ROUNDINGS[:: 2 if resize != "pad" else 3]):
            stored = drawn("black and white", *size, rng)
            picture = Image.fromarray(stored)
            if orientation in UPRIGHT:
                picture = picture.transpose(UPRIGHT[orientation])
            np.testing.assert_array_equal(upright(stored, orientation), np.asarray(picture))
            wanted = Preprocessing(48, resize, 0.9, "bicubic", SCALE, SCALE, rounding)
            got = place(stored, wanted, orientation).astype(int)
            assert np.abs(got - wanted.placed(picture)).max() <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("resize", RESIZES)
def test_sizes_before_the_cut_are_timms(resize: str) -> None:
    rng = random.Random(1)
    for size, crop_pct in [(224, 0.875), (240, 0.882), (260, 0.89), (288, 1.0), (32, 0.95)]:
        wanted = Preprocessing(size, resize, crop_pct, "bilinear", SCALE, SCALE)
        resizing = wanted.transform().transforms[0]
        for _ in range(150):
            width, height = rng.randint(20, 900), rng.randint(20, 900)
            expected = resizing(Image.new("L", (width, height))).size
            assert resized_size(wanted, height, width)[::-1] == expected


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = drawn("noise", 64, 64, np.random.default_rng(0))
    for resize in RESIZES:
        wanted = Preprocessing(64, resize, 1.0, "bicubic", SCALE, SCALE)
        np.testing.assert_array_equal(place(pixels, wanted), pixels)


def test_filters_that_torchvision_has_no_equal_of_are_told() -> None:
    known = {"bilinear", "bicubic"}
    for name in ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"):
        wanted = Preprocessing(32, "crop", 1.0, name, SCALE, SCALE)
        assert has_fast_geometry(wanted) == (name in known)
