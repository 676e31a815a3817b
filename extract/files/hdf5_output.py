"""Writing an HDF5 file whole, where a disk that fails is an error and not the process's end."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from extract.errors import cannot_write
from extract.files.durability import written_whole


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[h5py.File]:
    """Give a new HDF5 file to write; it has the name, durably, once it is written without error.

    Raises
    ------
    EmbeddingsFileError
        When it cannot be written; what had the name before is left alone.
    """
    try:
        with written_whole(path) as temporary, temporary.open("w+b", buffering=0) as raw:
            disk = _Disk(raw)
            with h5py.File(disk, "w") as file:
                yield file
            if disk.error is not None:
                raise disk.error
    except (OSError, RuntimeError) as error:  # h5py raises either
        raise cannot_write(path, error) from error


class _Disk:
    """A file that HDF5 never sees fail: it would end in a segmentation fault.

    The first error is kept, and nothing is written from then on.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        return self._raw.readinto(buffer) or 0

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size) or b""

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        while view and self.error is None:
            try:
                view = view[self._raw.write(view) or 0 :]
            except OSError as error:
                self.error = error
        return len(data)

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                self._raw.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Do nothing: what is written is with the system already."""
