"""A picture that was found in its place: what is known of it, and how its bytes are had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

NOWHERE = -1, -1
"""Size and date where there is no picture."""

UNKNOWN_SIZE = 0
"""Where a size is known only once the picture is read."""


@dataclass(frozen=True)
class Located:
    """A picture in its place, not read yet.

    Parameters
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Nanoseconds since the epoch: of the file, or of the archive that holds it.
    read : callable
        Takes the most bytes that a picture may have, and returns its bytes; more than that where it
        has more.
    packed : int
        Bytes that are held in addition while it is unpacked.
    recorded_size : int, optional
        What ``stat`` says of it where that is not its size.
    """

    size: int
    mtime_ns: int
    read: Callable[[int], bytes]
    packed: int = 0
    recorded_size: int | None = None
