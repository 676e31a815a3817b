"""Each picture of a catalogue opened once: its quality, and what copies are found by."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import numpy as np

from analyze.pictures.duplicates import Fingerprint, fingerprint
from analyze.pictures.image_differences import SIDE
from analyze.pictures.model_input import as_seen
from analyze.pictures.picture_folder import PictureFolder
from analyze.pictures.picture_quality import BLANK, Quality, blankness, measure_quality

NAMES = (*(each.name for each in fields(Quality)), "n_bytes", "seen")
"""What is known of a picture: its quality, bytes of its file, share of it that the model saw."""

MOST_IN_MEMORY = 512 << 20
"""Bytes of fingerprints; more lie in a file that has no name."""

MOST_KEPT = 4000
AT_ONCE = 256
MOST_THREADS = 8
"""Each holds a whole picture, which may be large."""

SHARPEST_EDGE = 0.5
"""Pixels: what is narrower is a pixel all the same."""


@dataclass(frozen=True, eq=False)
class PictureMeasures:
    """What is known of the pictures of a catalogue.

    Parameters
    ----------
    opened : ndarray of shape (n_images,), bool
    numbers : mapping of str to ndarray of shape (n_images,), float64
        By :data:`NAMES`; NaN where a picture was not opened.
    fingerprint : callable
        Row of a picture that was opened -> Fingerprint.
    """

    opened: np.ndarray
    numbers: dict[str, np.ndarray]
    fingerprint: Callable[[int], Fingerprint]

    @cached_property
    def blank(self) -> np.ndarray:
        """Which pictures are of one color; ndarray of shape (n_images,), bool."""
        found: np.ndarray = blankness(self.numbers["plain"], self.numbers["brightest"]) >= BLANK
        return found

    def size(self, row: int) -> tuple[int, int]:
        """Give width and height in pixels."""
        return int(self.numbers["width"][row]), int(self.numbers["height"][row])

    def n_pixels(self, row: int) -> float:
        """Give how many pixels a picture has."""
        return float(self.numbers["width"][row] * self.numbers["height"][row])

    def edge_width(self, row: int) -> float:
        """Give how wide its sharpest edges are, in its own pixels; half a pixel at least."""
        width = float(self.numbers["edge_width"][row] * self.numbers["scale"][row])
        return SHARPEST_EDGE if np.isnan(width) else max(SHARPEST_EDGE, width)

    def detail(self, row: int) -> float:
        """Give how many pixels would be left if an edge were one pixel wide."""
        return self.n_pixels(row) / self.edge_width(row) ** 2

    def bytes_per_pixel(self, row: int) -> float:
        """Give how many bytes of its file a pixel takes."""
        return float(self.numbers["n_bytes"][row]) / max(1.0, self.n_pixels(row))


def measure_pictures(
    pictures: PictureFolder,
    by_bytes: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
) -> PictureMeasures:
    """Open each picture once; one of several that are equal byte for byte.

    Parameters
    ----------
    pictures : PictureFolder
    by_bytes : ndarray of shape (n_images,), int
        Byte-identical pictures have one number.
    progress : callable, optional
        (pictures done, pictures) -> None.
    """
    _, firsts, places = np.unique(by_bytes, return_index=True, return_inverse=True)
    small = _room(len(firsts))
    table = np.full((len(firsts), len(NAMES)), np.nan)
    seen = as_seen(pictures.embeddings.provenance.identity)

    def measured(place: int) -> None:
        found = pictures.open_with_size(int(firsts[place]))
        if found is None:
            return
        picture, n_bytes = found
        small[place] = fingerprint(picture).small
        quality = vars(measure_quality(picture))
        share = np.nan if seen is None else seen.share(picture)
        table[place] = [*quality.values(), n_bytes, share]

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for done in _in_steps(len(firsts)):
            list(pool.map(measured, done))
            if progress is not None:
                progress(done.stop, len(firsts))
    places = places.reshape(-1)
    numbers = {name: table[places, i] for i, name in enumerate(NAMES)}

    @lru_cache(MOST_KEPT)
    def fingerprint_of(row: int) -> Fingerprint:
        return Fingerprint(np.asarray(small[places[row]]))

    return PictureMeasures(~np.isnan(numbers["width"]), numbers, fingerprint_of)


def _in_steps(n: int) -> Iterator[range]:
    yield from (range(first, min(n, first + AT_ONCE)) for first in range(0, n, AT_ONCE))


def _room(n: int) -> np.ndarray:
    shape = (n, 3, SIDE, SIDE)
    if np.prod(shape) <= MOST_IN_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
