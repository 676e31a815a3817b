"""What a file is that is no picture of a format that is read, by its first bytes."""

from __future__ import annotations

import re

from extract.formats.picture_headers import frame_bits

UNKNOWN = "not a picture of a format that is read"
LOOKED_AT = 1 << 12

KINDS: tuple[tuple[bytes, str], ...] = (
    (rb"8BPS", "a Photoshop document (PSD)"),
    (rb"\0\0\x01\0", "a Windows icon (ICO)"),
    (rb"\0\0\x02\0", "a Windows cursor (CUR)"),
    (rb"icns", "an Apple icon (ICNS)"),
    (rb"%PDF-", "a PDF document"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file (EPS)"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (rb"\x89PNG\r\n", "a PNG of a kind that is not read, or broken"),
    (rb"GIF8[79]a", "a GIF of a kind that is not read, or broken"),
    (rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)", "a TIFF of a kind that is not read, or broken"),
    (rb"(IIRO|IIRS|IIU\0|II\x1a\0\0\0HEAPCCDR|FUJIFILMCCD-RAW)", "a camera's raw picture"),
    (rb"II\xbc", "a JPEG XR picture"),
    (rb"RIFF....WEBP", "a WebP of a kind that is not read, or broken"),
    (rb"RIFF....(AVI |WAVE)", "a video or sound"),
    (rb"BM", "a BMP of a kind that is not read, or broken"),
    (rb"v/1\x01", "an OpenEXR picture"),
    (rb"#\?(RADIANCE|RGBE)", "a Radiance picture (HDR)"),
    (rb"DDS ", "a DirectDraw texture (DDS)"),
    (rb"SIMPLE  =", "a FITS file"),
    (rb"qoif", "a QOI picture"),
    (rb"(\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF)", "a Windows metafile"),
    (rb"gimp xcf", "a GIMP picture (XCF)"),
    (rb"AT&TFORM", "a DjVu document"),
    (rb"PK\x03\x04", "a ZIP archive or an office document"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (rb"Rar!", "a RAR archive"),
    (rb"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (rb"\0\0\x01[\xb3\xba]", "an MPEG video"),
)
"""Pattern of the first bytes, and what it is; the first that fits counts."""

MARKUP = {
    b"svg": "an SVG drawing",
    b"html": "an HTML page",
    b"head": "an HTML page",
    b"body": "an HTML page",
}
"""Of the first element that is one of these, or of the document's type."""

_PATTERNS = tuple((re.compile(first, re.DOTALL), kind) for first, kind in KINDS)
_PRINTABLE = bytes(range(32, 127)) + b"\t\n\r\f"
_ELEMENT = re.compile(rb"<(?:!doctype\s+)?([a-z]+)")
BRANDS = {
    b"avif": "an AVIF of a kind that is not read, or broken",
    b"avis": "an AVIF of a kind that is not read, or broken",
    b"crx ": "a camera's raw picture (CR3)",
    b"qt  ": "a QuickTime video",
}
"""Of ISO media files, by the brand that comes first."""


def kind_of(content: bytes) -> str:
    """Name what a refused file is, in words for people."""
    head = content[:LOOKED_AT]
    known = next((kind for first, kind in _PATTERNS if first.match(head)), None)
    kind = _kind_of_jpeg(content) or _kind_of_box(head) or known or _kind_of_text(head)
    return f"{kind}: {UNKNOWN}" if kind else UNKNOWN


def _kind_of_jpeg(content: bytes) -> str | None:
    if content[:3] != b"\xff\xd8\xff":
        return None
    bits = frame_bits(content)
    if bits not in (None, 8):
        return f"a JPEG of {bits} bits a channel"
    return "a JPEG of a kind that is not read, or broken"


def _kind_of_box(head: bytes) -> str | None:
    if head[4:8] != b"ftyp":
        return None
    return BRANDS.get(head[8:12], "a video (MP4)")


def _kind_of_text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"<":
        names = _ELEMENT.findall(text.lower())
        return next((MARKUP[name] for name in names if name in MARKUP), "an XML document")
    is_text = bool(text) and text.isascii() and not text.translate(None, _PRINTABLE)
    return "a text" if is_text else None
