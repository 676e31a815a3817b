"""What a HEIC says before it is decoded: whether it is one, how large it may be, its profile."""

from __future__ import annotations

from dataclasses import dataclass

from extract.iso_boxes import boxes

HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
HEIF_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
MOST_BRANDS = 64
PICTURE_ITEMS = frozenset({b"hvc1", b"grid", b"iden", b"iovl", b"av01", b"jpeg", b"j2k1", b"vvc1"})
_HIDDEN = 1


def is_heic(content: bytes) -> bool:
    """Tell a HEIC by its brands: its own comes first, or HEIF's, and then AVIF's is none of all."""
    if content[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(content[:4], "big"), 16 + 4 * MOST_BRANDS)
    brands = [content[8:12], *(content[i : i + 4] for i in range(16, length - 3, 4))]
    if brands[0] in HEIC_BRANDS:
        return True
    return brands[0] in HEIF_BRANDS and not AVIF_BRANDS & set(brands)


@dataclass(frozen=True)
class HeifHeader:
    """The part of a HEIF's header that bounds what decoding it takes.

    Parameters
    ----------
    width, height : int
        Of the largest picture, thumbnail or tile in it; 0 where none is named.
    n_pictures : int
        That are not hidden.
    icc : bytes, optional
        The first profile that there is.
    """

    width: int
    height: int
    n_pictures: int
    icc: bytes | None = None


def read_heif(content: bytes) -> HeifHeader:
    """Read the header of a HEIF."""
    width = height = n_pictures = 0
    icc = None
    for name, start, end in boxes(content):
        if name != b"meta":
            continue
        for part, first, last in boxes(content, start + 4, end):
            if part == b"iinf":
                n_pictures = _n_shown(content, first, last)
            elif part == b"iprp":
                width, height, icc = _properties(content, first, last)
        break
    return HeifHeader(width, height, n_pictures, icc)


def _n_shown(content: bytes, start: int, end: int) -> int:
    """Count the pictures among the items that a reader would show."""
    head = 6 if content[start] == 0 else 8
    count = 0
    for name, first, _last in boxes(content, start + head, end):
        version, flags = content[first], content[first + 3]
        kind = first + (8 if version == 2 else 10)
        is_picture = name == b"infe" and content[kind : kind + 4] in PICTURE_ITEMS
        count += is_picture and not flags & _HIDDEN
    return count


def _properties(content: bytes, start: int, end: int) -> tuple[int, int, bytes | None]:
    sizes, icc = [(0, 0)], None
    for name, first, last in boxes(content, start, end):
        if name != b"ipco":
            continue
        for part, begin, stop in boxes(content, first, last):
            if part == b"ispe":
                width, height = (
                    int.from_bytes(content[i : i + 4], "big") for i in (begin + 4, begin + 8)
                )
                sizes.append((width, height))
            elif (
                part == b"colr" and icc is None and content[begin : begin + 4] in (b"prof", b"rICC")
            ):
                icc = content[begin + 4 : stop]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height, icc
