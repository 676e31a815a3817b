"""Boxes of ISO media files, which JPEG 2000, HEIC and JPEG XL are made of."""

from __future__ import annotations

from collections.abc import Iterator

MOST_BOXES = 1_000


def boxes(
    content: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Give name, start and end of the boxes within some bytes, as far as they hang together.

    Parameters
    ----------
    content : bytes
    start, end : int
        Where the first box begins, and where the last one ends.
    """
    end = len(content) if end is None else min(end, len(content))
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        length, head = int.from_bytes(content[start : start + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(content[start + 8 : start + 16], "big"), 16
        elif length == 0:
            length = end - start
        if length < head:
            return
        yield content[start + 4 : start + 8], start + head, min(start + length, end)
        start += length
