"""One file's batches on their way: pictures in as they come, computed rows out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from extract.inference.forward_pass import Forward, Launched
from extract.loading.batch_ring import BatchRing
from extract.loading.picture import LoadedPicture
from extract.pipeline.output_job import FileRun
from extract.pipeline.writing import ComputedSlice
from extract.refusals import SOUND, Reason, Refused
from extract.storage.embeddings_table import Rows, blank_fields

NOT_FINITE = "the backbone gave numbers that are not finite"


@dataclass(frozen=True, eq=False)
class _Flight:
    """A batch that was launched.

    ``forwarded`` are the indices in it of vectors to compute, the first of each new content.
    """

    rows: np.ndarray
    loaded: list[LoadedPicture]
    places: np.ndarray
    forwarded: list[int]
    launched: Launched | None


class Forwarding:
    """Fills a file's batches, forwards them and makes rows of what comes back.

    Equal bytes are forwarded once: what is finished, on its way, or earlier in the same batch gives
    its vector to all that follow.

    Parameters
    ----------
    run : FileRun
    ring : BatchRing
        Where the pixels of its pictures are.
    forward : Forward
    """

    def __init__(self, run: FileRun, ring: BatchRing, forward: Forward) -> None:
        self._run, self._ring, self._forward = run, ring, forward
        self._waiting: list[tuple[int, LoadedPicture]] = []
        self._flights: deque[_Flight] = deque()
        self._on_their_way: set[bytes] = set()
        self._batch = 0
        self.busy_seconds = 0.0
        self.forwarded = 0

    def take(self, row: int, picture: LoadedPicture) -> Iterator[ComputedSlice]:
        """Take a picture, in ascending order of rows; give batches that are computed by now."""
        if not self._run.due[row]:
            return
        self._waiting.append((row, picture))
        if not self._run.closing[row]:
            return
        self._launch()
        while len(self._flights) > self._forward.in_flight:
            yield self._land()

    def finish(self) -> Iterator[ComputedSlice]:
        """Wait for what is on its way."""
        while self._flights:
            yield self._land()

    def _launch(self) -> None:
        rows = np.array([row for row, _ in self._waiting])
        loaded = [picture for _, picture in self._waiting]
        self._waiting.clear()
        new: dict[bytes, int] = {}  # of each content that this batch brings
        for i, picture in enumerate(loaded):
            sha256 = picture.sha256
            known = picture.refused is not None or sha256 in self._on_their_way
            if not known and self._run.needs(int(rows[i]), sha256):
                new.setdefault(sha256, i)
        self._on_their_way.update(new)
        places = self._run.places_of(rows)
        launched = None
        if new:
            forwarded = list(new.values())
            pixels = self._ring.place(self._batch)
            unused = np.setdiff1d(np.arange(len(pixels)), places[forwarded])
            pixels[unused] = 0
            launched = self._forward.launch(pixels, self._batch)
            self.forwarded += len(forwarded)
        self._batch += 1
        self._flights.append(_Flight(rows, loaded, places, list(new.values()), launched))

    def _land(self) -> ComputedSlice:
        """Wait for the oldest batch and make rows of it."""
        flight, run = self._flights.popleft(), self._run
        n_dims = run.backbone.n_dims
        vectors = np.full((len(flight.rows), n_dims), np.nan, np.float32)
        if flight.launched is not None:
            computed_vectors, seconds = flight.launched.wait()
            self.busy_seconds += seconds
            vectors[flight.forwarded] = computed_vectors[flight.places[flight.forwarded]]
        self._ring.release()
        computed = self._rows(flight, vectors)
        sources = self._sources(flight)
        refusals = []
        for i in np.flatnonzero(computed.status != SOUND).tolist():
            source, picture = sources[i], flight.loaded[i]
            refused = picture.refused
            if refused is None and source >= 0:
                computed.status[i] = SOUND
                computed.execution_config[i] = run.execution_config_of[source]
                computed.dimensions[i] = run.dimensions_of[source]
                continue
            sources[i] = -1
            refused = refused or Refused(Reason.NOT_FINITE, NOT_FINITE)
            computed.vectors[i] = np.nan
            computed.status[i] = refused.reason
            refusals.append(run.line_of(int(flight.rows[i]), picture, refused))
        run.execution_config_of[flight.rows] = computed.execution_config
        run.dimensions_of[flight.rows] = computed.dimensions
        for i in flight.forwarded:
            sha256 = flight.loaded[i].sha256
            self._on_their_way.discard(sha256)
            if computed.status[i] == SOUND:
                run.finished.add(sha256, int(flight.rows[i]))
        copied = np.ones(len(flight.rows), bool)
        copied[flight.forwarded] = False
        return ComputedSlice(flight.rows, computed, sources, copied, refusals)

    def _rows(self, flight: _Flight, vectors: np.ndarray) -> Rows:
        """Make rows of what was computed; they are sound where that is, and not where it is not."""
        loaded, run = flight.loaded, self._run
        first = {loaded[i].sha256: i for i in flight.forwarded}
        originals = [-1 if picture.refused else first.get(picture.sha256, -1) for picture in loaded]
        given = np.array(originals)
        vectors[given >= 0] = vectors[given[given >= 0]]  # equal bytes within the batch
        computed = Rows(vectors=vectors, **blank_fields(len(loaded)))
        computed.dimensions[:] = [
            loaded[i].dimensions if i >= 0 else picture.dimensions
            for i, picture in zip(originals, loaded, strict=True)
        ]
        computed.size[:] = [picture.size for picture in loaded]
        computed.mtime_ns[:] = [picture.mtime_ns for picture in loaded]
        hashes = b"".join(picture.sha256 for picture in loaded)
        computed.content_sha256[:] = np.frombuffer(hashes, np.uint8).reshape(-1, 32)
        computed.execution_config[:] = [
            run.execution_config_by(loaded[i].ways) if i >= 0 else run.plan.execution_config
            for i in originals
        ]
        computed.status[np.isfinite(vectors).all(axis=1)] = SOUND
        return computed

    def _sources(self, flight: _Flight) -> np.ndarray:
        """Find the finished rows that give their vector to rows with bytes that are not new."""
        new = {flight.loaded[i].sha256 for i in flight.forwarded}
        sources = [
            -1
            if picture.refused or picture.sha256 in new
            else self._run.finished.find(picture.sha256)
            for picture in flight.loaded
        ]
        return np.array(sources)
