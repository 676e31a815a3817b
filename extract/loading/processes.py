"""Pictures loaded in forked processes, which many cores need: threads wait for one another."""

from __future__ import annotations

import ctypes
import fcntl
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
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from extract.errors import DecodingError
from extract.images.decoding import PictureFile
from extract.images.memory_limits import OverMemoryShare, share_memory
from extract.loading.on_gpu import GpuLoader
from extract.loading.picture import LoadedPicture, PictureLoader, Task

TASKS_EACH = 2
"""One at work and one at hand, so that a worker never waits for the parent's answer."""

GPU_THREADS = 2
"""Of its own engine: while one waits for the device, the other prepares."""

PIPE_BYTES = 1 << 20
"""Files come through it: from a smaller one they would be read in more pieces."""

TASKS_ON_GPU, MOST_AT_ONCE = 16, 8
"""Of a GPU: some are read while others are decoded, all that are at hand at once."""

MOST_HELD = 64 << 20
"""Bytes of files that are handed to a GPU's thread at once, or of one task."""

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
    """Who loads at the other end of a connection: a process, or a GPU's thread behind one."""

    process: Any
    connection: Connection
    thread: threading.Thread | None = None
    held: tuple[Connection, ...] = ()
    most_tasks: int = TASKS_EACH
    tasks: deque[int] = field(default_factory=deque)


class LoadingProcesses:
    """Loads tasks in processes and gives their pictures in the order of the requests.

    Pixels go straight into memory that the processes share; only what is known of a picture comes
    through a pipe. A process that dies is reported and replaced, and its pictures are loaded again.
    A picture that takes more than a process's share of memory is loaded here. A GPU that decodes
    takes the tasks that no process has room for: as the model needs it too, cores come first. Its
    files are read and hashed in a process: here each would wait many times for Python's lock.

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
        self._loader, self._say, self._n_workers, self._gpu = loader, say, workers, gpu
        n_threads = 0 if gpu is None else GPU_THREADS if gpu.by_engine else 1
        self._at = np.frombuffer(mmap.mmap(-1, 8 * (workers + n_threads)), np.int64)
        self._tasks: dict[int, Task] = {}
        self._loaded: dict[int, list[LoadedPicture | Future[LoadedPicture]]] = {}
        self._waiting: deque[int] = deque()
        self._submitted = self._given = 0
        self._deaths: Counter[int] = Counter()
        self.busy_seconds = 0.0
        self._heavy = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._workers: list[_Worker] = []
        self._switch_seconds = sys.getswitchinterval()
        if gpu is not None:
            sys.setswitchinterval(SWITCH_SECONDS)
        for i in range(workers + n_threads):
            self._workers.append(self._start(i))

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
            worker.process.join(timeout=1)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _start(self, number: int) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        others = [each for one in self._workers for each in (one.connection, *one.held)] + [ours]
        if self._gpu is None or number < self._n_workers:
            process = self._fork(number, _work, self._loader, theirs, others, self._n_workers)
            theirs.close()
            return _Worker(process, ours)
        gpu = replace(self._gpu)  # with a stream of its own
        read, written = multiprocessing.Pipe(duplex=False)
        with suppress(OSError, AttributeError):  # of Linux alone
            fcntl.fcntl(written.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        process = self._fork(number, _read, gpu, theirs, [*others, read], written)
        written.close()
        thread = threading.Thread(target=_load_on_gpu, args=(gpu, read, theirs), daemon=True)
        thread.start()
        return _Worker(process, ours, thread, (read, theirs), TASKS_ON_GPU)

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
            worker = min(free, key=lambda each: (each.thread is not None, len(each.tasks)))
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
    n_workers: int,
    at: np.ndarray,
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
                at[0] = row
                try:
                    loaded.append(loader.load(row, places))
                except OverMemoryShare:
                    loaded.append(None)
            at[0] = NOTHING
            connection.send((loaded, time.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - raised again by the parent
            connection.send(error)


def _read(
    gpu: GpuLoader,
    requested: Connection,
    others: list[Connection],
    read: Connection,
    at: np.ndarray,
    parent: int,
) -> None:
    """Read what is requested until the parent hangs up; what the process before a GPU does.

    It waits to hand files over until the thread is through with those before: the more come at
    once, the less often that waits for the device, which is busy with the model.
    """
    _end_with(parent)
    for other in others:
        other.close()
    while True:
        tasks: list[Task] = []
        files: list[list[PictureFile | None]] = []
        held = 0
        try:
            while not tasks or (
                len(tasks) < MOST_AT_ONCE and held < MOST_HELD and requested.poll()
            ):
                tasks.append(requested.recv())
                at[0] = tasks[-1].rows[0]
                files.append(gpu.read(tasks[-1]))
                held += sum(file.size for file in files[-1] if file)
            read.send((tasks, files))
        except (EOFError, OSError):
            return
        at[0] = NOTHING


def _load_on_gpu(gpu: GpuLoader, read: Connection, answers: Connection) -> None:
    """Load what was read until no more comes; what the thread of a GPU does."""
    with closing(read), closing(answers):
        while True:
            try:
                tasks, files = read.recv()
            except (EOFError, OSError):
                return
            began = time.monotonic()
            try:
                answer: list[Any] = [(loaded, 0.0) for loaded in gpu.load(tasks, files)]
                answer[0] = (answer[0][0], time.monotonic() - began)
            except Exception as error:  # noqa: BLE001 - raised again by the parent's thread
                answer = [error]
            try:
                for each in answer:
                    answers.send(each)
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
