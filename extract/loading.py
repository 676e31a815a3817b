"""Pictures read and decoded ahead of the forward pass, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.catalog import Catalog
from extract.decoding import decode_picture, picture_stat, read_picture, refusing
from extract.plan import Plan
from extract.refusals import Refused

if TYPE_CHECKING:
    import torch

SLICES_AHEAD = 3

Transform = Callable[[Any], "torch.Tensor"]
"""An upright RGB picture in, float32 of shape (3, size, size) out."""


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """One row's picture as it came from the disk: pixels, or why not.

    Parameters
    ----------
    pixels : tensor of shape (3, size, size), float32, or None
    sha256 : bytes
        32 bytes over the file's content; zeros where it could not be read.
    size, mtime_ns : int
        As seen when it was read; -1 where there was none.
    refused : Refused, optional
    """

    pixels: torch.Tensor | None
    sha256: bytes
    size: int
    mtime_ns: int
    refused: Refused | None = None


def load_picture(catalog: Catalog, row: int, transform: Transform) -> LoadedPicture:
    """Read and decode one row's picture; what is wrong with it is part of the answer."""
    path = catalog.paths[row]
    try:
        file = read_picture(catalog.images_root, path)
    except Refused as refused:
        seen = picture_stat(catalog.images_root, path)
        return LoadedPicture(None, bytes(32), *seen, refused)
    try:
        with refusing():
            pixels = transform(decode_picture(file.content))
    except Refused as refused:
        return LoadedPicture(None, file.sha256, file.size, file.mtime_ns, refused)
    return LoadedPicture(pixels, file.sha256, file.size, file.mtime_ns)


def loaded_slices(
    catalog: Catalog, plan: Plan, slices: np.ndarray, transform: Transform, workers: int
) -> Iterator[tuple[np.ndarray, list[LoadedPicture]]]:
    """Yield the rows to do of each slice, in order, with their pictures loaded ahead."""
    ahead: deque[tuple[np.ndarray, list[Future[LoadedPicture]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for number in slices.tolist():
                first = number * plan.batch_size
                rows = first + np.flatnonzero(plan.to_do[first : first + plan.batch_size])
                ahead.append(
                    (rows, [pool.submit(load_picture, catalog, r, transform) for r in rows])
                )
                if len(ahead) > SLICES_AHEAD:
                    yield _finished(*ahead.popleft())
            while ahead:
                yield _finished(*ahead.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(
    rows: np.ndarray, futures: list[Future[LoadedPicture]]
) -> tuple[np.ndarray, list[LoadedPicture]]:
    return rows, [future.result() for future in futures]
