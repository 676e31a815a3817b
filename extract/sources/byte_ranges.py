"""A file as ranges of bytes: read at any place, by any number of threads and processes at once."""

from __future__ import annotations

import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from extract.ids import shown, text_of
from extract.machine.system_calls import bytes_at
from extract.refusals import Reason, Refused
from extract.sources.folder import refusal_of_os_error

Stamp = tuple[int, ...]
"""Size in bytes, mtime in ns and what else is known: what has another one is another file."""

END_BYTES = 64 << 10
SECOND = 10**9


class ByteRanges(Protocol):
    """A file that is read piece by piece."""

    def __hash__(self) -> int:
        """Equal ones are of the same file."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def stamp(self) -> Stamp:
        """Look at it.

        Raises
        ------
        Refused
            When it is not there.
        """

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at a place; fewer at its end.

        Raises
        ------
        Refused
        """

    def open(self) -> BinaryIO:
        """Open it as a file with a position.

        Raises
        ------
        Refused
        """


@dataclass(frozen=True)
class LocalFile:
    """A regular file; it is open while it is read, and not between.

    Parameters
    ----------
    path : bytes
        Real.
    """

    path: bytes

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return shown(text_of(self.path))

    def stamp(self) -> Stamp:
        """Look at it."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - bytes
        except OSError as error:
            raise refusal_of_os_error(error) from error
        if not stat.S_ISREG(found.st_mode):
            raise Refused(Reason.NOT_REGULAR, "not a regular file")
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at a place; fewer at its end."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise refusal_of_os_error(error) from error
        try:
            pieces = []
            while n_bytes > 0 and (piece := bytes_at(handle, n_bytes, offset)):
                pieces.append(piece)
                offset, n_bytes = offset + len(piece), n_bytes - len(piece)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except OSError as error:
            raise refusal_of_os_error(error) from error
        finally:
            os.close(handle)

    def open(self) -> BinaryIO:
        """Open it as a file with a position."""
        try:
            return Path(os.fsdecode(self.path)).open("rb")
        except OSError as error:
            raise refusal_of_os_error(error) from error


def date_of_archive(file: ByteRanges, stamp: Stamp, known: bytes = b"") -> int:
    """Give an archive's date in ns, with a check sum for what is below a second.

    The sum is over its size, its whole date, its end (a zip's directory, a parquet's footer) and
    what else is known of it: another archive of the same date has another one.

    Raises
    ------
    Refused
    """
    size, date = stamp[:2]
    end = file.read(max(size - END_BYTES, 0), END_BYTES)
    checksum = zlib.crc32(end, zlib.crc32(known, zlib.crc32(b"%d %d" % (size, date))))
    return date - date % SECOND + checksum % SECOND


class HeaderFile:
    """A file of which headers are read, no matter how large they claim to be.

    Parameters
    ----------
    file : BinaryIO
    most : int
        Bytes at once; who claims more is refused by a ValueError.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        """Whether it has a position: always."""
        return True

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def read(self, n_bytes: int = -1) -> bytes:
        """Read bytes, or all that follow."""
        if n_bytes > self._most:
            raise ValueError(f"a header claims {n_bytes:,} bytes")
        found = self._file.read(self._most + 1 if n_bytes < 0 else n_bytes)
        if len(found) > self._most:
            raise ValueError(f"a header of more than {self._most:,} bytes")
        return found
