"""Pictures read and decoded ahead of the forward pass, in threads, each once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from extract.catalog import Catalog
from extract.decoding import decode_picture, picture_stat, read_picture, refusing
from extract.picture_memory import picture_memory
from extract.preprocessing import Preprocessing
from extract.refusals import Refused

if TYPE_CHECKING:
    import torch

Wanted = Callable[[int, bytes], tuple[Preprocessing, ...]]
"""What a row's picture is to be made ready for, once its bytes are hashed."""


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """One row's picture as it came from the disk: pixels, or why not.

    Parameters
    ----------
    sha256 : bytes
        32 bytes over the file's content; zeros where it could not be read.
    size, mtime_ns : int
        As seen when it was read; -1 where there was none.
    pixels : mapping of Preprocessing to tensor of shape (3, size, size), float32
        Empty where the picture is refused, or equal bytes were embedded before.
    refused : Refused, optional
    """

    sha256: bytes
    size: int
    mtime_ns: int
    pixels: Mapping[Preprocessing, torch.Tensor] = field(default_factory=dict)
    refused: Refused | None = None


@picture_memory()
def load_picture(
    catalog: Catalog, row: int, transforms: Mapping[Preprocessing, Any], wanted: Wanted
) -> LoadedPicture:
    """Read and decode one row's picture once; what is wrong with it is part of the answer."""
    path = catalog.paths[row]
    try:
        file = read_picture(catalog.images_root, path)
    except Refused as refused:
        seen = picture_stat(catalog.images_root, path)
        return LoadedPicture(bytes(32), *seen, refused=refused.bare())
    seen = (file.size, file.mtime_ns)
    needed = wanted(row, file.sha256)
    if not needed:
        return LoadedPicture(file.sha256, *seen)
    try:
        with refusing():
            picture = decode_picture(file.content)
            pixels = {each: transforms[each](picture) for each in needed}
    except Refused as refused:
        return LoadedPicture(file.sha256, *seen, refused=refused.bare())
    return LoadedPicture(file.sha256, *seen, pixels)


def loaded_pictures(
    catalog: Catalog,
    rows: Iterable[int],
    preprocessings: Iterable[Preprocessing],
    wanted: Wanted,
    *,
    workers: int,
    ahead: int,
) -> Generator[tuple[int, LoadedPicture]]:
    """Yield rows with their pictures, in the order given, so many of them loaded ahead."""
    transforms = {each: each.transform() for each in preprocessings}
    waiting: deque[tuple[int, Future[LoadedPicture]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for row in rows:
                waiting.append((row, pool.submit(load_picture, catalog, row, transforms, wanted)))
                if len(waiting) > ahead:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(row: int, future: Future[LoadedPicture]) -> tuple[int, LoadedPicture]:
    return row, future.result()
