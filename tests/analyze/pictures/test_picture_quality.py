"""Measures of quality mean what they say, on pictures of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from analyze.pictures.picture_quality import BLANK, blankness, edge_width, measure_quality


def step(sigma: float, contrast: float = 200.0) -> np.ndarray:
    plane = np.full((80, 80), 20.0, np.float32)
    plane[:, 40:] += contrast
    return np.asarray(gaussian_filter(plane, sigma))


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_edge_width_is_that_of_the_blur_whatever_the_contrast(sigma: float) -> None:
    widths = [edge_width(step(sigma, contrast)) for contrast in (40.0, 200.0)]
    assert widths == pytest.approx([sigma] * 2, rel=0.25)


def test_edge_width_grows_with_the_blur_and_there_is_none_without_an_edge() -> None:
    widths = [edge_width(step(sigma)) for sigma in (0.3, 1.0, 2.0, 3.0)]
    assert widths == sorted(widths)
    assert np.isnan(edge_width(np.full((60, 60), 128.0, np.float32)))


def before_white(color: tuple[int, int, int]) -> Image.Image:
    """A shaded thing of a color, in the middle of a white ground."""
    shade = np.linspace(0.6, 1.0, 120)[:, None, None] * np.array(color)
    picture = np.full((240, 240, 3), 255.0)
    picture[60:180, 60:180] = shade
    return Image.fromarray(picture.astype(np.uint8))


def test_black_product_before_white_is_neither_dark_nor_overexposed_nor_blank() -> None:
    found = measure_quality(before_white((30, 30, 32)))
    assert found.brightest > 250
    assert found.overexposed < 0.5
    assert blankness(np.array([found.plain]), np.array([found.brightest]))[0] < BLANK


def test_what_is_exposed_longer_is_more_likely_overexposed() -> None:
    picture = before_white((170, 120, 60))
    lost = [
        measure_quality(picture.point(lambda v, by=by: min(255, v * by))).overexposed
        for by in (1, 2, 4)
    ]
    assert lost[0] < 0.5 < 0.95 < lost[2]
    assert lost[0] <= lost[1] <= lost[2]


@pytest.mark.parametrize("level", [0, 90, 255])
@pytest.mark.parametrize("noise", [0.0, 4.0, 12.0])
@pytest.mark.parametrize("side", [90, 200])
def test_one_color_is_blank_with_noise_too(level: int, noise: float, side: int) -> None:
    pixels = level + np.random.default_rng(0).normal(0, noise, (side, side, 3))
    found = measure_quality(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    assert blankness(np.array([found.plain]), np.array([found.brightest]))[0] >= BLANK


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_picture_with_one_small_thing_is_not_blank(noise: float) -> None:
    pixels = 250 + np.random.default_rng(0).normal(0, noise, (300, 300, 3))
    pixels[150:158, 200:208] = 160
    found = measure_quality(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    assert blankness(np.array([found.plain]), np.array([found.brightest]))[0] < BLANK - 0.1


def test_picture_of_few_pixels_is_measured() -> None:
    found = measure_quality(Image.new("RGB", (3, 2), (10, 20, 30)))
    assert (found.width, found.height) == (3, 2)
    assert np.isnan(found.edge_width)
