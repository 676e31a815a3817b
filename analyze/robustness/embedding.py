"""Pictures opened once, corrupted and embedded again: one corruption at a time is held."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.pictures.picture_folder import PictureFolder
from extract.backbones.registry import Backbone
from extract.errors import UsageError
from extract.images.corruptions import Box, Corruption, corrupt
from extract.inference.execution_config import (
    available_execution_config,
    choose_execution_config,
    usable_cores,
)
from extract.inference.forward_pass import ForwardPass, Launched
from extract.inference.wanted import ExecutionOptions
from extract.transforms.fast_geometry import picture_box
from extract.transforms.preprocessing import Preprocessing

if TYPE_CHECKING:
    pass

MOST_THREADS = 16
AHEAD = 2
"""Batches that are corrupted while one is embedded."""

Tick = Callable[[int], None]
"""Takes how many pictures are done."""


@dataclass(frozen=True, eq=False)
class PlacedPictures:
    """Pictures as a model sees them.

    Parameters
    ----------
    rows : ndarray of shape (n,), int
        Of the embedding set.
    pixels : ndarray of shape (n, size, size, 3), uint8
    boxes : tuple of Box
        Where each lies without its padding.
    content_sha256 : tuple of bytes
    """

    rows: np.ndarray
    pixels: np.ndarray
    boxes: tuple[Box, ...]
    content_sha256: tuple[bytes, ...]

    def corrupted(self, place: int, corruption: Corruption | None, seed: int) -> np.ndarray | None:
        """Give one picture under a corruption; None where that does not apply."""
        pixels: np.ndarray = self.pixels[place]
        if corruption is None:
            return pixels
        content, box = self.content_sha256[place], self.boxes[place]
        return corrupt(pixels, corruption, content, seed=seed, box=box)


def place_pictures(
    pictures: PictureFolder, rows: np.ndarray, seen: Preprocessing, decoder: str
) -> PlacedPictures:
    """Open the pictures of some rows; those that cannot be had are left out.

    Raises
    ------
    UsageError
        When none can be opened.
    """
    with ThreadPoolExecutor(_n_threads()) as pool:
        prepare = partial(pictures.prepare, wanted=seen, decoder=decoder)
        found = list(pool.map(prepare, rows.tolist()))
    opened = [(row, each) for row, each in zip(rows.tolist(), found, strict=True) if each]
    if not opened:
        why = next(iter(pictures.missed.values()), "there are no rows")
        raise UsageError(f"no picture can be opened: {why}")
    return PlacedPictures(
        np.array([row for row, _ in opened]),
        np.stack([prepared.pixels[seen] for _, (prepared, _) in opened]),
        tuple(picture_box(seen, *prepared.dimensions) for _, (prepared, _) in opened),
        tuple(sha for _, (_, sha) in opened),
    )


def choose_config(
    backbone: Backbone, stored: Sequence[Mapping[str, Any]], n_passes: int
) -> dict[str, Any]:
    """Choose how to embed again: the decoder of the file's rows, fp32, and what is fast for many.

    Parameters
    ----------
    backbone : Backbone
    stored : sequence of mapping
        The file's execution configs.
    n_passes : int
        Pictures to embed in all.

    Raises
    ------
    UsageError
        When the file holds views.
    """
    if backbone.view is not None:
        raise UsageError(
            "the file holds augmented views, not pictures as they are: use the file one folder up"
        )
    decoder = str(available_execution_config(backbone, stored)["decoder"])
    decoder = "fast" if decoder == "gpu" else decoder
    wanted = ExecutionOptions(decoder=decoder, dtype="fp32", compiled=False)  # type: ignore[arg-type]
    return choose_execution_config(backbone, None, wanted, np.zeros(n_passes))


class CorruptedEmbedder:
    """Embeds the same pictures under one corruption after the other.

    Parameters
    ----------
    backbone : Backbone
    placed : PlacedPictures
        By the backbone's own preprocessing.
    config : mapping
        As of :func:`choose_config`.
    seed : int
        Of what is drawn.
    """

    def __init__(
        self, backbone: Backbone, placed: PlacedPictures, config: Mapping[str, Any], seed: int
    ) -> None:
        self._placed, self._seed, self._n_dims = placed, seed, backbone.n_dims
        self._batch_size = int(config["batch_size"])
        self._forward = ForwardPass(backbone, config)

    def vectors(self, corruption: Corruption | None, tick: Tick) -> np.ndarray:
        """Embed all pictures again, batch by batch, while the next ones are corrupted.

        Returns
        -------
        ndarray of shape (n, n_dims), float32
            Rows of NaN where the corruption does not apply.
        """
        found = np.full((len(self._placed.rows), self._n_dims), np.nan, np.float32)
        launched: list[tuple[list[int], Launched]] = []

        def finish(most: int) -> None:
            while len(launched) > most:
                places, batch = launched.pop(0)
                found[places] = batch.wait()[0][: len(places)]
                tick(len(places))

        for places, pixels in self._batches(corruption, tick):
            launched.append((places, self._forward.launch(pixels)))
            finish(self._forward.in_flight)
        finish(0)
        return found

    def _batches(
        self, corruption: Corruption | None, tick: Tick
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Corrupt by threads, some batches ahead; every batch has one shape, as the model needs."""
        n, size = len(self._placed.rows), self._batch_size
        steps = (range(first, min(n, first + size)) for first in range(0, n, size))
        waiting: deque[tuple[range, list[Future[np.ndarray | None]]]] = deque()
        with ThreadPoolExecutor(_n_threads()) as pool:

            def submit(n_steps: int) -> None:
                make = self._placed.corrupted
                for step in islice(steps, n_steps):
                    futures = [pool.submit(make, p, corruption, self._seed) for p in step]
                    waiting.append((step, futures))

            submit(1 + AHEAD)
            while waiting:
                step, futures = waiting.popleft()
                made = [
                    (place, future.result()) for place, future in zip(step, futures, strict=True)
                ]
                submit(1)
                some = [(place, pixels) for place, pixels in made if pixels is not None]
                tick(len(made) - len(some))
                if some:
                    batch = np.zeros((size, *self._placed.pixels.shape[1:]), np.uint8)
                    batch[: len(some)] = [pixels for _, pixels in some]
                    yield [place for place, _ in some], batch


def _n_threads() -> int:
    return min(MOST_THREADS, usable_cores(), os.cpu_count() or 1)
