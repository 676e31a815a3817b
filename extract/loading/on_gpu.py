"""Pictures loaded on a GPU, some tasks at once, while processes load the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from extract.formats.jpeg_screening import MOST_HEADER, plain_jpeg
from extract.images.decoding import PictureFile, read_picture
from extract.images.gpu_decoding import decode_on_gpu
from extract.loading.picture import Destination, LoadedPicture, PictureLoader, Place, Task
from extract.refusals import Refused

MOST_FILE_BYTES = 4 << 20
"""A larger file is left to the cores: what waits for the device is held in memory."""

WAY = ("gpu", "gpu")


@dataclass(eq=False)
class GpuLoader:
    """Decodes on the device what was read; what it cannot, the other loader does.

    Parameters
    ----------
    loader : PictureLoader
    device : str
    by_engine : bool
        Whether the device has an engine for JPEGs, which computes nothing else.
    """

    loader: PictureLoader
    device: str
    by_engine: bool = False

    def __post_init__(self) -> None:
        self._stream: Any = None

    def read(self, task: Task) -> list[PictureFile | None]:
        """Read a task's files; None for one that is refused, or too large to wait in memory."""
        return [self._read(row) for row in task.rows]

    def load(
        self, tasks: Sequence[Task], files: Sequence[Sequence[PictureFile | None]]
    ) -> list[list[LoadedPicture]]:
        """Load some tasks together, after their files were read; their pictures, task by task."""
        rows = [each for task in tasks for each in zip(task.rows, task.places, strict=True)]
        read = [file for some in files for file in some]
        done = self._decode([(file, p) for file, (_, p) in zip(read, rows, strict=True)], rows)
        loaded = [
            found or self.loader.load(row, places)
            for found, (row, places) in zip(done, rows, strict=True)
        ]
        given = iter(loaded)
        return [[next(given) for _ in task.rows] for task in tasks]

    def _read(self, row: int) -> PictureFile | None:
        catalog = self.loader.catalog
        try:
            file = read_picture(catalog.images_root, catalog.paths[row])
        except Refused:
            return None
        return file if file.size <= MOST_FILE_BYTES else None

    def _decode(
        self,
        read: Sequence[tuple[PictureFile | None, Sequence[Place]]],
        rows: Sequence[tuple[int, Sequence[Place]]],
    ) -> list[LoadedPicture | None]:
        """Decode for every file of the run; None for what has to be loaded in the other way."""
        destinations = self.loader.destinations
        found: list[LoadedPicture | None] = [None] * len(rows)
        wanted: dict[int, list[tuple[int, Place]]] = {}
        for i, (file, places) in enumerate(read):
            if file is None:
                continue
            needed = [p for p in places if destinations[p.file].needs(rows[i][0], file.sha256)]
            if all(destinations[p.file].decoder == WAY[0] for p in needed):
                ways = ((WAY[0], WAY),) if needed else ()
                dimensions = _dimensions(file.content) if needed else (0, 0)
                seen = file.sha256, file.size, file.mtime_ns, ways
                found[i] = LoadedPicture(*seen, dimensions=dimensions)
                for p in needed:
                    wanted.setdefault(p.file, []).append((i, p))
        for number, some in wanted.items():
            destination = destinations[number]
            left = [each for each in some if found[each[0]] is not None]
            contents = [read[i][0].content for i, _ in left]  # type: ignore[union-attr]
            for k in self._on_device(contents, destination, [p for _, p in left]):
                found[left[k][0]] = None
        return found

    def _on_device(
        self, contents: list[bytes], destination: Destination, places: Sequence[Place]
    ) -> list[int]:
        """Decode into places; return which of the pictures could not be."""
        import torch

        try:
            with self._own_stream(), torch.inference_mode():
                on = torch.device(self.device)
                pixels, left_out = decode_on_gpu(contents, destination.preprocessing, on)
                for first, end in _runs(places):
                    at = places[first]
                    ring = destination.batches[at.batch % len(destination.batches)]
                    there = torch.from_numpy(ring[at.place : at.place + end - first])
                    there.copy_(pixels[first:end], non_blocking=True)
                return left_out
        except torch.OutOfMemoryError:  # the model needs it more
            return list(range(len(contents)))

    @contextmanager
    def _own_stream(self) -> Iterator[None]:
        """Work while the model does, and end when all is done; a CPU has no streams."""
        import torch

        if not self.device.startswith("cuda"):
            yield
            return
        if self._stream is None:
            # first at the device's blocks: its many short kernels would wait behind the model's
            self._stream = torch.cuda.Stream(self.device, priority=-1)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            yield
            self._stream.synchronize()


def _dimensions(content: bytes) -> tuple[int, int]:
    """Give height and width of a plain JPEG, which needs no turning; others are not decoded here.

    Its header is read once more by the decoder: 8 microseconds where decoding takes hundreds.
    """
    header = plain_jpeg(content[:MOST_HEADER], content[-2:])
    return (header.height, header.width) if header else (0, 0)


def _runs(places: Sequence[Place]) -> Iterator[tuple[int, int]]:
    """Find where places follow each other within a batch: first, and one past the last."""
    first = 0
    for i in range(1, len(places) + 1):
        before = places[i - 1]._replace(place=places[i - 1].place + 1)
        if i == len(places) or places[i] != before:
            yield first, i
            first = i
