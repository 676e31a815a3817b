"""Processes forked from one that has loaded the large libraries, to be stopped, traced and killed.

Each ends as any Python process does, through the interpreter's end and the C library's: what a
library does there (HDF5 flushes open files) is part of what is proven. They are sessions of their
own, so that what they leave behind can be found.

A look-up service is one that goes on beside the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any

from small_catalogs import PROJECT

IMPORTED = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
PR_SET_PTRACER, ANYONE = 0x59616D61, ctypes.c_ulong(-1)
OF_SERVICES = (
    "analyze.__main__",
    "analyze.commands.serve",
    "analyze.lookup.app",
    "analyze.lookup.http.server",
    "analyze.lookup.service.service",
    "analyze.lookup.workers.picture_tasks",
    "analyze.neighbors.query",
    "extract.backbones.registry",
    "extract.images.decoders",
    "extract.inference.forward_pass",
    "scipy.fft",
    "simplejpeg",
)
"""What look-up services load beside the large libraries."""

_spawn_from_nothing = util.spawnv_passfds


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


class WarmService:
    """A service that a :class:`WarmServer` began, to be ended as a process of one's own is."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """Say None while it runs; how it ended nobody knows here."""
        try:
            ended = "Z" in Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2]
        except FileNotFoundError:
            ended = True
        return 0 if ended else None

    def wait(self, timeout: float = 60) -> int:
        """Wait for its end.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.02)
        return 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, and to no other process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class WarmServer:
    """Forks processes that begin with the large libraries loaded, services aside one at a time.

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
        return WarmProcess(self, self._pid_of(job), output)

    def serve(
        self,
        words: Sequence[str],
        output: Path,
        errors: Path,
        cwd: Path,
        env: Mapping[str, str],
        *,
        without: Sequence[str] = (),
    ) -> WarmService:
        """Start ``python -m <words>`` beside the others, where some modules cannot be imported."""
        job = {"words": list(words), "output": str(output), "cwd": str(cwd), "env": dict(env)}
        return WarmService(
            self._pid_of({**job, "errors": str(errors), "without": list(without), "beside": True})
        )

    def _pid_of(self, job: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self.read())

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
        beside = job.get("beside", False)
        if beside:
            for name in OF_SERVICES:
                importlib.import_module(name)
        pid = os.fork()
        if pid == 0:
            _become(job)
            return
        print(pid, flush=True)
        if beside:
            continue
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _become(job: dict[str, Any]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE)  # strace is no ancestor of this process
    output, errors = job["output"], job.get("errors", job["output"])
    handles = [os.open(os.devnull, os.O_RDONLY)]
    fresh = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    handles += [os.open(name, fresh, 0o600) for name in (output, errors)]
    for target, number in enumerate(handles):
        os.dup2(number, target)
        os.close(number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.chdir(job["cwd"])
    if job["env"] is not None:
        os.environ.clear()
        os.environ.update(job["env"])
    for name in job.get("without", ()):
        sys.modules[name] = None  # type: ignore[assignment]
    if job.get("beside"):
        tempfile.tempdir = None
        util.spawnv_passfds = _spawn
    sys.argv = job["words"]
    # a service before this one loaded it too, of which runpy would warn on stderr
    sys.modules.pop(f"{job['words'][0]}.__main__", None)
    runpy.run_module(job["words"][0], run_name="__main__", alter_sys=True)


def _spawn(path: str, words: Sequence[str], handles: Sequence[int]) -> int:
    """Begin a program; multiprocessing's server of forks with all that this process has loaded."""
    if "multiprocessing.forkserver" not in words[-1]:
        return _spawn_from_nothing(path, words, handles)
    pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for number in map(int, os.listdir("/proc/self/fd")):
                if number > 2 and number not in handles:
                    with contextlib.suppress(OSError):
                        os.close(number)
            exec(words[-1], {})  # as Python does of -c
        finally:
            os._exit(0)
    return pid


if __name__ == "__main__":
    _serve()
