"""Pictures written by hand, byte by byte, so that no library's habits stand between us and them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture with Pillow."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """Write EXIF that holds an orientation and nothing else."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *([orientation, 0][: 5 - kind]))
    return (
        head
        + struct.pack(order + "IHHHI", 8, 1, ORIENTATION, kind, 1)
        + value
        + struct.pack(order + "I", 0)
    )


def chunk(name: bytes, body: bytes) -> bytes:
    """Write one chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    size: tuple[int, int],
    depth: int,
    color: int,
    rows: bytes,
    *,
    before: bytes = b"",
    after: bytes = b"",
    level: int = 6,
    interlaced: int = 0,
) -> bytes:
    """Write a PNG of rows that each begin with their filter byte."""
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlaced)
    return (
        PNG_HEAD
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows, level))
        + after
        + chunk(b"IEND", b"")
    )


def png_of(values: np.ndarray, color: int, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """Write an array of 8 or 16 bits as a PNG; channels as the color type wants them."""
    depth = values.dtype.itemsize * 8
    big = values.astype(values.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in big)
    size = values.shape[1], values.shape[0]
    return png(size, depth, color, rows, before=before, after=after)


def png_packed(values: np.ndarray, depth: int, color: int, before: bytes = b"") -> bytes:
    """Write values of 1, 2 or 4 bits as a PNG."""
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
    rows = np.packbits(bits.reshape(len(values), -1), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    return png((values.shape[1], values.shape[0]), depth, color, body, before=before)


def png_interlaced(values: np.ndarray) -> bytes:
    """Write RGB of 8 bits in the seven passes of Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    body = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in passes
        for row in values[top::down, left::right]
    )
    return png((values.shape[1], values.shape[0]), 8, 2, body, interlaced=1)


def png_with(content: bytes, *chunks: bytes, at_end: bool = False) -> bytes:
    """Put chunks into a PNG: behind its header, or behind its pixels."""
    place = len(content) - 12 if at_end else 33
    return content[:place] + b"".join(chunks) + content[place:]


def bare_png(size: tuple[int, int], depth: int = 1, color: int = 0) -> bytes:
    """Write a PNG of zeros without ever holding its pixels."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = 1 + (size[0] * depth * samples + 7) // 8
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(range(6))) if color == 3 else b""
    pixels = chunk(b"IDAT", packed_zeros(size[1] * row))
    return PNG_HEAD + header + palette + pixels + chunk(b"IEND", b"")


def packed_zeros(n: int, at_once: int = 1_000_000) -> bytes:
    """Give what zlib makes of so many zeros: a block of them is packed once, and repeated."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    times, rest = divmod(n, at_once)
    block = packer.compress(bytes(at_once)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(bytes(rest)) + packer.flush()
    adler32 = (n % 65_521) << 16 | 1
    return b"\x78\xda" + times * block + end + struct.pack(">I", adler32)


Tag = tuple[int, int, int, bytes]


def tag(number: int, kind: int, *values: int, order: str = "<") -> Tag:
    """Make a TIFF's tag of numbers."""
    letter = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}[kind]
    return number, kind, len(values), struct.pack(f"{order}{len(values)}{letter}", *values)


def tiff(tags: list[Tag], pixels: bytes, order: str = "<", *, big: bool = False) -> bytes:
    """Write a TIFF of one strip, or one a plane; StripOffsets and StripByteCounts are added."""
    head_size, wide, entry = (16, 8, 20) if big else (8, 4, 12)
    kind = 16 if big else 4
    planes = next((t[2] for t in tags if t[0] == 339 and any(u[0] == 284 for u in tags)), 1)
    part = len(pixels) // planes
    offsets = [head_size + i * part for i in range(planes)]
    tags = [
        *tags,
        tag(273, kind, *offsets, order=order),
        tag(279, kind, *[part] * planes, order=order),
    ]
    tags.sort()
    start = head_size + len(pixels)
    extra_at = start + (8 if big else 2) + entry * len(tags) + wide
    letters = {"big": ("Q", "HHQ"), "small": ("H", "HHI")}["big" if big else "small"]
    directory, extra = struct.pack(order + letters[0], len(tags)), b""
    for number, tag_kind, count, body in tags:
        directory += struct.pack(order + letters[1], number, tag_kind, count)
        if len(body) <= wide:
            directory += body.ljust(wide, b"\0")
        else:
            directory += struct.pack(order + ("Q" if big else "I"), extra_at + len(extra))
            extra += body + b"\0" * (len(body) % 2)
    directory += bytes(wide)
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, start) if big else b""
    head = head or struct.pack(order + "HI", 42, start)
    return mark + head + pixels + directory + extra


def tiff_of(
    values: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    big: bool = False,
    sample_format: int = 1,
    more: tuple[Tag, ...] = (),
) -> bytes:
    """Write an array (height, width[, samples]) as an uncompressed TIFF."""
    samples = values.shape[2] if values.ndim == 3 else 1
    bits = [values.dtype.itemsize * 8] * samples
    stored = values.astype(values.dtype.newbyteorder(order))
    if any(t[0] == 284 for t in more):  # planes one after another
        stored = np.moveaxis(stored, -1, 0)
    tags = [
        tag(256, 4, values.shape[1], order=order),
        tag(257, 4, values.shape[0], order=order),
        tag(258, 3, *bits, order=order),
        tag(259, 3, 1, order=order),
        tag(262, 3, photometric, order=order),
        tag(277, 3, samples, order=order),
        tag(278, 4, values.shape[0], order=order),
        tag(339, 3, *[sample_format] * samples, order=order),
        *more,
    ]
    return tiff(tags, stored.tobytes(), order, big=big)


def bmp(
    size: tuple[int, int],
    bits: int,
    body: bytes,
    *,
    palette: bytes = b"",
    compression: int = 0,
    masks: bytes = b"",
) -> bytes:
    """Write a BMP; a negative height is stored from the top."""
    info = struct.pack(
        "<IiiHHIIiiII", 40, *size, 1, bits, compression, len(body), 0, 0, len(palette) // 4, 0
    )
    offset = 14 + len(info) + len(masks) + len(palette)
    head = struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset)
    return head + info + masks + palette + body


def segment(marker: int, body: bytes) -> bytes:
    """Write a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_with(content: bytes, *segments: bytes) -> bytes:
    """Put segments behind a JPEG's first marker."""
    return content[:2] + b"".join(segments) + content[2:]


def jpeg_in_three_scans(plane: Image.Image) -> bytes:
    """Write a gray picture as a JPEG of three equal components, each in a scan of its own."""
    gray = saved(plane, "JPEG", quality=90)
    frame, scan = gray.index(b"\xff\xc0"), gray.index(b"\xff\xda")
    tables = gray[frame + 13 : scan]
    parts = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    body = gray[frame + 4 : frame + 9] + b"\x03" + parts
    data = gray[scan + 10 : -2]
    scans = b"".join(segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + data for number in (1, 2, 3))
    return gray[:frame] + segment(0xC0, body) + tables + scans + b"\xff\xd9"
