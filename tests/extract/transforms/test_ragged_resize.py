"""A ragged batch equals Pillow picture by picture; chroma is as if it had been interpolated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from extract.transforms import ragged_resize
from extract.transforms.preprocessing import RESIZES, ROUNDINGS, Preprocessing
from extract.transforms.ragged_resize import plan_axes, resize_ragged, resizes_raggedly, weights

SIZES = [
    *[(120, 120), (120, 90), (90, 120), (121, 119), (64, 64), (65, 75), (50, 40), (56, 150)],
    *[(450, 337), (160, 25), (500, 75), (17, 33), (333, 120), (62, 63)],
    *[(1, 1), (1, 60), (90, 1), (300, 4), (2, 1), (56, 56), (55, 57), (47, 20)],
]
"""Width and height: shrunk and enlarged, wide and tall, odd and even, unchanged, a pixel wide."""


def geometry(resize: str, interpolation: str = "bicubic", crop_pct: float = 0.875) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    return Preprocessing(56, resize, crop_pct, interpolation, half, half)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng([seed, width, height])
    coarse = rng.integers(0, 256, (max(2, height // 6), max(2, width // 6), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)


def tensor_of(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


@pytest.mark.parametrize("crop_pct", [0.875, 1.0, 0.95, 1.2])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", RESIZES)
def test_pictures_of_many_sizes_equal_pillows(
    resize: str, interpolation: str, crop_pct: float
) -> None:
    rounding = ROUNDINGS[round(20 * crop_pct) % 3 if resize != "pad" else 0]
    wanted = replace(geometry(resize, interpolation, crop_pct), rounding=rounding)
    pictures = [noise(*size) for size in SIZES]
    placed = resize_ragged([tensor_of(p) for p in pictures], wanted)
    assert placed.shape == (len(SIZES), 56, 56, 3)
    assert placed.is_contiguous()
    for size, picture, got in zip(SIZES, pictures, placed.numpy().astype(int), strict=True):
        apart = np.abs(got - wanted.placed(picture))
        # of scales like 15 / 8 many sums end in exactly one half, and fall either way
        assert apart.max() <= 2, size
        assert (apart > 0).mean() < 0.05, size


def test_groups_change_nothing_and_never_hold_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = geometry("crop")
    pictures = [tensor_of(noise(*size)) for size in SIZES]
    together = resize_ragged(pictures, wanted)
    monkeypatch.setattr(ragged_resize, "MOST_PADDED", 120_000)
    packed = []
    pack = ragged_resize._pack

    def watched(*words: object) -> torch.Tensor:
        packed.append(pack(*words))  # type: ignore[arg-type]
        return packed[-1]

    monkeypatch.setattr(ragged_resize, "_pack", watched)
    assert torch.equal(resize_ragged(pictures, wanted), together)
    assert len(packed) > 3
    assert all(len(group) == 1 or group.numel() < 150_000 for group in packed)
    assert sum(map(len, packed)) == len(SIZES)


def test_a_picture_of_one_color_keeps_it() -> None:
    for level in (0, 1, 127, 254, 255):
        picture = torch.full((3, 91, 77), level, dtype=torch.uint8)
        assert (resize_ragged([picture], geometry("crop")) == level).all()


def test_ground_is_where_the_reference_has_it_and_nowhere_else() -> None:
    """Pictures of one gray on white or black: an edge a pixel off would show."""
    for wanted in (geometry("pad", crop_pct=1.0), geometry("pad"), geometry("crop", crop_pct=1.3)):
        for size in SIZES:
            picture = Image.new("RGB", size, (90, 90, 90))
            got = resize_ragged([tensor_of(picture)], wanted)[0].numpy()
            np.testing.assert_array_equal(got, wanted.placed(picture), str(size))


def test_every_pixel_is_a_mean_whether_ground_is_laid_over_it_or_not() -> None:
    wanted = geometry("pad", crop_pct=1.0)
    columns = [plan_axes(wanted, 90, width)[1] for width in (1, 20, 33, 90, 300)]
    of_each = weights(columns, 304, wanted, torch.device("cpu"))
    torch.testing.assert_close(of_each.sum(2), torch.ones(5, 56))


def test_filters_that_have_no_matrix_here_are_left_to_the_reference() -> None:
    for resize in RESIZES:
        assert resizes_raggedly(geometry(resize))
        assert resizes_raggedly(geometry(resize, "bilinear", crop_pct=1.2))
        assert not resizes_raggedly(geometry(resize, "lanczos"))


def interpolated(values: np.ndarray, length: int) -> np.ndarray:
    """Double the last axis as libjpeg does: 3/4 of the nearer value, 1/4 of the farther."""
    wide = np.repeat(values, 2, axis=-1)
    padded = np.concatenate([values[..., :1], values, values[..., -1:]], axis=-1)
    farther = np.empty_like(wide)
    farther[..., ::2], farther[..., 1::2] = padded[..., :-2], padded[..., 2:]
    return (0.75 * wide + 0.25 * farther)[..., :length]


def rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> Image.Image:
    green = luma - 0.344136 * blue - 0.714136 * red
    planes = np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], -1)
    return Image.fromarray(np.clip(planes + 0.5, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("sampling", [(2, 2), (1, 2)])
@pytest.mark.parametrize("size", [(120, 120), (121, 90), (95, 131), (300, 181), (57, 41), (99, 64)])
def test_repeated_chroma_becomes_interpolated(
    size: tuple[int, int], sampling: tuple[int, int]
) -> None:
    """The mended picture is what interpolating before the resize gives, at its edges too."""
    width, height = size
    down, across = sampling
    rng = np.random.default_rng(size)
    luma = np.asarray(noise(width, height).convert("L")) * 0.3 + 90.0
    chroma = rng.uniform(-35, 35, (2, -(-height // down), -(-width // across)))
    smooth = interpolated(chroma, width)
    if down == 2:
        smooth = interpolated(smooth.swapaxes(1, 2), height).swapaxes(1, 2)
    blocky = chroma.repeat(down, 1).repeat(across, 2)[:, :height, :width]
    wanted = geometry("squash", crop_pct=1.0)
    expected = wanted.placed(rgb(luma, *smooth)).astype(int)
    repeated = tensor_of(rgb(luma, *blocky))
    mended = resize_ragged([repeated], wanted, [sampling])[0].numpy().astype(int)
    left = resize_ragged([repeated], wanted)[0].numpy().astype(int)
    assert np.abs(mended - expected).max() <= 3
    assert np.abs(mended - expected).mean() < 0.4
    assert np.abs(mended - expected).mean() < 0.75 * np.abs(left - expected).mean()


def test_samplings_of_one_batch_are_kept_apart() -> None:
    wanted = geometry("crop")
    pictures = [tensor_of(noise(*size)) for size in SIZES]
    samplings = [[(1, 1), (2, 2), (1, 2)][i % 3] for i in range(len(SIZES))]
    together = resize_ragged(pictures, wanted, samplings)
    for picture, sampling, got in zip(pictures, samplings, together, strict=True):
        alone = resize_ragged([picture], wanted, [sampling])[0]
        assert (alone.int() - got.int()).abs().max() <= 1
    plain = resize_ragged(pictures, wanted)
    assert torch.equal(together[::3], plain[::3])
    assert not torch.equal(together[1::3], plain[1::3])
