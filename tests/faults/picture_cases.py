"""Awkward and hostile pictures, each with what must come of it; nothing of it is kept anywhere."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from extract.refusals import Reason
from tests.faults import picture_bytes as pb
from tests.faults.picture_bytes import saved

SOUND = None
ANY = frozenset({SOUND, *Reason})
BROKEN = frozenset({Reason.TRUNCATED, Reason.CORRUPT, Reason.UNIDENTIFIED})

WIDTH, HEIGHT = 48, 32
GRADIENT = np.stack(
    np.broadcast_arrays(
        np.linspace(0, 255, WIDTH)[None], np.linspace(0, 255, HEIGHT)[:, None], 99.0
    ),
    -1,
).astype(np.uint8)
GRAY = np.broadcast_to(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, WIDTH)).copy()
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Case:
    """One picture of the corpus.

    Parameters
    ----------
    path : bytes
        Relative to the corpus.
    content : bytes, optional
        None where ``plant`` makes what is there.
    outcomes : frozenset of Reason or None
        What may come of it; None is a row.
    pixels : ndarray, optional
        Upright RGB, computed without the code under test.
    tolerance : float
        Of the mean difference to ``pixels``.
    plant : callable, optional
        Makes something else than a file of bytes at the path given.
    """

    path: bytes
    content: bytes | None = None
    outcomes: frozenset[Reason | None] = frozenset({SOUND})
    pixels: np.ndarray | None = None
    tolerance: float = 0
    plant: Callable[[Path], None] | None = field(default=None, repr=False)


def is_(content: bytes, pixels: np.ndarray, tolerance: float = 0) -> Callable[[str], Case]:
    """Expect a row, of these pixels."""
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, -1)
    return lambda name: Case(name.encode(), content, pixels=pixels, tolerance=tolerance)


def refused(content: bytes, *reasons: Reason) -> Callable[[str], Case]:
    """Expect a refusal, for one of these reasons."""
    return lambda name: Case(name.encode(), content, frozenset(reasons))


def planted(plant: Callable[[Path], None], *outcomes: Reason | None) -> Callable[[str], Case]:
    """Expect this of what is no plain file."""
    return lambda name: Case(name.encode(), outcomes=frozenset(outcomes), plant=plant)


def named(group: str, cases: dict[str, Callable[[str], Case]]) -> Iterator[Case]:
    """Give cases of one group their paths."""
    return (make(f"{group}/{name}") for name, make in cases.items())


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Store upright pixels so that the orientation turns them back, by EXIF's own table.

    The stored row 0 is the upright picture's top, right, bottom or left.
    """
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    flip_rows = orientation in (3, 4, 6, 7)  # row 0 is the bottom, or the right side
    flip_columns = orientation in (2, 3, 7, 8)  # column 0 is the right side, or the bottom
    pixels = pixels[::-1] if flip_rows else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if flip_columns else pixels)


def orientations() -> Iterator[Case]:
    cases = {}
    for n in range(1, 9):
        stored = Image.fromarray(turned(GRADIENT, n))
        for order, letter in (("<", "le"), (">", "be")):
            block = pb.exif(n, order)
            cases[f"{n}{letter}.jpg"] = is_(
                saved(stored, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0" + block),
                GRADIENT,
                2,
            )
            cases[f"{n}{letter}.png"] = is_(
                pb.png_with(saved(stored, "PNG"), pb.chunk(b"eXIf", block)), GRADIENT
            )
        block = pb.exif(n)
        cases[f"{n}end.png"] = is_(
            pb.png_with(saved(stored, "PNG"), pb.chunk(b"eXIf", block), at_end=True), GRADIENT
        )
        cases[f"{n}.webp"] = is_(saved(stored, "WEBP", lossless=True, exif=block), GRADIENT)
        cases[f"{n}.tif"] = is_(
            pb.tiff_of(np.asarray(stored), 2, more=(pb.tag(274, 3, n),)), GRADIENT
        )
        cases[f"{n}be.tif"] = is_(
            pb.tiff_of(np.asarray(stored), 2, order=">", more=(pb.tag(274, 3, n, order=">"),)),
            GRADIENT,
        )
        cases[f"{n}.avif"] = is_(
            saved(stored, "AVIF", quality=100, subsampling="4:4:4", exif=block), GRADIENT, 3
        )
        gray = Image.fromarray(turned(GRAY, n))
        cases[f"{n}gray.jpg"] = is_(
            saved(gray, "JPEG", quality=100, exif=b"Exif\0\0" + block), GRAY, 2
        )
        xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{n}"/></x:xmpmeta>'
        cases[f"{n}xmp.jpg"] = is_(
            saved(stored, "JPEG", quality=100, subsampling=0, xmp=xmp.encode()), GRADIENT, 2
        )
    yield from named("orientation", cases)


def broken_exif() -> Iterator[Case]:
    plain = Image.fromarray(GRADIENT)
    jpeg = saved(plain, "JPEG", quality=100, subsampling=0)
    png = saved(plain, "PNG")
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    blocks = {
        "empty": b"",
        "short": b"II*\0",
        "noise": random.Random(1).randbytes(500),
        "nine": pb.exif(9),
        "zero": pb.exif(0),
        "huge_offset": b"II*\0\xff\xff\xff\xff",
        "cut": pb.exif(6)[:15],
        "many_tags": b"II*\0\x08\0\0\0\xff\xff",
        "loop": loop,
        "wrong_order": b"XX" + pb.exif(6)[2:],
    }
    cases = {}
    for name, block in blocks.items():
        cases[f"{name}.jpg"] = is_(
            pb.jpeg_with(jpeg, pb.segment(0xE1, b"Exif\0\0" + block)), GRADIENT, 2
        )
        cases[f"{name}.png"] = is_(pb.png_with(png, pb.chunk(b"eXIf", block)), GRADIENT)
        cases[f"{name}.webp"] = is_(saved(plain, "WEBP", lossless=True, exif=block), GRADIENT)
    cases["long.jpg"] = is_(
        pb.jpeg_with(jpeg, pb.segment(0xE1, b"Exif\0\0" + pb.exif(1, kind=4))), GRADIENT, 2
    )
    yield from named("broken-exif", cases)


def on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Composite on white in float64."""
    share = alpha.astype(float)[..., None] / 255
    return np.round(color * share + 255 * (1 - share))


def _ycc_to_rgb(ycc: np.ndarray) -> np.ndarray:
    y, b, r = (ycc[..., i].astype(float) for i in range(3))
    rgb = [y + 1.402 * (r - 128), y - 0.344136 * (b - 128) - 0.714136 * (r - 128)]
    return np.clip(np.stack([*rgb, y + 1.772 * (b - 128)], -1), 0, 255)


def jpeg_modes() -> Iterator[Case]:
    rgb = Image.fromarray(GRADIENT)
    cmyk_values = np.dstack([GRADIENT, np.full_like(GRAY, 60)])
    by_hand = (255.0 - GRADIENT) * (255 - 60) / 255
    cmyk = saved(Image.fromarray(cmyk_values, "CMYK"), "JPEG", quality=100)
    adobe = cmyk.index(b"Adobe")
    ycck = bytearray(cmyk)
    ycck[adobe + 11] = 2
    inverted = 255 - cmyk_values  # as it stands in the file
    # Adobe's files hold the paper that ink leaves free, behind YCC its opposite
    ycck_rgb = (255 - _ycc_to_rgb(inverted[..., :3])) * inverted[..., 3:] / 255
    plain_adobe = cmyk[: adobe - 4] + cmyk[adobe + 12 :]
    base = saved(rgb, "JPEG", quality=100, subsampling=0)
    frame = base.index(b"\xff\xc0")
    gray = Image.fromarray(GRAY)
    smooth = Image.fromarray(GRAY)
    twelve = bytearray(base)
    twelve[frame + 4] = 12
    arithmetic = bytearray(base)
    arithmetic[frame + 1] = 0xC9
    lossless = bytearray(base)
    lossless[frame + 1] = 0xC3
    no_height = bytearray(base)
    no_height[frame + 5 : frame + 7] = b"\0\0"
    tail = base + bytes(1000) + b"\xff\xd8\xff\xe0 and so on"
    cases = {
        "baseline.jpg": is_(base, GRADIENT, 2),
        "progressive.jpg": is_(saved(rgb, "JPEG", quality=100, progressive=True), GRADIENT, 3),
        "restarts.jpg": is_(
            saved(rgb, "JPEG", quality=100, subsampling=0, restart_marker_blocks=1), GRADIENT, 2
        ),
        "gray.jpg": is_(saved(gray, "JPEG", quality=100), GRAY, 2),
        "gray_progressive.jpg": is_(saved(gray, "JPEG", quality=100, progressive=True), GRAY, 2),
        "three_scans.jpg": is_(
            pb.jpeg_in_three_scans(smooth),
            np.clip(_ycc_to_rgb(np.stack([GRAY] * 3, -1)), 0, 255),
            8,
        ),
        "cmyk.jpg": is_(cmyk, by_hand, 3),
        "cmyk_progressive.jpg": is_(
            saved(Image.fromarray(cmyk_values, "CMYK"), "JPEG", quality=100, progressive=True),
            by_hand,
            3,
        ),
        "ycck.jpg": is_(bytes(ycck), ycck_rgb, 3),
        "cmyk_no_adobe.jpg": lambda name: Case(name.encode(), plain_adobe),
        "tail.jpg": is_(tail, GRADIENT, 2),
        "padded_markers.jpg": is_(base[:2] + b"\xff" * 50 + base[2:], GRADIENT, 2),
        "twelve_bits.jpg": refused(
            bytes(twelve), Reason.UNSUPPORTED, Reason.CORRUPT, Reason.UNIDENTIFIED
        ),
        "arithmetic.jpg": lambda name: Case(name.encode(), bytes(arithmetic), ANY),
        "lossless.jpg": lambda name: Case(name.encode(), bytes(lossless), ANY),
        "no_height.jpg": refused(bytes(no_height), *BROKEN),
        "comments.jpg": is_(
            pb.jpeg_with(base, *[pb.segment(0xFE, b"x" * 60_000)] * 40), GRADIENT, 2
        ),
        "icc.jpg": is_(
            saved(rgb, "JPEG", quality=100, subsampling=0, icc_profile=b"no profile" * 9000),
            GRADIENT,
            2,
        ),
        "mpo.jpg": is_(
            saved(rgb, "MPO", save_all=True, append_images=[gray], quality=100, subsampling=0),
            GRADIENT,
            2,
        ),
    }
    yield from named("jpeg", cases)


def png_modes() -> Iterator[Case]:
    ramp = (np.arange(WIDTH * HEIGHT, dtype=np.uint32) * 42 % 65536).astype(np.uint16)
    deep = ramp.reshape(HEIGHT, WIDTH)
    deep_rgb = np.dstack([deep, deep[::-1], deep[:, ::-1]])
    alpha = np.broadcast_to(np.linspace(0, 255, HEIGHT).astype(np.uint8)[:, None], GRAY.shape)
    deep_alpha = alpha.astype(np.uint16) * 257
    scaled = np.round(deep / 257.0)
    hidden = np.where(alpha[..., None] > 0, GRADIENT, (10, 200, 30)).astype(np.uint8)
    clear = np.where((deep == deep[0, 5])[..., None], 255, np.stack([scaled] * 3, -1))
    some = GRADIENT.copy()
    some[3:9, 4:20] = (1, 2, 3)
    some_white = some.copy()
    some_white[3:9, 4:20] = 255
    index = (np.arange(WIDTH * HEIGHT) % 4).reshape(HEIGHT, WIDTH)
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 9], [7, 8, 250]], np.uint8)
    plte = pb.chunk(b"PLTE", palette.tobytes())
    half_palette = on_white(palette[index], np.array([0, 128, 255, 255])[index])
    gray_clear = np.where(GRAY[..., None] == GRAY[0, 7], 255, np.stack([GRAY] * 3, -1))
    plain = saved(Image.fromarray(GRADIENT), "PNG")
    cases = {
        "rgb.png": is_(pb.png_of(GRADIENT, 2), GRADIENT),
        "gray.png": is_(pb.png_of(GRAY, 0), GRAY),
        "gray16.png": is_(pb.png_of(deep, 0), scaled),
        "gray16_trns.png": is_(
            pb.png_of(deep, 0, before=pb.chunk(b"tRNS", struct.pack(">H", deep[0, 5]))), clear
        ),
        "rgb16.png": is_(pb.png_of(deep_rgb, 2), np.round(deep_rgb / 257.0), 1),
        "rgba16.png": is_(
            pb.png_of(np.dstack([deep_rgb, deep_alpha]), 6),
            on_white(deep_rgb / 257.0, alpha),
            1,
        ),
        "la16.png": is_(
            pb.png_of(np.dstack([deep, deep_alpha]), 4),
            on_white(np.stack([deep / 257.0] * 3, -1), alpha),
            1,
        ),
        "la.png": is_(
            pb.png_of(np.dstack([GRAY, alpha]), 4), on_white(np.stack([GRAY] * 3, -1), alpha), 1
        ),
        "rgba.png": is_(pb.png_of(np.dstack([GRADIENT, alpha]), 6), on_white(GRADIENT, alpha), 1),
        "hidden.png": is_(pb.png_of(np.dstack([hidden, alpha]), 6), on_white(hidden, alpha), 1),
        "all_clear.png": is_(
            pb.png_of(np.dstack([GRADIENT, np.zeros_like(GRAY)]), 6), np.full_like(GRADIENT, 255)
        ),
        "gray_trns.png": is_(
            pb.png_of(GRAY, 0, before=pb.chunk(b"tRNS", struct.pack(">H", GRAY[0, 7]))), gray_clear
        ),
        "rgb_trns.png": is_(
            pb.png_of(some, 2, before=pb.chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))), some_white
        ),
        "bits1.png": is_(pb.png_packed(index % 2, 1, 0), (index % 2 * 255).astype(np.uint8)),
        "bits2.png": is_(pb.png_packed(index, 2, 0), (index * 85).astype(np.uint8)),
        "bits4.png": is_(pb.png_packed(index * 5, 4, 0), (index * 85).astype(np.uint8)),
        "interlaced.png": is_(pb.png_interlaced(GRADIENT), GRADIENT),
        "apng.png": is_(
            saved(
                Image.fromarray(GRADIENT),
                "PNG",
                save_all=True,
                append_images=[Image.fromarray(GRADIENT[::-1].copy())],
            ),
            GRADIENT,
        ),
        "comment_end.png": is_(
            pb.png_with(plain, pb.chunk(b"tEXt", b"a\0" + b"b" * 9000), at_end=True), GRADIENT
        ),
        "no_end.png": lambda name: Case(name.encode(), plain[:-12], ANY),
        "bad_crc.png": lambda name: Case(
            name.encode(), plain[:29] + b"\0\0\0\0" + plain[33:], BROKEN
        ),
        "bad_depth.png": refused(pb.png((4, 4), 3, 0, bytes(12)), *BROKEN, Reason.UNSUPPORTED),
        "no_pixels.png": refused(pb.PNG_HEAD + plain[8:33] + pb.chunk(b"IEND", b""), *BROKEN),
        "zero_size.png": refused(pb.png((0, 4), 8, 0, bytes(4)), *BROKEN),
        "negative.png": refused(pb.png((1 << 31, 1 << 31), 8, 0, b""), *BROKEN, Reason.TOO_LARGE),
    }
    for bits in (2, 4, 8):
        body = (
            pb.png_packed(index, bits, 3, plte)
            if bits < 8
            else pb.png_of(index.astype(np.uint8), 3, before=plte)
        )
        cases[f"palette{bits}.png"] = is_(body, palette[index])
        trns = plte + pb.chunk(b"tRNS", bytes([0, 128]))
        body = (
            pb.png_packed(index, bits, 3, trns)
            if bits < 8
            else pb.png_of(index.astype(np.uint8), 3, before=trns)
        )
        cases[f"palette{bits}_trns.png"] = is_(body, half_palette, 1)
    yield from named("png", cases)


def _gray_of_lab(lightness: np.ndarray) -> np.ndarray:
    """Give the sRGB gray of L* by CIE 15 and IEC 61966-2-1."""
    light = lightness * (100 / 255)
    linear = np.where(light > 8, ((light + 16) / 116) ** 3, light / 903.3)
    shown = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return np.round(255 * shown)


def tiff_modes() -> Iterator[Case]:
    deep = (np.arange(WIDTH * HEIGHT, dtype=np.uint32) * 42 % 65536).astype(np.uint16)
    deep = deep.reshape(HEIGHT, WIDTH)
    deep_rgb = np.dstack([deep, deep[::-1], deep[:, ::-1]])
    alpha = np.broadcast_to(np.linspace(0, 255, HEIGHT).astype(np.uint8)[:, None], GRAY.shape)
    cmyk = np.dstack([GRADIENT, np.full_like(GRAY, 60)])
    picture = Image.fromarray(GRADIENT)
    unsupported = (Reason.UNSUPPORTED, Reason.UNIDENTIFIED, Reason.CORRUPT)
    scaled = np.round(deep / 257.0)
    cases = {
        "white_is_zero.tif": is_(pb.tiff_of(255 - GRAY, 0), GRAY),
        "float.tif": refused(
            pb.tiff_of(deep / np.float32(65535), 1, sample_format=3), *unsupported
        ),
        "nan.tif": refused(
            pb.tiff_of(np.full((9, 9), np.nan, np.float32), 1, sample_format=3), *unsupported
        ),
        "int32.tif": is_(pb.tiff_of(deep.astype(np.int32), 1, sample_format=2), scaled),
        "int32_out.tif": refused(
            pb.tiff_of(deep.astype(np.int32) - 5, 1, sample_format=2), *unsupported
        ),
        "lab.tif": is_(pb.tiff_of(np.dstack([GRAY, GRAY * 0, GRAY * 0]), 8), _gray_of_lab(GRAY), 2),
        "planes.tif": is_(pb.tiff_of(GRADIENT, 2, more=(pb.tag(284, 3, 2),)), GRADIENT),
        "alpha.tif": is_(
            pb.tiff_of(np.dstack([GRADIENT, alpha]), 2, more=(pb.tag(338, 3, 2),)),
            on_white(GRADIENT, alpha),
            1,
        ),
        "cmyk.tif": is_(pb.tiff_of(cmyk, 5), (255.0 - GRADIENT) * (255 - 60) / 255, 1),
        "pages.tif": is_(
            saved(picture, "TIFF", save_all=True, append_images=[Image.new("L", (5, 5))]), GRADIENT
        ),
        "bilevel.tif": is_(
            saved(Image.fromarray(GRAY > 99), "TIFF", compression="group4"),
            np.where(GRAY > 99, 255, 0),
        ),
        "jpeg.tif": is_(saved(picture, "TIFF", compression="jpeg", quality=100), GRADIENT, 4),
        "endless.tif": refused(
            b"II*\0\x08\0\0\0\xff\xff" + bytes(9),
            *BROKEN,
        ),
        "no_tags.tif": refused(b"II*\0\x08\0\0\0" + bytes(20), *BROKEN),
        "strip_outside.tif": refused(
            pb.tiff_of(GRAY, 1).replace(
                struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, 1 << 30)
            ),
            *BROKEN,
        ),
    }
    for order, letter in (("<", "le"), (">", "be")):
        for big in (False, True):
            end = f"{letter}{'_big' if big else ''}.tif"
            rgb, rgb16 = GRADIENT, np.round(deep_rgb / 257.0)
            outcomes = frozenset({SOUND, *unsupported} if big and order == ">" else {SOUND})
            for name, values, expected, kind in (
                ("rgb", GRADIENT, rgb, 2),
                ("gray16", deep, np.stack([scaled] * 3, -1), 1),
                ("rgb16", deep_rgb, rgb16, 2),
            ):
                body = pb.tiff_of(values, kind, order=order, big=big)
                path = f"tiff/{name}_{end}".encode()
                yield Case(path, body, outcomes, expected, tolerance=name == "rgb16")
    for name in ("tiff_lzw", "tiff_deflate", "packbits"):
        cases[f"{name}.tif"] = is_(saved(picture, "TIFF", compression=name), GRADIENT)
    yield from named("tiff", cases)


def other_modes() -> Iterator[Case]:
    picture = Image.fromarray(GRADIENT)
    alpha = np.broadcast_to(np.linspace(0, 255, HEIGHT).astype(np.uint8)[:, None], GRAY.shape)
    cut_out = Image.fromarray(np.dstack([GRADIENT, alpha]))
    blue = Image.fromarray(GRADIENT[::-1].copy())
    index = (np.arange(WIDTH * HEIGHT) % 4).reshape(HEIGHT, WIDTH).astype(np.uint8)
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 9], [7, 8, 250]], np.uint8)
    colored = Image.fromarray(index, "P")
    colored.putpalette(palette.tobytes())
    other = Image.fromarray(index[::-1].copy(), "P")
    other.putpalette(palette.tobytes())
    bgr = GRADIENT[::-1, :, ::-1].tobytes()
    quads = np.c_[palette[:, ::-1], np.zeros(4, np.uint8)].tobytes()
    fives = (GRADIENT >> 3).astype(np.uint16)
    packed = fives[..., 0] << 10 | fives[..., 1] << 5 | fives[..., 2]
    runs = b"".join(bytes([WIDTH, r % 4]) + b"\0\0" for r in range(HEIGHT)) + b"\0\1"
    run_rows = palette[np.arange(HEIGHT)[::-1] % 4][:, None].repeat(WIDTH, 1)
    text = " ".join(map(str, GRADIENT.ravel())).encode()
    deep = (np.arange(WIDTH * HEIGHT) * 42 % 65536).astype(np.uint16).reshape(HEIGHT, WIDTH)
    deep_rgb = np.dstack([deep, deep[::-1], deep[:, ::-1]])
    head = b"%d %d\n" % (WIDTH, HEIGHT)
    clear = np.where(index[..., None] == 0, 255, palette[index])
    cases = {
        "still.gif": is_(saved(colored, "GIF"), palette[index]),
        "moving.gif": is_(
            saved(colored, "GIF", save_all=True, append_images=[other, colored]), palette[index]
        ),
        "clear.gif": is_(saved(colored, "GIF", transparency=0), clear),
        "interlaced.gif": is_(saved(colored, "GIF", interlace=1), palette[index]),
        "lossless.webp": is_(saved(picture, "WEBP", lossless=True), GRADIENT),
        "lossy.webp": is_(saved(picture, "WEBP", quality=100), GRADIENT, 4),
        "alpha.webp": is_(
            saved(cut_out, "WEBP", lossless=True, exact=True), on_white(GRADIENT, alpha), 1
        ),
        "moving.webp": is_(
            saved(picture, "WEBP", save_all=True, append_images=[blue], lossless=True), GRADIENT
        ),
        "plain.avif": is_(saved(picture, "AVIF", quality=100, subsampling="4:4:4"), GRADIENT, 3),
        "alpha.avif": is_(
            saved(cut_out, "AVIF", quality=100, subsampling="4:4:4"), on_white(GRADIENT, alpha), 4
        ),
        "moving.avif": is_(
            saved(picture, "AVIF", save_all=True, append_images=[blue], quality=100), GRADIENT, 5
        ),
        "plain.jp2": is_(saved(picture, "JPEG2000"), GRADIENT, 1),
        "alpha.jp2": is_(saved(cut_out, "JPEG2000"), on_white(GRADIENT, alpha), 2),
        "gray16.jp2": is_(saved(Image.fromarray(deep), "JPEG2000"), np.round(deep / 257.0), 1),
        "stream.jp2": is_(saved(picture, "JPEG2000", no_jp2=True), GRADIENT, 1),
        "rgb24.bmp": is_(pb.bmp((WIDTH, HEIGHT), 24, bgr), GRADIENT),
        "from_top.bmp": is_(pb.bmp((WIDTH, -HEIGHT), 24, GRADIENT[..., ::-1].tobytes()), GRADIENT),
        "rgb32.bmp": is_(saved(picture.convert("RGBA"), "BMP"), GRADIENT),
        "palette8.bmp": is_(
            pb.bmp((WIDTH, HEIGHT), 8, index[::-1].tobytes(), palette=quads), palette[index]
        ),
        "rgb555.bmp": is_(
            pb.bmp((WIDTH, HEIGHT), 16, packed[::-1].astype("<u2").tobytes()),
            np.round(fives * (255 / 31)),
            1,
        ),
        "rle8.bmp": is_(pb.bmp((WIDTH, HEIGHT), 8, runs, palette=quads, compression=1), run_rows),
        "rle_short.bmp": lambda name: Case(
            name.encode(),
            pb.bmp((WIDTH, HEIGHT), 8, runs[:20], palette=quads, compression=1),
            ANY,
        ),
        "bilevel.bmp": is_(saved(Image.fromarray(GRAY > 99), "BMP"), np.where(GRAY > 99, 255, 0)),
        "p6.ppm": is_(b"P6\n" + head + b"255\n" + GRADIENT.tobytes(), GRADIENT),
        "p3.ppm": is_(b"P3\n# words\n" + head + b"255\n" + text, GRADIENT),
        "p5.pgm": is_(b"P5\n" + head + b"255\n" + GRAY.tobytes(), GRAY),
        "p5_16.pgm": is_(
            b"P5\n" + head + b"65535\n" + deep.astype(">u2").tobytes(), np.round(deep / 257.0)
        ),
        "p6_16.ppm": is_(
            b"P6\n" + head + b"65535\n" + deep_rgb.astype(">u2").tobytes(),
            np.round(deep_rgb / 257.0),
            1,
        ),
        "p6_1000.ppm": is_(
            b"P6\n" + head + b"1000\n" + (deep_rgb % 1001).astype(">u2").tobytes(),
            np.round(deep_rgb % 1001 * 0.255),
            1,
        ),
        "p5_1000.pgm": is_(
            b"P5\n" + head + b"1000\n" + (deep % 1001).astype(">u2").tobytes(),
            np.round(deep % 1001 * 0.255),
            1,
        ),
        "p4.pbm": is_(
            b"P4\n" + head + np.packbits(GRAY <= 99, axis=1).tobytes(),
            np.where(GRAY > 99, 255, 0),
        ),
        "p1.pbm": is_(
            b"P1\n" + head + b" ".join(b"%d" % v for v in (GRAY <= 99).ravel()),
            np.where(GRAY > 99, 255, 0),
        ),
        "heic.heic": refused(
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), Reason.UNSUPPORTED, *BROKEN
        ),
    }
    yield from named("other", cases)


def formats() -> dict[str, bytes]:
    """Encode one noisy picture in every format, for what breaks it afterwards."""
    noise = Image.fromarray(NOISE)
    exif = b"Exif\0\0" + pb.exif(6)
    return {
        "jpg": saved(noise, "JPEG", exif=exif),
        "progressive.jpg": saved(noise, "JPEG", progressive=True, icc_profile=bytes(3000)),
        "cmyk.jpg": saved(noise.convert("CMYK"), "JPEG"),
        "png": saved(noise, "PNG"),
        "palette.png": saved(noise.convert("P"), "PNG"),
        "interlaced.png": pb.png_interlaced(NOISE),
        "gif": saved(noise.convert("P"), "GIF"),
        "webp": saved(noise, "WEBP"),
        "lossless.webp": saved(noise.convert("RGBA"), "WEBP", lossless=True, exif=exif[6:]),
        "avif": saved(noise, "AVIF"),
        "jp2": saved(noise, "JPEG2000"),
        "tif": saved(noise, "TIFF"),
        "lzw.tif": saved(noise, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": saved(noise, "TIFF", compression="jpeg"),
        "bmp": saved(noise, "BMP"),
        "ppm": saved(noise, "PPM"),
    }


def truncated(n_places: int = 20) -> Iterator[Case]:
    """Cut every format at many places: refused, or all of its pixels are there."""
    for kind, content in formats().items():
        whole = _pillow_rgb(content)
        ends = np.linspace(1, len(content) - 1, n_places - 4).astype(int).tolist()
        for end in sorted({*ends, 2, 10, len(content) - 2, len(content) - 5}):
            reasons = frozenset({SOUND, Reason.UNSUPPORTED, *BROKEN})
            yield Case(f"truncated/{end:06}.{kind}".encode(), content[:end], reasons, pixels=whole)


def _pillow_rgb(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        turn = picture.getexif().get(pb.ORIENTATION, 1)
        rgb = np.asarray(picture.convert("RGB"))
    return np.rot90(rgb, -1) if turn == 6 else rgb


def flipped(n_each: int = 30) -> Iterator[Case]:
    """Change a few bytes of every format: a row or a refusal, never an end of the run."""
    rng = random.Random(7)
    for kind, content in formats().items():
        for i in range(n_each):
            broken = bytearray(content)
            span = len(broken) if i % 2 else min(len(broken), 400)  # headers, every other time
            for _ in range(1 + i % 3):
                broken[rng.randrange(span)] ^= 1 << rng.randrange(8)
            yield Case(f"flipped/{i:03}.{kind}".encode(), bytes(broken), ANY)


def not_pictures() -> Iterator[Case]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", saved(Image.fromarray(GRADIENT), "PNG"))
    contents = {
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>',
        "paper.jpg": b"%PDF-1.7\n1 0 obj <<>> endobj\n",
        "archive.jpg": packed.getvalue(),
        "words.png": b"hello, world\n" * 99,
        "nul.png": bytes(5000),
        "noise.webp": random.Random(3).randbytes(5000),
        "script.gif": b"#!/bin/sh\nrm -rf nothing\n",
        "postscript.tif": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "icon.bmp": b"\0\0\1\0\1\0" + bytes(60),
        "layers.jpg": b"8BPS\0\1" + bytes(60),
        "movie.avif": b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + bytes(200),
        "one_byte.jpg": b"\xff",
        "marker.jpg": b"\xff\xd8\xff",
        "riff.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
        "pickle.png": b"\x80\x04\x95\x10\0\0\0" + bytes(30),
        "json.jpg": b'{"error": "forbidden"}',
        "link.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    }
    cases = {name: refused(content, *BROKEN) for name, content in contents.items()}
    cases["nothing.jpg"] = refused(b"", Reason.EMPTY)
    cases["nothing.png"] = refused(b"", Reason.EMPTY)
    yield from named("not-pictures", cases)


def limits_and_bombs() -> Iterator[Case]:
    gradient = Image.fromarray(GRADIENT)
    jpeg, png = saved(gradient, "JPEG"), saved(gradient, "PNG")
    frame = jpeg.index(b"\xff\xc0")
    vast = bytearray(jpeg)
    vast[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    gif = saved(gradient.convert("P"), "GIF")
    wide_gif = gif[:6] + b"\xff\xff\xff\xff" + gif[10:]
    place = gif.index(b"\x2c")
    grown = bytearray(gif)
    grown[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    webp = bytearray(saved(gradient.convert("RGBA"), "WEBP", lossless=True, exif=pb.exif(1)))
    webp[24:30] = b"\xfe\x3f\0\xfe\x3f\0"
    zeros = pb.packed_zeros(100 << 20)
    tags = b"".join(struct.pack("<HHII", 60000 + i, 7, 800_000, 8) for i in range(4000))
    tag_bomb = b"II*\0" + struct.pack("<I", 8 + (1 << 20)) + bytes(1 << 20)
    tag_bomb += struct.pack("<H", 4000) + tags + bytes(4)
    numbers = (282, 5, 1_000_000, bytes(8_000_000))
    large = Reason.TOO_LARGE
    exif_part = pb.segment(0xE1, b"Exif\0\0" + bytes(65_000))
    cases = {
        "bomb.png": refused(pb.bare_png((20_000, 20_000)), large),
        "bomb_gray.png": refused(pb.bare_png((17_000, 17_000), 1, 3), large),
        "short_vast.png": refused(pb.png((60_000, 60_000), 8, 6, b""), large),
        "vast.jpg": refused(bytes(vast), large),
        "screen.gif": refused(wide_gif, large),
        "frame.gif": refused(bytes(grown), large, *BROKEN),
        "vast.webp": refused(bytes(webp), large, *BROKEN),
        "vast.bmp": refused(pb.bmp((60_000, 60_000), 24, bytes(99)), large, *BROKEN),
        "vast.ppm": refused(b"P6 65000 65000 255\n" + bytes(99), large, *BROKEN),
        "vast.tif": refused(
            pb.tiff_of(GRAY, 1).replace(
                struct.pack("<HHII", 256, 4, 1, WIDTH), struct.pack("<HHII", 256, 4, 1, 1 << 30)
            ),
            large,
            Reason.ASPECT,
            *BROKEN,
        ),
        "text.png": refused(pb.png_with(png, pb.chunk(b"zTXt", b"a\0\0" + zeros)), large, *BROKEN),
        "text_end.png": lambda name: Case(
            name.encode(), pb.png_with(png, pb.chunk(b"zTXt", b"a\0\0" + zeros), at_end=True), ANY
        ),
        "icc.png": refused(pb.png_with(png, pb.chunk(b"iCCP", b"a\0\0" + zeros)), large, *BROKEN),
        "tags.tif": refused(tag_bomb, *BROKEN, large),
        "numbers.tif": refused(pb.tiff_of(GRAY, 1, more=(numbers,)), *BROKEN, large),
        "tile.tif": refused(
            pb.tiff_of(GRAY, 1, more=(pb.tag(322, 4, 60_000), pb.tag(323, 4, 60_000))).replace(
                struct.pack("<HHI", 259, 3, 1) + b"\1\0", struct.pack("<HHI", 259, 3, 1) + b"\5\0"
            ),
            large,
            *BROKEN,
        ),
        "exif.jpg": refused(pb.jpeg_with(jpeg, *[exif_part] * 900), *BROKEN, large),
        "segments.jpg": refused(
            pb.jpeg_with(jpeg, pb.segment(0xE5, b"") * 2_000_000), *BROKEN, large
        ),
        "junk.jpg": refused(jpeg[:2] + bytes(9 << 20) + jpeg[2:], *BROKEN, large),
        "exif.png": is_(
            pb.png_with(
                png,
                pb.chunk(
                    b"eXIf", b"II*\0\x08\0\0\0" + struct.pack("<H", 4000) + tags + bytes(4 << 20)
                ),
            ),
            GRADIENT,
        ),
        "comment.gif": lambda name: Case(
            name.encode(),
            gif[:781] + b"!\xfe" + (b"\xff" + b"x" * 255) * 80_000 + b"\0" + gif[781:],
            ANY,
        ),
        "scans.jpg": refused(_many_scans(), *BROKEN, large),
        "aspect100.png": is_(saved(Image.new("RGB", (400, 4), (9, 8, 7)), "PNG"), _flat(400, 4)),
        "aspect100_high.png": is_(
            saved(Image.new("RGB", (1, 100), (9, 8, 7)), "PNG"), _flat(1, 100)
        ),
        "aspect101.png": refused(saved(Image.new("RGB", (401, 4)), "PNG"), Reason.ASPECT),
        "aspect101_high.jpg": refused(saved(Image.new("L", (1, 101)), "JPEG"), Reason.ASPECT),
        "sliver.png": refused(pb.bare_png((30_000, 1)), Reason.ASPECT),
        "one_pixel.png": is_(saved(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), _flat(1, 1)),
        "one_pixel.gif": is_(saved(Image.new("L", (1, 1), 7), "GIF"), np.full((1, 1, 3), 7)),
        "two.jpg": is_(saved(Image.new("L", (2, 1), 7), "JPEG"), np.full((1, 2, 3), 7), 1),
    }
    yield from named("limits", cases)


def _flat(width: int, height: int) -> np.ndarray:
    return np.broadcast_to(np.array([9, 8, 7], np.uint8), (height, width, 3))


def _many_scans() -> bytes:
    """Make a small progressive JPEG go over a large picture 60,000 times."""
    large = saved(Image.new("L", (4000, 4000), 99), "JPEG", progressive=True)
    scan = large.rindex(b"\xff\xda")
    return large[:-2] + large[scan:-2] * 60_000 + b"\xff\xd9"


def kinds_of_files() -> Iterator[Case]:
    good = saved(Image.fromarray(GRADIENT), "PNG")

    def link(target: str | Path) -> Callable[[Path], None]:
        return lambda path: path.symlink_to(target)

    def bound(path: Path) -> None:
        here = os.open(path.parent, os.O_RDONLY)  # a socket's own name is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)

    def sparse(size: int) -> Callable[[Path], None]:
        def plant(path: Path) -> None:
            with path.open("wb") as file:
                file.truncate(size)

        return plant

    def outside(path: Path) -> None:
        beside = path.parents[2] / "outside.png"
        beside.write_bytes(good)
        path.symlink_to(beside)

    def copied(path: Path) -> None:
        (path.parent / "real.bin").write_bytes(good)
        path.symlink_to("real.bin")

    cases = {
        "fifo.jpg": planted(os.mkfifo, Reason.NOT_REGULAR),
        "socket.jpg": planted(bound, Reason.NOT_REGULAR),
        "zero.jpg": planted(link("/dev/zero"), Reason.OUTSIDE_FOLDER),
        "null.jpg": planted(link("/dev/null"), Reason.OUTSIDE_FOLDER),
        "outside.png": planted(outside, Reason.OUTSIDE_FOLDER),
        "inside.png": planted(copied, SOUND),
        "dangling.png": planted(link("nothing.png"), Reason.MISSING),
        "loop.png": planted(link("loop.png"), Reason.MISSING),
        "parent.png": planted(link("."), Reason.NOT_REGULAR),
        "over.png": planted(sparse((256 << 20) + 1), Reason.TOO_LARGE),
        "just_below.png": planted(sparse(256 << 20), Reason.UNIDENTIFIED),
    }
    yield from named("kinds", cases)


def names() -> Iterator[Case]:
    good = saved(Image.fromarray(GRADIENT), "PNG")
    paths = [
        b"names/upper.PNG",
        b"names/Mixed.JpG",
        b"names/not_utf8_\xff\xfe.png",
        b"names/new\nline.png",
        b'names/comma,quote".png',
        b"names/-leading.png",
        b"names/--help.png",
        b"names/ space .png",
        b"names/tab\t.png",
        b"names/" + b"long" * 60 + b".png",
        b"names/" + "e\u0301\u202e\u4e16\U0001f600.png".encode(),
        b"names/back\\slash.png",
        b"names/=1+1.png",
        b"names/%s%n{}.png",
        b"names/esc\x1b[31m.png",
        b"names/<script>.png",
        b"names/really_a_png.jpg",
        b"names/really_a_png.heic",
        b"names/" + b"/".join([b"deep"] * 40) + b"/x.png",
    ]
    for path in paths:
        yield Case(path, good, pixels=GRADIENT)


def all_cases() -> list[Case]:
    """List the whole corpus, in groups."""
    groups = (
        orientations,
        broken_exif,
        jpeg_modes,
        png_modes,
        tiff_modes,
        other_modes,
        truncated,
        flipped,
        not_pictures,
        limits_and_bombs,
        kinds_of_files,
        names,
    )
    return [case for group in groups for case in group()]


def plant(case: Case, folder: Path) -> None:
    """Put a case into the folder."""
    path = folder / os.fsdecode(case.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if case.plant:
        case.plant(path)
    else:
        path.write_bytes(case.content or b"")
