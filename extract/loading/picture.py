"""One picture from its file into the places where backbones want its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from extract.addresses import Address
from extract.catalog.catalog import Catalog
from extract.images.augmentation import View, augment
from extract.images.decoders import prepare_picture
from extract.images.memory_limits import OverMemoryShare, picture_memory
from extract.images.reading import read_row, stat_row
from extract.refusals import Refused
from extract.sources.places import expect_picture
from extract.transforms.preprocessing import Preprocessing

Way = tuple[str, ...]
"""What decoded a picture, and what resized it; and how it was read, where not by its mode alone."""


class LoadedPicture(NamedTuple):
    """What became of one row's picture, its pixels apart; small, as it may come through a pipe.

    Parameters
    ----------
    sha256 : bytes
        32 bytes over the file's content; zeros where it could not be read.
    size, mtime_ns : int
        As seen when it was read; -1 where there was none.
    ways : tuple of (str, tuple of str)
        The requested decoder, and what really decoded and resized it; empty where nobody needed its
        pixels, or it is refused.
    refused : Refused, optional
    dimensions : tuple of int
        Height and width upright, in pixels; 0 where its pixels were not needed.
    """

    sha256: bytes
    size: int
    mtime_ns: int
    ways: tuple[tuple[str, Way], ...] = ()
    refused: Refused | None = None
    dimensions: tuple[int, int] = (0, 0)


class Place(NamedTuple):
    """Where one file wants a row's pixels.

    Parameters
    ----------
    file : int
        Which of the run's files.
    batch : int
        Counted from 0 in the run.
    place : int
        Within the batch.
    """

    file: int
    batch: int
    place: int


class Task(NamedTuple):
    """Some pictures for one worker, in order.

    Parameters
    ----------
    rows : tuple of int
    places : tuple of tuple of Place
        Of each row.
    """

    rows: tuple[int, ...]
    places: tuple[tuple[Place, ...], ...]


@dataclass(frozen=True, eq=False)
class Destination:
    """What one file wants of pictures, and where.

    Parameters
    ----------
    preprocessing : Preprocessing
    decoder : str
    batches : ndarray of shape (n_batches, batch_size, size, size, 3), uint8
        Shared with whoever decodes.
    needs : callable
        Row and sha256 in; whether it needs the pixels, or knows the vector of these bytes.
    view : View, optional
        What is made of each picture first; files of one preprocessing share what comes before it.
    """

    preprocessing: Preprocessing
    decoder: str
    batches: np.ndarray
    needs: Callable[[int, bytes], bool]
    view: View | None = None

    @property
    def on_cores(self) -> str:
        """Who decodes for it here: what comes here though a GPU decodes is the cores' share."""
        return "fast" if self.decoder == "gpu" else self.decoder


@dataclass(frozen=True, eq=False)
class PictureLoader:
    """Reads, hashes and decodes pictures, each once for all files of a run."""

    catalog: Catalog
    destinations: Sequence[Destination]

    @property
    def resizes_by_torch(self) -> bool:
        """Whether torch is needed to load pictures."""
        return any(each.on_cores != "light" for each in self.destinations)

    def expect(self, task: Task) -> None:
        """Begin to fetch the pictures of a task that will be loaded soon."""
        root, downloads = self.catalog.images_root, self.catalog.allow_download
        if downloads or isinstance(root, Address):
            for row in task.rows:
                expect_picture(root, self.catalog.paths[row], downloads=downloads)

    @picture_memory()
    def load(self, row: int, places: Sequence[Place]) -> LoadedPicture:
        """Put a picture's pixels into its places; what is wrong with it is part of the answer."""
        try:
            file = read_row(self.catalog, row)
        except Refused as refused:
            seen = stat_row(self.catalog, row)
            return LoadedPicture(bytes(32), *seen, refused=refused.bare())
        needed = [p for p in places if self.destinations[p.file].needs(row, file.sha256)]
        try:
            ways, dimensions = self._put(file.content, file.sha256, needed)
        except Refused as refused:
            return LoadedPicture(file.sha256, file.size, file.mtime_ns, refused=refused.bare())
        return LoadedPicture(file.sha256, file.size, file.mtime_ns, ways, dimensions=dimensions)

    def load_within_share(self, row: int, places: Sequence[Place]) -> LoadedPicture | None:
        """Load a picture, unless it takes more memory than a process's share; None then."""
        try:
            return self.load(row, places)
        except OverMemoryShare:
            return None

    def _put(
        self, content: bytes, sha256: bytes, needed: Sequence[Place]
    ) -> tuple[tuple[tuple[str, Way], ...], tuple[int, int]]:
        by_decoder: dict[str, list[Place]] = {}
        for place in needed:
            by_decoder.setdefault(self.destinations[place.file].on_cores, []).append(place)
        ways: dict[str, Way] = {}
        dimensions = 0, 0
        for decoder, places in by_decoder.items():
            wanted = {self.destinations[p.file].preprocessing for p in places}
            prepared = prepare_picture(content, wanted, decoder)
            dimensions = prepared.dimensions
            for p in places:
                file = self.destinations[p.file]
                way = prepared.decoder, prepared.resize
                ways[file.decoder] = (*way, prepared.reading) if prepared.reading else way
                batch = file.batches[p.batch % len(file.batches)]
                pixels = prepared.pixels[file.preprocessing]
                batch[p.place] = augment(pixels, file.view, sha256) if file.view else pixels
        return tuple(ways.items()), dimensions
