"""One writer at a time: a lock file next to the embeddings file."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from extract.errors import FileLocked, cannot_write
from extract.machine.system_calls import CLOSED_IN_CHILDREN, bytes_at, lock_file, write_at

LOOKS, LOOK_SECONDS = 5, 0.02


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an embeddings file; the kernel lets go of it when the process ends.

    Raises
    ------
    FileLocked
        When another run holds it; the message names it.
    EmbeddingsFileError
        When the folder cannot be written.
    """
    handle = _held(path)
    try:
        start = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {start}"
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its text
            os.ftruncate(handle, 0)
            write_at(handle, holder.encode(), 0)
        try:
            for left_behind in _left_behind(path):
                left_behind.unlink()
        except OSError as error:
            raise cannot_write(f"in {path.parent}", error) from error
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a run is writing an embeddings file, or its labels, now."""
    try:
        handle = os.open(_lock_path(path), os.O_RDONLY | CLOSED_IN_CHILDREN)
    except OSError:
        return False
    try:
        lock_file(handle, wait=False, shared=True)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lock_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.lock")


def _held(path: Path) -> int:
    """Open the lock file of an embeddings file and hold it."""
    lock_path, looks = _lock_path(path), 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | CLOSED_IN_CHILDREN, 0o644)
        except OSError as error:
            raise cannot_write(f"in {path.parent}", error) from error
        try:
            lock_file(handle, wait=False)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), lock_path.stat()):
                    return handle
        except BlockingIOError as error:
            looks += 1
            if looks < LOOKS:  # a reader that checks whether it is held holds it for a moment
                os.close(handle)
                time.sleep(LOOK_SECONDS)
                continue
            text = bytes_at(handle, 200, 0).decode("utf-8", "replace")
            holder = text.strip() or "another run"
            os.close(handle)
            raise FileLocked(
                f"{path} is being written by {holder}; wait for it, or write another "
                "file with --output FILE"
            ) from error
        os.close(handle)  # its holder has just taken it away: what is there now counts


def _left_behind(path: Path) -> list[Path]:
    """List what a run left that was killed while it wrote the file or its labels."""
    return [
        found
        for kind in (".h5", ".labels.h5")
        for found in path.parent.glob(f".{glob.escape(path.stem)}{kind}.[0-9]*.tmp")
    ]
