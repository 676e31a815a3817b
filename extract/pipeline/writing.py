"""A thread that writes finished slices while the next ones are computed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extract.errors import EmbeddingsFileError
from extract.storage.embeddings_table import Rows
from extract.storage.failures import append_refusals
from extract.storage.row_writer import RowWriter

SYNC_SECONDS = 1.0
SYNC_BATCHES = 16


@dataclass(frozen=True, eq=False)
class ComputedSlice:
    """The rows of one slice that were due, computed.

    Parameters
    ----------
    numbers : ndarray of shape (n,), int
        Row numbers, ascending.
    rows : Rows
    sources : ndarray of shape (n,), int
        The finished row with the same picture bytes, which gives its vector; else -1.
    copied : ndarray of shape (n,), bool
        Which rows take the vector of another, of this slice or finished before.
    refusals : list of mapping
        A line each for the list of refused pictures.
    """

    numbers: np.ndarray
    rows: Rows
    sources: np.ndarray
    copied: np.ndarray
    refusals: list[dict[str, Any]]


class WritingThread:
    """Writes rows during the forward pass and makes them durable every second or 16 batches.

    Parameters
    ----------
    writer : RowWriter
    failures : Path
        Refused pictures are appended there, a JSON line each, before their status is durable.
    finished : callable
        Takes how many rows are durable, each time some are.
    """

    def __init__(self, writer: RowWriter, failures: Path, finished: Callable[[int], None]) -> None:
        self._writer, self._failures, self._finished = writer, failures, finished
        self._queue: queue.Queue[ComputedSlice | None] = queue.Queue(maxsize=4)
        self._error: BaseException | None = None
        self.busy_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)
        self._thread.start()

    def __enter__(self) -> WritingThread:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until all that was handed over is durable, or dropped after an error."""
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def put(self, computed: ComputedSlice) -> None:
        """Hand over one slice; an error of the writer is raised here."""
        self._raise()
        self._queue.put(computed)

    def _raise(self) -> None:
        # an error stays: a second fdatasync may succeed on pages that the first one lost
        if self._error is not None:
            raise EmbeddingsFileError(
                f"cannot write the file any more: {self._error}; what was finished is kept, type "
                "the same command again to go on"
            ) from self._error

    def _run(self) -> None:
        batches, last = 0, time.monotonic()
        pending: list[dict[str, Any]] = []
        while True:
            ended, computed = False, None
            try:
                computed = self._queue.get(timeout=SYNC_SECONDS)
                ended = computed is None
            except queue.Empty:
                pass  # a second without a slice: what is written is made durable
            began = time.monotonic()
            try:
                if computed is not None and self._error is None:
                    self._writer.write(computed.numbers, computed.rows, computed.sources)
                    pending += computed.refusals
                    batches += 1
                due = batches >= SYNC_BATCHES or time.monotonic() - last >= SYNC_SECONDS
                if self._error is None and (due or ended):
                    append_refusals(self._failures, pending)
                    pending.clear()
                    self._finished(self._writer.sync())
                    batches, last = 0, time.monotonic()
            except BaseException as error:  # noqa: BLE001 - raised again by the loop's thread
                self._error = error
            self.busy_seconds += time.monotonic() - began
            if ended:
                return
