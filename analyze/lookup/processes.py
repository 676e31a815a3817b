"""Work done in processes apart, one task at a time each: what ends one never ends the service."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from extract.allocation import give_back_freed_memory
from extract.errors import SosieError
from extract.picture_memory import TooHeavyHere, share_memory
from extract.refusals import Reason, Refused

log = logging.getLogger("sosie")

SHARES = 6
"""Parts of the memory for pictures, of which one is had at once; heavier ones are opened alone."""

NICENESS = 5
BEGINNING_SECONDS = 60.0
MOST_TRIES = 3
PRELOADED = ("numpy", "scipy.fft", "simplejpeg", "extract.decoders", "analyze.lookup.opening")
"""Imported once; every process begins with them, in memory that all share."""


class Task(Protocol):
    """What a process is asked to do."""

    @property
    def seconds(self) -> float:
        """That it may take."""

    def do(self, kept: dict[str, Any]) -> Any:
        """Do it there, with what the process keeps between its tasks."""


@dataclass(frozen=True)
class Failure:
    """What a task could not do for a reason that is not the picture's.

    Parameters
    ----------
    message : str
        One line.
    """

    message: str


class TaskFailed(Exception):
    """A task failed, and not by its picture."""


class Processes:
    """Processes that do tasks; each that ends, or takes too long, is replaced.

    Parameters
    ----------
    n_processes : int
    name : str
    """

    _alone = threading.Lock()
    """Held while a heavy picture is at hand, whoever opens it."""

    def __init__(self, n_processes: int, name: str) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["__main__", *PRELOADED])
        self._name = name
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._closed = False
        self._workers: set[_Worker] = set()
        for _ in range(n_processes):
            self._free.put(self._start())

    def ask(self, task: Task, then: Callable[[Any], Any] = lambda found: found) -> Any:
        """Do a task in the next process that is free.

        Parameters
        ----------
        task : Task
        then : callable, optional
            What is done with the answer, and gives what is returned. Until it is done no other
            heavy picture is opened.

        Raises
        ------
        Refused
            Of the picture: what it is, or what it did to the process.
        TaskFailed
            For any other reason.
        """
        found = self._in_any(task, alone=False)
        if found is TooHeavyHere:
            with Processes._alone:
                return then(self._in_any(task, alone=True))
        return then(found)

    def close(self) -> None:
        """End every process."""
        self._closed = True
        for worker in tuple(self._workers):
            worker.connection.close()
        for worker in tuple(self._workers):
            worker.process.join(timeout=1)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _in_any(self, task: Task, *, alone: bool, tries: int = MOST_TRIES) -> Any:
        worker = self._free.get()
        try:
            worker.wait_until_begun()
            _send(worker.connection, (task, alone))
            answer = _answer(worker, task)
        except _Ended as ended:
            self._replace_soon(worker)
            raise ended.refused from None
        except (OSError, EOFError):  # it died between two tasks
            self._replace_soon(worker)
            if not tries:
                raise TaskFailed(f"no process can be begun for the {self._name}") from None
            return self._in_any(task, alone=alone, tries=tries - 1)
        except BaseException:
            self._free.put(worker)
            raise
        self._free.put(worker)
        return answer

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), name=self._name, daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.add(worker)
        return worker

    def _replace_soon(self, worker: _Worker) -> None:
        """End a process; who waits for its answer need not wait for the one in its place."""
        self._workers.discard(worker)
        worker.process.kill()
        worker.connection.close()
        if not self._closed:
            log.warning(
                "a process that works for the %s was ended: another takes its place", self._name
            )
            threading.Thread(target=self._replace, args=(worker,), daemon=True).start()

    def _replace(self, worker: _Worker) -> None:
        worker.process.join()
        self._free.put(self._start())


@dataclass(eq=False)
class _Worker:
    process: Any
    connection: Connection
    begun: bool = False

    def wait_until_begun(self) -> None:
        """Wait for a new process: how long it takes to begin is not its first task's."""
        if not self.begun and self.connection.poll(BEGINNING_SECONDS):
            self.connection.recv()
            self.begun = True


class _Ended(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def _answer(worker: _Worker, task: Task) -> Any:
    try:
        if not worker.connection.poll(task.seconds):
            raise _Ended(Refused(Reason.TOO_LARGE, f"takes longer than {task.seconds:g} s"))
        answer = _receive(worker.connection)
    except (EOFError, OSError):
        raise _Ended(Refused(Reason.CORRUPT, "ends the process that opens it")) from None
    if isinstance(answer, Refused):
        raise answer
    if isinstance(answer, Failure):
        raise TaskFailed(answer.message)
    return answer


def _work(connection: Connection) -> None:
    """Do one task after the other until the service hangs up; what such a process does."""
    # the service ends it when all is answered
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    logging.getLogger("sosie").setLevel(logging.CRITICAL)
    kept: dict[str, Any] = {}
    with suppress(EOFError, OSError):  # the service has hung up
        connection.send("begun")
        while True:
            task, alone = _receive(connection)
            share_memory(1 if alone else SHARES)
            answer = _done(task, kept)
            del task
            _send(connection, answer)
            del answer
            give_back_freed_memory()


def _done(task: Task, kept: dict[str, Any]) -> Any:
    try:
        return task.do(kept)
    except TooHeavyHere:
        return TooHeavyHere
    except Refused as refused:
        return refused.bare()
    except MemoryError:
        return Refused(Reason.TOO_LARGE, "takes more memory than a picture may")
    except SosieError as error:
        return Failure(str(error))
    except Exception as error:  # noqa: BLE001 - said by the service
        return Failure(f"unexpected {type(error).__name__}: {error}")


def _send(connection: Connection, value: Any) -> None:
    """Send a value, its arrays as they lie in memory: a picture is not copied first."""
    buffers: list[pickle.PickleBuffer] = []
    said = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    sizes = [buffer.raw().nbytes for buffer in buffers]
    connection.send((said, sizes))
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def _receive(connection: Connection) -> Any:
    said, sizes = connection.recv()
    return pickle.loads(said, buffers=_buffers(connection, sizes))


def _buffers(connection: Connection, sizes: Sequence[int]) -> list[bytearray]:
    found = [bytearray(size) for size in sizes]
    for buffer in found:
        if connection.recv_bytes_into(buffer) != len(buffer):
            raise EOFError
    return found
