"""HEIC and JPEG XL, where a library that reads them is installed: opened without being decoded."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from extract.color_profiles import find_profile
from extract.heif_headers import is_heic, read_heif
from extract.refusals import Reason, Refused

HEIF, JPEG_XL = "HEIF", "JXL"
JPEG_XL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
EXTRA = 'pip install "sosie[formats]", or save it as JPEG or PNG'


class DecodedLater(Image.Image):
    """A picture of which only the size is known until it is loaded.

    Parameters
    ----------
    kind : str
        Its format.
    size : tuple of int
        Width and height.
    decode : callable
        Gives its picture in sRGB.
    """

    def __init__(self, kind: str, size: tuple[int, int], decode: Callable[[], Image.Image]) -> None:
        super().__init__()
        self.format = kind
        self._size, self._mode = size, "RGBA"  # as much as it may take
        self._decode: Callable[[], Image.Image] | None = decode

    def load(self) -> Any:
        """Decode it, the first time."""
        if self._decode is not None:
            decoded, self._decode = self._decode(), None
            self.im, self._mode, self._size = decoded.im, decoded.mode, decoded.size
        return super().load()


def open_extra(content: bytes) -> Image.Image | None:
    """Open a HEIC or a JPEG XL; None for all other files.

    Raises
    ------
    Refused
        Where nothing is installed that reads it.
    """
    if is_heic(content):
        return _open_heic(content)
    if content.startswith(JPEG_XL_STARTS):
        return _open_jpeg_xl(content)
    return None


def _open_heic(content: bytes) -> Image.Image:
    """Take pi-heif first: it knows the primary picture, its profile, and bounds what it takes."""
    heif = _installed("pi_heif")
    if heif is not None:
        opened: Image.Image = heif.HeifImageFile(io.BytesIO(content))
        return opened
    decoders = _installed("torchcodec.decoders")
    if decoders is None or not hasattr(decoders, "decode_heic"):
        raise Refused(Reason.UNSUPPORTED, f"HEIC is not read here: {EXTRA}")
    header = read_heif(content)
    if header.n_pictures != 1 or not header.width * header.height:
        raise Refused(Reason.UNSUPPORTED, f"a HEIC of {header.n_pictures} pictures: {EXTRA}")

    def decode() -> Image.Image:
        try:
            pixels = decoders.decode_heic(content, mode="RGB_ALPHA")
        except ImportError as error:  # it finds no libheif
            raise Refused(Reason.UNSUPPORTED, f"HEIC is not read here: {EXTRA}") from error
        return _in_srgb(pixels.permute(1, 2, 0).contiguous().numpy(), header.icc)

    return DecodedLater(HEIF, (header.width, header.height), decode)


def _open_jpeg_xl(content: bytes) -> Image.Image:
    library = _installed("pylibjxl")
    if library is None:
        raise Refused(Reason.UNSUPPORTED, f"JPEG XL is not read here: {EXTRA}")
    said = library.probe(content)
    if said["have_animation"]:
        raise Refused(Reason.UNSUPPORTED, "an animated JPEG XL is not read")

    def decode() -> Image.Image:
        pixels, beside = library.decode(content, metadata=True)
        return _in_srgb(pixels, beside.get("icc"))

    return DecodedLater(JPEG_XL, (said["width"], said["height"]), decode)


def _in_srgb(pixels: np.ndarray[Any, Any], icc: object) -> Image.Image:
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1:] == (1,) else pixels)
    profile = find_profile(icc, picture.mode)
    return picture if profile is None else profile.to_srgb(picture)


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError):  # a library that does not load is none
        return None
