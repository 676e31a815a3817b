"""JPEGs decoded on a GPU, many at a time, where the host's cores cannot feed the model.

What is not a plain JPEG, and what a decoder stumbles over, is left to the reference. Where the GPU
has an engine for JPEGs, and nvImageCodec is here, that decodes, and all pictures are resized in
three launches; else nvJPEG does, and its chroma is put right first.
"""

from __future__ import annotations

import functools
import importlib
import io
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from extract.errors import UsageError
from extract.formats.jpeg_screening import MOST_HEADER, PlainJpeg, plain_jpeg
from extract.transforms.preprocessing import Preprocessing
from extract.transforms.ragged_resize import resize_ragged, resizes_raggedly

if TYPE_CHECKING:
    import torch

    Decode = Callable[[list[torch.Tensor], torch.device], list[torch.Tensor]]
    Files = dict[int, tuple[torch.Tensor, PlainJpeg]]
    Place = Callable[[Files, Preprocessing, torch.device], tuple[list[int], torch.Tensor | None]]

MOST_DECODED = 1 << 30
"""Bytes of pictures that the engine leaves on the device at once; always at least one."""

# what is read is never written to; filters are the process's, not a thread's
warnings.filterwarnings("ignore", message="The given buffer is not writable")


def decode_on_gpu(
    contents: Sequence[bytes | torch.Tensor],
    preprocessing: Preprocessing,
    device: torch.device,
    decoder: str | None = None,
) -> tuple[torch.Tensor, list[int]]:
    """Decode plain JPEGs on a device and place them as the reference does, to within rounding.

    Call it in a stream of its own (``torch.cuda.stream``), one a thread; the pixels are that
    stream's, so whoever uses them in another waits for it. The bytes are no longer needed once
    it returns.

    Parameters
    ----------
    contents : sequence of bytes or tensor
        Files; a tensor is uint8, one-dimensional, in host memory.
    preprocessing : Preprocessing
    device : torch.device
    decoder : str, optional
        A key of ``DECODERS``; by default the first that works on the device.

    Returns
    -------
    pixels : tensor of uint8, (n, size, size, 3)
        On the device; the rows of those left out are zeros.
    left_out : list of int
        Ascending: not plain JPEGs, and those that could not be decoded here.
    """
    import torch

    size = preprocessing.size
    pixels = torch.zeros((len(contents), size, size, 3), dtype=torch.uint8, device=device)
    everything = list(range(len(contents)))
    if not resizes_raggedly(preprocessing):
        return pixels, everything
    encoded = [_as_tensor(content) for content in contents]
    headers = {i: header for i, e in enumerate(encoded) if (header := _screen(e)) is not None}
    if not headers:
        return pixels, everything
    files = {i: (encoded[i], header) for i, header in headers.items()}
    fits, placed = DECODERS[decoder or gpu_decoder(device)](files, preprocessing, device)
    if placed is not None:
        if fits == everything:
            return placed, []
        pixels[torch.tensor(fits, device=device)] = placed
    return pixels, sorted(set(everything) - set(fits))


def _as_tensor(content: bytes | torch.Tensor) -> torch.Tensor:
    import torch

    if isinstance(content, torch.Tensor):
        return content
    if not content:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(content, dtype=torch.uint8)


def _screen(encoded: torch.Tensor) -> PlainJpeg | None:
    file = encoded.numpy()
    return plain_jpeg(file[:MOST_HEADER].tobytes(), file[-2:].tobytes())


def _by_engine(
    files: Files, preprocessing: Preprocessing, device: torch.device
) -> tuple[list[int], torch.Tensor | None]:
    """Decode by the GPU's engine, resize in few launches; done when it returns."""
    import torch

    from extract.images.jpeg_engine import decode_by_engine
    from extract.transforms.fused_resize import resize_stored

    places: list[int] = []
    placed: list[torch.Tensor] = []
    for some in _in_parts(files):
        try:
            decoded = decode_by_engine([files[i][0] for i in some], device)
        except torch.AcceleratorError:  # which no later call survives
            raise
        except RuntimeError:  # it has no memory left, say
            continue
        fits = {
            i: found
            for i, found in zip(some, decoded, strict=True)
            if found is not None and (found.height, found.width) == _size(files[i][1])
        }
        if fits:
            placed.append(resize_stored(list(fits.values()), preprocessing, device))
            places += fits
        torch.cuda.current_stream(device).synchronize()  # what was decoded is read no more
    return places, torch.cat(placed) if placed else None


def _size(header: PlainJpeg) -> tuple[int, int]:
    return header.height, header.width


def _in_parts(files: Files) -> list[list[int]]:
    """Cut files where their pictures would take too much of the device's memory together."""
    parts: list[list[int]] = []
    held = 0
    for i, (_, header) in files.items():
        needed = 3 * header.height * header.width
        if not parts or held + needed > MOST_DECODED:
            parts.append([])
            held = 0
        parts[-1].append(i)
        held += needed
    return parts


def _by_nvjpeg(
    decode: Decode, files: Files, preprocessing: Preprocessing, device: torch.device
) -> tuple[list[int], torch.Tensor | None]:
    """Decode by nvJPEG; its repeated chroma is interpolated before it is resized."""
    decoded = _decode_all(decode, {i: encoded for i, (encoded, _) in files.items()}, device)
    headers = {i: header for i, (_, header) in files.items()}
    fits = {i: p for i, p in decoded.items() if p.shape == (3, headers[i].height, headers[i].width)}
    if not fits:
        return [], None
    # on a GPU each chroma value is repeated; the same libraries interpolate on a CPU
    samplings = [headers[i].sampling for i in fits] if device.type == "cuda" else None
    return list(fits), resize_ragged(list(fits.values()), preprocessing, samplings)


def _decode_all(
    decode: Decode, encoded: dict[int, torch.Tensor], device: torch.device
) -> dict[int, torch.Tensor]:
    """Decode what can be: a list is lost with any picture in it, so it is halved until it is not.

    Raises
    ------
    RuntimeError
        When the device itself fails: memory, or a fault that no later call survives.
    """
    import torch

    try:
        return dict(zip(encoded, decode(list(encoded.values()), device), strict=True))
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except RuntimeError:
        if len(encoded) == 1:
            return {}
    places = list(encoded)
    middle = len(places) // 2
    halves = places[:middle], places[middle:]
    found: dict[int, torch.Tensor] = {}
    for half in halves:
        found |= _decode_all(decode, {i: encoded[i] for i in half}, device)
    return found


def _by_torchcodec(encoded: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """Decode in the current stream, with a decoder for each thread; done when it returns."""
    decode_jpeg = importlib.import_module("torchcodec.decoders").decode_jpeg
    return list(decode_jpeg(encoded, mode="RGB", device=device))


def _by_torchvision(encoded: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """Decode in a stream of torchvision's own, one call at a time; done when it returns."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    if device.type == "cuda":
        # it writes from its own stream into memory of this one, which kernels queued here may
        # still be reading as pictures of the batch before
        torch.cuda.current_stream(device).synchronize()
    return list(decode_jpeg(encoded, mode=ImageReadMode.RGB, device=device))


ENGINE = "nvimgcodec"
NVJPEG: dict[str, Decode] = {"torchcodec": _by_torchcodec, "torchvision": _by_torchvision}
"""Two libraries that both hold it; torchvision's is on its way out since 0.29."""

DECODERS: dict[str, Place] = {
    ENGINE: _by_engine,
    **{name: partial(_by_nvjpeg, decode) for name, decode in NVJPEG.items()},
}
"""By preference."""

TRIAL = Preprocessing(24, "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
MOST_OFF = 2.0
"""Levels of 255, on average: whatever decodes a trial so is right."""


@functools.cache
def gpu_decoder(device: torch.device) -> str:
    """Name the first library that decodes a JPEG on this device.

    Raises
    ------
    UsageError
        When none does.
    """
    for name in DECODERS:
        if _works(name, device):
            return name
    raise UsageError(
        f"no JPEG decoder works on {device}: pip install torchcodec, or choose --decoder fast"
    )


@functools.cache
def has_engine(device: torch.device) -> bool:
    """Say whether the GPU's engine for JPEGs can be used here: cores are left free by it."""
    return ENGINE in DECODERS and _works(ENGINE, device)


def _works(name: str, device: torch.device) -> bool:
    """Decode a drawn picture, and hold it against the reference."""
    import torch

    if device.type == "cuda" and not torch.cuda.is_available():
        return False
    picture = _trial_picture()
    try:
        pixels, left_out = decode_on_gpu([trial_file()], TRIAL, device, name)
    except (ImportError, OSError, RuntimeError):
        return False
    off = pixels[0].cpu().numpy().astype(int) - TRIAL.placed(picture)
    return not left_out and bool(abs(off).mean() <= MOST_OFF)


def trial_file() -> bytes:
    """Give a small JPEG that every decoder takes: the first call of one takes seconds."""
    buffer = io.BytesIO()
    _trial_picture().save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _trial_picture() -> Image.Image:
    picture = Image.linear_gradient("L").resize((96, 64))
    return Image.merge("RGB", (picture, picture.rotate(180), picture.rotate(90)))
