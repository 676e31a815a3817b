"""Layer norm of every pixel as a Triton kernel: alone, and behind a 7 x 7 depthwise convolution."""

# ruff: noqa: RUF005 (Triton adds tuples, and unpacks none)

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

if TYPE_CHECKING:
    import torch

MOST_ROWS, REGISTERS = 8, 168
"""Rows of a tile, and registers of a thread: with more of either too few warps run at once."""

CHANNELS_A_WARP = 128
"""Four for each thread, and twice as many where a tile is as high as its map, and so cheaper."""

NORMED_AT_ONCE = 1024
"""Numbers: of as many pixels as hold them."""

# Triton launches on torch's current device, so that is set to the maps' around each launch


@triton.jit  # type: ignore[untyped-decorator]
def _norm(
    maps: tl.tensor,
    plus: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    normed: tl.tensor,
    n_pixels: tl.tensor,
    eps: tl.tensor,
    channels: tl.constexpr,
    padded: tl.constexpr,
    pixels: tl.constexpr,
) -> None:
    pixel = tl.program_id(0).to(tl.int64) * pixels + tl.arange(0, pixels)
    c = tl.arange(0, padded)[None, :]
    there = c < channels
    inside = (pixel < n_pixels)[:, None] & there
    at = pixel[:, None] * channels + c
    read = tl.load(maps + at, mask=inside, other=0.0).to(tl.float32)
    read += tl.load(plus + c, mask=there, other=0.0)
    by, onto = tl.load(scale + c, mask=there), tl.load(shift + c, mask=there)
    off = tl.where(there, read - (tl.sum(read, 1) / channels)[:, None], 0.0)
    inverse = tl.rsqrt(tl.sum(off * off, 1) / channels + eps)
    found = off * inverse[:, None] * by + onto
    tl.store(normed + at, found.to(normed.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _convolve_and_norm(
    maps: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    normed: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    eps: tl.tensor,
    channels: tl.constexpr,
    padded: tl.constexpr,
    at_once: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    pixels: tl.constexpr,
    whole: tl.constexpr,
) -> None:
    """Convolve a tile, some channels at once; then norm it, some pixels at once."""
    top, left = tl.program_id(1) * rows, tl.program_id(0) * columns
    picture = tl.program_id(2).to(tl.int64) * height * width * channels
    x = left + tl.arange(0, columns)[:, None]
    # of the shape of a tile, so that what all pixels share is loaded where it is used
    each = tl.arange(0, at_once)[None, :] + tl.zeros([columns, 1], tl.int32)
    for first in range(0, channels, at_once):
        c = first + each
        sums = ()
        for i in tl.static_range(rows):
            at = ((top + i) * width + x) * channels + c
            inside = (x < width) & (top + i < height)
            sums = sums + (tl.load(bias + at, mask=inside, other=0.0),)  # type: ignore[assignment]
        for dx in range(7):
            taps = ()
            for dy in tl.static_range(7):
                tap = tl.load(weight + (dy * 7 + dx) * channels + c)
                taps = taps + (tap,)  # type: ignore[assignment]
            column = x + dx - 3
            in_width = (column >= 0) & (column < width)
            for r in tl.static_range(rows + 6):
                if not whole or (r >= 3 and r < rows + 3):  # else it lies outside: zeros
                    y = top + r - 3
                    at = (y * width + column) * channels + c
                    inside = in_width & (y >= 0) & (y < height)
                    # each input row is loaded 7 times, not 49
                    read = tl.load(maps + picture + at, mask=inside, other=0.0).to(tl.float32)
                    for dy in tl.static_range(7):
                        if r >= dy and r - dy < rows:
                            more = (sums[r - dy] + read * taps[dy],)
                            sums = sums[: r - dy] + more + sums[r - dy + 1 :]
        for i in tl.static_range(rows):
            at = picture + ((top + i) * width + x) * channels + c
            inside = (x < width) & (top + i < height)
            tl.store(normed + at, sums[i].to(normed.dtype.element_ty), mask=inside)
    tl.debug_barrier()  # what was stored is read again
    c = tl.arange(0, padded)[None, :]
    there = c < channels
    by = tl.load(scale + c, mask=there, other=0.0)
    onto = tl.load(shift + c, mask=there, other=0.0)
    for first in range(0, rows * columns, pixels):
        pixel = first + tl.arange(0, pixels)[:, None]
        row, column = top + pixel // columns, left + pixel % columns
        at = normed + picture + (row * width + column) * channels + c
        inside = there & (pixel < rows * columns) & (row < height) & (column < width)
        read = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        off = tl.where(there, read - (tl.sum(read, 1) / channels)[:, None], 0.0)
        inverse = tl.rsqrt(tl.sum(off * off, 1) / channels + eps)
        found = off * inverse[:, None] * by + onto
        tl.store(at, found.to(normed.dtype.element_ty), mask=inside)


def norm(
    maps: torch.Tensor,
    plus: torch.Tensor,
    scale: torch.Tensor,
    shift: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """Norm each pixel over its channels.

    Parameters
    ----------
    maps : tensor of shape (n, height, width, channels)
        Contiguous.
    plus : tensor of shape (channels,), float32
        Added before.
    scale, shift : tensor of shape (channels,), float32
    eps : float

    Returns
    -------
    tensor of shape (n, height, width, channels)
        Of the maps' dtype; all arithmetic between is of float32.
    """
    import torch

    channels = maps.shape[-1]
    padded, pixels = _pixels_at_once(channels)
    n_pixels = maps.numel() // channels
    normed = torch.empty_like(maps)
    with torch.cuda.device_of(maps):  # type: ignore[no-untyped-call]
        _norm[(triton.cdiv(n_pixels, pixels),)](
            maps,
            plus,
            scale,
            shift,
            normed,
            n_pixels,
            eps,
            channels=channels,
            padded=padded,
            pixels=pixels,
            num_warps=4,
        )
    return normed


def convolve_and_norm(
    maps: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    scale: torch.Tensor,
    shift: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """Convolve each channel by its own 7 x 7 weights, then norm each pixel over its channels.

    Parameters
    ----------
    maps : tensor of shape (n, height, width, channels)
        Contiguous; zeros lie around it. Channels are a multiple of 8.
    weight : tensor of shape (49, channels), float32
    bias : tensor of shape (height, width, channels), float32
        Added to what the convolution gives.
    scale, shift : tensor of shape (channels,), float32
        Of the layer norm.
    eps : float

    Returns
    -------
    tensor of shape (n, height, width, channels)
        Of the maps' dtype; all arithmetic between is of float32.
    """
    import torch

    n, height, width, channels = maps.shape
    rows, columns, at_once = _tile(height, channels)
    padded, pixels = _pixels_at_once(channels)
    normed = torch.empty_like(maps)
    grid = (triton.cdiv(width, columns), triton.cdiv(height, rows), n)
    with torch.cuda.device_of(maps):  # type: ignore[no-untyped-call]
        _convolve_and_norm[grid](
            maps,
            weight,
            bias,
            scale,
            shift,
            normed,
            height,
            width,
            eps,
            channels=channels,
            padded=padded,
            at_once=at_once,
            rows=rows,
            columns=columns,
            pixels=pixels,
            whole=rows == height,
            num_warps=1,  # none waits for another
            maxnreg=REGISTERS,
        )
    return normed


def _tile(height: int, channels: int) -> tuple[int, int, int]:
    """Give rows and columns of a tile, and the channels at once."""
    rows = triton.cdiv(height, triton.cdiv(height, MOST_ROWS))
    most = CHANNELS_A_WARP * (2 if rows == height else 1)
    at_once = min(channels & -channels, most)
    return rows, most // at_once, at_once


def _pixels_at_once(channels: int) -> tuple[int, int]:
    """Give the channels padded to a power of two, and the pixels that are normed at once."""
    padded = triton.next_power_of_2(channels)
    return padded, max(NORMED_AT_ONCE // padded, 1)
