"""Downloads begun before they are needed: a server's answers take long, and many at once do not."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from extract.refusals import Reason, Refused
from extract.sources.downloads import download

AT_ONCE = 16
MOST_WAITING, MOST_BYTES = 64, 4 << 20
"""Downloads that nobody has taken yet, and bytes of one: a larger one is not begun ahead."""


@dataclass
class Ahead:
    """Downloads on their way, by address."""

    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download")
    )
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: dict[str, Future[bytes]] = field(default_factory=dict)

    def expect(self, address: str) -> None:
        """Begin a download that will be taken soon."""
        with self.lock:
            if address not in self.begun and len(self.begun) < MOST_WAITING:
                self.begun[address] = self.pool.submit(download, address, MOST_BYTES)

    def take(self, address: str) -> bytes:
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
        return download(address)

    def forget(self) -> None:
        """Leave what nobody will take."""
        with self.lock:
            for future in self.begun.values():
                future.cancel()
            self.begun.clear()


_of_process: list[Ahead] = []


def ahead() -> Ahead:
    """Give the downloads of this process."""
    if not _of_process:
        _of_process.append(Ahead())
    return _of_process[0]


if hasattr(os, "register_at_fork"):  # threads do not come along
    os.register_at_fork(after_in_child=_of_process.clear)
