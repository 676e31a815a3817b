"""Pictures that a GPU decodes: read in one process, decoded in another, in their places at once.

The process that has the device for it (``gpu_process``) holds nothing but a decoder: in the process
of the model each of its many short calls would wait for Python's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from extract.formats.jpeg_screening import MOST_HEADER, plain_jpeg
from extract.images.gpu_decoding import decode_on_gpu
from extract.images.reading import PictureFile, read_row
from extract.loading.picture import LoadedPicture, PictureLoader, Place, Task
from extract.refusals import Refused
from extract.transforms.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

MOST_FILE_BYTES = 4 << 20
"""A larger file is left to the cores: what waits for the device is held in memory."""

MOST_HELD = 32 << 20
"""Bytes of files after which no other task is added to those that are decoded together."""

WAY = ("gpu", "gpu")


class Part(NamedTuple):
    """What is decoded for one file of the run, together.

    Parameters
    ----------
    file : int
        Which of the run's files.
    contents : tuple of (int, int)
        First byte and number of bytes of each picture's file, in the memory that holds them.
    places : tuple of (int, int)
        Batch of the ring, and place in it, of each picture.
    """

    file: int
    contents: tuple[tuple[int, int], ...]
    places: tuple[tuple[int, int], ...]


class _Wanted(NamedTuple):
    """A picture of a part: which of the pictures read, its file in the memory, its place."""

    picture: int
    content: tuple[int, int]
    place: tuple[int, int]


class Device(Protocol):
    """Who decodes, at the other end of a connection or not."""

    def memory(self) -> np.ndarray:
        """Give the bytes that the next files are put into; those of the call before stay."""

    def begin(self, parts: Sequence[Part]) -> None:
        """Decode what was put there."""

    def finish(self) -> list[list[int]]:
        """Wait for the oldest that was begun; which pictures of each part were left out.

        Raises
        ------
        DeviceLost
            When it cannot decode any more.
        """


@dataclass(frozen=True, eq=False)
class Begun:
    """Some tasks on their way: their pictures as far as they are known, and what is decoded.

    ``decoded`` are, for each part, the indices of its pictures among those of all tasks.
    """

    tasks: list[Task]
    found: list[LoadedPicture | None]
    decoded: list[list[int]]


@dataclass(frozen=True, eq=False)
class GpuLoader:
    """Reads pictures and has them decoded on a GPU; what it cannot, the other loader does.

    Parameters
    ----------
    loader : PictureLoader
    device : Device
    """

    loader: PictureLoader
    device: Device

    def begin(self, tasks: Iterable[Task]) -> Begun:
        """Read the files of some tasks, until they are many bytes, and have them decoded."""
        taken: list[Task] = []
        found: list[LoadedPicture | None] = []
        memory, used = self.device.memory(), 0
        wanted: dict[int, list[_Wanted]] = {}
        for task in tasks:
            taken.append(task)
            for row, places in zip(task.rows, task.places, strict=True):
                file = self._read(row)
                needed = self._needed(row, places, file)
                found.append(_loaded(file, needed) if file and needed is not None else None)
                if file is None or not needed:
                    continue
                memory[used : used + len(file.content)] = np.frombuffer(file.content, np.uint8)
                for place in needed:
                    each = _Wanted(len(found) - 1, (used, len(file.content)), self._in_ring(place))
                    wanted.setdefault(place.file, []).append(each)
                used += len(file.content)
            if used >= MOST_HELD:
                break
        self.device.begin(
            [
                Part(file, tuple(w.content for w in some), tuple(w.place for w in some))
                for file, some in wanted.items()
            ]
        )
        return Begun(taken, found, [[w.picture for w in some] for some in wanted.values()])

    def finish(self, begun: Begun) -> list[list[LoadedPicture | None]]:
        """Wait until these are decoded, and load what is left; their pictures, task by task.

        None is a picture that takes more memory than a process's share.
        """
        for indices, left_out in zip(begun.decoded, self.device.finish(), strict=True):
            for k in left_out:
                begun.found[indices[k]] = None
        found = iter(begun.found)
        return [
            [
                next(found) or self.loader.load_within_share(row, places)
                for row, places in zip(task.rows, task.places, strict=True)
            ]
            for task in begun.tasks
        ]

    def _read(self, row: int) -> PictureFile | None:
        """Read a file; None for one that is refused, or too large to wait in memory."""
        try:
            file = read_row(self.loader.catalog, row)
        except Refused:
            return None
        return file if len(file.content) <= MOST_FILE_BYTES else None

    def _needed(
        self, row: int, places: Sequence[Place], file: PictureFile | None
    ) -> list[Place] | None:
        """Give the places that want its pixels; None where another decoder has to fill one."""
        if file is None:
            return None
        destinations = self.loader.destinations
        needed = [p for p in places if destinations[p.file].needs(row, file.sha256)]
        return needed if all(destinations[p.file].decoder == WAY[0] for p in needed) else None

    def _in_ring(self, place: Place) -> tuple[int, int]:
        return place.batch % len(self.loader.destinations[place.file].batches), place.place


def _loaded(file: PictureFile, needed: Sequence[Place]) -> LoadedPicture:
    """Say what is known of a picture, should it be decoded on the device."""
    ways = ((WAY[0], WAY),) if needed else ()
    dimensions = _dimensions(file.content) if needed else (0, 0)
    return LoadedPicture(file.sha256, file.size, file.mtime_ns, ways, dimensions=dimensions)


def _dimensions(content: bytes) -> tuple[int, int]:
    """Give height and width of a plain JPEG, which needs no turning; others are not decoded here.

    Its header is read once more by the decoder: 8 microseconds where decoding takes hundreds.
    """
    header = plain_jpeg(content[:MOST_HEADER], content[-2:])
    return (header.height, header.width) if header else (0, 0)


def decode_into(
    batches: np.ndarray,
    places: Sequence[tuple[int, int]],
    contents: Sequence[bytes | torch.Tensor],
    wanted: tuple[Preprocessing, str | None],
    device: torch.device,
) -> list[int]:
    """Decode into places of a ring, in the current stream; return which pictures are left out.

    Parameters
    ----------
    batches : ndarray of shape (n_batches, batch_size, size, size, 3), uint8
    places : sequence of (int, int)
        Batch of the ring, and place in it, of each picture.
    contents : sequence of bytes or tensor
        As :func:`extract.images.gpu_decoding.decode_on_gpu` takes them.
    wanted : (Preprocessing, str or None)
        What is made of them, and by which decoder.
    device : torch.device
    """
    import torch

    preprocessing, decoder = wanted
    try:
        pixels, left_out = decode_on_gpu(contents, preprocessing, device, decoder)
    except torch.OutOfMemoryError:  # the model needs it more
        return list(range(len(contents)))
    for first, end in _runs(places):
        batch, place = places[first]
        there = torch.from_numpy(batches[batch, place : place + end - first])
        there.copy_(pixels[first:end], non_blocking=True)
    return left_out


def _runs(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Find where places follow each other within a batch: first, and one past the last."""
    first = 0
    for i in range(1, len(places) + 1):
        batch, place = places[i - 1]
        if i == len(places) or places[i] != (batch, place + 1):
            yield first, i
            first = i
