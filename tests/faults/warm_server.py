"""Processes forked from one that has loaded the large libraries, to be stopped, traced and killed.

Each ends as any Python process does, through the interpreter's end and the C library's: what a
library does there (HDF5 flushes open files) is part of what is proven. They are sessions of their
own, so that what they leave behind can be found.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from small_catalogs import PROJECT

IMPORTED = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
PR_SET_PTRACER, ANYONE = 0x59616D61, ctypes.c_ulong(-1)


class WarmProcess:
    """One process of a :class:`WarmServer`; its output goes to a file."""

    def __init__(self, server: WarmServer, pid: int, output: Path) -> None:
        self.pid, self._server, self._output = pid, server, output
        self._code: int | None = None

    def wait(self, seconds: float = 120) -> int:
        """Wait for its end: its exit code, or minus the signal that ended it.

        Raises
        ------
        TimeoutError
            When it still runs then; it is killed.
        """
        if self._code is None:
            late = _killed_after(self.pid, seconds)
            self._code = int(self._server.read())
            if late():
                raise TimeoutError(f"process {self.pid} hung")
        return self._code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, and to no other process."""
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def said(self) -> str:
        """What it wrote to stdout and stderr."""
        return self._output.read_text(errors="replace")


class WarmServer:
    """Forks processes that begin with the large libraries loaded, one at a time.

    Parameters
    ----------
    own_memory : bool
        Whether they see a /dev/shm that nobody else does, which needs the rights of root.
    """

    def __init__(self, *, own_memory: bool = False) -> None:
        apart = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount -t tmpfs none /dev/shm && exec "$@"',
            "sh",
        ]
        self._process = subprocess.Popen(
            [*(apart if own_memory else []), sys.executable, "-m", "tests.faults.warm_server"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": IMPORTED},
        )

    def names_in_memory(self) -> set[str]:
        """Name what lies in the /dev/shm that the processes see."""
        return {p.name for p in Path(f"/proc/{self._process.pid}/root/dev/shm").iterdir()}

    def __enter__(self) -> WarmServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def start(
        self, words: Sequence[str], output: Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> WarmProcess:
        """Start ``python -m <words>``."""
        job = {"words": list(words), "output": str(output), "cwd": str(cwd), "env": env}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return WarmProcess(self, int(self.read()), output)

    def read(self) -> str:
        """Read one line that the server says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the warm process has ended")
        return line


def _killed_after(pid: int, seconds: float) -> Any:
    """Kill a process that runs too long; the answer says, once it ended, whether that was so."""
    import threading

    hung = threading.Event()

    def kill() -> None:
        hung.set()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()

    def late() -> bool:
        timer.cancel()
        return hung.is_set()

    return late


def session_members(leader: int) -> list[int]:
    """List the processes that are of a process's session, living or not waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def orphans(leader: int, patience: float = 5) -> list[int]:
    """List what is left of a process's session some seconds after its end."""
    end = time.monotonic() + patience
    while (left := session_members(leader)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _serve() -> None:
    """Fork for each line of stdin; say the number of the process, then how it ended."""
    import h5py  # noqa: F401
    import timm
    import timm.data  # noqa: F401
    import torch  # noqa: F401

    import extract.pipeline.extraction  # noqa: F401

    gc.freeze()  # what is shared by all processes is not gone through at the end of each
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(job)
            return
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _become(job: dict[str, Any]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE)  # strace is no ancestor of this process
    handle = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((nothing, 0), (handle, 1), (handle, 2)):
        os.dup2(number, target)
    os.close(handle), os.close(nothing)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.chdir(job["cwd"])
    if job["env"] is not None:
        os.environ.clear()
        os.environ.update(job["env"])
    sys.argv = job["words"]
    runpy.run_module(job["words"][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
