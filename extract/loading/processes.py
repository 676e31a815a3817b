"""Pictures loaded in forked processes, which many cores need: threads wait for one another."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from extract.errors import DecodingError
from extract.images.memory_limits import share_memory
from extract.loading.gpu_process import (
    PICTURES_A_TASK,
    DeviceLost,
    GpuProcess,
    Link,
    end_with,
)
from extract.loading.on_gpu import Begun, GpuLoader
from extract.loading.own_program import SIGNALS
from extract.loading.picture import LoadedPicture, PictureLoader, Task
from extract.sources.downloads import abandon

TASKS_EACH = 2
"""One at work and one at hand, so that a worker never waits for the parent's answer."""

TASKS_ON_GPU, MOST_AT_ONCE = 16, 8
"""Of a GPU: some are read while others are decoded, all that are at hand at once."""

MOST_LINKS = 8
"""As many threads may decode on a GPU."""

NICENESS = 5
"""Of processes: what feeds the device in the parent comes first where cores are short."""

MOST_DEATHS_A_PICTURE = 2
MOST_DEATHS = 20
NOTHING = -1


class GpuReady:
    """What a process that reads for a GPU sends once that can decode."""


@dataclass(eq=False)
class _Worker:
    """A process that loads, or that reads for a GPU, at the other end of a connection."""

    number: int
    process: Any
    connection: Connection
    on_gpu: bool = False
    most_tasks: int = TASKS_EACH
    tasks: deque[int] = field(default_factory=deque)


class LoadingProcesses:
    """Loads tasks in processes and gives their pictures in the order of the requests.

    Pixels go straight into memory that the processes share; only what is known of a picture comes
    through a pipe. A process that dies is reported and replaced, and its pictures are loaded again.
    A picture that takes more than a process's share of memory is loaded here. A GPU that decodes
    takes the tasks that no process has room for: as the model needs it too, cores come first. Where
    it cannot decode any more, that is reported, and cores do all.

    Parameters
    ----------
    loader : PictureLoader
        Its places lie in shared memory.
    workers : int
    say : callable
        Takes a message when a process dies.
    gpu : callable, optional
        Starts the process that decodes on a GPU.
    """

    task_size = PICTURES_A_TASK

    def __init__(
        self,
        loader: PictureLoader,
        workers: int,
        say: Callable[[str], None],
        gpu: Callable[[], GpuProcess] | None = None,
    ) -> None:
        self._loader, self._say, self._n_workers = loader, say, workers
        self._at = np.frombuffer(mmap.mmap(-1, 8 * (workers + MOST_LINKS)), np.int64)
        self._tasks: dict[int, Task] = {}
        self._loaded: dict[int, list[LoadedPicture | Future[LoadedPicture]]] = {}
        self._waiting: deque[int] = deque()
        self._submitted = self._given = 0
        self._deaths: Counter[int] = Counter()
        self.busy_seconds = 0.0
        self._heavy = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._workers: list[_Worker] = []
        for i in range(workers):
            self._workers.append(self._start(i))
        self._gpu = gpu() if gpu else None
        self._lost: set[str] = set()
        if self._gpu is not None:
            for i, link in enumerate(self._gpu.links):
                self._workers.append(self._start_reader(workers + i, link))
            self._gpu.release()

    def submit(self, task: Task) -> None:
        """Request some pictures."""
        self._tasks[self._submitted] = task
        self._waiting.append(self._submitted)
        self._submitted += 1
        self._hand_out()

    def ready(self, seconds: float) -> bool:
        """Whether the oldest task is through, after waiting at most so long."""
        until = time.monotonic() + seconds
        while self._given not in self._loaded:
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._listen(left)
        begun = [each for each in self._loaded[self._given] if isinstance(each, Future)]
        return not futures.wait(begun, max(until - time.monotonic(), 0)).not_done

    def next(self) -> list[LoadedPicture]:
        """Wait for the pictures of the oldest task.

        Raises
        ------
        DecodingError
            When a picture kills every process that opens it.
        """
        while self._given not in self._loaded:
            self._listen()
        loaded = self._loaded.pop(self._given)
        del self._tasks[self._given]
        self._given += 1
        return [each.result() if isinstance(each, Future) else each for each in loaded]

    def close(self) -> None:
        """End every process; none outlives the run."""
        self._heavy.shutdown(wait=False, cancel_futures=True)
        begun = [f for each in self._loaded.values() for f in each if isinstance(f, Future)]
        while futures.wait(begun, 0.1).not_done:
            abandon()
        self._heavy.shutdown()
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(timeout=1)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        if self._gpu is not None:
            self._gpu.close()

    def _start(self, number: int) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        process = self._fork(
            number, _work, self._loader, theirs, [*self._connections(), ours], self._n_workers
        )
        theirs.close()
        return _Worker(number, process, ours)

    def _start_reader(self, number: int, link: Link) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        assert self._gpu is not None
        others = [each.connection for each in self._gpu.links if each is not link]
        process = self._fork(
            number,
            _read_for_gpu,
            self._loader,
            theirs,
            [*self._connections(), *others, ours],
            self._n_workers,
            link,
        )
        theirs.close()
        return _Worker(number, process, ours, on_gpu=True, most_tasks=0)

    def _connections(self) -> list[Connection]:
        return [each.connection for each in self._workers]

    def _fork(self, number: int, target: Callable[..., None], *args: Any) -> Any:
        self._at[number] = NOTHING
        process = multiprocessing.get_context("fork").Process(
            target=target,
            args=(*args, self._at[number : number + 1], os.getpid()),
            name=f"decode-{number}",
            daemon=True,
        )
        # a handler of the parent's must not run in the child before it has its own
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return process

    def _hand_out(self) -> None:
        while self._waiting:
            free = [each for each in self._workers if len(each.tasks) < each.most_tasks]
            if not free:
                return
            worker = min(free, key=lambda each: (each.on_gpu, len(each.tasks)))
            number = self._waiting.popleft()
            worker.tasks.append(number)
            try:
                worker.connection.send(self._tasks[number])
            except OSError:
                self._replace(worker)

    def _listen(self, seconds: float | None = None) -> None:
        """Wait until at least one worker answers, or dies, or so long."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), seconds):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                answer = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker)
                continue
            if isinstance(answer, GpuReady):
                worker.most_tasks = TASKS_ON_GPU
                continue
            if isinstance(answer, DeviceLost):
                self._do_without(worker, str(answer))
                continue
            if isinstance(answer, BaseException):
                raise answer
            loaded, seconds = answer
            self.busy_seconds += seconds
            number = worker.tasks.popleft()
            task = self._tasks[number]
            self._loaded[number] = [
                self._heavy.submit(self._loader.load, row, places) if each is None else each
                for each, row, places in zip(loaded, task.rows, task.places, strict=True)
            ]
        self._hand_out()

    def _replace(self, worker: _Worker) -> None:
        """Put another in the place of one that died; what it had is loaded again."""
        row = int(self._at[worker.number])
        worker.connection.close()
        worker.process.join()
        code = worker.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        path = "no picture" if row == NOTHING else repr(self._loader.catalog.paths[row])
        self._deaths[row] += 1
        died = f"decoding process {worker.process.pid} died ({how}) at {path}"
        if worker.on_gpu:
            assert self._gpu is not None
            self._gpu.kill()  # it would write into places that cores are given
            self._do_without(worker, died)
            return
        most = MOST_DEATHS if row == NOTHING else MOST_DEATHS_A_PICTURE
        if self._deaths[row] >= most or self._deaths.total() >= MOST_DEATHS:
            raise DecodingError(
                f"{died}, as did others before: what was finished is kept; take the picture away, "
                "or decode in one thread with --workers 1"
            )
        self._say(f"{died}: another takes its place, and its pictures are loaded again")
        self._waiting.extendleft(reversed(worker.tasks))
        self._workers[self._workers.index(worker)] = self._start(worker.number)

    def _do_without(self, worker: _Worker, why: str) -> None:
        """Go on without one that reads for a GPU; cores load what it had."""
        if why not in self._lost:
            self._say(f"{why}: cores decode in its place")
        self._lost.add(why)
        self._waiting.extendleft(reversed(worker.tasks))
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()


def _work(
    loader: PictureLoader,
    connection: Connection,
    others: list[Connection],
    n_workers: int,
    at: np.ndarray,
    parent: int,
) -> None:
    """Load what is requested until the parent hangs up; what a worker process does."""
    end_with(parent)
    for other in others:
        other.close()
    os.nice(NICENESS)
    if loader.resizes_by_torch:
        import torch

        torch.set_num_threads(1)  # threads of the parent's pools are not here
    share_memory(n_workers)
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        began = time.monotonic()
        loader.expect(task)
        try:
            loaded: list[LoadedPicture | None] = []
            for row, places in zip(task.rows, task.places, strict=True):
                at[0] = row
                loaded.append(loader.load_within_share(row, places))
            at[0] = NOTHING
            connection.send((loaded, time.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - raised again by the parent
            connection.send(error)


def _read_for_gpu(
    loader: PictureLoader,
    connection: Connection,
    others: list[Connection],
    n_workers: int,
    link: Link,
    at: np.ndarray,
    parent: int,
) -> None:
    """Read what is requested and have it decoded on a GPU, until the parent hangs up.

    Files are read while those before are decoded.
    """
    end_with(parent)
    for other in others:
        other.close()
    import torch

    torch.set_num_threads(1)
    share_memory(n_workers)
    gpu = GpuLoader(loader, link)
    begun: Begun | None = None
    try:
        link.wait_until_ready()
        connection.send(GpuReady())
        while True:
            tasks = _requested(connection, at, wait=begun is None)
            following = gpu.begin(tasks) if begun is None or connection.poll() else None
            if begun is not None:
                for loaded in gpu.finish(begun):
                    connection.send((loaded, 0.0))
            at[0] = NOTHING
            begun = following
    except (EOFError, OSError):
        return
    except Exception as error:  # noqa: BLE001 - raised again by the parent, or cores decode
        connection.send(error)


def _requested(connection: Connection, at: np.ndarray, *, wait: bool) -> Iterator[Task]:
    """Yield tasks as far as they are at hand, if need be after waiting for the first."""
    for _ in range(MOST_AT_ONCE):
        if not wait and not connection.poll():
            return
        wait = False
        task: Task = connection.recv()
        at[0] = task.rows[0]
        yield task
