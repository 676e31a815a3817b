"""Pictures of a run in order, loaded as far ahead as there is room for their pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol

import numpy as np

from extract.loading.batch_ring import BatchRing
from extract.loading.picture import LoadedPicture, Place, Task
from extract.pipeline.output_job import FileRun

PATIENCE_SECONDS = 2.0
"""How long a run that is to stop waits for one task of the batch in flight."""


class LoadingWorkers(Protocol):
    """What loads pictures: threads or processes."""

    task_size: int

    @property
    def busy_seconds(self) -> float:
        """Seconds that all of them worked, together."""

    def submit(self, task: Task) -> None:
        """Request some pictures."""

    def ready(self, seconds: float) -> bool:
        """Whether the oldest task is through, after waiting at most so long."""

    def next(self) -> list[LoadedPicture]:
        """Wait for the pictures of the oldest task."""

    def close(self) -> None:
        """End."""


def loaded_pictures(
    runs: Sequence[FileRun],
    rings: Sequence[BatchRing],
    loaders: LoadingWorkers,
    should_stop: Callable[[], bool],
) -> Generator[tuple[int, LoadedPicture]]:
    """Yield the rows that are due in any file with what became of their pictures, in order.

    Parameters
    ----------
    runs : sequence of FileRun
    rings : sequence of BatchRing
        One a file, of at least four batches; whoever takes a picture releases them.
    loaders : LoadingWorkers
    should_stop : callable
        Whether to leave a picture that does not come, such as a download that hangs.
    """
    smallest = min(run.plan.batch_size for run in runs)
    tasks = _tasks(runs, min(loaders.task_size, smallest))
    submitted: deque[Task] = deque()
    task = next(tasks, None)
    while task is not None or submitted:
        while task is not None and _has_room(task, rings):
            loaders.submit(task)
            submitted.append(task)
            task = next(tasks, None)
        while not loaders.ready(PATIENCE_SECONDS):
            if should_stop():
                return
        yield from zip(submitted.popleft().rows, loaders.next(), strict=True)


def _has_room(task: Task, rings: Sequence[BatchRing]) -> bool:
    return all(rings[p.file].has_room(p.batch) for places in task.places for p in places)


def _tasks(runs: Sequence[FileRun], size: int) -> Iterator[Task]:
    """Cut the due rows of all files into tasks: a picture goes to every file that wants it."""
    rows = np.flatnonzero(np.any([run.due for run in runs], axis=0))
    batches: list[np.ndarray] = []
    for run in runs:
        numbers = run.batches.numbers
        batches.append(np.cumsum(np.append(0, numbers[1:] != numbers[:-1])))
    for first in range(0, len(rows), size):
        some = rows[first : first + size]
        places: list[list[Place]] = [[] for _ in some]
        for file, run in enumerate(runs):
            found = np.searchsorted(run.batches.rows, some)
            for i in np.flatnonzero(run.due[some]).tolist():
                at = int(found[i])
                places[i].append(Place(file, int(batches[file][at]), int(run.batches.places[at])))
        yield Task(tuple(some.tolist()), tuple(map(tuple, places)))
