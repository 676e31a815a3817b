"""Batches of one run handed to a process for each device; what one that dies had, others do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.engines import device_process
from extract.engines.device_process import Batch, DeviceSetup, packed
from extract.errors import DecodingError, in_one_line
from extract.inference.forward_pass import Launched
from extract.loading.batch_ring import BatchRing
from extract.loading.own_program import start_program

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone

BATCHES_EACH = 2
"""One at work and one at hand, so that no device waits for the parent."""


@dataclass(eq=False)
class _Worker:
    device: str
    process: subprocess.Popen[bytes]
    connection: Connection
    tickets: deque[int] = field(default_factory=deque)


class DeviceProcesses:
    """Forwards batches on some devices, each in a process of its own.

    Pixels stay in the rings until their batch is computed, so that a batch of a process that dies
    is computed by another. Answers are taken in the order in which they are waited for.

    Parameters
    ----------
    devices : sequence of str
    forwards : sequence of (Backbone, mapping)
        Each pass: a backbone and how it computes.
    rings : sequence of BatchRing
    say : callable
        Takes a message when a process dies.
    """

    def __init__(
        self,
        devices: Sequence[str],
        forwards: Sequence[tuple[Backbone, Mapping[str, Any]]],
        rings: Sequence[BatchRing],
        say: Callable[[str], None],
    ) -> None:
        self._say = say
        self._batches: dict[int, Batch] = {}
        self._answers: dict[int, tuple[np.ndarray, float]] = {}
        self._given = 0
        self._workers: list[_Worker] = []
        self.n_devices = len(devices)
        models = packed([backbone for backbone, _ in forwards])
        configs = [config for _, config in forwards]
        places = [(ring.memory.handle, ring.batches.shape) for ring in rings]
        for device in devices:
            setup = DeviceSetup(os.getpid(), device, configs, models.handle, places)
            self._workers.append(_start(setup))
        models.close()

    def submit(self, batch: Batch) -> int:
        """Have a batch forwarded; return the ticket by which it is waited for."""
        self._given += 1
        self._batches[self._given] = batch
        self._give(self._given)
        return self._given

    def wait(self, ticket: int) -> tuple[np.ndarray, float]:
        """Wait for a batch: its vectors, and the seconds that a device worked on it.

        Raises
        ------
        DecodingError
            When no process is left.
        """
        while ticket not in self._answers:
            self._listen()
        del self._batches[ticket]
        return self._answers.pop(ticket)

    def close(self) -> None:
        """End every process; none outlives the run."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(timeout=1)
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()

    def _give(self, ticket: int) -> None:
        worker = min(self._workers, key=lambda each: len(each.tickets))
        worker.tickets.append(ticket)
        with contextlib.suppress(OSError):  # one that has ended has perhaps said why: it is read
            worker.connection.send(self._batches[ticket])

    def _listen(self) -> None:
        """Wait until a process answers, or ends."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]
            if worker not in self._workers:
                continue
            try:
                answer = worker.connection.recv()
            except (EOFError, OSError):
                self._do_without(worker, None)
                continue
            if isinstance(answer, str):
                self._do_without(worker, answer)
            else:
                self._answers[worker.tickets.popleft()] = answer

    def _do_without(self, worker: _Worker, why: str | None) -> None:
        """Give the batches of a process that ended to the others."""
        self._workers.remove(worker)
        worker.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(timeout=1)
        worker.process.kill()
        code = worker.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        died = f"the process on {worker.device} ended ({in_one_line(Exception(why or how))})"
        if not self._workers:
            raise DecodingError(
                f"{died}, as did all others: what was finished is kept; type the same command "
                "again, or without --engine gpus"
            )
        self._say(f"{died}: {len(self._workers)} others compute in its place")
        for ticket in worker.tickets:
            self._give(ticket)


class SharedForward:
    """The pass of one file over all devices, with the pixels of its ring.

    Parameters
    ----------
    processes : DeviceProcesses
    forward, ring : int
        Which of the processes' passes and rings.
    n_batches : int
        Of the ring.
    """

    def __init__(self, processes: DeviceProcesses, forward: int, ring: int, n_batches: int) -> None:
        self._processes, self._forward, self._ring = processes, forward, ring
        self._n_batches = n_batches
        self.in_flight = BATCHES_EACH * processes.n_devices - 1

    def launch(self, _pixels: np.ndarray, batch: int) -> Launched:
        """Have a batch forwarded, which lies in the ring."""
        place = batch % self._n_batches
        ticket = self._processes.submit(Batch(self._forward, self._ring, place))
        return Launched(lambda: self._processes.wait(ticket))


def _start(setup: DeviceSetup) -> _Worker:
    ours, inherited = socket.socketpair()
    handles = [setup.backbones, *(handle for handle, _ in setup.rings)]
    with inherited:
        process = start_program(device_process.__name__, inherited.fileno(), handles)
    connection = Connection(ours.detach())
    with contextlib.suppress(OSError):  # one that has ended is noticed where it is waited for
        connection.send(setup)
    return _Worker(setup.device, process, connection)
