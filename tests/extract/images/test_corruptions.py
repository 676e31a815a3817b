"""Corruptions: each does what its name says, more of it with each severity, and the same again."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from extract.errors import UsageError
from extract.images.augmentation import View, augment, find_policy
from extract.images.corruptions import (
    FAMILIES,
    N_SEVERITIES,
    Corruption,
    corrupt,
    find_ground,
)

SHA = hashlib.sha256(b"a picture").digest()
BOX = (8, 0, 48, 64)


@pytest.fixture
def pixels() -> np.ndarray:
    """A product of soft blocks on a plain light ground, above and below it white padding."""
    blocks = np.random.default_rng(0).integers(30, 200, (5, 6, 3), dtype=np.uint8)
    product = np.asarray(Image.fromarray(blocks).resize((40, 28), Image.Resampling.BICUBIC))
    square = np.full((64, 64, 3), 255, np.uint8)
    square[8:56] = 240
    square[18:46, 12:52] = product
    return square


def made(pixels: np.ndarray, family: str, severity: int, sha: bytes = SHA) -> np.ndarray:
    found = corrupt(pixels, Corruption(family, severity), sha, box=BOX)
    assert found is not None
    return found.astype(int)


def changed(pixels: np.ndarray, family: str, severity: int) -> float:
    return float(np.abs(made(pixels, family, severity) - pixels).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_and_content_give_the_same_bits_and_a_picture_of_its_own(
    pixels: np.ndarray, family: str
) -> None:
    before = pixels.copy()
    one = made(pixels, family, 3)
    np.testing.assert_array_equal(one, made(pixels, family, 3))
    np.testing.assert_array_equal(pixels, before)
    assert one.shape == pixels.shape
    assert np.abs(one - pixels).max() > 3


@pytest.mark.parametrize("family", FAMILIES)
def test_severities_change_more_and_more(pixels: np.ndarray, family: str) -> None:
    n_ordered = FAMILIES[family].n_ordered
    by = [changed(pixels, family, s) for s in range(1, N_SEVERITIES + 1)][:n_ordered]
    if family in ("rotation", "crop"):  # of blocks, pixels no longer tell
        by = by[:2]
    assert (np.diff(by) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_is_no_part_of_the_picture(pixels: np.ndarray, family: str) -> None:
    outside = np.ones((64, 64), bool)
    outside[8:56] = False
    if not FAMILIES[family].with_padding:
        assert (made(pixels, family, 5)[outside] == 255).all()


def test_noise_has_the_sigma_of_its_severity_and_draws_of_its_own(pixels: np.ndarray) -> None:
    gray = np.full((64, 64, 3), 128, np.uint8)
    noise = (made(gray, "noise", 2) - 128)[8:56]
    assert noise.std() == pytest.approx(0.12 * 255, rel=0.03)
    assert abs(noise.mean()) < 1
    other = (made(gray, "noise", 2, hashlib.sha256(b"b").digest()) - 128)[8:56]
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.05


def test_light_shifts_the_value_and_keeps_the_hue() -> None:
    orange = np.full((64, 64, 3), (150, 100, 50), np.uint8)
    shas = [hashlib.sha256(bytes([i])).digest() for i in range(8)]
    found = {tuple(made(orange, "light", 1, sha)[30, 30]) for sha in shas}
    shift = 0.1 * 255
    wanted = {tuple(np.rint(np.array([150, 100, 50]) * (150 + s) / 150)) for s in (shift, -shift)}
    assert found == wanted
    black = made(np.zeros((64, 64, 3), np.uint8), "light", 5)[30, 30]
    assert set(black) in ({0}, {128})


def test_turned_and_mirrored_pictures_are_those_of_numpy(pixels: np.ndarray) -> None:
    assert np.abs(made(pixels, "rotation", 5) - pixels[::-1, ::-1]).max() <= 1
    quarter = made(pixels, "rotation", 4)
    assert min(np.abs(quarter - np.rot90(pixels, k)).max() for k in (1, 3)) <= 1
    np.testing.assert_array_equal(made(pixels, "flip", 1), pixels[:, ::-1])
    np.testing.assert_array_equal(made(pixels, "flip", 4), pixels.swapaxes(0, 1))
    np.testing.assert_array_equal(made(pixels, "flip", 5), np.rot90(pixels, 2).swapaxes(0, 1))


def test_border_shrinks_the_picture_and_crop_enlarges_a_part(pixels: np.ndarray) -> None:
    framed = made(pixels, "border", 5)
    dark = np.argwhere(framed[:, :, 0] < 225)
    assert np.abs(np.ptp(dark, axis=0) + 1 - (14, 20)).max() <= 2  # half of 28 and of 40
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, axis=0)
    cut = made(np.repeat(ramp, 3, axis=2), "crop", 5)[32, :, 0]
    assert (cut[-4] - cut[3]) / (255 * 57 / 64) == pytest.approx(0.6, abs=0.02)


def test_background_changes_the_ground_alone_and_only_where_there_is_one(
    pixels: np.ndarray,
) -> None:
    inside = made(pixels, "background", 5)[8:56]
    ground = inside[:4].reshape(-1, 3)
    assert np.ptp(ground, axis=0).max() == 0
    assert ground[0].max() == round(255 * 0.75)
    np.testing.assert_array_equal(inside[14:34, 16:48], pixels[22:42, 16:48])
    half = made(pixels, "background", 2)[8:12].reshape(-1, 3)[0]
    assert half == pytest.approx(240 + 0.4 * (ground[0] - 240), abs=1)
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for nothing in (noise, np.full((64, 64, 3), 200, np.uint8)):
        assert corrupt(nothing, Corruption("background", 3), SHA, box=BOX) is None


def test_white_inside_a_product_is_no_ground(pixels: np.ndarray) -> None:
    pixels[28:36, 24:40] = 240
    found = find_ground(pixels[8:56])
    assert found is not None
    color, mask = found
    assert color == pytest.approx([240] * 3)
    assert not mask[20:28, 24:40].any()
    assert mask[:10].all()


def test_cast_takes_from_one_end_of_the_spectrum() -> None:
    white = np.full((64, 64, 3), 200, np.uint8)
    shas = [hashlib.sha256(bytes([i])).digest() for i in range(8)]
    found = {tuple(made(white, "cast", 3, sha)[30, 30]) for sha in shas}
    assert found == {(200, 170, 140), (140, 170, 200)}


def test_tiny_parts_are_no_problem() -> None:
    sliver = np.full((64, 64, 3), 90, np.uint8)
    for family in FAMILIES:
        for severity in (1, 5):
            corrupt(sliver, Corruption(family, severity), SHA, box=(31, 0, 2, 64))


def test_views_draw_from_the_families_that_are_named(pixels: np.ndarray) -> None:
    seen = [augment(pixels, View("corrupted-1:flip", 0, i), SHA) for i in range(1, 12)]
    flips = [FAMILIES["flip"].corrupt(pixels, how, np.random.default_rng(0)) for how in
             FAMILIES["flip"].amounts]  # fmt: skip
    drawn = {next(k for k, flip in enumerate(flips) if np.array_equal(flip, view)) for view in seen}
    assert len(drawn) >= 3
    assert find_policy("corrupted-1").corruptions == tuple(FAMILIES)
    for wrong in ("corrupted-1:nose", "corrupted-1:blur+blur", "catalog-1:blur", "noise", "x:y"):
        with pytest.raises(UsageError):
            find_policy(wrong)


def test_wrong_severity_and_family_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        Corruption("noise", 6)
    with pytest.raises(UsageError, match="noise, light"):
        Corruption("fog", 1)
