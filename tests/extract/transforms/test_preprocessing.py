"""Geometry: what is cut off, squeezed or padded is what was asked for, and is told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from timm.data import create_transform
from torchvision.transforms.functional import normalize, to_tensor

from extract.backbones.image_processors import read_preprocessing
from extract.errors import UsageError, WeightsError
from extract.transforms.pillow_geometry import FILTERS, placed_by_pillow, share_seen
from extract.transforms.preprocessing import RESIZES, ROUNDINGS, Preprocessing

PLAIN = Preprocessing(64, "crop", 0.875, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture
def oblong() -> Image.Image:
    """Twice as wide as high: red left, blue right, green between, with some texture."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :50, 0] = pixels[:, 150:, 2] = pixels[:, 50:150, 1] = 200
    pixels += np.random.default_rng(0).integers(0, 40, pixels.shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def seen(preprocessing: Preprocessing, picture: Image.Image) -> np.ndarray:
    return preprocessing.transform()(picture).numpy()


def test_crop_loses_the_sides_and_keeps_the_aspect(oblong: Image.Image) -> None:
    red, green, blue = seen(PLAIN, oblong)
    assert red.max() < 0.4 > blue.max()
    assert green.min() > 0.7


def test_squash_keeps_everything_and_is_pillows_own_resize(oblong: Image.Image) -> None:
    """The founding recipe for VGG16: 224 x 224 whatever the aspect."""
    got = seen(PLAIN.resized("squash"), oblong)
    expected = np.asarray(oblong.resize((64, 64), Image.Resampling.BICUBIC)) / 255
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1), atol=1e-6)
    assert got[0, :, 0].min() > 0.7 < got[2, :, -1].min()


def test_pad_keeps_everything_and_the_aspect_on_white(oblong: Image.Image) -> None:
    got = seen(PLAIN.resized("pad"), oblong)
    inside = np.asarray(oblong.resize((64, 32), Image.Resampling.BICUBIC)) / 255
    np.testing.assert_allclose(got[:, 16:48], inside.transpose(2, 0, 1), atol=1e-6)
    assert (got[:, :16] == 1).all()
    assert (got[:, 48:] == 1).all()


@pytest.mark.parametrize("side", [64, 65])
def test_pad_of_a_square_is_squash_of_a_square(side: int, oblong: Image.Image) -> None:
    square = oblong.crop((20, 0, 20 + side, side))
    pad, squash = (seen(PLAIN.resized(way), square) for way in ("pad", "squash"))
    np.testing.assert_array_equal(pad, squash)


def test_model_is_timms_own_transform(oblong: Image.Image) -> None:
    own = create_transform(
        (3, 64, 64), is_training=False, crop_pct=0.875, mean=(0, 0, 0), std=(1, 1, 1),
        interpolation="bicubic",
    )  # fmt: skip
    np.testing.assert_array_equal(seen(PLAIN.resized("model"), oblong), own(oblong).numpy())


@pytest.mark.parametrize(
    ("resize", "crop_pct", "expected"),
    [
        ("crop", 0.875, ("pad", 73)),  # a square picture is as large as it was before it was cut
        ("crop", 1.0, ("pad", 64)),  # the sides of what is not square were cut all the same
        ("squash", 0.9, ("pad", 71)),
        ("squash", 1.0, ("squash", 64)),
        ("pad", 1.0, ("pad", 64)),
    ],
)
def test_auto_pads_but_where_the_weights_own_transform_shows_the_whole_picture(
    resize: str, crop_pct: float, expected: tuple[str, int]
) -> None:
    own = replace(PLAIN, resize=resize, crop_pct=crop_pct)
    auto = own.resized("auto", any_size=True)
    assert (auto.resize, auto.size) == expected
    fixed = own.resized("auto")
    assert (fixed.resize, fixed.size) == (expected[0], 64)
    for one in (auto, fixed):
        assert one.shows_whole
        assert one.resized("auto", any_size=True) == one


def test_a_square_picture_is_the_same_before_auto_pads_it_and_before_a_crop_cuts_it() -> None:
    rng = np.random.default_rng(0)
    square = Image.fromarray(rng.integers(0, 256, (90, 90, 3), dtype=np.uint8))
    whole = PLAIN.resized("auto", any_size=True).placed(square)
    np.testing.assert_array_equal(PLAIN.placed(square), whole[4:68, 4:68])


def test_geometry_is_told_apart_and_unknown_ones_are_refused() -> None:
    ways = [PLAIN.resized(way) for way in ("model", "squash", "pad")]
    assert len({str(way.geometry) for way in ways}) == 3
    assert ways[1].crop_pct == 1
    assert ways[1].resized("crop").crop_pct == 0.875
    with pytest.raises(UsageError, match="choose auto, model, crop, squash, pad"):
        PLAIN.resized("stretch")
    with pytest.raises(ValueError, match="rounding must be one of timm, pillow, torchvision"):
        replace(PLAIN, rounding="down")
    assert "rounding" not in PLAIN.geometry
    down = replace(PLAIN, rounding="pillow")
    assert down.geometry["rounding"] == "pillow"
    assert down.resized("auto").geometry == PLAIN.resized("auto").geometry
    with pytest.raises(ValueError, match="resize must be one of"):
        Preprocessing(64, "stretch", 1.0, "bicubic", (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0])
def test_seen_share_is_what_the_transform_leaves_of_the_area(resize: str, crop_pct: float) -> None:
    """Every pixel of a ramp is another color, so that what is left can be counted."""
    wanted = replace(PLAIN, resize=resize, crop_pct=crop_pct)
    sizes = np.array([(64, 64), (64, 200), (300, 64), (90, 91), (640, 480)])
    for (height, width), share in zip(sizes, wanted.seen_share(sizes), strict=True):
        down, across = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        ramp = np.stack([255 * down / height, 255 * across / width, 0 * down], axis=-1)
        left = wanted.placed(Image.fromarray(ramp.round().astype(np.uint8))).astype(float)
        inside = left[..., 2] < 128  # padding is white
        n_seen = np.array([inside.any(axis=1).sum(), inside.any(axis=0).sum()])
        # from the middle of the first pixel to that of the last: one pixel less than is seen
        kept = np.ptp(left[inside][:, :2], axis=0) / 255 * n_seen / (n_seen - 1)
        assert kept.prod() == pytest.approx(share, abs=0.05), (resize, height, width)


def test_just_half_of_a_picture_is_not_less_than_half() -> None:
    wanted = replace(PLAIN, crop_pct=1.0)
    sizes = np.array([(100, 200), (200, 100), (100, 201), (33, 66)])
    assert (wanted.seen_share(sizes) < 0.5).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    "changed",
    [
        {"do_resize": False},
        {"do_rescale": False},
        {"rescale_factor": 1 / 127.5},
        {"size": {"height": 64, "width": 32}},
        {"size": {"shortest_edge": 64}},
    ],
    ids=str,
)
def test_what_a_processor_does_beside_that_is_refused(changed: dict[str, Any]) -> None:
    processor = transformers.ViTImageProcessor(**{"size": {"height": 64, "width": 64}, **changed})
    with pytest.raises(WeightsError, match=r"not built here.*timm:NAME"):
        read_preprocessing(processor, "acme/x")


def test_a_processors_unnamed_step_shows_in_its_pixels() -> None:
    class Brighter(transformers.ViTImageProcessor):
        def rescale_and_normalize(self, images: torch.Tensor, *rest: Any) -> torch.Tensor:
            return super().rescale_and_normalize(images, *rest) + 0.01

    with pytest.raises(WeightsError, match=r"Brighter: a step without a name.*timm:NAME"):
        read_preprocessing(Brighter(size={"height": 64, "width": 64}), "acme/x")


def test_transform_gives_float32() -> None:
    picture = Image.new("RGB", (70, 80), "white")
    assert PLAIN.transform()(picture).dtype == torch.float32


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
@pytest.mark.parametrize("size", [(200, 100), (37, 91), (64, 64), (5, 3)], ids=str)
def test_placed_and_normalised_is_the_transform_bit_for_bit(
    resize: str, size: tuple[int, int]
) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    wanted = Preprocessing(48, resize, 0.9, "bicubic", mean, std)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    placed = wanted.placed(Image.fromarray(noise))
    assert (placed.shape, placed.dtype, placed.flags.c_contiguous) == ((48, 48, 3), np.uint8, True)
    whole = wanted.transform()(Image.fromarray(noise))
    assert torch.equal(normalize(to_tensor(placed), mean, std), whole)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("interpolation", FILTERS)
def test_pillow_alone_gives_the_pixels_of_the_transform(resize: str, interpolation: str) -> None:
    noise, mean = np.random.default_rng(0), (0.5, 0.5, 0.5)
    for i, size in enumerate([(1, 1), (1, 90), (90, 1), (3, 200), (57, 91), (48, 48), (49, 47)]):
        crop_pct = (0.875, 1.0, 0.95, 1.2)[i % 4]
        rounding = ROUNDINGS[i % 3 if resize != "pad" else 0]
        wanted = Preprocessing(48, resize, crop_pct, interpolation, mean, mean, rounding)
        picture = Image.fromarray(noise.integers(0, 256, (*size, 3), np.uint8))
        placed = placed_by_pillow(picture, wanted)
        np.testing.assert_array_equal(np.asarray(placed), wanted.placed(picture))


@pytest.mark.parametrize(
    ("resize", "crop_pct", "share"),
    [("crop", 0.875, 0.875**2 / 4), ("crop", 1, 1 / 4), ("squash", 0.8, 0.64), ("pad", 1, 1)],
)
def test_share_that_is_seen_is_that_of_the_area(resize: str, crop_pct: float, share: float) -> None:
    wanted = Preprocessing(224, resize, crop_pct, "bicubic", (0.5,) * 3, (0.5,) * 3)
    for size in ((400, 100), (100, 400)):
        assert share_seen(Image.new("RGB", size), wanted) == pytest.approx(share, rel=0.01)
