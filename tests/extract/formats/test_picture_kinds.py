"""Files that are no picture of a format that is read: a refusal names what they are."""

from __future__ import annotations

import io
import struct
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from extract.formats.heif_headers import is_heic
from extract.formats.picture_kinds import kind_of
from extract.images.decoders import prepare_picture
from extract.images.decoding import decode_picture
from extract.refusals import Refused
from extract.transforms.preprocessing import Preprocessing
from tests.faults import picture_bytes as pb

SEEN = Preprocessing(16, "squash", 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))


def twelve_bit_jpeg() -> bytes:
    content = bytearray(pb.saved(PICTURE, "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    return bytes(content)


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.png", b"x")
    return packed.getvalue()


def icon(picture: Image.Image) -> bytes:
    return pb.saved(picture, "ICO")


NAMED = {
    "Photoshop": b"8BPS\0\1" + bytes(60),
    "icon": icon(PICTURE),
    "SVG": b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": b"\xef\xbb\xbf \n<!doctype html><html><body><svg></svg>404</body></html>",
    "HTML page": b"<HTML><HEAD><TITLE>403</TITLE></HEAD></HTML>",
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "PDF": b"%PDF-1.7\n1 0 obj <<>> endobj\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "JPEG of 12 bits": twelve_bit_jpeg(),
    "ZIP": archive(),
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "JPEG of a kind": b"\xff\xd8\xff\xe0" + bytes(9),
    "TIFF of a kind": pb.tiff_of(np.zeros((4, 4, 2), np.uint16), 1),
    "a text": b"Not found\r\n",
    "MP4": b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + bytes(50),
    "raw": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(50),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_it_is_stands_in_the_reason_on_both_paths(name: str) -> None:
    said = set()
    for decoder in ("reference", "fast"):
        with pytest.raises(Refused) as refused:
            prepare_picture(NAMED[name], (SEEN,), decoder)
        said.add((refused.value.reason, refused.value.message))
    ((_, message),) = said
    assert name in message
    assert "\n" not in message


def test_no_first_bytes_take_long_or_name_a_picture_that_is_read() -> None:
    start = time.perf_counter()
    for hostile in (b"<!---->" * 9999, b"<" * 99999, b" " * 99999, b"<?xml" * 9999, b"RIFF" * 999):
        kind_of(hostile)
    assert time.perf_counter() - start < 2
    assert decode_picture(pb.saved(PICTURE, "PNG")).size == PICTURE.size


def heif(first: bytes, *others: bytes) -> bytes:
    brands = b"".join(others)
    return struct.pack(">I4s4sI", 16 + len(brands), b"ftyp", first, 0) + brands + bytes(99)


def test_heic_is_told_by_its_brands_and_avif_is_none() -> None:
    for brand in (b"heic", b"heix", b"hevc", b"heim", b"msf1", b"mif1"):
        assert is_heic(heif(brand, b"mif1", b"heic")), brand
    assert not is_heic(heif(b"avif", b"mif1", b"miaf"))
    assert not is_heic(heif(b"mif1", b"avif", b"miaf"))
    assert not is_heic(heif(b"isom", b"mp41"))
    assert not is_heic(pb.saved(PICTURE, "PNG"))
