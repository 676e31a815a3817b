"""The process that decodes on a GPU, and the ends of the connections to it.

It is a program of its own: a fork of one that uses a GPU could not, and Python's other way to start
one would run the caller's script again. It takes many seconds to have the device, so it can be
started before it is known what there is to decode; then it is given the rings that pixels go to,
and for each thread the memory that files come in.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from extract.images.gpu_decoding import ENGINE, decode_on_gpu, trial_file
from extract.images.jpeg_engine import is_installed
from extract.loading.batch_ring import BatchRing, pin
from extract.loading.on_gpu import MOST_FILE_BYTES, MOST_HELD, Part, decode_into
from extract.loading.own_program import SIGNALS, start_program
from extract.loading.shared_memory import SharedMemory
from extract.machine.processor import sleep_while_gpu_works
from extract.transforms.preprocessing import Preprocessing

PICTURES_A_TASK = 16
"""A last task is still added to files that are nearly too many."""

HALF = MOST_HELD + PICTURES_A_TASK * MOST_FILE_BYTES
"""Bytes of a link's memory that hold what is decoded, while the other half is filled."""

PR_SET_PDEATHSIG = 1

READY: list[list[int]] = []
"""What a thread sends once it can decode."""


class DeviceLost(Exception):
    """Nothing is decoded on the GPU from now on; the message says why."""


@dataclass(eq=False)
class Link:
    """A connection to one thread of the process, with the memory that files come in.

    Parameters
    ----------
    connection : Connection
    files : SharedMemory
        Two halves, used in turn.
    """

    connection: Connection
    files: SharedMemory
    _turn: int = field(default=0, init=False)

    def memory(self) -> np.ndarray:
        """Give the half of the memory that the next files are put into; ndarray, uint8."""
        self._turn = 1 - self._turn
        half: np.ndarray = self.files.array((2, HALF))[self._turn]
        return half

    def begin(self, parts: Sequence[Part]) -> None:
        """Have files decoded that were put into the memory."""
        with contextlib.suppress(OSError):  # noticed where it is waited for
            self.connection.send((self._turn, parts))

    def finish(self) -> list[list[int]]:
        """Wait for the oldest that was begun; which pictures of each part were left out.

        Raises
        ------
        DeviceLost
            When it cannot decode any more.
        """
        try:
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            raise DeviceLost("the process that decodes on the GPU ended") from error
        if isinstance(answer, str):
            raise DeviceLost(answer)
        left_out: list[list[int]] = answer
        return left_out

    def wait_until_ready(self) -> None:
        """Wait until it has the device.

        Raises
        ------
        DeviceLost
            When it cannot decode.
        """
        self.finish()


@dataclass(frozen=True)
class Beginning:
    """What the process is given when it starts.

    Parameters
    ----------
    parent : int
        The process with which it ends.
    device : str
    preprocessings : list of Preprocessing
        Of each file of the run, as far as it is known.
    """

    parent: int
    device: str
    preprocessings: list[Preprocessing]


@dataclass(frozen=True)
class Setup:
    """What it is given once there is something to decode; handles come after it, in this order.

    Parameters
    ----------
    decoder : str
        Which library decodes, a key of ``extract.images.gpu_decoding.DECODERS``: it was tried.
    preprocessings : list of Preprocessing
        Of each file of the run.
    rings : list of tuple of int
        Shape of each ring; a handle each.
    n_links : int
        Threads; two handles each, of its connection and of the memory that its files come in.
    """

    decoder: str
    preprocessings: list[Preprocessing]
    rings: list[tuple[int, ...]]
    n_links: int

    @property
    def n_handles(self) -> int:
        """How many handles come after it."""
        return len(self.rings) + 2 * self.n_links


class GpuProcess:
    """Starts the process; once it is connected, its links are for those who read files.

    Parameters
    ----------
    device : str
    preprocessings : sequence of Preprocessing
        A picture is decoded for each, before any that somebody waits for.
    """

    def __init__(self, device: str, preprocessings: Sequence[Preprocessing]) -> None:
        self.links: list[Link] = []
        self._socket, inherited = socket.socketpair()
        with inherited:
            self._process = start_program(__name__, inherited.fileno())
        self._send(Beginning(os.getpid(), device, list(preprocessings)))

    def connect(
        self,
        decoder: str,
        preprocessings: Sequence[Preprocessing],
        rings: Sequence[BatchRing],
        n_links: int,
    ) -> None:
        """Give it what it decodes into, and make the links.

        Parameters
        ----------
        decoder : str
            Which library decodes was tried: a key of ``extract.images.gpu_decoding.DECODERS``.
        preprocessings : sequence of Preprocessing
        rings : sequence of BatchRing
            Of each file of the run.
        n_links : int
            As many threads it has.
        """
        ends = [socket.socketpair() for _ in range(n_links)]
        self.links = [
            Link(Connection(ours.detach()), SharedMemory.allocate(2 * HALF)) for ours, _ in ends
        ]
        shapes = [ring.batches.shape for ring in rings]
        handles = [ring.memory.handle for ring in rings]
        for (_, theirs), link in zip(ends, self.links, strict=True):
            handles += [theirs.fileno(), link.files.handle]
        self._send(Setup(decoder, list(preprocessings), shapes, n_links))
        with contextlib.suppress(OSError):
            socket.send_fds(self._socket, [b"+"], handles)
        for _, theirs in ends:
            theirs.close()
        self._socket.close()

    def _send(self, what: Beginning | Setup) -> None:
        """Send it; one that has ended is noticed where it is waited for."""
        with contextlib.suppress(OSError), Connection(os.dup(self._socket.fileno())) as sending:
            sending.send(what)

    def release(self) -> None:
        """Let go of the links, once those who read have them."""
        for link in self.links:
            link.connection.close()
            link.files.close()

    def kill(self) -> None:
        """End it at once: when this returns, it writes into no place any more."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, which it does by itself when those who read have ended."""
        self._socket.close()
        if self.links:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)
        if self._process.poll() is None:
            self.kill()


def serve(handle: int) -> None:
    """Decode what comes through the links until all are closed; what the process does."""
    with socket.socket(fileno=handle) as setting_up, Connection(os.dup(handle)) as receiving:
        beginning: Beginning = receiving.recv()
        end_with(beginning.parent)
        _take_device(beginning)
        try:
            setup: Setup = receiving.recv()
        except EOFError:  # nothing is decoded on a GPU
            return
        _, handles, _, _ = socket.recv_fds(setting_up, 1, setup.n_handles)
    rings = [
        SharedMemory.attach(each).array(shape)
        for each, shape in zip(handles, setup.rings, strict=False)
    ]
    if beginning.device.startswith("cuda"):
        for ring in rings:
            pin(ring)
    links = handles[len(rings) :]
    threads = [
        threading.Thread(
            target=_decode_for, args=(Connection(end), files, setup, beginning.device, rings)
        )
        for end, files in zip(links[::2], links[1::2], strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _take_device(beginning: Beginning) -> None:
    """Load what may decode; what is wrong with it the threads report that try it again.

    Which decoder is right the parent finds out: holding one against the reference would load all
    of torchvision, which takes as long as all the rest.
    """
    sleep_while_gpu_works(beginning.device)
    import torch

    torch.set_num_threads(1)
    device = torch.device(beginning.device)
    if not is_installed() or device.type != "cuda":
        return
    with contextlib.suppress(Exception), torch.inference_mode():
        for preprocessing in beginning.preprocessings:
            decode_on_gpu([trial_file()], preprocessing, device, ENGINE)


def end_with(parent: int) -> None:
    """Leave signals of the terminal to the parent, and die when it does, however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _decode_for(
    connection: Connection, files: int, setup: Setup, name: str, rings: Sequence[np.ndarray]
) -> None:
    """Decode what comes through one link, in a stream of its own."""
    import torch

    device = torch.device(name)
    halves = SharedMemory.attach(files).array((2, HALF))
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    with connection, torch.inference_mode(), torch.cuda.stream(stream):
        try:
            for preprocessing in setup.preprocessings:  # before any picture waits for it
                decode_on_gpu([trial_file()], preprocessing, device, setup.decoder)
            connection.send(READY)
            while True:
                turn, parts = connection.recv()
                memory = torch.from_numpy(halves[turn])
                left_out = [
                    decode_into(
                        rings[part.file],
                        part.places,
                        [memory[first : first + size] for first, size in part.contents],
                        (setup.preprocessings[part.file], setup.decoder),
                        device,
                    )
                    for part in parts
                ]
                if stream is not None:
                    stream.synchronize()
                connection.send(left_out)
        except (EOFError, ConnectionError):  # nobody wants anything any more
            return
        except Exception as error:  # noqa: BLE001 - the reader's cores decode in its place
            if stream is not None:
                with contextlib.suppress(RuntimeError):  # what it wrote may come after
                    stream.synchronize()
            connection.send(f"decoding on the GPU failed ({type(error).__name__}: {error})")
