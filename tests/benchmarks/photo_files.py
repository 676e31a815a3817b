"""JPEG files that cost a decoder what photographs cost it, as many as wanted, no two equal.

A few pictures are drawn and encoded; every file is one of them with a comment of its own, so that
making many costs no more than writing them.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FILES_A_FOLDER = 1000
COMMENT = b"\xff\xfe"
"""The marker COM of a JPEG file."""


@dataclass(frozen=True)
class Kind:
    """What pictures of one kind are like.

    Parameters
    ----------
    sizes : tuple of tuple of int
        Widths and heights, in turn.
    texture : float
        Standard deviation of the noise, gray levels of 255; decides the bytes a file.
    quality : int
    distinct : int
        How many are drawn and encoded.
    """

    sizes: tuple[tuple[int, int], ...]
    texture: float
    quality: int
    distinct: int


KINDS = {
    "small": Kind(((500, 500), (500, 375), (375, 500), (500, 334)), 7.0, 88, 256),
    "photos": Kind(((1800, 1350), (1350, 1800)), 6.4, 88, 48),
    "tiny": Kind(((48, 36),), 8.0, 80, 200),
}


def measure(folder: Path, count: int, pictures: str, processes: int) -> None:
    """Make the files and say what they are."""
    began = time.perf_counter()
    n_bytes = make_photo_files(folder, count, pictures, processes)
    seconds = time.perf_counter() - began
    print(f"{count:,} {pictures} pictures of {n_bytes / count:,.0f} bytes in {seconds:.1f} s")


def make_photo_files(folder: Path, count: int, pictures: str, processes: int | None = None) -> int:
    """Make so many files of a kind in sub-folders; their bytes in all.

    Processes are forked: call it before threads are started.
    """
    kind = KINDS[pictures]
    context = multiprocessing.get_context("fork")
    with context.Pool(processes or os.cpu_count()) as pool:
        encoded = pool.map(partial(_encode, kind), range(min(kind.distinct, count)), chunksize=1)
        begins = range(0, count, FILES_A_FOLDER)
        for begin in begins:
            (folder / f"{begin // FILES_A_FOLDER:04}").mkdir(parents=True, exist_ok=True)
    try:
        # forked again, so that every process has the encoded pictures without a copy
        _ENCODED[:] = encoded
        with context.Pool(processes or os.cpu_count()) as pool:
            written = pool.starmap(_write, [(folder, b, count) for b in begins], chunksize=1)
    finally:
        _ENCODED.clear()
    return sum(written)


_ENCODED: list[bytes] = []


def _write(folder: Path, begin: int, count: int) -> int:
    n_bytes = 0
    for number in range(begin, min(begin + FILES_A_FOLDER, count)):
        content = with_comment(_ENCODED[number % len(_ENCODED)], f"picture {number}".encode())
        path = folder / f"{number // FILES_A_FOLDER:04}" / f"{number:07}.jpg"
        n_bytes += path.write_bytes(content)
    return n_bytes


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """Put a comment behind a JPEG's first marker; the pixels stay what they are."""
    return jpeg[:2] + COMMENT + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _encode(kind: Kind, seed: int) -> bytes:
    file = io.BytesIO()
    draw_photo(kind, seed).save(file, "JPEG", quality=kind.quality)
    return file.getvalue()


def draw_photo(kind: Kind, seed: int) -> Image.Image:
    """Draw noise whose amplitude falls with frequency as a photograph's does, and hard edges."""
    rng = np.random.default_rng(seed)
    size = kind.sizes[seed % len(kind.sizes)]
    shapes = Image.new("RGB", size, tuple(rng.integers(120, 230, 3).tolist()))
    pen = ImageDraw.Draw(shapes)
    for _ in range(10):
        corners = np.sort(rng.uniform(-0.1, 1.1, (2, 2)), axis=0) * size
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw(corners.ravel().tolist(), fill=tuple(rng.integers(30, 245, 3).tolist()))
    rough = np.clip(1 + _noise(rng, size, 2.0), 0, None)  # plain grounds beside rough ones
    shade = (kind.texture * rough * _noise(rng, size, 1.0))[..., None]
    tint = 5 * np.stack([_noise(rng, size, 2.0) for _ in range(3)], axis=-1)
    pixels = np.asarray(shapes, np.float32) + shade + tint
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _noise(rng: np.random.Generator, size: tuple[int, int], power: float) -> np.ndarray:
    """Noise of amplitude 1 / f ** power, mean 0 and standard deviation 1, in float32."""
    shape = size[::-1]
    spectrum = np.fft.rfft2(rng.standard_normal(shape))
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    f[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum / f**power, shape)
    return (noise / noise.std()).astype(np.float32)
