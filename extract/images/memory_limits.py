"""How much memory a picture takes while it is made ready, and how much all may take at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from PIL import Image

from extract.formats.picture_headers import has_many_scans
from extract.machine.allocation import give_back_freed_memory
from extract.refusals import Reason, Refused

MAX_ASPECT = 100
"""Beyond it a transform that keeps the aspect makes one axis enormous."""

MAX_DECODED_BYTES = 600_000_000
MAX_BYTES_AT_WORK = 950_000_000
"""Of one picture, and of all that are decoded at once: decoders' working memory included."""

ALONE_BYTES = 250_000_000
"""A picture that takes more is decoded alone: libraries take more than can be estimated."""

MAX_FILE_BYTES = 256 << 20
FILES_AT_WORK = 128 << 20
LARGE_FILE_BYTES = 64 << 20
"""A file of this size is read, opened and decoded alone: what it holds is copied as it is read."""

OPENING_BYTES, COPIES_IN_OPENING = 4 << 20, 4
MAX_KEPT_BYTES = 500_000_000
"""Of pictures at work and freed ones together: beyond it what is freed goes back to the system."""

WORTH_GIVING_BACK = 32_000_000

MAX_SCANNED_PIXELS = 20_000_000_000
"""Pixels times scans of a JPEG: each scan of a few bytes goes over the whole picture again."""

BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""Pillow's own storage; four for every other mode, RGB included."""

RGB_BYTES = 4
WORKING_BYTES = {"WEBP": 14, "AVIF": 14}
"""Bytes a pixel that a decoder takes on top of the picture: canvases, planes, a copy as bytes."""

JPEG2000_BYTES_A_BAND = 6
SLOW_DECODERS = {"ppm", "ppm_plain", "bmp_rle"}
"""Decoders that Pillow writes in Python: two more copies of the picture, as bytes."""

TRANSFORM_BYTES = 3_000_000
"""What a transform makes of a square picture; times the aspect, as it keeps the shorter side."""

_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 278, 322, 323


class Budget:
    """Bytes that threads share: a request for more than is left waits for the others.

    Parameters
    ----------
    limit : int
        A demand above it is met when nobody else holds anything.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._freed = 0
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, n_bytes: int) -> Iterator[None]:
        """Hold some bytes; first come, first served, so that the largest is not passed over."""
        n_bytes = max(n_bytes, self.limit) if n_bytes > ALONE_BYTES else n_bytes
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self.held or self.held + n_bytes <= self.limit)
            self.held += n_bytes
            self._tidy()
        try:
            yield
        finally:
            with self._changed:
                self.held -= n_bytes
                self._freed += n_bytes
                self._tidy()
                self._changed.notify_all()

    def _tidy(self) -> None:
        """Give freed memory back before it adds up; rarely, as it costs the next pass its pages."""
        if self._freed >= WORTH_GIVING_BACK and self.held + self._freed > MAX_KEPT_BYTES:
            give_back_freed_memory()
            self._freed = 0


class OverMemoryShare(BaseException):
    """A picture takes more than this process's share; no refusal, as another can load it."""


_files = Budget(FILES_AT_WORK)
_pictures = Budget(MAX_BYTES_AT_WORK)
_thread = threading.local()
_share: int | None = None
"""Most bytes that one picture may take in this process, where processes share a limit."""


def share_memory(n_processes: int) -> None:
    """Take this process's share of what all may take at once; heavier pictures are left to others.

    Raised to that process's caller is :class:`OverMemoryShare`.
    """
    global _files, _pictures, _share
    _share = MAX_BYTES_AT_WORK // n_processes
    # new ones also because a fork may copy a lock that is held
    _files, _pictures = Budget(FILES_AT_WORK), Budget(_share)


def _check_share(n_bytes: int) -> None:
    if _share is not None and n_bytes > _share:
        raise OverMemoryShare


@contextmanager
def picture_memory() -> Iterator[None]:
    """Hold what this thread reads and decodes in the block until it ends, not for one call only.

    As a decorator it ends when the function's own names are gone. Memory for a file
    is always requested before that for a picture, so that no two threads wait for each other.
    """
    with ExitStack() as held:
        _thread.held, _thread.alone = held, False
        try:
            yield
        finally:
            _thread.held, _thread.alone = None, False


def hold_file(n_bytes: int) -> None:
    """Wait until a file of this size may be read; outside ``picture_memory`` nothing is held."""
    held = getattr(_thread, "held", None)
    if held is None:
        return
    _check_share(n_bytes)
    if n_bytes < LARGE_FILE_BYTES:
        held.enter_context(_files.holding(n_bytes))
    else:
        held.enter_context(_pictures.holding(_pictures.limit))
        _thread.alone = True


@contextmanager
def opening_memory(n_bytes: int) -> Iterator[None]:
    """Wait until a file of this size may be opened, which copies all that is not pixels."""
    _check_share(COPIES_IN_OPENING * n_bytes)
    with ExitStack() as held:
        if n_bytes >= OPENING_BYTES and not getattr(_thread, "alone", False):
            held.enter_context(_pictures.holding(COPIES_IN_OPENING * n_bytes))
        yield


@contextmanager
def decoding_memory(n_bytes: int) -> Iterator[None]:
    """Wait until so much may be taken, and hold it for the block or for ``picture_memory``."""
    _check_share(n_bytes)
    held = getattr(_thread, "held", None)
    with ExitStack() as own:
        if not getattr(_thread, "alone", False):
            (own if held is None else held).enter_context(_pictures.holding(n_bytes))
        yield


def estimate_memory(picture: Image.Image, content: bytes, *, turned: bool, clear: bool) -> int:
    """Estimate the bytes of memory that a picture takes at once, from its header.

    Parameters
    ----------
    picture : Image
        Opened, not decoded.
    content : bytes
    turned, clear : bool
        Whether its orientation turns it, and whether some of it is transparent.

    Raises
    ------
    Refused
        Over the aspect and memory limits.
    """
    width, height = picture.size
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Refused(Reason.ASPECT, f"{width} x {height}, over {MAX_ASPECT}:1")
    pixels = width * height
    stored = BYTES_A_PIXEL.get(picture.mode, 4)
    copies = RGB_BYTES if picture.mode == "RGB" and not clear else stored + RGB_BYTES
    decoded = pixels * max(copies, 2 * RGB_BYTES if turned else 0)
    _check(decoded, MAX_DECODED_BYTES, picture)
    working = pixels * stored + _working_bytes(picture, content)
    needed = max(decoded, working) + len(content)  # some plugins keep a copy of the file
    _check(needed, MAX_BYTES_AT_WORK, picture)
    return needed + TRANSFORM_BYTES * -(-max(width, height) // min(width, height))


def estimate_plain_memory(size: tuple[int, int], n_file_bytes: int) -> int:
    """Estimate the bytes that a baseline RGB JPEG takes at once, of a size known to be sane."""
    transform = TRANSFORM_BYTES * -(-max(size) // min(size))
    return size[0] * size[1] * RGB_BYTES + n_file_bytes + transform


def _check(n_bytes: int, limit: int, picture: Image.Image) -> None:
    if n_bytes > limit:
        width, height = picture.size
        raise Refused(
            Reason.TOO_LARGE, f"{width} x {height} {picture.mode} takes {n_bytes:,} bytes decoded"
        )


def _working_bytes(picture: Image.Image, content: bytes) -> int:
    """Estimate what the decoder takes in addition to the picture it fills."""
    own: int | None = getattr(picture, "working_bytes", None)
    if own is not None:
        return own
    pixels, bands = picture.width * picture.height, len(picture.getbands())
    if picture.format in ("JPEG", "MPO"):
        if not has_many_scans(content):
            return 0
        if content.count(b"\xff\xda") * pixels > MAX_SCANNED_PIXELS:
            raise Refused(Reason.TOO_LARGE, "too many scans for a picture of its size")
        return pixels * 2 * bands  # coefficients of the whole picture
    if picture.format == "JPEG2000":
        return pixels * JPEG2000_BYTES_A_BAND * bands
    if picture.format == "TIFF":
        return _strip_bytes(picture)
    tiles: Any = getattr(picture, "tile", ())
    if any(tile[0] in SLOW_DECODERS for tile in tiles):
        return pixels * 2 * bands
    return pixels * WORKING_BYTES.get(str(picture.format), 0)


def _strip_bytes(picture: Image.Image) -> int:
    """Estimate the strip or tile of a TIFF that libtiff unpacks at once."""
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    width, height = picture.size
    bits = tags.get(258, (1,))
    samples = tags.get(277, 1)
    sample_bytes = samples * max(bits) / 8
    tile = tags.get(_TILE_WIDTH), tags.get(_TILE_LENGTH)
    if all(tile):
        return int(tile[0] * tile[1] * sample_bytes)
    return int(width * min(tags.get(_ROWS_PER_STRIP, height), height) * sample_bytes)
