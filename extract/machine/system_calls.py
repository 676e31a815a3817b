"""Calls that not every system has, each with what stands in for it there."""

from __future__ import annotations

import errno
import logging
import os
from functools import cache
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("sosie")

NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""What file systems answer that have no locks, as some of a network do."""

CLOSED_IN_CHILDREN: int = getattr(os, "O_CLOEXEC", 0)
"""A flag of ``os.open``."""


def lock_file(handle: int, *, wait: bool = True, shared: bool = False) -> None:
    """Lock a file that is open until it is closed; where nothing can be locked a warning says so.

    Parameters
    ----------
    handle : int
    wait : bool
        Whether to wait for another process that holds it.
    shared : bool
        Whether others may hold it too that share it.

    Raises
    ------
    BlockingIOError
        When another holds it, without ``wait``.
    """
    if fcntl is None:
        _warn_once("this system has no flock")
        return
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn_once(f"the file system locks no files ({error.strerror})")


def write_at(file: int, data: Any, offset: int) -> int:
    """Write bytes at a place of a file; return how many were written, which may be fewer."""
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, offset)
    os.lseek(file, offset, os.SEEK_SET)
    return os.write(file, data)


def bytes_at(file: int, n_bytes: int, offset: int) -> bytes:
    """Read bytes at a place of a file; fewer at its end."""
    if hasattr(os, "pread"):
        return os.pread(file, n_bytes, offset)
    os.lseek(file, offset, os.SEEK_SET)
    return os.read(file, n_bytes)


def read_at(file: int, room: memoryview, offset: int) -> int:
    """Read bytes at a place of a file into room; return how many, 0 at its end."""
    if hasattr(os, "preadv"):
        return os.preadv(file, [room], offset)
    found = bytes_at(file, len(room), offset)
    room[: len(found)] = found
    return len(found)


def make_durable(file: int) -> None:
    """Force the bytes of a file onto the disk."""
    getattr(os, "fdatasync", os.fsync)(file)  # macOS has only fsync


@cache
def _warn_once(why: str) -> None:
    log.warning("%s: let one command at a time write in this workspace", why)
