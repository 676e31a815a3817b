"""Worker processes, each with one task at a time: one that ends never ends the service."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from analyze.lookup.workers.deadline import Deadline, TryAgain
from analyze.lookup.workers.worker import Failure, Task, Unusable, Worker, work
from extract.images.memory_limits import OverMemoryShare
from extract.refusals import Reason, Refused

log = logging.getLogger("sosie")

STALLED_SECONDS = 30
"""In which a process must take, or send, some more of what goes between it and the service."""

MOST_TRIES = 3
BEGINNING_AGAIN_SECONDS = 0.1, 10.0
"""Pause, at first and at the most, after a process could not be begun."""

PRELOADED = (
    "numpy",
    "scipy.fft",
    "simplejpeg",
    "extract.images.decoders",
    "analyze.lookup.workers.picture_tasks",
)
"""Imported once; every process begins with them, in memory that all share."""


class TaskFailed(Exception):
    """A task failed, and not by its picture.

    Parameters
    ----------
    failure : Failure
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.kind = failure.kind


class Processes:
    """Processes that do tasks; each that ends, or takes too long, is replaced.

    Parameters
    ----------
    n_processes : int
    name : str
    """

    _alone = threading.Lock()
    """Held while a heavy picture is open, in whichever process."""

    def __init__(self, n_processes: int, name: str) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["__main__", *PRELOADED])
        self._name = name
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self.closed = False
        self._workers: set[Worker] = set()
        for _ in range(n_processes):
            self._free.put(self._start())

    def ask(
        self,
        task: Task,
        then: Callable[[Any], Any] = lambda found: found,
        deadline: Deadline | None = None,
    ) -> Any:
        """Do a task in the next process that is free.

        Parameters
        ----------
        task : Task
        then : callable, optional
            What is done with the answer, and gives what is returned. Until it is done no other
            heavy picture is opened.
        deadline : Deadline, optional
            Until when it must have begun.

        Raises
        ------
        Refused
            Of the picture: what it is, or what it did to two processes.
        TryAgain
            When it took too long, or its process was ended, and no picture is to blame.
        TaskFailed
            For any other reason.
        """
        deadline = deadline or Deadline()
        found = self._in_any(task, deadline, alone=False)
        if found is not OverMemoryShare:
            return then(found)
        deadline.wait_for(_taken(Processes._alone), "heavy pictures before this one")
        try:
            return then(self._in_any(task, deadline, alone=True))
        finally:
            Processes._alone.release()

    def live(self, pid: int) -> bool:
        """Return whether one of the processes has this number and has not ended."""
        return any(
            worker.process.pid == pid and worker.process.is_alive()
            for worker in tuple(self._workers)
        )

    def close(self) -> None:
        """End every process, and every task that waits for one."""
        self.closed = True
        for worker in tuple(self._workers):
            worker.process.kill()
        for worker in tuple(self._workers):
            worker.process.join()
            worker.connection.close()

    def _in_any(self, task: Task, deadline: Deadline, *, alone: bool) -> Any:
        ends: list[bool] = []
        while True:
            worker = deadline.wait_for(self._next_free, f"a process that works for {self._name}")
            try:
                answer = worker.do(task, alone=alone)
            except Unusable as unusable:
                ends.append(unusable.by_the_task and not worker.was_killed())
                self._replace_soon(worker)
                if unusable.verdict is not None:
                    raise unusable.verdict from None
                _judge(ends, task)
            except BaseException:
                self._replace_soon(worker)  # an answer may still be on its way
                raise
            else:
                self._free.put(worker)
                return _checked(answer)

    def _next_free(self, seconds: float) -> Worker | None:
        if self.closed:
            raise TryAgain("the service ends")
        try:
            worker = self._free.get(timeout=seconds)
        except queue.Empty:
            return None
        if worker.process.is_alive():
            return worker
        self._replace_soon(worker)  # it ended between two tasks
        return None

    def _start(self) -> Worker:
        ours, theirs = self._context.Pipe()
        with socket.socket(fileno=os.dup(ours.fileno())) as same:
            for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                same.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", STALLED_SECONDS, 0))
        process = self._context.Process(target=work, args=(theirs,), name=self._name, daemon=True)
        process.start()
        theirs.close()
        worker = Worker(process, ours)
        self._workers.add(worker)
        return worker

    def _replace_soon(self, worker: Worker) -> None:
        """End a process, and start the one in its place in the background."""
        self._workers.discard(worker)
        worker.process.kill()
        worker.connection.close()
        if not self.closed:
            log.warning(
                "a process that works for the %s was ended: another takes its place", self._name
            )
            threading.Thread(target=self._replace, args=(worker,), daemon=True).start()

    def _replace(self, worker: Worker) -> None:
        worker.process.join()
        pause, longest = BEGINNING_AGAIN_SECONDS
        while not self.closed:
            try:
                fresh = self._start()
            except Exception as error:  # noqa: BLE001 - a place that stays empty is lost for good
                log.warning("no process for the %s: %s", self._name, type(error).__name__)
                time.sleep(pause)
                pause = min(2 * pause, longest)
                continue
            self._free.put(fresh)
            if self.closed:
                fresh.process.kill()
            return


def _taken(lock: threading.Lock) -> Callable[[float], bool | None]:
    return lambda seconds: lock.acquire(timeout=seconds) or None


def _judge(ends: Sequence[bool], task: Task) -> None:
    """Raise for the cause that ended the processes, once known or after enough tries.

    Parameters
    ----------
    ends : sequence of bool
        Of each process: whether the task ended it.
    """
    if task.processor_seconds is not None and sum(ends) > 1:
        raise Refused(Reason.CORRUPT, "ends the process that opens it")
    if len(ends) == MOST_TRIES:
        raise TryAgain("was ended with its process")


def _checked(answer: Any) -> Any:
    if isinstance(answer, Refused):
        raise answer
    if isinstance(answer, Failure):
        if answer.kind == MemoryError.__name__:
            raise TryAgain("took more memory than there is")
        raise TaskFailed(answer)
    return answer
