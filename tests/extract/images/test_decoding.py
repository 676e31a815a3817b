"""Awkward and hostile pictures: decoded rightly, or refused with the right reason."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.images.decoding import ORIENTATION, decode_picture, opened_picture
from extract.images.reading import read_picture
from extract.refusals import Reason, Refused
from extract.sources.folder import locate_picture
from tests.faults.picture_bytes import bare_png

GRADIENT = np.stack(
    np.broadcast_arrays(np.linspace(0, 255, 48)[None], np.linspace(0, 255, 32)[:, None], 99.0), -1
).astype(np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode_picture(content)).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(kind: str, orientation: int) -> None:
    undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # 6 and 8 undo each other
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    upright = Image.fromarray(GRADIENT)
    stored = upright.transpose(turn[undo[orientation]]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lossless = {"quality": 100, "lossless": True} if kind == "WEBP" else {"quality": 100}
    got = pixels(encoded(stored, kind, exif=exif, **lossless))
    assert got.shape == GRADIENT.shape
    assert np.abs(got - GRADIENT).mean() < 2


def test_orientations_that_exif_does_not_know_turn_nothing() -> None:
    for number, expected in ((0, 1), (1, 1), (8, 8), (9, 1), (65_535, 1)):
        exif = Image.Exif()
        exif[ORIENTATION] = number
        with opened_picture(encoded(Image.fromarray(GRADIENT), "JPEG", exif=exif)) as opened:
            assert opened.orientation == expected


def test_transparent_ground_becomes_white_whatever_color_hides_under_it() -> None:
    hidden = np.zeros((8, 8, 4), np.uint8)
    hidden[..., :3] = (10, 200, 30)
    hidden[:4, :, 3] = 255
    got = pixels(encoded(Image.fromarray(hidden)))
    assert (got[:4] == (10, 200, 30)).all()
    assert (got[4:] == 255).all()
    half = np.full((4, 4, 2), 128, np.uint8)
    half[..., 0] = 0
    assert np.abs(pixels(encoded(Image.fromarray(half, "LA"))) - 127).max() <= 1


def test_transparent_palette_becomes_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((0, 0), 0)
    got = pixels(encoded(palette, transparency=0))
    assert (got[0, 0] == 255).all()
    assert (got[3, 3] == (255, 0, 0)).all()


def test_sixteen_bits_are_scaled_not_cut_off() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        got = pixels(encoded(Image.fromarray(deep), kind))
        assert (got[..., 0] == np.arange(256).reshape(16, 16)).all()


def test_gray_bilevel_cmyk_and_animations_become_rgb() -> None:
    gray = Image.fromarray(GRADIENT).convert("L")
    assert (pixels(encoded(gray))[..., 1] == np.asarray(gray)).all()
    assert set(np.unique(pixels(encoded(gray.convert("1"))))) == {0, 255}
    cmyk = Image.fromarray(GRADIENT).convert("CMYK")
    assert np.abs(pixels(encoded(cmyk, "JPEG", quality=100)) - GRADIENT).mean() < 4
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    moving = encoded(red, "GIF", save_all=True, append_images=[blue])
    assert (pixels(moving) == (255, 0, 0)).all()


def test_content_decides_the_format() -> None:
    assert decode_picture(encoded(Image.fromarray(GRADIENT), "BMP")).size == (48, 32)


PNG = encoded(Image.fromarray(GRADIENT))
NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
JPEG = encoded(Image.fromarray(NOISE), "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a picture", Reason.UNIDENTIFIED),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reason.UNIDENTIFIED),
        (JPEG[: len(JPEG) // 2], Reason.TRUNCATED),
        (PNG[: len(PNG) // 2], Reason.TRUNCATED),
        (encoded(Image.new("1", (1, 30_000))), Reason.ASPECT),
        (encoded(Image.new("1", (101, 1))), Reason.ASPECT),
        (bare_png((20_000, 20_000)), Reason.TOO_LARGE),
        (encoded(Image.fromarray(np.full((4, 4), 3e9, np.float32)), "TIFF"), Reason.UNSUPPORTED),
    ],
)
def test_refused_with_its_reason(content: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        decode_picture(content)
    assert refusal.value.reason is reason
    assert refusal.value.message


def test_memory_is_reckoned_with_the_copies_held() -> None:
    wide = Image.new("RGB", (10_000, 10_000))
    plain = encoded(wide, "JPEG")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with pytest.raises(Refused, match="10000 x 10000") as refusal:
        decode_picture(encoded(wide, "JPEG", exif=exif))
    assert refusal.value.reason is Reason.TOO_LARGE
    assert decode_picture(plain).size == (10_000, 10_000)


def refusal_of(folder: Path, path: str) -> Reason:
    with pytest.raises(Refused) as refusal:
        read_picture(folder.resolve(), path)
    return refusal.value.reason


def test_only_regular_files_inside_the_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (tmp_path / "outside.png").write_bytes(PNG)
    (folder / "good.png").write_bytes(PNG)
    (folder / "empty.png").touch()
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "fifo.png")
    (folder / "inside.png").symlink_to("good.png")
    (folder / "leaves.png").symlink_to(tmp_path / "outside.png")
    (folder / "dangling.png").symlink_to("nothing.png")
    (folder / "loop.png").symlink_to("loop.png")
    assert read_picture(folder.resolve(), "good.png").content == PNG
    assert read_picture(folder.resolve(), "inside.png").content == PNG
    assert refusal_of(folder, "empty.png") is Reason.EMPTY
    assert refusal_of(folder, "folder.png") is Reason.NOT_REGULAR
    assert refusal_of(folder, "fifo.png") is Reason.NOT_REGULAR
    for outside in ("leaves.png", "../outside.png", str(tmp_path / "outside.png")):
        assert refusal_of(folder, outside) is Reason.OUTSIDE_FOLDER
    for nowhere in ("dangling.png", "loop.png", "none.png", "x" * 300, "nul\0.png"):
        assert refusal_of(folder, nowhere) is Reason.MISSING


def test_a_file_over_the_byte_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate((256 << 20) + 1)  # sparse: no byte of it is on disk
    assert refusal_of(tmp_path, "big.png") is Reason.TOO_LARGE


def test_room_is_made_for_the_file_and_not_for_the_largest(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    read_picture(tmp_path.resolve(), "a.png")
    tracemalloc.start()
    try:
        read_picture(tmp_path.resolve(), "a.png")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_a_file_grows_by_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    monkeypatch.setattr(
        "extract.images.reading.hold_file", lambda _: path.write_bytes(PNG + b"more")
    )
    assert read_picture(tmp_path.resolve(), "a.png").content == PNG + b"more"


def test_located_path_is_real_and_inside(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    assert locate_picture(tmp_path.resolve(), "a.png") == os.fsencode(tmp_path.resolve() / "a.png")
