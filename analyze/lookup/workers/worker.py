"""A process that does one task at a time: how it is spoken to, and what goes on in it."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from analyze.lookup.workers.deadline import TryAgain
from extract.errors import SosieError
from extract.images.memory_limits import OverMemoryShare, share_memory
from extract.machine.allocation import give_back_freed_memory
from extract.refusals import Reason, Refused

SHARES = 6
"""Parts of the memory for pictures, of which one is had at once; heavier ones are opened alone."""

NICENESS = 5
BEGINNING_SECONDS = 60.0
SHORTEST_WAIT = 0.1


class Task(Protocol):
    """Work for a process."""

    @property
    def seconds(self) -> float:
        """That it may take; after them its process is replaced, and the request is answered 503."""

    @property
    def processor_seconds(self) -> float | None:
        """Of its process: a picture that takes more is refused, however idle the machine is.

        None where the task opens no picture, so that none is to blame.
        """

    def do(self, kept: dict[str, Any]) -> Any:
        """Do it there, with what the process keeps between its tasks."""


@dataclass(frozen=True)
class Failure:
    """What a task could not do for a reason that is not the picture's.

    Parameters
    ----------
    message : str
        One line.
    kind : str
        Name of the error.
    """

    message: str
    kind: str


class Unusable(Exception):
    """A process that is to be replaced.

    Parameters
    ----------
    verdict : Exception, optional
        Error of the task; None where another process may try it.
    by_the_task : bool
        Whether it ended while it did the task.
    """

    def __init__(self, verdict: Exception | None = None, *, by_the_task: bool = False) -> None:
        super().__init__()
        self.verdict, self.by_the_task = verdict, by_the_task


@dataclass(eq=False)
class Worker:
    """The service's end of such a process.

    Parameters
    ----------
    process : Process
    connection : Connection
    begun : bool
        Whether it has sent that it is ready.
    """

    process: Any
    connection: Connection
    begun: bool = False

    def do(self, task: Task, *, alone: bool) -> Any:
        """Do a task there.

        Raises
        ------
        Unusable
        """
        try:
            self._wait_until_begun()
            _send(self.connection, (task, alone))
        except (OSError, EOFError):
            raise Unusable from None
        try:
            self._wait_for_answer(task)
            return _receive(self.connection)
        except BlockingIOError:  # of a socket: it is stopped in the middle of its answer
            raise Unusable(_took_too_long(task.seconds)) from None
        except (OSError, EOFError):
            raise Unusable(by_the_task=True) from None

    def was_killed(self) -> bool:
        """Return whether someone else ended it, or the system for want of memory."""
        self.process.join(timeout=1)
        return bool(self.process.exitcode == -signal.SIGKILL)

    def _wait_until_begun(self) -> None:
        """Wait for a new process: how long it takes to begin is not its first task's."""
        if not self.begun:
            if not self.connection.poll(BEGINNING_SECONDS):
                raise Unusable
            self.connection.recv()
            self.begun = True

    def _wait_for_answer(self, task: Task) -> None:
        """Wait as long as a task may take: by its process's own time, and by the clock."""
        until = time.monotonic() + task.seconds
        most, before = task.processor_seconds, _processor_seconds(self.process.pid)
        wait = task.seconds if most is None else min(most, task.seconds)
        while not self.connection.poll(wait):
            wait = until - time.monotonic()
            if most is not None:
                left = most - (_processor_seconds(self.process.pid) - before)
                if left <= 0:
                    refused = Refused(Reason.TOO_LARGE, f"takes longer than {most:g} s")
                    raise Unusable(refused)
                wait = min(wait, max(left, SHORTEST_WAIT))
            if time.monotonic() >= until:
                raise Unusable(_took_too_long(task.seconds))


def _took_too_long(seconds: float) -> TryAgain:
    return TryAgain(f"took longer than {seconds:g} s")


def _processor_seconds(pid: int) -> float:
    """Give the time that a process was at work, all of its threads together."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in words[11:13]) / os.sysconf("SC_CLK_TCK")


def work(connection: Connection) -> None:
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
    except OverMemoryShare:
        return OverMemoryShare
    except Refused as refused:
        return refused.bare()
    except SosieError as error:
        return Failure(str(error), type(error).__name__)
    except Exception as error:  # noqa: BLE001 - reported by the service
        kind = type(error).__name__
        return Failure(f"unexpected {kind}: {error}", kind)


def _send(connection: Connection, value: Any) -> None:
    """Send a value, its arrays as they lie in memory: a picture is not copied first."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    connection.send([part.nbytes for part in parts])
    for part in parts:
        while part:
            part = part[os.write(connection.fileno(), part) :]


def _receive(connection: Connection) -> Any:
    """Receive a value, each part where it is to lie.

    A connection's own ``recv_bytes_into`` copies it there once more, and a bytearray is filled with
    zeros first: while that is done to 150 MB no other thread does anything.
    """
    parts: list[Any] = [np.empty(size, np.uint8) for size in connection.recv()]
    for each in parts:
        left = memoryview(each)
        while left:
            n_read = os.readv(connection.fileno(), [left])
            if not n_read:
                raise EOFError
            left = left[n_read:]
    return pickle.loads(parts[0], buffers=parts[1:])
