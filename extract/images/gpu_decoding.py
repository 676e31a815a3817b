"""JPEGs decoded on a GPU, many at a time, where the host's cores cannot feed the model.

What is not a plain JPEG, and what a decoder stumbles over, is left to the reference.
"""

from __future__ import annotations

import functools
import importlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from extract.errors import UsageError
from extract.formats.jpeg_screening import MOST_HEADER, PlainJpeg, plain_jpeg
from extract.transforms.ragged_resize import resize_ragged, resizes_raggedly

if TYPE_CHECKING:
    import torch

    from extract.transforms.preprocessing import Preprocessing

    Decode = Callable[[list[torch.Tensor], torch.device], list[torch.Tensor]]

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
    decode = DECODERS[decoder or gpu_decoder(device)]
    decoded = _decode_all(decode, {i: encoded[i] for i in headers}, device)
    fits = {i: p for i, p in decoded.items() if p.shape == (3, headers[i].height, headers[i].width)}
    if fits:
        # in hardware each chroma value is repeated; the same libraries interpolate on a CPU
        samplings = [headers[i].sampling for i in fits] if device.type == "cuda" else None
        placed = resize_ragged(list(fits.values()), preprocessing, samplings)
        if len(fits) == len(contents):
            return placed, []
        pixels[torch.tensor(list(fits), device=device)] = placed
    return pixels, [i for i in everything if i not in fits]


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


DECODERS: dict[str, Decode] = {"torchcodec": _by_torchcodec, "torchvision": _by_torchvision}
"""By preference. Both are nvJPEG; torchvision's is on its way out since 0.29."""


@functools.cache
def gpu_decoder(device: torch.device) -> str:
    """Name the first library that decodes a JPEG on this device.

    Raises
    ------
    UsageError
        When none does.
    """
    import torch
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 100, 50)).save(buffer, "JPEG")
    trial = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
    for name, decode in DECODERS.items():
        try:
            (got,) = decode([trial], device)
        except (ImportError, OSError, RuntimeError):
            continue
        if got.shape == (3, 64, 64):
            return name
    raise UsageError(
        f"no JPEG decoder works on {device}: pip install torchcodec, or choose --decoder fast"
    )
