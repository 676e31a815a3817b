"""Numbers that mean what the header says, not what a decoder takes them for."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from every_decoder import SEEN, pixels
from PIL import Image

from extract.catalog.catalog import list_folder
from extract.formats import extra_formats
from extract.images.decoders import prepare_picture
from extract.images.decoding import decode_picture, opened_picture
from extract.pipeline.monitor import Monitor
from extract.pipeline.survey import read_by_header
from extract.refusals import Reason, Refused
from tests.faults import picture_bytes as pb

WIDTH, HEIGHT = 40, 24
GRAY = np.broadcast_to(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, WIDTH)).copy()
COLORS = np.dstack([GRAY, GRAY[:, ::-1], np.full_like(GRAY, 90)])


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        decode_picture(content)
    return refused.value


def bmp32(alpha: int, header: int, masks: bool, from_top: bool = False) -> bytes:
    """Write a BMP of 32 bits with one alpha, with a header of 40 to 124 bytes."""
    rows = COLORS if from_top else COLORS[::-1]
    body = np.dstack([rows[..., ::-1], np.full_like(GRAY, alpha)]).tobytes()
    height = -HEIGHT if from_top else HEIGHT
    info = struct.pack(
        "<IiiHHIIiiII", header, WIDTH, height, 1, 32, 3 * masks, len(body), 0, 0, 0, 0
    )
    info += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = info[:header].ljust(max(header, 52 if masks else 0), b"\0")
    offset = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + info + body


@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("masks", [False, True])
def test_a_bitmap_whose_alpha_nobody_wrote_is_opaque(header: int, masks: bool) -> None:
    for from_top in (False, True):
        assert (pixels(bmp32(0, header, masks, from_top)) == COLORS).all()
        assert (pixels(bmp32(255, header, masks, from_top)) == COLORS).all()


def test_a_bitmap_of_some_alpha_keeps_it() -> None:
    content = bytearray(bmp32(0, 124, True))
    content[-1] = 255  # the last row stored is the first seen; its last pixel alone is opaque
    got = pixels(bytes(content))
    assert (got[0, -1] == COLORS[0, -1]).all()
    assert (got[1:] == 255).all()


def gif(
    palette: np.ndarray, box: tuple[int, int, int, int], clear: int | None, disposal: int = 0
) -> bytes:
    """Write a GIF whose only frame fills a box (left, top, width, height) with color 1."""
    left, top, width, height = box
    frame = Image.new("P", (width, height), 1)
    frame.putpalette([1, 2, 3, 4, 5, 6])
    coded = pb.saved(frame, "GIF", optimize=False)
    data = coded[coded.index(b"\x2c") + 10 : -1]
    screen = struct.pack("<HHBBB", WIDTH, HEIGHT, 0x80 | 0x70 | 7, 2, 0)
    control = b"\x21\xf9\x04" + bytes([disposal << 2 | (clear is not None), 0, 0, clear or 0, 0])
    table = palette.tobytes().ljust(768, b"\0")
    place = b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0)
    return b"GIF89a" + screen + table + control + place + data + b";"


@pytest.mark.parametrize("clear", [None, 0, 2])
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_what_a_first_frame_leaves_of_its_canvas_is_white(clear: int | None, disposal: int) -> None:
    palettes = {
        "black first": np.array([[0, 0, 0], [200, 30, 40], [9, 9, 9]], np.uint8),
        "gray": np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1),
    }
    for palette in palettes.values():
        for box in ((8, 6, 20, 10), (0, 0, WIDTH, 10), (30, 0, 10, HEIGHT)):
            left, top, width, height = box
            expected = np.full((HEIGHT, WIDTH, 3), 255)
            expected[top : top + height, left : left + width] = palette[1]
            assert (pixels(gif(palette, box, clear, disposal)) == expected).all(), box
        whole = pixels(gif(palette, (0, 0, WIDTH, HEIGHT), clear, disposal))
        assert (whole == palette[1]).all()


DEEP = (np.arange(WIDTH * HEIGHT) * 68 % 65536).astype(np.uint16).reshape(HEIGHT, WIDTH)


def negatives() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Write gray stored as a negative, in every depth, order and compression."""
    for order in "<>":
        for big in (False, True)[: 1 + (order == "<")]:  # Pillow reads no BigTIFF of the other
            yield f"16 {order} {big}", pb.tiff_of(65535 - DEEP, 0, order=order, big=big), DEEP / 257
            yield f"8 {order} {big}", pb.tiff_of(255 - GRAY, 0, order=order, big=big), GRAY
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        content = pb.saved(Image.fromarray(65535 - DEEP), "TIFF", compression=compression)
        negative = content.replace(
            struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 0)
        )
        assert negative != content
        yield compression, negative, DEEP / 257
    lines = Image.fromarray(GRAY > 99)
    for compression in ("raw", "group4", "packbits"):
        yield (
            f"1 {compression}",
            pb.saved(lines, "TIFF", compression=compression),
            np.where(GRAY > 99, 255, 0),
        )
        content = pb.saved(lines, "TIFF", compression=compression, tiffinfo={262: 0})
        yield f"1 {compression} inverted", content, np.where(GRAY > 99, 255, 0)


def test_gray_stored_as_a_negative_is_seen_as_a_positive() -> None:
    for name, content, expected in negatives():
        got = pixels(content)
        assert np.abs(got - expected[..., None]).max() <= 0.5, name


def twelve_bits(photometric: int) -> bytes:
    values = DEEP >> 4
    stored = 4095 - values if photometric == 0 else values
    bits = np.unpackbits(stored.astype(">u2").view(np.uint8).reshape(*DEEP.shape, 2), axis=-1)[
        ..., 4:
    ]
    tags = [pb.tag(256, 4, WIDTH), pb.tag(257, 4, HEIGHT), pb.tag(258, 3, 12), pb.tag(259, 3, 1)]
    tags += [pb.tag(262, 3, photometric), pb.tag(277, 3, 1), pb.tag(278, 4, HEIGHT)]
    return pb.tiff(tags, np.packbits(bits.reshape(HEIGHT, -1), axis=1).tobytes())


@pytest.mark.parametrize("photometric", [0, 1])
def test_twelve_bits_are_not_taken_for_sixteen(photometric: int) -> None:
    expected = (DEEP >> 4) / 4095 * 255
    assert np.abs(pixels(twelve_bits(photometric)) - expected[..., None]).max() <= 0.5


def with_depth(content: bytes, bits: int) -> bytes:
    """Say another depth of all components in a JPEG 2000's codestream and header."""
    changed = bytearray(content)
    start = content.index(b"\xff\x4f\xff\x51")
    n_components = int.from_bytes(content[start + 40 : start + 42], "big")
    for i in range(n_components):
        changed[start + 42 + 3 * i] = bits - 1
    header = content.find(b"ihdr")
    if 0 <= header < start:
        changed[header + 14] = bits - 1
    return bytes(changed)


def enlarged(picture: np.ndarray) -> np.ndarray:
    """Make each pixel a square: the encoder wants 32 a side."""
    return picture.repeat(16, 0).repeat(16, 1)


@pytest.mark.parametrize("naked", [False, True])
@pytest.mark.parametrize("bits", [9, 12, 16])
def test_deep_colors_in_jpeg_2000_are_read_as_those_of_eight_bits(naked: bool, bits: int) -> None:
    """Pillow alone would read their white as black."""
    library = pytest.importorskip("openjpeg")
    white, colors, gray = (1 << bits) - 1, enlarged(COLORS), enlarged(GRAY)
    share = gray[..., None] / 255
    on_white = colors * share + 255 * (1 - share)
    for picture, expected in ((colors, colors), (np.dstack([colors, gray]), on_white)):
        deep = (picture / 255 * white).round().astype(np.uint16)
        kind = 1 if picture is colors else 0
        content = library.encode(
            deep, bits_stored=bits, photometric_interpretation=kind, codec_format=int(not naked)
        )
        if not naked:  # of four channels the encoder does not say that they are sRGB
            number = content.index(b"colr") + 7
            content = content[:number] + (16).to_bytes(4, "big") + content[number + 4 :]
        assert np.abs(pixels(content) - expected).max() <= 1
        made = prepare_picture(content, (SEEN,), "fast")
        assert made.reading is not None
        assert made.reading.endswith("JPEG 2000 by pylibjpeg-openjpeg")
        assert refusal(content[: len(content) * 2 // 3]).reason in (
            Reason.CORRUPT,
            Reason.TRUNCATED,
        )


def test_deep_jpeg_2000_of_an_older_file_is_found_by_its_header(tmp_path: Path) -> None:
    """An earlier version embedded it with white as black."""
    library = pytest.importorskip("openjpeg")
    deep = enlarged(COLORS).astype(np.uint16) * 257
    content = library.encode(deep, photometric_interpretation=1, codec_format=1)
    (tmp_path / "a.jp2").write_bytes(content)
    (tmp_path / "b.png").write_bytes(pb.saved(Image.fromarray(COLORS), "PNG"))
    catalog = list_folder(tmp_path)
    assert read_by_header(catalog, np.arange(2), Monitor(), 1) == [0]


def test_deep_jpeg_2000_that_would_be_misread_is_refused() -> None:
    library = pytest.importorskip("openjpeg")
    deep = enlarged(COLORS).astype(np.uint16) * 257
    content = bytearray(library.encode(deep, photometric_interpretation=1, codec_format=1))
    start = content.index(b"\xff\x4f\xff\x51")
    numbered = content.index(b"colr") + 7
    for place, byte in (
        (start + 42, 0x8F),  # with a sign
        (start + 45, 7),  # components of other depths
        (start + 43, 2),  # half as wide
        (numbered + 3, 18),  # sYCC
        (numbered + 3, 12),  # CMYK
    ):
        other = bytearray(content)
        other[place] = byte
        refused = refusal(bytes(other))
        assert refused.reason is Reason.UNSUPPORTED
        assert "save it as PNG or TIFF" in refused.message
    vast = bytearray(content)
    vast[start + 8 : start + 16] = (20_000).to_bytes(4, "big") * 2
    assert refusal(bytes(vast)).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("naked", [False, True])
def test_deep_colors_in_jpeg_2000_are_refused_where_no_library_reads_them(
    naked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra_formats, "_installed", lambda _: None)
    alpha = np.dstack([COLORS, GRAY])
    for picture in (COLORS, alpha):
        content = pb.saved(Image.fromarray(picture), "JPEG2000", no_jp2=naked)
        assert decode_picture(content).size == (WIDTH, HEIGHT)
        for bits in (9, 10, 12, 16):
            refused = refusal(with_depth(content, bits))
            assert refused.reason is Reason.UNSUPPORTED
            assert f"{bits} bits" in refused.message
            assert 'pip install "sosie[formats]"' in refused.message


def test_deep_gray_in_jpeg_2000_is_read() -> None:
    white = np.where(GRAY > 99, np.uint16(65535), np.uint16(300))
    for naked in (False, True):
        content = pb.saved(Image.fromarray(white), "JPEG2000", no_jp2=naked, irreversible=False)
        expected = np.where(GRAY > 99, 255, 1)
        assert (pixels(content) == expected[..., None]).all()


def paged(*pages: tuple[Image.Image, dict[int, int]]) -> bytes:
    """Write a TIFF of several pages with tags of their own."""
    buffer = io.BytesIO()
    frames = []
    for picture, tags in pages:
        frame = picture.copy()
        frame.encoderinfo = {"tiffinfo": tags}
        frames.append(frame)
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:], tiffinfo=pages[0][1])
    return buffer.getvalue()


def test_a_page_that_calls_itself_a_thumbnail_is_passed_over() -> None:
    whole, small = Image.fromarray(COLORS), Image.new("RGB", (5, 3), "red")
    for mark in ({254: 1}, {255: 2}):
        assert (pixels(paged((small, mark), (whole, {254: 0}))) == COLORS).all()
    assert pixels(paged((small, {254: 0}), (whole, {254: 0}))).shape == (3, 5, 3)  # unmarked
    assert pixels(paged((small, {254: 1}), (small, {254: 1}))).shape == (3, 5, 3)  # nothing else
    with opened_picture(paged((small, {254: 1}), (whole, {254: 0}))) as opened:
        assert opened.picture.size == (WIDTH, HEIGHT)


def test_a_jpeg_without_its_end_is_refused_on_both_paths() -> None:
    """Whether the pixels before it are all there cannot be told."""
    content = pb.saved(Image.fromarray(COLORS), "JPEG")[:-2]
    assert refusal(content).reason is Reason.TRUNCATED
    with pytest.raises(Refused, match="truncated"):
        prepare_picture(content, (SEEN,), "fast")


def test_an_orientation_that_only_xmp_holds_turns_the_picture() -> None:
    upright = Image.fromarray(COLORS)
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
    )
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    for kind, options in {
        "JPEG": {"xmp": xmp % 6, "quality": 100},
        "WEBP": {"xmp": xmp % 6, "lossless": True},
        "TIFF": {"tiffinfo": {700: xmp % 6}},
    }.items():
        content = pb.saved(stored, kind, **options)
        assert np.abs(pixels(content) - COLORS).mean() < 3, kind
    both = pb.saved(upright, "JPEG", xmp=xmp % 6, exif=b"Exif\0\0" + pb.exif(1), quality=100)
    assert pixels(both).shape == COLORS.shape  # EXIF is believed first
