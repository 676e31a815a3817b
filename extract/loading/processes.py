"""Pictures loaded in forked processes, which many cores need: threads wait for one another."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from extract.errors import DecodingError
from extract.images.memory_limits import TooHeavyHere, share_memory
from extract.loading.on_gpu import GpuLoader
from extract.loading.picture import LoadedPicture, PictureLoader, Task

TASKS_EACH = 2
"""One at work and one at hand, so that a worker never waits for the parent's answer."""

TASKS_ON_GPU = 8
"""Of the thread of a GPU, which decodes all that it finds at once."""

NICENESS = 5
"""Of processes: what feeds the device in the parent comes first where cores are short."""

SWITCH_SECONDS = 0.00005
"""Between threads of the parent with a GPU: each of its many short calls waits for its turn."""

MOST_DEATHS_A_PICTURE = 2
MOST_DEATHS = 20
NOTHING = -1
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1


@dataclass(eq=False)
class _Worker:
    """Who loads at the other end of a connection: a process, or else the thread of a GPU."""

    process: Any
    connection: Connection
    thread: threading.Thread | None = None
    most_tasks: int = TASKS_EACH
    tasks: deque[int] = field(default_factory=deque)


class LoadingProcesses:
    """Loads tasks in processes and gives their pictures in the order of the requests.

    Pixels go straight into memory that the processes share; only what is known of a picture comes
    through a pipe. A process that dies is reported and replaced, and its pictures are loaded again.
    A picture that takes more than a process's share of memory is loaded here. A GPU that decodes
    takes the tasks that no process has room for: as the model needs it too, cores come first.

    Parameters
    ----------
    loader : PictureLoader
        Its places lie in shared memory.
    workers : int
    say : callable
        Takes a message when a process dies.
    gpu : GpuLoader, optional
    """

    task_size = 16

    def __init__(
        self,
        loader: PictureLoader,
        workers: int,
        say: Callable[[str], None],
        gpu: GpuLoader | None = None,
    ) -> None:
        self._loader, self._say, self._n_workers = loader, say, workers
        self._at = np.frombuffer(mmap.mmap(-1, 8 * workers), np.int64)
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
        self._switch_seconds = sys.getswitchinterval()
        if gpu is not None:
            sys.setswitchinterval(SWITCH_SECONDS)
            self._workers.append(_thread_of(gpu))

    def submit(self, task: Task) -> None:
        """Request some pictures."""
        self._tasks[self._submitted] = task
        self._waiting.append(self._submitted)
        self._submitted += 1
        self._hand_out()

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
        sys.setswitchinterval(self._switch_seconds)
        self._heavy.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            if worker.thread is not None:
                worker.thread.join()
                continue
            worker.process.join(timeout=1)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _start(self, number: int) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        self._at[number] = NOTHING
        others = [worker.connection for worker in self._workers] + [ours]
        process = multiprocessing.get_context("fork").Process(
            target=_work,
            args=(self._loader, theirs, others, self._at, number, self._n_workers, os.getpid()),
            name=f"decode-{number}",
            daemon=True,
        )
        # a handler of the parent's must not run in the child before it has its own
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self) -> None:
        while self._waiting:
            free = [each for each in self._workers if len(each.tasks) < each.most_tasks]
            if not free:
                return
            worker = min(free, key=lambda each: (each.process is None, len(each.tasks)))
            number = self._waiting.popleft()
            worker.tasks.append(number)
            try:
                worker.connection.send(self._tasks[number])
            except OSError:
                self._replace(worker)

    def _listen(self) -> None:
        """Wait until at least one worker answers, or dies."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                answer = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker)
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
        number = self._workers.index(worker)
        row = int(self._at[number])
        worker.connection.close()
        worker.process.join()
        code = worker.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        path = "no picture" if row == NOTHING else repr(self._loader.catalog.paths[row])
        self._deaths[row] += 1
        died = f"decoding process {worker.process.pid} died ({how}) at {path}"
        most = MOST_DEATHS if row == NOTHING else MOST_DEATHS_A_PICTURE
        if self._deaths[row] >= most or self._deaths.total() >= MOST_DEATHS:
            raise DecodingError(
                f"{died}, as did others before: what was finished is kept; take the picture away, "
                "or decode in one thread with --workers 1"
            )
        self._say(f"{died}: another takes its place, and its pictures are loaded again")
        self._waiting.extendleft(reversed(worker.tasks))
        self._workers[number] = self._start(number)


def _work(
    loader: PictureLoader,
    connection: Connection,
    others: list[Connection],
    at: np.ndarray,
    number: int,
    n_workers: int,
    parent: int,
) -> None:
    """Load what is requested until the parent hangs up; what a worker process does."""
    _end_with(parent)
    for other in others:
        other.close()
    import torch

    os.nice(NICENESS)
    torch.set_num_threads(1)  # threads of the parent's pools are not here
    share_memory(n_workers)
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        began = time.monotonic()
        try:
            loaded: list[LoadedPicture | None] = []
            for row, places in zip(task.rows, task.places, strict=True):
                at[number] = row
                try:
                    loaded.append(loader.load(row, places))
                except TooHeavyHere:
                    loaded.append(None)
            at[number] = NOTHING
            connection.send((loaded, time.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - raised again by the parent
            connection.send(error)


def _thread_of(gpu: GpuLoader) -> _Worker:
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=_load_on_gpu, args=(gpu, theirs), daemon=True)
    thread.start()
    return _Worker(None, ours, thread, TASKS_ON_GPU)


def _load_on_gpu(gpu: GpuLoader, connection: Connection) -> None:
    """Load what is requested until the other end hangs up; what the thread of a GPU does."""
    while True:
        try:
            tasks: list[Task] = [connection.recv()]
            while len(tasks) < TASKS_ON_GPU and connection.poll():
                tasks.append(connection.recv())
        except (EOFError, OSError):
            return
        began = time.monotonic()
        try:
            answers: list[Any] = [(loaded, 0.0) for loaded in gpu.load(tasks)]
            answers[0] = (answers[0][0], time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 - raised again by the parent's thread
            answers = [error]
        try:
            for answer in answers:
                connection.send(answer)
        except OSError:
            return


def _end_with(parent: int) -> None:
    """Leave signals of the terminal to the parent, and die when it does, however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
