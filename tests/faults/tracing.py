"""Starting a tracked run under strace: to record its calls, or to make one of them fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.small_shop import WIDE
from tests.faults.tracked_run import AT_FIRST_FORWARD, AT_START, Board
from tests.faults.warm_server import WarmProcess, WarmServer

STRACE = shutil.which("strace")
PATIENCE = 60.0


@dataclass
class TrackedRun:
    """One run of the product in a process of its own, stopped where it can be taken hold of.

    Parameters
    ----------
    server : WarmServer
    shop, file : Path
        Pictures, and the embeddings file.
    scratch : Path
        Where what is said and counted goes; outside the file's folder.
    n_dims : int
    seconds : float
        Rest after each forward pass.
    plant : str, optional
        What is to be wrong with the writer.
    tells : bool
        Whether the rows counted as durable are written to a file.
    """

    server: WarmServer
    shop: Path
    file: Path
    scratch: Path
    n_dims: int = WIDE
    seconds: float = 0.0
    plant: str | None = None
    tells: bool = False
    process: WarmProcess = field(init=False)
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        self.board = Board(self.scratch / "board", new=True)
        job = {
            "board": str(self.scratch / "board"),
            "shop": str(self.shop),
            "file": str(self.file),
            "progress": str(self.progress) if self.tells else None,
            "n_dims": self.n_dims,
            "seconds": self.seconds,
            "plant": self.plant,
        }
        words = ("tests.faults.tracked_run", json.dumps(job))
        self.process = self.server.start(words, self.scratch / "said", self.scratch)

    @property
    def progress(self) -> Path:
        """Where each number of rows that the run counted as durable is written."""
        return self.scratch / "progress"

    @property
    def writing_threads(self) -> list[int]:
        """Threads that neither run the loop nor decode, known from the first forward on."""
        return [t for i in range(3) if (t := self.board[f"thread{i}"])]

    def wait_until(self, place: int) -> bool:
        """Wait until it stands at a place; False when it ended before."""
        end = time.monotonic() + PATIENCE
        while self.board["reached"] < place:
            if not _alive(self.process.pid):
                return False
            if time.monotonic() > end:
                raise TimeoutError(f"the run never came to place {place}: {self.process.said}")
            time.sleep(0.001)
        return True

    def let_pass(self, place: int = AT_FIRST_FORWARD) -> None:
        """Let it go on, past this place."""
        self.board["may_pass"] = place

    def trace(self, *words: str, threads: list[int] | None = None, follow: bool = False) -> Strace:
        """Take hold of threads (the main one, if none is named) with strace."""
        return Strace(threads or [self.process.pid], self.scratch / "calls", words, follow=follow)

    def finish(self) -> int:
        """Let it run to its end."""
        self.let_pass()
        return self.process.wait()


class Strace:
    """Strace at work on threads of a running process."""

    def __init__(self, threads: list[int], log: Path, words: tuple[str, ...], follow: bool) -> None:
        assert STRACE is not None
        self.log = log
        places = [word for thread in threads for word in ("-p", str(thread))]
        command = [STRACE, *(["-f"] if follow else []), "-o", str(log), *words, *places]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + PATIENCE
        while not all(_traced(thread) for thread in threads):
            if self._process.poll() is not None or time.monotonic() > end:
                _, said = self._process.communicate()
                raise RuntimeError(f"strace cannot attach: {said}")
            time.sleep(0.001)

    def read(self) -> str:
        """Read what was recorded, once the traced threads have ended."""
        self._process.communicate(timeout=PATIENCE)
        return self.log.read_text()


def _traced(thread: int) -> bool:
    status = Path(f"/proc/{thread}/status").read_text()
    return "TracerPid:\t0\n" not in status


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def start_of(run: TrackedRun) -> TrackedRun:
    """Wait until a run stands before its first call to the product."""
    if not run.wait_until(AT_START):
        raise RuntimeError(f"the run ended at once: {run.process.said}")
    return run


def in_memory() -> str | None:
    """Name a folder in memory for thousands of small files, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
