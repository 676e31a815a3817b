"""ICC profiles: colors as they were meant, and pictures in sRGB untouched."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from every_decoder import SEEN, pixels
from icc_profiles import (
    cmyk_profile,
    gray_profile,
    profile,
    rgb_profile,
    srgb_of_gray,
    srgb_of_inks,
    srgb_of_rgb,
)
from PIL import Image, ImageCms

from extract.formats import color_profiles
from extract.formats.color_profiles import MOST_PROFILE, find_profile
from extract.formats.jpeg_screening import MOST_HEADER, plain_jpeg
from extract.images import fast_jpeg as jpeg
from extract.images.decoders import prepare_picture
from extract.images.decoding import READING, decode_picture
from extract.images.gpu_decoding import decode_on_gpu
from tests.faults import picture_bytes as pb

RAMP = np.linspace(0, 255, 48).round().astype(np.uint8)
COLORS = np.stack(np.broadcast_arrays(RAMP[None], RAMP[::-1, None], RAMP[:, None] // 2), -1).astype(
    np.uint8
)
GRAY = np.broadcast_to(RAMP, (48, 48)).copy()
WIDE = rgb_profile()
SMALLER_GAMMA = 1.8


def screened(content: bytes) -> bool:
    return plain_jpeg(content[:MOST_HEADER], content[-2:]) is not None


def own_srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


LOSSLESS = {
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_wide_colors_become_srgb_in_every_format(kind: str) -> None:
    content = pb.saved(Image.fromarray(COLORS), kind, icc_profile=WIDE, **LOSSLESS[kind])
    got, expected = pixels(content), srgb_of_rgb(COLORS)
    assert np.abs(expected - COLORS).max() > 40
    assert np.abs(got - expected).mean() < (2.5 if kind == "AVIF" else 0.7)


def test_wide_colors_become_srgb_in_jpeg_whatever_decodes_it() -> None:
    picture = Image.fromarray(COLORS)
    for options in ({}, {"progressive": True}):
        content = pb.saved(picture, "JPEG", icc_profile=WIDE, quality=100, subsampling=0, **options)
        assert np.abs(pixels(content) - srgb_of_rgb(COLORS)).mean() < 2
        assert not screened(content)
        made = prepare_picture(content, (SEEN,), "fast")
        assert (made.decoder, made.resize, made.reading) == ("reference", "torchvision", READING)
    _, left_out = decode_on_gpu([content], SEEN, torch.device("cpu"), "torchvision")
    assert left_out == [0]


def test_transparent_and_palette_pictures_are_converted_before_they_are_laid_on_white() -> None:
    alpha = np.where(np.arange(48) < 24, 255, 0)[:, None].repeat(48, 1).astype(np.uint8)
    expected = np.where(alpha[..., None] > 0, srgb_of_rgb(COLORS), 255)
    content = pb.saved(Image.fromarray(np.dstack([COLORS, alpha])), "PNG", icc_profile=WIDE)
    assert np.abs(pixels(content) - expected).max() <= 2
    colored = Image.new("P", (8, 8), 1)
    colored.putpalette([0, 0, 0, 200, 60, 20])
    got = pixels(pb.saved(colored, "PNG", icc_profile=WIDE))
    assert np.abs(got - srgb_of_rgb(np.array([200, 60, 20]))).max() <= 1


def test_gray_profiles_are_applied_to_gray_alone() -> None:
    icc = gray_profile(SMALLER_GAMMA)
    expected = srgb_of_gray(GRAY, SMALLER_GAMMA)
    for kind in ("PNG", "TIFF"):
        assert (
            np.abs(pixels(pb.saved(Image.fromarray(GRAY), kind, icc_profile=icc)) - expected).max()
            <= 1
        )
        deep = Image.fromarray(GRAY.astype(np.uint16) * 257)
        assert np.abs(pixels(pb.saved(deep, kind, icc_profile=icc)) - expected).max() <= 1
    jpeg_of_gray = pb.saved(Image.fromarray(GRAY), "JPEG", icc_profile=icc, quality=100)
    assert np.abs(pixels(jpeg_of_gray) - expected).max() <= 4
    assert (pixels(pb.saved(Image.fromarray(COLORS), "PNG", icc_profile=icc)) == COLORS).all()


def test_inks_become_what_the_press_would_print() -> None:
    steps = np.arange(0, 256, 51)
    inks = np.array(
        [
            [step, *rest]
            for step in steps
            for rest in ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
        ]
    )
    inks = np.concatenate([np.roll(inks, turn, axis=1) for turn in range(4)]).astype(np.uint8)
    sheet = inks.repeat(8, 0)[:, None].repeat(8, 1)
    expected = srgb_of_inks(inks).repeat(8, 0)[:, None].repeat(8, 1)
    picture = Image.frombytes("CMYK", (8, len(sheet)), sheet.tobytes())
    for kind, on_average in (("TIFF", 0.2), ("JPEG", 2)):
        options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
        got = pixels(pb.saved(picture, kind, icc_profile=cmyk_profile(), **options))
        assert np.abs(got - expected).mean() <= on_average, kind
        assert np.abs(got - expected).max() <= 12, kind  # at the edge of sRGB
    without = np.asarray(decode_picture(pb.saved(picture, "TIFF"))).astype(int)
    assert np.abs(without - expected).mean() > 20


def test_profiles_that_cannot_be_believed_are_passed_over() -> None:
    swapped = {
        "cut": WIDE[:200],
        "empty": b"",
        "noise": np.random.default_rng(0).bytes(600),
        "no tags": profile(b"RGB ", {}),
        "of gray": gray_profile(1.5),
        "of inks": cmyk_profile(),
        "a link between devices": WIDE[:12] + b"link" + WIDE[16:],
        "longer than any": WIDE + bytes(MOST_PROFILE),
    }
    for name, icc in swapped.items():
        assert find_profile(icc, "RGB") is None, name
        content = pb.saved(Image.fromarray(COLORS), "JPEG", quality=95)
        if len(icc) < 60_000:
            part = pb.segment(0xE2, b"ICC_PROFILE\0\1\1" + icc)
            with_it = pb.jpeg_with(content, part)
            assert (pixels(with_it) == pixels(content)).all(), name
    parts = [pb.segment(0xE2, b"ICC_PROFILE\0" + bytes([i, 3]) + WIDE[100 * i :]) for i in (1, 2)]
    assert (pixels(pb.jpeg_with(content, *parts)) == pixels(content)).all()


def test_a_profile_in_several_segments_is_put_together() -> None:
    half = len(WIDE) // 2
    parts = [
        pb.segment(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, 2]) + part)
        for i, part in enumerate((WIDE[:half], WIDE[half:]))
    ]
    plain = pb.saved(Image.fromarray(COLORS), "JPEG", quality=100, subsampling=0)
    for order in (parts, parts[::-1]):
        content = pb.jpeg_with(plain, *order)
        assert np.abs(pixels(content) - srgb_of_rgb(COLORS)).mean() < 2
        assert not screened(content)


@pytest.mark.skipif(jpeg._simplejpeg() is None, reason="no simplejpeg")
def test_a_picture_in_srgb_keeps_its_pixels_and_its_fast_path() -> None:
    plain = pb.saved(Image.fromarray(COLORS), "JPEG", quality=90)
    stored = np.asarray(Image.open(io.BytesIO(plain)))
    seen = prepare_picture(plain, (SEEN,), "fast").pixels[SEEN]
    for icc in (own_srgb(), None):
        content = pb.saved(Image.fromarray(COLORS), "JPEG", quality=90, icc_profile=icc)
        assert (pixels(content) == stored).all()
        made = prepare_picture(content, (SEEN,), "fast")
        assert (made.decoder, made.reading) == ("fast", None)
        assert (made.pixels[SEEN] == seen).all()
        assert screened(content)


def test_a_profile_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    color_profiles._profile.cache_clear()
    content = pb.saved(Image.fromarray(COLORS), "PNG", icc_profile=rgb_profile(gamma=2.0))
    for _ in range(3):
        decode_picture(content)
    assert color_profiles._profile.cache_info().misses == 1
