"""A place in what the model sees is the right place of the picture, whatever the geometry."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from analyze.explanation.placement import Placement, peak_of, place_of, spread
from extract.transforms.preprocessing import Preprocessing

SIZES = ((300, 200), (200, 300), (97, 411), (640, 640), (31, 30))


def seen(resize: str, size: int = 224, crop_pct: float = 0.875) -> Preprocessing:
    crop_pct = crop_pct if resize == "crop" else 1.0
    return Preprocessing(size, resize, crop_pct, "bilinear", (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_bright_bars_come_back_to_their_place(resize: str, size: tuple[int, int]) -> None:
    """Each bar's middle in what the model sees, by its brightness, leads back to where it was."""
    wanted, (width, height) = seen(resize), size
    place = place_of(wanted, width, height)
    for axis, length in enumerate((width, height)):
        first, end = [(place.left, place.right), (place.top, place.bottom)][axis]
        thick = max(1, length // 12)
        for at in np.linspace(max(first, 0), min(end, length) - thick, 4)[1:3].astype(int).tolist():
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[(slice(None), slice(at, at + thick)) if axis == 0 else slice(at, at + thick)] = (
                255
            )
            out = wanted.placed(Image.fromarray(pixels)).astype(float)[..., 0]
            if resize == "pad":  # the ground is white too
                out[:, _outside(place.left, place.right, width)] = 0
                out[_outside(place.top, place.bottom, height)] = 0
            profile = out.sum(axis=axis)
            middle = (profile * (np.arange(224) + 0.5)).sum() / profile.sum()
            back = first + middle * (end - first) / 224
            assert back == pytest.approx(at + thick / 2, abs=max(0.6, 1.2 * (end - first) / 224))


def _outside(first: float, end: float, length: int) -> np.ndarray:
    middles = first + (np.arange(224) + 0.5) * (end - first) / 224
    return (middles < 0) | (middles > length)


def test_boxes_are_those_reckoned_by_hand() -> None:
    assert place_of(seen("crop"), 512, 256) == Placement(144, 16, 368, 240, 512, 256)
    assert place_of(seen("squash"), 448, 112) == Placement(0, 0, 448, 112, 448, 112)
    assert place_of(seen("pad"), 448, 224) == Placement(0, -112, 448, 336, 448, 224)


def test_peak_is_the_middle_of_the_highest_cell_on_the_picture() -> None:
    cells = np.zeros((7, 7))
    cells[2, 5] = 1
    assert peak_of(cells, Placement(144, 16, 368, 240, 512, 256)) == (144 + 176, 16 + 80)
    padded = Placement(0, -112, 448, 336, 448, 224)
    cells[0, 0] = 2  # on the padding
    assert peak_of(cells, padded) == (352, 48)
    corner = np.zeros((2, 2))
    corner[1, 1] = 1
    assert peak_of(corner, Placement(0, 0, 1, 1, 1, 1)) == (0, 0)


def test_spread_is_linear_between_middles_and_absent_where_nothing_was_seen() -> None:
    cells = np.array([[0.0, 4.0]])
    drawn = spread(cells, Placement(2, 0, 6, 2, 8, 2), 8, 2)
    assert drawn.shape == (2, 8)
    assert np.isnan(drawn[:, [0, 1, 6, 7]]).all()
    np.testing.assert_allclose(drawn[0, 2:6], [0, 1, 3, 4])  # middles of the cells at 3 and 5
    half = spread(cells, Placement(2, 0, 6, 2, 8, 2), 4, 1)
    np.testing.assert_allclose(half[0, 1:3], [0, 4])
