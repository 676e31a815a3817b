"""The geometries that are measured by hand show what they say, and gains are reckoned in pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analyze.comparison.ranking.criteria import PictureMean
from analyze.pictures.near_duplicates import Copies
from extract.transforms.preprocessing import Preprocessing
from tests.benchmarks.geometries import GEOMETRIES, edge_color
from tests.benchmarks.geometry import BACKBONES, Pictures, Table
from tests.benchmarks.stamps import photographs

OWN = Preprocessing(32, "crop", 0.875, "bicubic", (0.5,) * 3, (0.5,) * 3)
SIDE = {"pad, one size up": 64, "pad, two sizes up": 96, "squash, one size up": 64}
COLOR = (30, 90, 200)


def framed(width: int, height: int) -> Image.Image:
    """Draw a picture whose edge is of one color, and its middle is not."""
    pixels = np.full((height, width, 3), COLOR, np.uint8)
    inside = pixels[4:-4, 4:-4]
    inside[:] = np.random.default_rng(0).integers(0, 255, inside.shape)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_geometry_has_the_size_it_says(name: str) -> None:
    geometry = GEOMETRIES[name]
    wanted = geometry.preprocessing(OWN)
    pixels = geometry.pixels(framed(48, 32), wanted)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (wanted.size, wanted.size, 3)
    assert wanted.size == SIDE.get(name, 96 if "two sizes" in name else 32)


def test_grounds_differ_in_what_is_filled_alone() -> None:
    picture = framed(32, 16)  # so wide that nothing is resized: eight rows above, eight below
    white, edge, mirrored = (
        GEOMETRIES[name].pixels(picture, GEOMETRIES[name].preprocessing(OWN))
        for name in ("pad", "pad, edge color", "pad, mirrored")
    )
    for pixels in (white, edge, mirrored):
        np.testing.assert_array_equal(pixels[8:24], np.asarray(picture))
    assert (white[:8] == 255).all()
    assert (white[24:] == 255).all()
    assert (edge[:8] == COLOR).all()
    assert (edge[24:] == COLOR).all()
    np.testing.assert_array_equal(mirrored[:8], mirrored[8:16][::-1])
    np.testing.assert_array_equal(mirrored[24:], mirrored[16:24][::-1])


def test_the_edge_color_is_the_median_of_the_outermost_pixels() -> None:
    pixels = np.zeros((3, 3, 3), np.uint8)
    pixels[1, 1] = 255
    pixels[0] = 10
    assert edge_color(pixels).tolist() == [0, 0, 0]  # 3 of 8
    pixels[1, [0, 2]] = 10
    assert edge_color(pixels).tolist() == [10, 10, 10]  # 5 of 8


def test_gains_are_paired_and_chosen_apart() -> None:
    labels = np.repeat([0, 1], 50)
    right = np.random.default_rng(0).integers(0, 2, 100).astype(np.float64)
    better = np.where(np.arange(100) % 5 == 0, 1.0, right)
    geometries, scores = ["crop", "squash", "pad"], {}
    for backbone in BACKBONES:
        for name, values in zip(geometries, (right, 1 - better, better), strict=True):
            scores[(backbone, name), "1-NN"] = PictureMean(values)
    pictures = Pictures("planted", labels, {}, Copies(np.arange(100), np.arange(100)))
    lines = Table(pictures, geometries, ["1-NN"], scores).lines()
    gain = better.mean() - right.mean()
    row = next(line for line in lines if line.startswith("| all | pad "))
    assert f"{gain:+.3f} (" in row
    low, high = (float(word) for word in row.split("(")[1].split(")")[0].split(" to "))
    se = (better - right).std() / 10  # of a paired difference of 100 pictures
    assert high - low == pytest.approx(2 * 1.96 * se, rel=0.15)
    assert sum(": pad," in line for line in lines) == 5
    assert f"mean of the gains apart: {gain:+.4f}" in lines


def test_what_is_drawn_is_no_photograph(tmp_path: Path) -> None:
    for name in ("a.png", "b.svg", "cartoon/c.png", "cats/d.png", "cats/cartoon/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert [path.name for path in photographs(tmp_path)] == ["a.png", "d.png"]
