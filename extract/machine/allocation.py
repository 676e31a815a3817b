"""How this process takes memory from the system: one trap, and the way round it."""

from __future__ import annotations

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
M_ARENA_MAX = -8
"""Options of glibc's mallopt(3)."""


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep what a forward pass frees, for the next one; return whether it will.

    It gives large blocks back to the system when they are freed, and gets them back a page fault
    at a time: half of the time of a forward pass on a CPU. Another allocator has no such option,
    and needs none.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # with arenas of their own, threads would each keep the largest picture they ever had
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TOP_PAD, 64 << 20)
    return bool(mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1))


def give_back_freed_memory() -> None:
    """Give everything that is freed back to the system, where the allocator is glibc's."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return
