"""Limit of the requests that are worked on and that wait; more are answered 503."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from analyze.lookup.http.errors import Declined


class RequestLimiter:
    """Lets a number of requests work and a number wait; any more are declined with 503.

    Parameters
    ----------
    at_work, waiting : int
    retry_after : int
        Seconds.
    """

    def __init__(self, at_work: int, waiting: int, retry_after: int = 1) -> None:
        self._places = asyncio.Semaphore(at_work)
        self._most_waiting, self._retry_after = waiting, retry_after
        self.waiting = 0

    @asynccontextmanager
    async def entered(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait for a place and hold it for the block.

        Parameters
        ----------
        seconds : float, optional
            That a place is waited for, at most.

        Raises
        ------
        Declined
            503 when as many wait as may, or none came free in time.
        """
        if self._places.locked() and self.waiting >= self._most_waiting:
            raise self._too_many()
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise self._too_many() from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    def _too_many(self) -> Declined:
        message = "too many ask at once: try again in a moment"
        return Declined(503, message, retry_after=self._retry_after)
