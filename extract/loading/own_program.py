"""Processes that are programs of their own, as a GPU needs them: a fork could not use it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_program(module: str, handle: int, others: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start ``serve(handle)`` of a module in a process; signals wait until it has its own handlers.

    Parameters
    ----------
    module : str
        Its ``serve`` takes a handle, and unblocks ``SIGNALS``.
    handle : int
        Of the connection by which it learns the rest.
    others : sequence of int
        Handles that it inherits too.
    """
    program = f"import sys; sys.path[:] = {sys.path!r}\nfrom {module} import serve; serve({handle})"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[handle, *others],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
