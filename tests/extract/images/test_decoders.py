"""Fast decoders: the pixels of the reference before the resize, and its refusals always."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, features

from extract.images import decoders, decoding
from extract.images import fast_jpeg as jpeg
from extract.images.decoders import DECODERS, PreparedPicture, prepare_picture
from extract.images.decoding import decode_picture, opened_picture
from extract.images.memory_limits import picture_memory
from extract.refusals import Reason, Refused
from extract.transforms.fast_geometry import upright
from extract.transforms.preprocessing import Preprocessing
from tests.faults import picture_bytes as pb
from tests.faults import picture_cases as corpus

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of Pillow, on broken tags
    pytest.mark.skipif(jpeg._simplejpeg() is None, reason="no simplejpeg"),
    pytest.mark.skipif(not features.check("libjpeg_turbo"), reason="Pillow has another libjpeg"),
]

SCALE = (0.5, 0.5, 0.5)
SMALL = Preprocessing(32, "crop", 0.875, "bicubic", SCALE, SCALE)
LARGER = Preprocessing(96, "squash", 1.0, "bilinear", SCALE, SCALE)


def fast_pixels(content: bytes) -> np.ndarray | None:
    """Give what a fast decoder makes of a JPEG, upright; None where it is left to Pillow."""
    with opened_picture(content) as opened:
        if not jpeg.is_plain(opened.picture, content):
            return None
        stored = jpeg.decode_plain(content, opened.picture.size)
        return None if stored is None else upright(stored, opened.orientation)


def outcome(content: bytes, decoder: str) -> PreparedPicture | Reason:
    try:
        return prepare_picture(content, (SMALL,), decoder)
    except Refused as refused:
        return refused.reason


def assert_as_reference(content: bytes, what: object) -> str:
    """Hold all decoders against the reference; say what the fast one came to."""
    expected = outcome(content, "reference")
    light = outcome(content, "light")
    if isinstance(expected, Reason) or isinstance(light, Reason):
        assert light == expected, what
    else:
        assert light.resize == "pillow"
        np.testing.assert_array_equal(light.pixels[SMALL], expected.pixels[SMALL], str(what))
    for decoder in ("fast", "scaled"):
        got = outcome(content, decoder)
        if isinstance(expected, Reason) or isinstance(got, Reason):
            assert got == expected, what
            continue
        assert np.abs(got.pixels[SMALL].astype(int) - expected.pixels[SMALL]).max() <= 2, what
        fast = fast_pixels(content)
        assert (fast is None) == (got.decoder == "reference"), what
        if fast is not None:
            np.testing.assert_array_equal(fast, np.asarray(decode_picture(content)), str(what))
    return expected.code if isinstance(expected, Reason) else got.decoder


def gradient(width: int, height: int) -> Image.Image:
    """Draw what every smaller picture of it shows in the same place."""
    down, along = np.linspace(255, 0, height)[:, None], np.linspace(0, 255, width)[None]
    colors = np.broadcast_arrays(down, along, (down + along) / 2)
    return Image.fromarray(np.stack(colors, -1).round().astype(np.uint8))


def noisy(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    blocks = rng.integers(0, 256, (-(-height // 5), -(-width // 5), 3), np.uint8)
    picture = Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
    spread = rng.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + spread, 0, 255).astype(np.uint8))


def usual_jpegs() -> Iterator[tuple[str, bytes]]:
    import simplejpeg

    rng = np.random.default_rng(0)
    for width, height in [(1, 1), (1, 9), (8, 8), (17, 15), (33, 70), (201, 64)]:
        picture = noisy(rng, width, height)
        for subsampling in ("444", "422", "420", "440", "411"):
            encoded = simplejpeg.encode_jpeg(
                np.asarray(picture), quality=90, colorsubsampling=subsampling
            )
            yield f"{subsampling} {picture.size}", encoded
        for options in (
            {"progressive": True},
            {"progressive": True, "subsampling": 0, "quality": 100},
            {"optimize": True, "quality": 30},
            {"restart_marker_blocks": 1},
            {"restart_marker_rows": 1, "progressive": True},
            {"quality": 1},
        ):
            for mode in ("RGB", "L"):
                saved = pb.saved(picture.convert(mode), "JPEG", **options)
                yield f"{mode} {options} {picture.size}", saved
    for n in range(10):
        saved = pb.saved(noisy(rng, 50, 31), "JPEG", exif=b"Exif\0\0" + pb.exif(n, "<>"[n % 2]))
        yield f"orientation {n}", saved


def test_usual_jpegs_are_decoded_fast_to_pillows_own_pixels() -> None:
    for what, content in usual_jpegs():
        assert assert_as_reference(content, what) == "fast", what


def test_unusual_jpegs_are_left_to_pillow() -> None:
    picture = noisy(np.random.default_rng(1), 40, 30)
    plain = pb.saved(picture, "JPEG")
    adobe = pb.segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
    frame = plain.index(b"\xff\xc0")
    named_rgb = bytearray(pb.saved(picture, "JPEG", keep_rgb=True, subsampling=0))
    second = pb.saved(picture, "MPO", save_all=True, append_images=[picture])
    unusual = {
        "cmyk": pb.saved(picture.convert("CMYK"), "JPEG"),
        "cmyk progressive": pb.saved(picture.convert("CMYK"), "JPEG", progressive=True),
        "stored as RGB": bytes(named_rgb),
        "Adobe says RGB": pb.jpeg_with(plain, adobe),
        "two pictures": second,
        "said to be two": pb.jpeg_with(plain, pb.segment(0xE2, b"MPF\0" + bytes(20))),
        "arithmetic": plain[: frame + 1] + b"\xc9" + plain[frame + 2 :],
        "extended": plain[: frame + 1] + b"\xc1" + plain[frame + 2 :],
        "two frames": plain[:frame] + plain[frame : frame + 19] + plain[frame:],
        "no end": plain[:-2],
        "bytes between the scan and the end": plain[:-2] + b"abc" + plain[-2:],
    }
    for what, content in unusual.items():
        assert assert_as_reference(content, what) not in ("fast", "scaled"), what


def test_the_corpus_comes_to_the_same() -> None:
    groups = (corpus.orientations, corpus.broken_exif, corpus.jpeg_modes, corpus.not_pictures)
    came = [
        assert_as_reference(case.content, case.path)
        for group in groups
        for case in group()
        if case.content
    ]
    assert {"fast", "reference", "unidentified"} <= set(came)


def test_cut_jpegs_are_refused_as_pillow_refuses_them() -> None:
    rng, pictures = random.Random(0), np.random.default_rng(2)
    came = set()
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}):
        for mode in ("RGB", "L"):
            whole = pb.saved(noisy(pictures, 70, 50).convert(mode), "JPEG", **options)
            ends = [*rng.sample(range(1, len(whole)), 40), *range(len(whole) - 6, len(whole))]
            for end in ends:
                came.add(assert_as_reference(whole[:end], (mode, options, end)))
    assert "truncated" in came
    assert "fast" not in came


def test_damaged_jpegs_come_to_what_pillow_makes_of_them() -> None:
    rng, pictures = random.Random(1), np.random.default_rng(3)
    came = []
    for i in range(600):
        options = {"progressive": i % 3 == 0, "quality": rng.choice([30, 75, 95])}
        whole = pb.saved(noisy(pictures, 45, 38).convert(("RGB", "L")[i % 2]), "JPEG", **options)
        broken = bytearray(whole)
        span = len(broken) if i % 4 else 350  # headers, every fourth time
        for _ in range(1 + i % 3):
            broken[rng.randrange(span)] ^= 1 << rng.randrange(8)
        if i % 5 == 0:  # a piece lost
            place = rng.randrange(2, len(broken))
            del broken[place : place + rng.randint(1, 30)]
        came.append(assert_as_reference(bytes(broken), i))
    assert {"fast", "reference", "corrupt", "truncated"} <= set(came)


def test_what_made_a_picture_is_told_truly() -> None:
    picture = noisy(np.random.default_rng(4), 60, 50)
    ways = {
        "JPEG": [("reference", "pillow"), ("light", "pillow")] + [("fast", "torchvision")] * 2,
        "PNG": [("reference", "pillow")] * 2 + [("reference", "torchvision")] * 2,
    }
    for kind, expected in ways.items():
        content = pb.saved(picture, kind)
        made = [prepare_picture(content, (SMALL, LARGER), decoder) for decoder in DECODERS]
        assert [(each.decoder, each.resize) for each in made] == expected
        for each in made:
            assert each.dimensions == (picture.height, picture.width)
            assert {p: a.shape for p, a in each.pixels.items()} == {
                SMALL: (32, 32, 3),
                LARGER: (96, 96, 3),
            }
    lanczos = Preprocessing(32, "crop", 1.0, "lanczos", SCALE, SCALE)
    made = prepare_picture(pb.saved(picture, "JPEG"), (SMALL, lanczos), "fast")
    assert (made.decoder, made.resize) == ("reference", "pillow")
    with pytest.raises(ValueError, match="decoder must be one of reference, light, fast, scaled"):
        prepare_picture(content, (SMALL,), "quick")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_height_and_width_are_those_of_the_picture_upright(decoder: str, kind: str) -> None:
    """Whatever smaller scale it is decoded at."""
    picture = noisy(np.random.default_rng(4), 640, 900)
    for orientation, expected in (
        (1, picture.size[::-1]),
        (6, picture.size),
        (3, picture.size[::-1]),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        made = prepare_picture(pb.saved(picture, kind, exif=exif), (SMALL,), decoder)
        assert made.dimensions == expected
        if decoder == "scaled" and kind == "JPEG":
            assert made.decoder == "scaled"


def test_without_simplejpeg_pillow_decodes_and_torchvision_resizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exif = b"Exif\0\0" + pb.exif(6)
    content = pb.saved(noisy(np.random.default_rng(5), 90, 41), "JPEG", exif=exif)
    fast = prepare_picture(content, (SMALL,), "fast")
    monkeypatch.setattr(jpeg, "_simplejpeg", lambda: None)
    without = prepare_picture(content, (SMALL,), "fast")
    assert (without.decoder, without.resize) == ("reference", "torchvision")
    assert np.abs(without.pixels[SMALL].astype(int) - fast.pixels[SMALL]).max() <= 2


def scale_taken(content: bytes, *wanted: Preprocessing) -> int:
    with opened_picture(content) as opened:
        return decoders._scale(opened.picture.size, wanted)


def test_scaled_decoding_keeps_three_times_what_the_largest_wants() -> None:
    at_8 = Preprocessing(32, "squash", 1.0, "bicubic", SCALE, SCALE)
    expected = {(768, 768): 8, (767, 768): 4, (768, 383): 2, (200, 192): 2, (191, 999): 1}
    for (width, height), scale in expected.items():
        content = pb.saved(gradient(width, height), "JPEG", quality=95)
        assert scale_taken(content, at_8) == scale
        assert scale_taken(content, at_8, LARGER) == (2 if min(width, height) >= 576 else 1)
        made = prepare_picture(content, (at_8,), "scaled")
        assert made.decoder == ("scaled" if scale > 1 else "fast")
        reference = prepare_picture(content, (at_8,), "reference").pixels[at_8].astype(int)
        assert np.abs(made.pixels[at_8] - reference).max() <= 2


def test_scaled_decoding_is_the_same_for_a_turned_picture() -> None:
    wide = Preprocessing(32, "crop", 1.0, "bicubic", SCALE, SCALE)
    picture = gradient(800, 400)
    upright_one = pb.saved(picture, "JPEG", quality=95)
    turned = pb.saved(picture, "JPEG", quality=95, exif=b"Exif\0\0" + pb.exif(6))
    assert scale_taken(upright_one, wide) == scale_taken(turned, wide) == 4
    made = prepare_picture(turned, (wide,), "scaled")
    assert made.decoder == "scaled"
    reference = prepare_picture(turned, (wide,), "reference").pixels[wide].astype(int)
    assert np.abs(made.pixels[wide] - reference).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "damaged", "PNG"])
def test_memory_is_asked_for_once_a_picture(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds some and asks for more may wait for another who does the same."""
    picture = noisy(np.random.default_rng(8), 70, 60)
    content = pb.saved(picture, "PNG" if kind == "PNG" else "JPEG", quality=90)
    content = content[:-2] if kind == "damaged" else content
    asked = []
    real = decoding.decoding_memory

    def counted(n_bytes: int) -> object:
        asked.append(n_bytes)
        return real(n_bytes)

    for module in (decoders, decoding):
        monkeypatch.setattr(module, "decoding_memory", counted)
    with picture_memory():
        outcome(content, "fast")
    assert len(asked) == 1
    copy = 3 * 70 * 60 if kind == "PNG" else 0
    with opened_picture(content) as opened:
        assert asked == [opened.needed + copy]


def test_a_copy_that_finds_no_room_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pb.saved(noisy(np.random.default_rng(9), 70, 60), "PNG")
    monkeypatch.setattr(decoders, "MAX_BYTES_AT_WORK", 70 * 60 * 8)
    made = prepare_picture(content, (SMALL,), "fast")
    assert (made.decoder, made.resize) == ("reference", "pillow")


def test_threads_make_what_one_thread_makes() -> None:
    rng = np.random.default_rng(10)
    contents = [pb.saved(noisy(rng, 90 + i, 120 - i), "JPEG") for i in range(24)]

    def made(content: bytes) -> bytes:
        pixels = prepare_picture(content, (SMALL, LARGER), "fast").pixels
        return pixels[SMALL].tobytes() + pixels[LARGER].tobytes()

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(made, contents))
    assert together == [made(content) for content in contents]
