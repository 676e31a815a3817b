"""Room for what is read of a file once, so that nobody who changes the file changes what was read.

A mapped file is not read yet: cut short it ends the process by a signal, and written over it gives
other numbers than those that were proved.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from extract.errors import EmbeddingsFileError
from extract.machine.system_calls import read_at

SHARE_OF_FREE = 0.5
"""Of the free memory: an exact search holds the rows a second time."""

Inode = tuple[int, int]
"""What distinguishes a file from one that takes its name: its device and its number there."""


def free_memory() -> int | None:
    """Read how many bytes Linux would give; None where it is not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":") for line in lines)
        return 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, ValueError, KeyError):
        return None


def allocate_private_memory(n_bytes: int, folder: Path) -> np.ndarray:
    """Make room that no other process reaches; ndarray of shape (n_bytes,), uint8.

    It is memory, or, where that would take more than half of what is free, a file without a name,
    mapped, which the system may put away and read again.

    Parameters
    ----------
    n_bytes : int
    folder : Path
        Where such a file lies.

    Raises
    ------
    EmbeddingsFileError
        When there is no room in either.
    """
    free = free_memory()
    if free is None or n_bytes <= SHARE_OF_FREE * free:
        return np.empty(n_bytes, np.uint8)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # a full disk would be a signal later
            getattr(os, "posix_fallocate", _extend)(file.fileno(), 0, n_bytes)
            return np.frombuffer(mmap.mmap(file.fileno(), n_bytes), np.uint8)
    except OSError as error:
        if n_bytes <= free:
            return np.empty(n_bytes, np.uint8)
        raise EmbeddingsFileError(
            f"{n_bytes / 1e9:.1f} GB are to be read, {free / 1e9:.1f} GB of memory are free, and "
            f"{folder} takes no copy ({error.strerror or error}): make room in either"
        ) from error


def _extend(file: int, _offset: int, n_bytes: int) -> None:
    os.ftruncate(file, n_bytes)  # where room cannot be claimed, as on macOS


@contextmanager
def opened(path: Path, inode: Inode | None = None) -> Iterator[BinaryIO]:
    """Open a file to read what :func:`read_into` reads; the very one that was seen before.

    Raises
    ------
    EmbeddingsFileError
        When it is not there any more, or another has taken its name.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise changed(path, f"cannot be read any more ({error.strerror or error})") from error
    with file:
        if inode not in (None, inode_of(file.fileno())):
            raise changed(path, "was replaced")
        yield file  # type: ignore[misc]


def inode_of(file: int | Path) -> Inode:
    """Identify the file that a name, or a file that is open, stands for now."""
    found = os.stat(file)  # noqa: PTH116 - of a file that is open, too
    return found.st_dev, found.st_ino


def state_of(path: Path) -> tuple[int, ...] | None:
    """Describe a file so that a later change shows; None where it is not there.

    The time of its last change is part of it, which nobody can put back.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_into(file: BinaryIO, at: int, room: np.ndarray) -> None:
    """Fill room with the bytes at a place of a file.

    Raises
    ------
    EmbeddingsFileError
        When the file ends before: it was cut.
    """
    left = room.data.cast("B")
    while left:
        n_read = read_at(file.fileno(), left, at)
        if not n_read:
            raise changed(Path(file.name), "was cut short")
        left, at = left[n_read:], at + n_read


def changed(path: Path, what: str) -> EmbeddingsFileError:
    """Make the error of a file that changed under its reader."""
    return EmbeddingsFileError(f"{path} {what} while it was read: type the command again")
