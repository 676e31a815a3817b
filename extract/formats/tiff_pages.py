"""Which page of a TIFF is its picture, and whether its gray is a negative."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

MOST_PAGES = 16
"""Looked at for one that is no thumbnail."""

MOST_ENTRIES = 1 << 16
DEEP = range(9, 17)
"""Bits of gray that Pillow keeps as numbers of two bytes."""

_NEW_SUBFILE, _SUBFILE, _BITS, _PHOTOMETRIC, _FORMAT = 254, 255, 258, 262, 339
_UNSIGNED = 1
_SHORT, _LONG = 3, 4
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1


class Entry(NamedTuple):
    """One entry of a directory: its value stands at ``place``, or where that points."""

    tag: int
    kind: int
    n_values: int
    place: int


def is_tiff(content: bytes) -> bool:
    """Whether a file is a TIFF or BigTIFF by its first bytes."""
    return content[:2] in (b"II", b"MM") and set(content[2:4]) in ({0, 42}, {0, 43})


class TiffPages:
    """The directories of a TIFF, read without a library.

    Parameters
    ----------
    content : bytes
        Of a file that :func:`is_tiff`.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._order: Literal["little", "big"] = "little" if content[:1] == b"I" else "big"
        self.big = 43 in content[2:4]

    def starts(self) -> list[int]:
        """List where the directories begin, in order, up to ``MOST_PAGES``."""
        wide, head, entry = (8, 8, 20) if self.big else (4, 2, 12)
        found: list[int] = []
        start = self._number(8 if self.big else 4, wide)
        while 0 < start < len(self._content) and start not in found and len(found) < MOST_PAGES:
            found.append(start)
            start = self._number(start + head + self._number(start, head) * entry, wide)
        return found

    def entries(self, start: int) -> Iterator[Entry]:
        """Give the entries of the directory that begins there, as far as the file goes."""
        wide, head, size = (8, 8, 20) if self.big else (4, 2, 12)
        n_entries = min(self._number(start, head), MOST_ENTRIES)
        first = start + head
        for place in range(first, min(first + n_entries * size, len(self._content)), size):
            tag, kind = self._number(place, 2), self._number(place + 2, 2)
            yield Entry(tag, kind, self._number(place + 4, wide), place + 4 + wide)

    def shown(self) -> int:
        """Give the number of the first page that does not call itself a thumbnail, else 0."""
        for page, start in enumerate(self.starts()):
            tags = {entry.tag: self._value(entry) for entry in self.entries(start)}
            if not tags.get(_NEW_SUBFILE, 0) & 1 and tags.get(_SUBFILE) != 2:
                return page
        return 0

    def positive(self, page: int) -> bytes | None:
        """Give the file with a page's deep gray marked as a positive; None where it is none.

        Pillow turns negatives of up to eight bits into positives, takes some deeper ones as they
        are stored, and refuses the others.
        """
        starts = self.starts()
        if page >= len(starts):
            return None
        tags = {entry.tag: entry for entry in self.entries(starts[page])}
        photometric, bits = tags.get(_PHOTOMETRIC), tags.get(_BITS)
        if photometric is None or bits is None or self._value(photometric) != _WHITE_IS_ZERO:
            return None
        is_signed = _FORMAT in tags and self._value(tags[_FORMAT]) != _UNSIGNED
        if is_signed or bits.n_values != 1 or self._value(bits) not in DEEP:
            return None
        changed = bytearray(self._content)
        n_bytes = 4 if photometric.kind == _LONG else 2
        place = photometric.place
        changed[place : place + n_bytes] = _BLACK_IS_ZERO.to_bytes(n_bytes, self._order)
        return bytes(changed)

    def _value(self, entry: Entry) -> int:
        return self._number(entry.place, 4 if entry.kind == _LONG else 2)

    def _number(self, place: int, n_bytes: int) -> int:
        return int.from_bytes(self._content[place : place + n_bytes], self._order)
