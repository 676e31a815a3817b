"""Memory that processes share, forked ones and, where the system can, others that are given it.

It has no name, so that nothing is left behind by a process that dies.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

import numpy as np

NO_FILE = -1


@dataclass(frozen=True, eq=False)
class SharedMemory:
    """Some bytes.

    Parameters
    ----------
    mapped : mmap
    handle : int
        The file descriptor by which another program maps it; negative where there is none.
    """

    mapped: mmap.mmap
    handle: int

    @classmethod
    def allocate(cls, n_bytes: int) -> SharedMemory:
        """Give that many zeros; memory is taken for what is written."""
        if not hasattr(os, "memfd_create"):  # only on Linux another program is given any
            return cls(mmap.mmap(-1, n_bytes), NO_FILE)
        handle = os.memfd_create("pixels")
        os.truncate(handle, n_bytes)
        return cls(mmap.mmap(handle, n_bytes), handle)

    @classmethod
    def attach(cls, handle: int) -> SharedMemory:
        """Map what another process allocated, in a program that was given its handle."""
        return cls(mmap.mmap(handle, os.fstat(handle).st_size), handle)

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Give its first bytes as numbers; ndarray of this shape, uint8, over the same memory."""
        count = int(np.prod(shape))
        return np.frombuffer(self.mapped, np.uint8, count).reshape(shape)

    def close(self) -> None:
        """Let go of the handle; the memory goes when nobody maps it any more."""
        if self.handle != NO_FILE:
            os.close(self.handle)
