"""HEIC, JPEG XL and deep JPEG 2000, where a library reads them: opened without being decoded."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from extract.formats.color_profiles import find_profile
from extract.formats.heif_headers import HeifHeader, is_heic, read_heif
from extract.formats.jpeg2000 import is_jpeg2000, read_jpeg2000
from extract.formats.jpegxl import STARTS, JpegXl, codestream, read_jpeg_xl
from extract.refusals import Reason, Refused

HEIF, JPEG_XL, DEEP = "HEIF", "JXL", "deep JPEG 2000"
READER = "reader"
"""Key of a picture's ``info``: what read it."""

READERS = TORCHCODEC, PI_HEIF, PYLIBJXL, OPENJPEG = (
    "HEIC by torchcodec",
    "HEIC by pi-heif",
    "JPEG XL by pylibjxl",
    "JPEG 2000 by pylibjpeg-openjpeg",
)
HEIC_BYTES = 20
JPEG_XL_BYTES, USUAL_CHANNELS = 12, 4
DEEP_BYTES = 16
"""A pixel, and of a JPEG XL or JPEG 2000 a channel, in addition to the picture that is made."""

MOST_BITS = 16
DEEP_COLORS = frozenset({None, 16, 17})
"""sRGB and gray, or a profile's."""

EXTRA = 'pip install "sosie[formats]", or save it as JPEG or PNG'


class DecodedLater(Image.Image):
    """A picture of which only the header is known until it is loaded.

    Parameters
    ----------
    kind : str
        Its format.
    size : tuple of int
        Width and height.
    mode : str
        With alpha where it may have one.
    working_bytes : int
        That decoding takes in addition to the picture.
    decode : callable
        Gives its picture.
    """

    def __init__(
        self,
        kind: str,
        size: tuple[int, int],
        mode: str,
        working_bytes: int,
        decode: Callable[[], Image.Image],
    ) -> None:
        super().__init__()
        self.format = kind
        self.working_bytes = working_bytes
        self.info[READER] = None
        self._size, self._mode = size, mode
        self._decode: Callable[[], Image.Image] | None = decode

    def load(self) -> Any:
        """Decode it, the first time."""
        if self._decode is not None:
            decoded, self._decode = self._decode(), None
            decoded.load()
            self.im, self._mode, self._size = decoded.im, decoded.mode, decoded.size
            self.info[READER] = decoded.info.get(READER)
        return super().load()


def open_extra(content: bytes) -> Image.Image | None:
    """Open a HEIC, a JPEG XL or a JPEG 2000 of over 8 bits; None for all other files.

    Raises
    ------
    Refused
        Where nothing is installed that reads it.
    """
    if is_heic(content):
        return _open_heic(content)
    if content.startswith(STARTS):
        return _open_jpeg_xl(content)
    return _open_deep(content) if is_jpeg2000(content) else None


def _open_heic(content: bytes) -> Image.Image:
    """Open a HEIC, with torchcodec where its interface suffices: one picture, plain alpha."""
    header = read_heif(content)
    simple = header.alone and header.width * header.height and not header.premultiplied
    decode_heic = getattr(_installed("torchcodec.decoders"), "decode_heic", None)
    if decode_heic is None or not simple:
        return _by_pi_heif(content, header)

    def decode() -> Image.Image:
        try:
            planes = decode_heic(content, mode="UNCHANGED")
        except (ImportError, RuntimeError) as error:  # no libheif, one without HEVC, a broken file
            return _by_pi_heif(content, header, error)
        picture = _from_planes(planes.numpy(), gray=header.gray)
        picture.info[READER] = TORCHCODEC
        return picture

    mode = "LA" if header.gray else "RGBA"
    opened = DecodedLater(HEIF, (header.width, header.height), mode, _bytes_of(header), decode)
    opened.info["icc_profile"] = header.icc
    return opened


def _bytes_of(header: HeifHeader) -> int:
    return HEIC_BYTES * max(header.most_pixels, header.width * header.height)


def _by_pi_heif(content: bytes, header: HeifHeader, error: Exception | None = None) -> Image.Image:
    """Open a HEIC with pi-heif; without it raise what went before."""
    library = _installed("pi_heif")
    if library is None:
        message = str(error).partition(". If this is")[0]
        if isinstance(error, RuntimeError) and "nsupported" not in message:
            raise ValueError(message) from error
        raise Refused(Reason.UNSUPPORTED, f"HEIC is not read here: {EXTRA}") from error
    opened: Any = library.HeifImageFile(io.BytesIO(content))
    opened.working_bytes = max(_bytes_of(header), HEIC_BYTES * opened.width * opened.height)
    opened.info[READER] = PI_HEIF
    picture: Image.Image = opened
    return picture


def _from_planes(planes: np.ndarray[Any, Any], *, gray: bool) -> Image.Image:
    if gray:  # three equal planes, and perhaps an alpha
        planes = planes[:: len(planes) - 1] if len(planes) == 4 else planes[:1]
    return _picture(np.ascontiguousarray(np.moveaxis(planes, 0, -1)))


def _open_jpeg_xl(content: bytes) -> Image.Image:
    library = _installed("pylibjxl")
    if library is None:
        raise Refused(Reason.UNSUPPORTED, f"JPEG XL is not read here: {EXTRA}")
    stream = codestream(content)  # other boxes would be unpacked, too
    header = read_jpeg_xl(stream)
    _refuse_unread(header)
    by_numbers = header.colors.icc() if header.colors else None

    def decode() -> Image.Image:
        pixels, metadata = library.decode(stream, metadata=True)
        picture = _picture(pixels)
        if header.premultiplied and picture.mode == "RGBA":
            picture = Image.frombuffer("RGBa", picture.size, pixels).convert("RGBA")
        picture = _in_srgb(picture, by_numbers or metadata.get("icc"))
        picture.info[READER] = PYLIBJXL
        return picture

    size, mode = (header.width, header.height), "LA" if header.gray else "RGBA"
    n_channels = max(header.n_channels, USUAL_CHANNELS)
    working_bytes = JPEG_XL_BYTES * n_channels * header.width * header.height
    return DecodedLater(JPEG_XL, size, mode, working_bytes, decode)


def _open_deep(content: bytes) -> Image.Image | None:
    """Open a JPEG 2000 of which Pillow would make white black; None where Pillow reads it."""
    header = read_jpeg2000(content)
    if not header.is_deep:
        return None
    library, n = _installed("openjpeg"), len(header.bits)
    known = header.plain and n <= USUAL_CHANNELS and header.bits[0] <= MOST_BITS
    if not known or header.color_space not in DEEP_COLORS or not all(header.size):
        kind = f"a JPEG 2000 of {max(header.bits)} bits in {n} channels of this kind"
        raise Refused(Reason.UNSUPPORTED, f"{kind} is not read: save it as PNG or TIFF")
    if library is None:
        kind = f"a JPEG 2000 of {header.bits[0]} bits in {n} channels"
        raise Refused(Reason.UNSUPPORTED, f"{kind} is not read here: {EXTRA}")

    def decode() -> Image.Image:
        numbers = library.decode(content)
        white = (1 << header.bits[0]) - 1
        picture = _picture((numbers * np.float32(255 / white) + 0.5).astype(np.uint8))
        picture.info[READER] = OPENJPEG
        return picture

    mode = "LA" if n == 2 else "RGBA"
    pixels = header.size[0] * header.size[1]
    opened = DecodedLater(DEEP, header.size, mode, DEEP_BYTES * n * pixels, decode)
    opened.info["icc_profile"] = header.icc
    return opened


def _refuse_unread(header: JpegXl) -> None:
    kind = None
    if header.animated:
        kind = "an animated JPEG XL"
    elif header.has_ink:
        kind = "a CMYK JPEG XL"
    elif header.mixed and header.has_icc:  # it comes as linear sRGB of 8 bits: the dark is lost
        kind = "a lossy JPEG XL with an ICC profile"
    elif header.colors is None and not header.has_icc:
        kind = "a JPEG XL of high dynamic range, or of unknown colors,"
    if kind:
        raise Refused(Reason.UNSUPPORTED, f"{kind} is not read: save it as JPEG or PNG")


def _picture(pixels: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _in_srgb(picture: Image.Image, icc: object) -> Image.Image:
    profile = find_profile(icc, picture.mode)
    return picture if profile is None else profile.to_srgb(picture)


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError):  # a library that does not load is none
        return None
