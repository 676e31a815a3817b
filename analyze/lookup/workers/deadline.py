"""The deadline of a request, and the error once it has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

WAITING_SECONDS = 30.0
"""After which nothing more is begun for a request: it is answered 503."""

MOMENT = 0.2
"""Seconds between two checks whether the client still waits."""

Found = TypeVar("Found")


class TryAgain(Exception):
    """A task gave nothing, by no fault of the request: it may succeed in a moment."""


class Deadline:
    """The time until which a request may wait; over at once when its client hangs up.

    Parameters
    ----------
    seconds : float
        From now.
    """

    def __init__(self, seconds: float = WAITING_SECONDS) -> None:
        self._at = time.monotonic() + seconds
        self._ended = False

    def left(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self._at - time.monotonic())

    def end(self) -> None:
        """Begin nothing more: nobody waits for it."""
        self._ended = True

    def wait_for(self, attempt: Callable[[float], Found | None], what: str) -> Found:
        """Attempt something, for a moment each time, until it gives more than None.

        Parameters
        ----------
        attempt : callable
            Is given the seconds that it may take.
        what : str
            Of what is waited for, should it not come.

        Raises
        ------
        TryAgain
        """
        while not self._ended:
            found = attempt(min(MOMENT, self.left()))
            if found is not None:
                return found
            if not self.left():
                break
        raise TryAgain(f"no time is left to wait for {what}")
