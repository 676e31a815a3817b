"""Pictures of many sizes resized and cut in few launches, with Pillow's own weights.

Pillow resizes one axis, rounds to 8 bits, then the other. Each is a product with a matrix, and
what a center crop cuts away are rows of that matrix that are never made. So a batch is two batched
products whatever the sizes in it, its pictures padded with columns of weight 0.
Where a picture does not reach, its ground is laid over what was made there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from extract.transforms.chroma import interpolate_chroma
from extract.transforms.fast_geometry import center, ground, rows_first
from extract.transforms.preprocessing import Preprocessing, resized_size

if TYPE_CHECKING:
    import torch

    Pictures = Sequence[torch.Tensor]

SUPPORTS = {"bicubic": 2.0, "bilinear": 1.0}
"""Source pixels either way that a filter reaches at scale 1."""

MULTIPLE = 8
"""Sides are padded to it: tensor cores want rows of 16 bytes."""

MOST_PADDED = 256 << 20
"""Bytes of the pictures of one group, padded; a group always holds one picture."""

MOST_WASTE = 2.0
"""Padded pixels for each real one, before a group is closed."""


@dataclass(frozen=True)
class Axis:
    """One axis of a picture: its pixels, and which of the resized ones are kept.

    Parameters
    ----------
    length, resized : int
        Pixels before and after.
    first : int
        The resized pixel at which what the model sees begins; below 0 where ground comes first.
    start, stop : int
        The source pixels that the kept ones are made of, ``start`` an even number.
    """

    length: int
    resized: int
    first: int
    start: int
    stop: int


def resizes_raggedly(preprocessing: Preprocessing) -> bool:
    """Whether this geometry can be had from matrices: its filter is one of those known here."""
    return preprocessing.interpolation in SUPPORTS


@lru_cache(maxsize=4096)
def plan_axes(preprocessing: Preprocessing, height: int, width: int) -> tuple[Axis, Axis]:
    """Plan the rows and the columns of a picture of this size."""
    resized = resized_size(preprocessing, height, width)
    support = SUPPORTS[preprocessing.interpolation]
    return (
        _axis(height, resized[0], preprocessing, support),
        _axis(width, resized[1], preprocessing, support),
    )


def _axis(length: int, resized: int, preprocessing: Preprocessing, support: float) -> Axis:
    kept, before = center(resized, preprocessing)
    reach = support * max(length / resized, 1.0)
    start = math.floor((kept.start + 0.5) * length / resized - reach) - 2
    stop = math.ceil((kept.stop - 0.5) * length / resized + reach) + 3
    return Axis(length, resized, kept.start - before, max(start, 0) // 2 * 2, min(stop, length))


def resize_ragged(
    pictures: Pictures,
    preprocessing: Preprocessing,
    samplings: Sequence[tuple[int, int]] | None = None,
) -> torch.Tensor:
    """Resize and cut pictures of any sizes as the reference does.

    Parameters
    ----------
    pictures : sequence of tensor
        uint8, (3, height, width), all on one device.
    preprocessing : Preprocessing
        One that ``resizes_raggedly``.
    samplings : sequence of tuple of int, optional
        Of each picture, the pixels down and across over which its decoder repeated one chroma
        value; the result is as if it had interpolated between them, as the reference does.

    Returns
    -------
    tensor of uint8, (n, size, size, 3)
        On the pictures' device.
    """
    import torch

    size = preprocessing.size
    placed = torch.empty(
        (len(pictures), size, size, 3), dtype=torch.uint8, device=pictures[0].device
    )
    repeats = samplings or [(1, 1)] * len(pictures)
    axes = [plan_axes(preprocessing, p.shape[1], p.shape[2]) for p in pictures]
    kinds = [(r, _down_first(*a, preprocessing)) for r, a in zip(repeats, axes, strict=True)]
    for kind in set(kinds):
        alike = [i for i, other in enumerate(kinds) if other == kind]
        for group in _groups(alike, axes):
            resized = _resize_group(
                [pictures[i] for i in group], [axes[i] for i in group], preprocessing, *kind
            )
            if len(group) == len(pictures) and group == sorted(group):
                return resized
            placed[torch.tensor(group, device=placed.device)] = resized
    return placed


def _down_first(rows: Axis, columns: Axis, preprocessing: Preprocessing) -> bool:
    size, target = (rows.length, columns.length), (rows.resized, columns.resized)
    return rows_first(size, target, preprocessing)


def _groups(indices: list[int], axes: Sequence[tuple[Axis, Axis]]) -> list[list[int]]:
    """Split pictures, small ones first, so that padding neither wastes nor holds too much."""

    def sides(index: int) -> tuple[int, int]:
        rows, columns = axes[index]
        return rows.stop - rows.start, columns.stop - columns.start

    groups: list[list[int]] = []
    height = width = real = 0
    for index in sorted(indices, key=lambda i: math.prod(sides(i))):
        h, w = sides(index)
        tall, wide = max(height, h), max(width, w)
        padded = tall * wide * (len(groups[-1]) + 1 if groups else 1)
        if not groups or padded * 3 > MOST_PADDED or padded > MOST_WASTE * (real + h * w):
            groups.append([])
            tall, wide, real = h, w, 0
        groups[-1].append(index)
        height, width, real = tall, wide, real + h * w
    return [sorted(group) for group in groups]


def _resize_group(
    pictures: Pictures,
    axes: Sequence[tuple[Axis, Axis]],
    preprocessing: Preprocessing,
    sampling: tuple[int, int],
    down_first: bool,
) -> torch.Tensor:
    import torch

    size = preprocessing.size
    padded = _pack(pictures, axes)
    *_, height, width = padded.shape
    exact = torch.float16 if padded.is_cuda else torch.float32  # 0 to 255 are exact in either
    down = weights([rows for rows, _ in axes], height, preprocessing, padded.device)
    across = weights([columns for _, columns in axes], width, preprocessing, padded.device)
    if sampling != (1, 1):
        sides = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in axes]
        heights, widths = torch.tensor(sides).to(padded.device).unbind(1)
        padded = interpolate_chroma(padded, heights, widths, sampling)
    passes = _down_then_across if down_first else _across_then_down
    placed = passes(padded.to(exact), down.to(exact), across.to(exact).transpose(1, 2))
    placed = _eight_bits(placed).permute(0, 1, 3, 2).contiguous()
    if _leave_ground(axes, size):
        placed.masked_fill_(_where_ground(axes, size, placed.device), ground(preprocessing))
    return placed


def _across_then_down(
    pixels: torch.Tensor, down: torch.Tensor, across: torch.Tensor
) -> torch.Tensor:
    """Resize (n, 3, height, width) to (n, size, 3, size), rounded in between only."""
    n, _, height, width = pixels.shape
    size = down.shape[1]
    rows = _eight_bits(_product(pixels.view(n, 3 * height, width), across))
    rows = rows.view(n, 3, height, size).permute(0, 2, 1, 3).to(pixels.dtype)
    return _product(down, rows.reshape(n, height, 3 * size)).view(n, size, 3, size)


def _down_then_across(
    pixels: torch.Tensor, down: torch.Tensor, across: torch.Tensor
) -> torch.Tensor:
    """Resize (n, 3, height, width) to (n, size, 3, size), rounded in between only."""
    n, _, height, width = pixels.shape
    size = down.shape[1]
    columns = pixels.permute(0, 2, 1, 3).reshape(n, height, 3 * width)
    columns = _eight_bits(_product(down, columns)).to(pixels.dtype)
    return _product(columns.view(n, size * 3, width), across).view(n, size, 3, size)


def _leave_ground(axes: Iterable[tuple[Axis, Axis]], size: int) -> bool:
    return any(axis.resized < size for both in axes for axis in both)


def _where_ground(
    axes: Sequence[tuple[Axis, Axis]], size: int, device: torch.device
) -> torch.Tensor:
    """Mark what each picture does not reach; tensor of bool, (n, size, size, 1)."""
    import torch

    table = torch.tensor([[(a.first, a.resized) for a in both] for both in axes]).to(device)
    first, resized = table.unbind(2)
    at = first[..., None] + torch.arange(size, device=device)
    rows, columns = ((at < 0) | (at >= resized[..., None])).unbind(1)
    return (rows[:, :, None] | columns[:, None, :])[..., None]


def _pack(pictures: Pictures, axes: Sequence[tuple[Axis, Axis]]) -> torch.Tensor:
    """Copy what is needed of each picture into one padded batch, its edges left as found."""
    import torch

    windows = [
        picture[:, rows.start : rows.stop, columns.start : columns.stop]
        for picture, (rows, columns) in zip(pictures, axes, strict=True)
    ]
    height, width = (
        -(-max(window.shape[axis] for window in windows) // MULTIPLE) * MULTIPLE for axis in (1, 2)
    )
    padded = torch.empty(
        (len(windows), 3, height, width), dtype=torch.uint8, device=windows[0].device
    )
    _, h, w = windows[0].shape
    if all(window.shape == (3, h, w) for window in windows):
        padded[:, :, :h, :w] = torch.stack(windows)
        return padded
    for slot, window in zip(padded, windows, strict=True):
        slot[:, : window.shape[1], : window.shape[2]].copy_(window)
    return padded


def weights(
    axes: Sequence[Axis], width: int, preprocessing: Preprocessing, device: torch.device
) -> torch.Tensor:
    """Build the matrices that resize each axis as Pillow does, and keep what the model sees.

    Where there is ground the nearest pixel of the picture is made once more.

    Parameters
    ----------
    axes : sequence of Axis
    width : int
        Source pixels, from each axis's ``start``; those past its ``stop`` weigh nothing.

    Returns
    -------
    tensor of float32, (n, size, width)
    """
    import torch

    table = torch.tensor(
        [(a.length, a.resized, a.first, a.start) for a in axes], dtype=torch.float64
    ).to(device)
    length, resized, first, start = (column[:, None] for column in table.unbind(1))
    stretch = length / resized
    scale = stretch.clamp(min=1.0)
    reach = SUPPORTS[preprocessing.interpolation] * scale
    kept = first + torch.arange(preprocessing.size, dtype=torch.float64, device=device)
    if any(a.resized < preprocessing.size for a in axes):
        kept = kept.clamp(min=0.0).minimum(resized - 1)
    middle = (kept + 0.5) * stretch
    low = (middle - reach + 0.5).trunc().clamp(min=0.0)
    high = torch.minimum((middle + reach + 0.5).trunc(), length)
    # whole numbers and a small rest: float32 then loses nothing however far along the axis
    rest = (low + 0.5 - middle).float()[..., None]
    pixel = torch.arange(width, device=device, dtype=torch.float32)
    steps = pixel - (low - start).float()[..., None]
    inside = (steps >= 0) & (steps < (high - low).float()[..., None])
    raw = _filter(preprocessing.interpolation, (steps + rest) / scale.float()[..., None])
    raw = raw * inside
    return raw / raw.sum(dim=2, keepdim=True)


def _filter(interpolation: str, x: torch.Tensor) -> torch.Tensor:
    x = x.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0.0)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return near.where(x < 1, far) * (x < 2)


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply batches of matrices, summed and given in float32 whatever the operands."""
    import torch

    if a.dtype == torch.float32:
        return torch.bmm(a, b)
    return torch.bmm(a, b, out_dtype=torch.float32)


def _eight_bits(values: torch.Tensor) -> torch.Tensor:
    """Round half up and clip, as Pillow does after each pass; the values are not kept."""
    import torch

    return values.add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
