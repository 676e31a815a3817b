"""Pictures that take much memory: just below the limits in every format, and over them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from extract.refusals import Reason
from tests.faults import picture_bytes as pb
from tests.faults.picture_cases import SOUND, Case

Maker = Callable[[Path], None]


def _flat(kind: str, side: int, mode: str = "RGB", **options: Any) -> Maker:
    """Save a picture of one color, which takes as much as any other of its size."""

    def make(path: Path) -> None:
        color: Any = {"I;16": 40_000, "F": 0.5, "1": 1}.get(mode, 77)
        if len(Image.new(mode, (1, 1)).getbands()) > 1:
            color = (77,) * len(mode.replace("a", "A"))
        picture = Image.new(mode, (side, side), color)
        picture.save(path, kind, **options)

    return make


def _written(content: Callable[[], bytes]) -> Maker:
    return lambda path: _write(path, content())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _cut(maker: Maker) -> Maker:
    """Make a picture and keep nine tenths of its bytes."""

    def make(path: Path) -> None:
        maker(path)
        os.truncate(path, path.stat().st_size * 9 // 10)

    return make


def _turned_at_end(side: int) -> bytes:
    body = pb.bare_png((side, side), 8, 2)
    return pb.png_with(body, pb.chunk(b"eXIf", pb.exif(6)), at_end=True)


def _clear_palette(side: int) -> bytes:
    body = pb.bare_png((side, side), 8, 3)
    end_of_palette = body.index(b"PLTE") + 4 + 6 + 4
    return body[:end_of_palette] + pb.chunk(b"tRNS", b"\x80") + body[end_of_palette:]


def _stored_png(side: int) -> bytes:
    return pb.png((side, side), 8, 2, bytes((3 * side + 1) * side), level=0)


def _ppm(side: int, most: int = 255) -> bytes:
    return b"P6 %d %d %d\n" % (side, side, most) + bytes(side * side * 3)


def _bmp(side: int) -> bytes:
    return pb.bmp((side, side), 24, bytes(side * side * 3))


def _gray_tiff(side: int) -> bytes:
    return pb.tiff_of(np.full((side, side), 40_000, np.uint16), 1)


def _three_scans(side: int) -> bytes:
    return pb.jpeg_in_three_scans(Image.new("L", (side, side), 77))


def _with_text(n_bytes: int) -> bytes:
    png = pb.saved(Image.new("RGB", (9, 9)), "PNG")
    return pb.png_with(png, pb.chunk(b"tEXt", b"a\0" + b"x" * n_bytes))


def _with_profile(n_bytes: int) -> bytes:
    webp = pb.saved(Image.new("RGBA", (9, 9)), "WEBP", lossless=True, icc_profile=b"abcd")
    place = webp.index(b"ICCP")
    body = webp[12:place] + b"ICCP" + n_bytes.to_bytes(4, "little") + bytes(n_bytes)
    body += webp[place + 12 :]
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _with_layers(n_bytes: int) -> bytes:
    layers = (37724, 7, n_bytes, bytes(n_bytes))
    return pb.tiff_of(np.full((64, 64), 77, np.uint8), 1, more=(layers,))


def _with_comment(n_blocks: int) -> bytes:
    gif = pb.saved(Image.new("P", (64, 64)), "GIF")
    place = gif.index(b"\x2c", 13 + 3)
    comment = b"!\xfe" + (b"\xff" + b"x" * 255) * n_blocks + b"\0"
    return gif[:place] + comment + gif[place:]


EXIF_6 = {"exif": b"Exif\0\0" + pb.exif(6)}
LARGE, SHORT = Reason.TOO_LARGE, Reason.TRUNCATED

HEAVY: dict[str, tuple[Maker, Reason | None]] = {
    "plain.jpg": (_flat("JPEG", 12_200), SOUND),
    "12000.jpg": (_flat("JPEG", 12_000, quality=95), SOUND),
    "gray.jpg": (_flat("JPEG", 10_900, "L"), SOUND),
    "turned.jpg": (_flat("JPEG", 8_600, **EXIF_6), SOUND),
    "turned_gray.jpg": (_flat("JPEG", 8_600, "L", **EXIF_6), SOUND),
    "progressive.jpg": (_flat("JPEG", 9_700, progressive=True, subsampling=0), SOUND),
    "cmyk.jpg": (_flat("JPEG", 8_600, "CMYK"), SOUND),
    "cmyk_progressive.jpg": (_flat("JPEG", 8_600, "CMYK", progressive=True), SOUND),
    "three_scans.jpg": (_written(lambda: _three_scans(9_700)), SOUND),
    "plain.png": (_flat("PNG", 12_200, compress_level=1), SOUND),
    "stored.png": (_written(lambda: _stored_png(9_300)), SOUND),
    "rgba.png": (_flat("PNG", 8_600, "RGBA", compress_level=1), SOUND),
    "la.png": (_flat("PNG", 8_600, "LA", compress_level=1), SOUND),
    "palette.png": (_written(lambda: pb.bare_png((10_900, 10_900), 8, 3)), SOUND),
    "clear_palette.png": (_written(lambda: _clear_palette(10_900)), SOUND),
    "gray16.png": (_written(lambda: pb.bare_png((9_900, 9_900), 16)), SOUND),
    "rgb16.png": (_written(lambda: pb.bare_png((12_200, 12_200), 16, 2)), SOUND),
    "bilevel.png": (_written(lambda: pb.bare_png((10_900, 10_900))), SOUND),
    "turned_at_end.png": (_written(lambda: _turned_at_end(8_600)), SOUND),
    "lossy.webp": (_flat("WEBP", 7_000, method=0), SOUND),
    "lossless.webp": (_flat("WEBP", 7_000, "RGBA", lossless=True, method=0), SOUND),
    "plain.avif": (_flat("AVIF", 6_800, speed=10, subsampling="4:4:4"), SOUND),
    "plain.jp2": (_flat("JPEG2000", 6_400), SOUND),
    "gray.jp2": (_flat("JPEG2000", 10_000, "L"), SOUND),
    "plain.tif": (_flat("TIFF", 9_300), SOUND),
    "one_strip.tif": (
        _flat("TIFF", 11_500, compression="tiff_deflate", strip_size=1 << 30),
        SOUND,
    ),
    "gray16.tif": (_written(lambda: _gray_tiff(9_900)), SOUND),
    "still.gif": (_flat("GIF", 10_900, "P"), SOUND),
    "plain.bmp": (_written(lambda: _bmp(9_300)), SOUND),
    "plain.ppm": (_written(lambda: _ppm(9_300)), SOUND),
    "high.png": (_written(lambda: pb.bare_png((1_000, 100_000), 8, 2)), SOUND),
    "cut.jpg": (_cut(_flat("JPEG", 12_200)), SHORT),
    "cut.png": (_cut(_written(lambda: _stored_png(9_200))), SHORT),
    "cut.ppm": (_cut(_written(lambda: _ppm(9_200))), SHORT),
    "cut.tif": (_cut(_flat("TIFF", 9_200)), SHORT),
    "over.jpg": (_flat("JPEG", 12_300), LARGE),
    "over_turned.jpg": (_flat("JPEG", 8_700, **EXIF_6), LARGE),
    "over_at_end.png": (_written(lambda: _turned_at_end(8_700)), LARGE),
    "over_rgba.png": (_flat("PNG", 8_700, "RGBA", compress_level=1), LARGE),
    "over.webp": (_flat("WEBP", 7_400, method=0), LARGE),
    "over.gif": (_flat("GIF", 11_000, "P"), LARGE),
    "profile.webp": (_written(lambda: _with_profile(250 << 20)), SOUND),
    "layers.tif": (_written(lambda: _with_layers(250 << 20)), SOUND),
    "comment.gif": (_written(lambda: _with_comment(1_000_000)), SOUND),
    "text.png": (_written(lambda: _with_text(250 << 20)), LARGE),
}
"""Each with what must come of it."""

TWICE = (
    "12000.jpg",
    "rgba.png",
    "lossless.webp",
    "progressive.jpg",
    "cut.jpg",
    "plain.ppm",
    "layers.tif",
)
"""Those that stand next to each other when all are tried together."""


def heavy_cases() -> Iterator[Case]:
    """Give the heavy pictures; each is drawn where it is planted."""
    for name, (make, outcome) in HEAVY.items():
        yield Case(name.encode(), outcomes=frozenset({outcome}), plant=make)


def plant_medium(folder: Path, n: int) -> None:
    """Put n pictures of 99 MB decoded into a folder: too many at once for threads to hold."""
    folder.mkdir()
    first = folder / "000.jpg"
    _flat("JPEG", 4_950)(first)
    for i in range(1, n):
        plant_again(first, folder / f"{i:03}.jpg", i)


def plant_again(first: Path, path: Path, number: int) -> None:
    """Put a picture there once more, with other bytes behind it: equal bytes are decoded once."""
    shutil.copyfile(first, path)
    with path.open("ab") as file:
        file.write(number.to_bytes(2, "big"))
