"""Reading a file of others first in a forked copy of this process, which may crash in its place.

The HDF5 library ends in a segmentation fault, or never ends, on some files with damaged metadata;
no check from outside finds them. The copy begins with the same memory and makes the same calls.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

CPU_SECONDS = 30
WALL_SECONDS = 120
"""A copy that waits this long without working waits for a lock; that proves nothing of the file."""

SETTLED_NANOSECONDS = 1_000_000_000
"""A file changed less long ago may change again without another date."""

MEMORY_BYTES = 1 << 30
"""Beyond what this process holds already."""


_lived: set[tuple[int, ...]] = set()


def crash_on_open(path: Path, read: Callable[[], object]) -> str | None:
    """Try to read in a forked process; describe how it ended if it did not live to the end.

    An exception there proves nothing: it comes again here, where it is reported. Where no process
    can be forked nothing is tried, and a file that has not changed is not tried again.

    Parameters
    ----------
    path : Path
    read : callable
        Makes the calls that may crash; what it returns is not looked at.

    Returns
    -------
    str or None
    """
    found = path.stat()
    state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if state in _lived:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the copy starts no thread
            child = os.fork()
    except (AttributeError, OSError):
        return None
    if child == 0:
        _read_and_exit(read)
    _, status = os.waitpid(child, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if number is None:
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED_NANOSECONDS:
            _lived.add(state)
        return None
    if number == signal.SIGALRM:
        return None
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return f"the HDF5 library did not finish reading it within {CPU_SECONDS} s"
    return f"the HDF5 library crashes on it, signal {number}"


def _read_and_exit(read: Callable[[], object]) -> None:
    """Read under limits, silently, and end this process whatever comes."""
    try:
        faulthandler.disable()
        for stopping in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stopping, signal.SIG_IGN)  # they are the parent's to answer
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(WALL_SECONDS)
        _limit()
        read()
    except BaseException:  # noqa: BLE001 - reported by the parent's own read
        pass
    finally:
        os._exit(0)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    statm = Path("/proc/self/statm")
    if statm.exists():  # elsewhere memory is not limited
        held = int(statm.read_text().split()[0]) * resource.getpagesize()
        most = held + MEMORY_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
