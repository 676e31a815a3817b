"""Pictures loaded in threads: decoders let other threads run, and on few cores nothing beats it."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait

from extract.loading.picture import LoadedPicture, PictureLoader, Task
from extract.sources.downloads import abandon
from extract.sources.fetching_ahead import ahead


class LoadingThreads:
    """Loads tasks in threads and gives their pictures in the order of the requests.

    Parameters
    ----------
    loader : PictureLoader
    workers : int
    """

    task_size = 1

    def __init__(self, loader: PictureLoader, workers: int) -> None:
        self._loader = loader
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._submitted: deque[Future[list[LoadedPicture]]] = deque()
        self._busy: list[float] = []

    @property
    def busy_seconds(self) -> float:
        """Seconds that all threads worked, together."""
        return sum(self._busy)

    def submit(self, task: Task) -> None:
        """Request some pictures."""
        self._loader.expect(task)
        self._submitted.append(self._pool.submit(self._load, task))

    def ready(self, seconds: float) -> bool:
        """Whether the oldest task is through, after waiting at most so long."""
        return not wait(list(self._submitted)[:1], seconds).not_done

    def next(self) -> list[LoadedPicture]:
        """Wait for the pictures of the oldest task."""
        return self._submitted.popleft().result()

    def close(self) -> None:
        """End, leaving what nobody has begun and what is on its way."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        ahead().forget()
        # one that was cancelled is done, but would be waited for without end
        while begun := [each for each in self._submitted if not each.done()]:
            abandon()  # again, for one that had not come to its download
            wait(begun, 0.1)
        self._pool.shutdown()

    def _load(self, task: Task) -> list[LoadedPicture]:
        began = time.monotonic()
        loaded = [self._loader.load(*each) for each in zip(task.rows, task.places, strict=True)]
        self._busy.append(time.monotonic() - began)
        return loaded
