"""How a command that starts other processes ends when it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from extract.errors import Stopped


@contextmanager
def ended_by_signals(message: str) -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: at once, with the processes that it started.

    Raises
    ------
    Stopped
        With the message and the signal's exit code.
    """
    received = signal.SIGINT

    def interrupt(signal_number: int, _frame: object) -> None:
        nonlocal received
        received = signal.Signals(signal_number)
        raise KeyboardInterrupt  # which no library takes for an error of its own

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(message, received) from None
    finally:
        signal.signal(signal.SIGTERM, before)
