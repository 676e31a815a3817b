"""Pictures from elsewhere, begun before they are needed: an answer takes long, many at once not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from extract.refusals import Reason, Refused

AT_ONCE = 16
MOST_WAITING, MOST_BYTES = 64, 4 << 20
"""What nobody has taken yet, and bytes of one: a larger one is not begun ahead."""

Fetch = Callable[[int], bytes]
"""Takes the most bytes that are wanted; more are refused as too large."""


@dataclass
class Ahead:
    """Pictures on their way, by address."""

    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
    )
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: dict[str, Future[bytes]] = field(default_factory=dict)

    def expect(self, address: str, fetch: Fetch) -> None:
        """Begin to fetch what will be taken soon."""
        with self.lock:
            if address not in self.begun and len(self.begun) < MOST_WAITING:
                self.begun[address] = self.pool.submit(fetch, MOST_BYTES)

    def take(self, address: str, fetch: Fetch, most: int) -> bytes:
        """Give what an address has, begun before or not.

        Raises
        ------
        Refused
        """
        with self.lock:
            begun = self.begun.pop(address, None)
        if begun is not None:
            try:
                return begun.result()
            except Refused as refused:
                if refused.reason is not Reason.TOO_LARGE:
                    raise refused.bare() from None
        return fetch(most)

    def forget(self) -> None:
        """Leave what nobody will take."""
        with self.lock:
            for future in self.begun.values():
                future.cancel()
            self.begun.clear()


_of_process: list[Ahead] = []


def ahead() -> Ahead:
    """Give what this process has begun."""
    if not _of_process:
        _of_process.append(Ahead())
    return _of_process[0]


if hasattr(os, "register_at_fork"):  # threads do not come along
    os.register_at_fork(after_in_child=_of_process.clear)
