"""Pictures of many sizes resized and cut in three launches of Triton's, to Pillow's last bit.

Pillow resizes one axis, rounds to 8 bits, then the other, by weights of 22 bits that it computes in
doubles. The first launch makes those weights, the others are the two passes. Nothing is padded:
each picture is read where its decoder left it, and what a center crop cuts away is not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import triton
import triton.language as tl

from extract.transforms.fast_geometry import ground, rows_first
from extract.transforms.preprocessing import Preprocessing
from extract.transforms.ragged_resize import SUPPORTS, plan_axes

if TYPE_CHECKING:
    import torch

BITS, ONE, HALF = tl.constexpr(22), tl.constexpr(1 << 22), tl.constexpr(1 << 21)
"""Of a weight behind the point, as Pillow has them for 8-bit pictures; weights of 1 and a half."""

FIELDS = tl.constexpr(14)
"""int64 numbers of a picture in the table that the kernels read, see ``_record``."""

KEPT_AT_ONCE, LINES_AT_ONCE, VALUES_AT_ONCE = 32, 8, 128
"""Of a tile; ``VALUES_AT_ONCE`` are pixels times channels, which lie side by side."""


class StoredPicture(NamedTuple):
    """A decoded picture where its decoder left it.

    Parameters
    ----------
    address : int
        Of uint8 pixels (height, width, 3), in one piece, on a device.
    height, width : int
    owner : object
        What keeps that memory.
    """

    address: int
    height: int
    width: int
    owner: object


@triton.jit  # type: ignore[untyped-decorator]
def _weigh(
    table: tl.tensor,
    lows: tl.tensor,
    weights: tl.tensor,
    most_taps: tl.tensor,
    size: tl.constexpr,
    bicubic: tl.constexpr,
    at_once: tl.constexpr,
) -> None:
    """Give the first source pixel and the weights of each kept pixel of an axis."""
    axis = tl.program_id(1)  # two of each picture
    place = tl.program_id(0) * at_once + tl.arange(0, at_once)
    there = place < size
    record = table + (axis // 2) * FIELDS + 5 + (axis % 2) * 3
    length, resized, first = tl.load(record), tl.load(record + 1), tl.load(record + 2)
    scale = length.to(tl.float64) / resized.to(tl.float64)
    wide = tl.maximum(scale, 1.0)
    reach = wide * (2.0 if bicubic else 1.0)
    kept = tl.minimum(tl.maximum(first + place, 0), resized - 1)
    middle = (kept.to(tl.float64) + 0.5) * scale
    low = tl.maximum((middle - reach + 0.5).to(tl.int64), 0)
    high = tl.minimum((middle + reach + 0.5).to(tl.int64), length)
    tl.store(lows + axis * size + place, low.to(tl.int32), mask=there)
    total = tl.zeros([at_once], tl.float64)
    for tap in range(most_taps):
        total += _filter(low + tap, middle, wide, high, bicubic)
    for tap in range(most_taps):
        weight = _filter(low + tap, middle, wide, high, bicubic) / total * ONE
        rounded = (weight + tl.where(weight < 0, -0.5, 0.5)).to(tl.int32)
        tl.store(weights + (axis * most_taps + tap) * size + place, rounded, mask=there)


@triton.jit  # type: ignore[untyped-decorator]
def _filter(
    pixel: tl.tensor, middle: tl.tensor, wide: tl.tensor, high: tl.tensor, bicubic: tl.constexpr
) -> tl.tensor:
    x = tl.abs((pixel.to(tl.float64) - middle + 0.5) * (1.0 / wide))
    if bicubic:
        near = (1.5 * x - 2.5) * x * x + 1.0
        far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
        found = tl.where(x < 1.0, near, tl.where(x < 2.0, far, 0.0))
    else:
        found = tl.maximum(1.0 - x, 0.0)
    return tl.where(pixel < high, found, 0.0)


@triton.jit  # type: ignore[untyped-decorator]
def _first_pass(
    table: tl.tensor,
    lows: tl.tensor,
    weights: tl.tensor,
    lines: tl.tensor,
    most_taps: tl.tensor,
    size: tl.constexpr,
    lines_at_once: tl.constexpr,
    at_once: tl.constexpr,
) -> None:
    """Resize the lines of a picture that the second pass reads: (n_lines, size, 3) of each."""
    picture = tl.program_id(2)
    record = table + picture * FIELDS
    n_lines = tl.load(record + 2)
    line = tl.program_id(1) * lines_at_once + tl.arange(0, lines_at_once)
    if tl.program_id(1) * lines_at_once < n_lines:
        pixels = tl.load(record).to(tl.pointer_type(tl.uint8))
        row_bytes, down_first = tl.load(record + 1), tl.load(record + 11)
        along = tl.where(down_first != 0, row_bytes, 3)
        across = tl.where(down_first != 0, 3, row_bytes)
        length, taps = tl.load(record + 5), tl.load(record + 12).to(tl.int32)
        value = tl.program_id(0) * at_once + tl.arange(0, at_once)
        kept, channel = value // 3, value % 3
        there = kept < size
        low = tl.load(lows + 2 * picture * size + kept, mask=there, other=0)
        start = pixels + ((tl.load(record + 3) + line) * across)[:, None]
        start += (low * along + channel)[None, :]
        sums = tl.full([lines_at_once, at_once], HALF, tl.int32)
        for tap in range(taps):
            at = weights + (2 * picture * most_taps + tap) * size + kept
            weight = tl.load(at, mask=there, other=0)
            inside = (line < n_lines)[:, None] & (there & (low + tap < length))[None, :]
            read = tl.load(start + tap * along, mask=inside, other=0)
            sums += read.to(tl.int32) * weight[None, :]
        found = tl.minimum(tl.maximum(sums >> BITS, 0), 255).to(tl.uint8)
        at = lines + tl.load(record + 4) + line[:, None] * (size * 3) + value[None, :]
        tl.store(at, found, mask=(line < n_lines)[:, None] & there[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _second_pass(
    table: tl.tensor,
    lows: tl.tensor,
    weights: tl.tensor,
    lines: tl.tensor,
    placed: tl.tensor,
    most_taps: tl.tensor,
    level: tl.tensor,
    size: tl.constexpr,
    lines_at_once: tl.constexpr,
    at_once: tl.constexpr,
) -> None:
    """Resize across the lines, and lay the ground where a picture does not reach."""
    picture = tl.program_id(2)
    record = table + picture * FIELDS
    row = tl.program_id(1) * lines_at_once + tl.arange(0, lines_at_once)
    value = tl.program_id(0) * at_once + tl.arange(0, at_once)
    kept, channel = value // 3, value % 3
    there = (row < size)[:, None] & (kept < size)[None, :]
    axis = 2 * picture + 1
    low = tl.load(lows + axis * size + row, mask=row < size, other=0) - tl.load(record + 3)
    n_lines = tl.load(record + 2)
    start = lines + tl.load(record + 4) + (low * (size * 3))[:, None] + value[None, :]
    sums = tl.full([lines_at_once, at_once], HALF, tl.int32)
    for tap in range(tl.load(record + 13).to(tl.int32)):
        at = weights + (axis * most_taps + tap) * size + row
        weight = tl.load(at, mask=row < size, other=0)
        inside = there & (low + tap < n_lines)[:, None]
        read = tl.load(start + tap * (size * 3), mask=inside, other=0)
        sums += read.to(tl.int32) * weight[:, None]
    found = tl.minimum(tl.maximum(sums >> BITS, 0), 255)
    one = tl.load(record + 7) + kept
    other = tl.load(record + 10) + row
    reached = ((one >= 0) & (one < tl.load(record + 6)))[None, :]
    reached &= ((other >= 0) & (other < tl.load(record + 9)))[:, None]
    found = tl.where(reached, found, level)
    down_first = tl.load(record + 11)
    of_row, of_kept = tl.where(down_first != 0, 3, size * 3), tl.where(down_first != 0, size * 3, 3)
    at = (row * of_row)[:, None] + (kept * of_kept + channel)[None, :]
    at += picture.to(tl.int64) * (size * size * 3)
    tl.store(placed + at, found.to(tl.uint8), mask=there)


def resize_stored(
    pictures: Sequence[StoredPicture], preprocessing: Preprocessing, device: torch.device
) -> torch.Tensor:
    """Resize and cut pictures of any sizes as the reference does, bit for bit.

    Parameters
    ----------
    pictures : sequence of StoredPicture
        All on the device.
    preprocessing : Preprocessing
        One that ``resizes_raggedly``.
    device : torch.device

    Returns
    -------
    tensor of uint8, (n, size, size, 3)
        On the device; not waited for, so that the pictures must live until then.
    """
    import torch

    n, size = len(pictures), preprocessing.size
    records = [_record(preprocessing, each.height, each.width) for each in pictures]
    table = np.array(records, np.int64)
    table[:, 0] = [each.address for each in pictures]
    n_lines = table[:, 2]
    ends = np.cumsum(n_lines) * size * 3
    table[:, 4] = ends - n_lines * size * 3
    most_taps = int(table[:, 12:].max())
    with torch.cuda.device_of(torch.empty(0, device=device)):  # type: ignore[no-untyped-call]
        there = torch.from_numpy(table)
        if device.type == "cuda":  # from pageable memory the copy would be waited for
            there = there.pin_memory().to(device, non_blocking=True)
        lows = torch.empty((n, 2, size), dtype=torch.int32, device=device)
        weights = torch.empty((n, 2, most_taps, size), dtype=torch.int32, device=device)
        lines = torch.empty(int(ends[-1]), dtype=torch.uint8, device=device)
        placed = torch.empty((n, size, size, 3), dtype=torch.uint8, device=device)
        bicubic = preprocessing.interpolation == "bicubic"
        across = triton.cdiv(size * 3, VALUES_AT_ONCE)
        tile = {"size": size, "lines_at_once": LINES_AT_ONCE, "at_once": VALUES_AT_ONCE}
        _weigh[triton.cdiv(size, KEPT_AT_ONCE), 2 * n](
            there, lows, weights, most_taps, size, bicubic, KEPT_AT_ONCE, num_warps=1
        )
        _first_pass[across, triton.cdiv(int(n_lines.max()), LINES_AT_ONCE), n](
            there, lows, weights, lines, most_taps, **tile
        )
        _second_pass[across, triton.cdiv(size, LINES_AT_ONCE), n](
            there, lows, weights, lines, placed, most_taps, ground(preprocessing), **tile
        )
    return placed


@lru_cache(maxsize=4096)
def _record(preprocessing: Preprocessing, height: int, width: int) -> tuple[int, ...]:
    """Give what the kernels read of a picture of this size.

    Address (later), bytes a row; lines of the first pass, the first of them, where theirs begin
    (later); length, resized and first kept of the first pass's axis, then of the second's; whether
    the first pass goes down; the most source pixels that one is made of, in either pass.
    """
    rows, columns = plan_axes(preprocessing, height, width)
    down_first = rows_first((height, width), (rows.resized, columns.resized), preprocessing)
    one, other = (rows, columns) if down_first else (columns, rows)
    axes = (a for axis in (one, other) for a in (axis.length, axis.resized, axis.first))
    reach = 2 * SUPPORTS[preprocessing.interpolation]
    taps = (ceil(reach * max(1.0, a.length / a.resized)) + 1 for a in (one, other))
    lines = other.stop - other.start
    return (0, 3 * width, lines, other.start, 0, *axes, int(down_first), *taps)
