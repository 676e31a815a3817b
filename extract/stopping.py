"""How a command ends at SIGINT or SIGTERM: at any moment, with one line."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from extract.errors import Stopped

NUMBERS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], None]


class StopRequest:
    """Becomes true when SIGINT or SIGTERM requests the run to end."""

    signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    def stopped(self, message: str) -> Stopped:
        """Make the error that ends the run with the signal's exit code."""
        return Stopped(message, self.signal_number or signal.SIGINT)

    def instead_of(self, error: BaseException) -> BaseException:
        """Give the error that a stopped run ends with, whatever a library made of the signal."""
        return self.stopped("stopped") if self and not isinstance(error, Stopped) else error


def end_at_once(number: int, _frame: FrameType | None = None) -> NoReturn:
    """End the process with its line."""
    with suppress(OSError):
        os.write(2, b"error: stopped\n")
    os._exit(128 + number)


def end_at_once_on_signals() -> None:
    """Let signals end the process at once, while it holds nothing that is to be put in order.

    A command is loading by then, or has printed all of its output.
    """
    _answer(end_at_once)


@contextmanager
def interrupted_by_signals(request: StopRequest) -> Iterator[None]:
    """Let either signal interrupt the block, so that it puts in order what it holds.

    Parameters
    ----------
    request : StopRequest
        Learns of the signal.
    """
    _answer(_interrupt(request))
    try:
        yield
    finally:
        end_at_once_on_signals()


@contextmanager
def ended_by_signals(message: str) -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: with its message and the processes it started.

    The second signal ends the process at once.

    Raises
    ------
    Stopped
        With the message and the signal's exit code.
    """
    request = StopRequest()
    with _answered(_interrupt(request)):
        try:
            yield
        except BaseException as error:
            if request or isinstance(error, KeyboardInterrupt):
                raise request.stopped(message) from None
            raise


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Catch the first SIGINT or SIGTERM, so that the batch in flight ends well.

    The second one ends the process at once.

    Parameters
    ----------
    say : callable
        Takes a message at the first.
    """
    request = StopRequest()

    def ask(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        say("stopping after the batch in flight; once more stops at once")
        _answer(end_at_once)

    with _answered(ask):
        yield request


def _interrupt(request: StopRequest) -> Handler:
    def interrupt(number: int, _frame: FrameType | None) -> None:
        request.signal_number = number
        raise KeyboardInterrupt  # which no library takes for an error of its own

    return interrupt


def _answer(handler: Handler) -> None:
    """Take a handler for both signals, but for one that whoever started this had ignored."""
    for number in NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


@contextmanager
def _answered(handler: Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    _answer(handler)
    try:
        with _ended_by_the_second():
            yield
    finally:
        for number, had in before.items():
            signal.signal(number, had)


@contextmanager
def _ended_by_the_second() -> Iterator[None]:
    """End the process at the second signal, also in a forward pass that takes long.

    Python hears of signals between its own instructions: two that come during one call of a
    library are one. A thread receives each as it comes.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def listen() -> None:
        heard = 0
        while number := os.read(reading, 1):
            heard += number[0] in NUMBERS
            if heard == 2:
                end_at_once(number[0])

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        listener.join()
        os.close(reading)
