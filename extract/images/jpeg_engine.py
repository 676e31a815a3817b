"""JPEGs decoded by the engine that some GPUs have for them (A100, H100), through nvImageCodec.

It interpolates chroma as the reference's decoder does: its pixels are that one's, to a level.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from extract.transforms.fused_resize import StoredPicture


def decode_by_engine(
    encoded: Sequence[torch.Tensor], device: torch.device
) -> list[StoredPicture | None]:
    """Decode in the current stream; None for what the engine does not take.

    Raises
    ------
    ImportError, RuntimeError
        When there is no such library, or no GPU.
    """
    import torch

    from extract.transforms.fused_resize import StoredPicture

    if device.type != "cuda":
        raise RuntimeError("only a GPU has an engine for JPEGs")
    library = _library()
    stream = torch.cuda.current_stream(device).cuda_stream
    streams = [library.CodeStream(each.numpy()) for each in encoded]
    decoder, settings = _decoder(torch.cuda.current_device(), threading.get_ident())
    found: list[StoredPicture | None] = []
    for image in decoder.decode(streams, params=settings, cuda_stream=stream):
        if image is None:
            found.append(None)
            continue
        seen = image.__cuda_array_interface__
        height, width, _ = seen["shape"]
        found.append(StoredPicture(seen["data"][0], height, width, image))
    return found


def is_installed() -> bool:
    """Say whether the library is here, whatever the GPU has; nothing is loaded."""
    with suppress(ModuleNotFoundError):
        return find_spec("nvidia.nvimgcodec") is not None
    return False


@functools.cache
def _library() -> Any:
    # it would name every picture that it leaves, in colors
    os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
    with _silence():
        return importlib.import_module("nvidia.nvimgcodec")


@functools.cache
def _decoder(device: int, _thread: int) -> tuple[Any, Any]:
    """Give a decoder for each thread, and how it is to decode: RGB, as stored."""
    library = _library()
    engine = library.Backend(library.BackendKind.HW_GPU_ONLY)
    settings = library.DecodeParams(
        apply_exif_orientation=False,
        color_spec=library.ColorSpec.SRGB,
        sample_format=library.SampleFormat.I_RGB,
    )
    return library.Decoder(device_id=device, max_num_cpu_threads=1, backends=[engine]), settings


@contextmanager
def _silence() -> Iterator[None]:
    """Let nothing be written past ``sys.stderr``: which codecs of no use here are not installed."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
