"""Only JPEGs that every decoder reads alike are plain; all others are the reference's."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from extract.formats.jpeg_screening import PlainJpeg, plain_jpeg
from extract.images.decoding import ORIENTATION, decode_picture
from extract.refusals import Refused

NOISE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def jpeg(picture: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture or Image.fromarray(NOISE)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def screened(content: bytes) -> PlainJpeg | None:
    return plain_jpeg(content, content[-2:])


def with_segment(content: bytes, marker: int, segment: bytes) -> bytes:
    return (
        content[:2]
        + bytes([0xFF, marker])
        + (len(segment) + 2).to_bytes(2, "big")
        + segment
        + (content[2:])
    )


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    tags[0x010F] = "a maker"
    return tags


@pytest.mark.parametrize(
    ("subsampling", "sampling"), [("4:4:4", (1, 1)), ("4:2:2", (1, 2)), ("4:2:0", (2, 2))]
)
def test_plain_jpegs_are_told_with_size_and_sampling(
    subsampling: str, sampling: tuple[int, int]
) -> None:
    options: list[dict[str, object]] = [
        {},
        {"optimize": True},
        {"quality": 95},
        {"exif": exif(1)},
        {"restart_marker_blocks": 2},
        {"comment": b"a comment"},
        {"icc_profile": b"a profile" * 9},
    ]
    for more in options:
        content = jpeg(subsampling=subsampling, **more)
        assert screened(content) == PlainJpeg(50, 70, sampling), more


def test_what_other_decoders_may_read_otherwise_is_not_plain() -> None:
    plain = jpeg()
    frame = plain.index(b"\xff\xc0")
    scan = plain.index(b"\xff\xda")

    def changed(place: int, value: int) -> bytes:
        return plain[:place] + bytes([value]) + plain[place + 1 :]

    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    others = {
        "progressive": jpeg(progressive=True),
        "gray": jpeg(Image.fromarray(NOISE).convert("L")),
        "four inks": jpeg(Image.fromarray(NOISE).convert("CMYK")),
        "stored as RGB": jpeg(keep_rgb=True),
        "turned": jpeg(exif=exif(6)),
        "turned by XMP": with_segment(plain, 0xE1, xmp),
        "EXIF that cannot be read": with_segment(plain, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
        "of several pictures": with_segment(plain, 0xE2, b"MPF\0"),
        "Adobe says RGB": with_segment(plain, 0xEE, b"Adobe\0\x64\0\0\0\0\0"),
        "12 bits": changed(frame + 4, 12),
        "extended": changed(frame + 1, 0xC1),
        "4:4:0": changed(frame + 11, 0x12),
        "other components": changed(frame + 10, ord("R")),
        "a component a scan": changed(scan + 4, 1),
        "no end": plain[:-2],
        "something behind the end": plain + b"\0",
        "long and thin": jpeg(Image.new("RGB", (800, 40))),
        "tiny": jpeg(Image.new("RGB", (8, 8))),
        "no Huffman tables": plain.replace(b"\xff\xc4", b"\xff\xef"),
        "a hundred comments": plain[:2] + b"\xff\xfe\0\3x" * 100 + plain[2:],
        "empty": b"",
        "a PNG": b"\x89PNG\r\n\x1a\n" + b"\0" * 50 + b"\xff\xd9",
    }
    assert [name for name, content in others.items() if screened(content) is not None] == []


def test_a_header_cut_off_anywhere_is_not_plain() -> None:
    content = jpeg(exif=exif(1))
    scan = content.index(b"\xff\xda")
    assert all(plain_jpeg(content[:n], b"\xff\xd9") is None for n in range(scan + 4))


def test_what_is_plain_has_the_size_the_reference_sees() -> None:
    """Bytes of a header changed at random: never a size or a turn that Pillow does not see."""
    draw = random.Random(0)
    content = jpeg(exif=exif(1))
    scan = content.index(b"\xff\xda")
    n_plain = 0
    for _ in range(400):
        broken = bytearray(content)
        broken[draw.randrange(scan)] = draw.randrange(256)
        header = screened(bytes(broken))
        if header is None:
            continue
        try:
            picture = decode_picture(bytes(broken))
        except Refused:
            continue
        n_plain += 1
        assert picture.size == (header.width, header.height)
    assert n_plain > 100
