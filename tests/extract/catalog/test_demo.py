"""The drawn demo catalogue."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from extract.catalog.catalog import list_folder
from extract.catalog.demo import KINDS, draw_demo, draw_picture
from extract.catalog.drawing import SIZE, Drawing, oval
from extract.errors import UsageError


def test_each_kind_has_its_folder_and_pictures(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    draw_demo(tmp_path / "demo", per_kind=2, progress=lambda *done: told.append(done))
    listed = list_folder(tmp_path / "demo")
    assert len(KINDS) == 7
    assert set(listed.levels[0].categories) == set(KINDS)
    assert len(listed) == 14
    assert told[-1] == (14, 14)


def test_a_picture_depends_on_seed_kind_and_number_alone(tmp_path: Path) -> None:
    draw_demo(tmp_path / "two", per_kind=2)
    draw_demo(tmp_path / "one", per_kind=1)
    draw_demo(tmp_path / "other", per_kind=1, seed=1)
    for picture in list_folder(tmp_path / "one").paths:
        content = (tmp_path / "one" / picture).read_bytes()
        assert content == (tmp_path / "two" / picture).read_bytes()
        assert content != (tmp_path / "other" / picture).read_bytes()


def test_pictures_of_a_kind_differ() -> None:
    for kind in KINDS:
        one, two = (np.asarray(draw_picture(kind, random.Random(i))).astype(int) for i in (1, 2))
        assert one.shape == two.shape == (320, 320, 3)
        assert np.abs(one - two).mean() > 5


def test_a_shape_covers_what_it_covers_of_a_canvas_drawn_finely() -> None:
    """As if the whole canvas were reduced, at its edges, between shapes and where none is."""
    art = Drawing(random.Random(0), tilt=20, stands=False)
    for shapes in ([oval(0, 0, 0.3, 0.2)], [oval(-3, 0, 2, 2), oval(1, 1, 0.01, 0.01)], []):
        fine = Image.new("L", (3 * SIZE, 3 * SIZE))
        for shape in shapes:
            x, y, w = art.pose @ np.vstack([shape.T, np.ones(len(shape))])
            ImageDraw.Draw(fine).polygon([*zip(3 * x / w, 3 * y / w, strict=True)], fill=255)
        wanted = np.asarray(fine.reduce(3), np.float32) / 255
        assert wanted.any() == bool(shapes)
        np.testing.assert_array_equal(art.mask(*shapes), wanted)


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_demo(tmp_path / "demo", per_kind=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_drawn_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        draw_demo(tmp_path)
