"""A HEIC's header, read before decoding: whether it is one, which picture is shown, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extract.formats.hevc_headers import CodedPicture, coded_picture
from extract.formats.iso_boxes import boxes

HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
HEIF_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
MOST_BRANDS = 64
PICTURE_ITEMS = frozenset({b"hvc1", b"grid", b"iden", b"iovl", b"av01", b"jpeg", b"j2k1", b"vvc1"})
CANVASES = {b"grid": 4, b"iovl": 10}
"""Items that have a size of their own, and the byte of theirs where it begins."""

_HIDDEN, _LONG = 1, 1
_PROFILES = (b"prof", b"rICC")


def is_heic(content: bytes) -> bool:
    """Whether a file is a HEIC: its own brand comes first, or HEIF's without any of AVIF's."""
    if content[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(content[:4], "big"), 16 + 4 * MOST_BRANDS)
    brands = [content[8:12], *(content[i : i + 4] for i in range(16, length - 3, 4))]
    if brands[0] in HEIC_BRANDS:
        return True
    return brands[0] in HEIF_BRANDS and not AVIF_BRANDS & set(brands)


Box = tuple[bytes, int, int]
"""Name, start and end."""


@dataclass(frozen=True)
class HeifHeader:
    """The part of a HEIF's header that names the picture to show, and bounds what it takes.

    Parameters
    ----------
    width, height : int
        Of the primary picture before it is turned; 0 where none is named.
    most_pixels : int
        Of the largest picture, tile or canvas in it, by the file and by its decoders.
    alone : bool
        Whether the primary picture is the only one that is shown: no thumbnail, no part of it.
    gray : bool
        Whether no picture in it has colors.
    premultiplied : bool
        Whether the colors of its primary picture are multiplied by their alpha.
    icc : bytes, optional
        The primary picture's profile.
    """

    width: int = 0
    height: int = 0
    most_pixels: int = 0
    alone: bool = False
    gray: bool = False
    premultiplied: bool = False
    icc: bytes | None = None


def read_heif(content: bytes) -> HeifHeader:
    """Read the header of a HEIF; what is not there, or broken, counts as left out."""
    meta = next((box for box in boxes(content) if box[0] == b"meta"), None)
    if meta is None:
        return HeifHeader()
    parts = {name: (first, last) for name, first, last in boxes(content, meta[1] + 4, meta[2])}
    primary = _primary(content, *parts.get(b"pitm", (0, 0)))
    items = _items(content, *parts.get(b"iinf", (0, 0)))
    references = _references(content, *parts.get(b"iref", (0, 0)))
    properties, used = _properties(content, *parts.get(b"iprp", (0, 0)))
    own = [properties[i - 1] for i in used.get(primary, ()) if 0 < i <= len(properties)]
    width, height = next((_size(content, box) for box in own if box[0] == b"ispe"), (0, 0))
    auxiliary = {item for kind, item in references if kind in (b"thmb", b"auxl")}
    shown = {i for i, (kind, hidden) in items.items() if kind in PICTURE_ITEMS and not hidden}
    coded = [_coded(content, box) for box in properties if box[0] == b"hvcC"]
    sizes = [_size(content, box) for box in properties if box[0] == b"ispe"]
    sizes += [(each.width, each.height) for each in coded if each]
    sizes += _canvases(content, parts, {i: kind for i, (kind, _) in items.items()})
    return HeifHeader(
        width,
        height,
        max((one * other for one, other in sizes), default=0),
        alone=shown - auxiliary == {primary},
        gray=bool(coded) and all(each is not None and each.gray for each in coded),
        premultiplied=(b"prem", primary) in references,
        icc=next((icc for box in own if (icc := _icc(content, box)) is not None), None),
    )


def _number(content: bytes, at: int, n_bytes: int) -> int:
    return int.from_bytes(content[at : at + n_bytes], "big")


def _primary(content: bytes, start: int, end: int) -> int:
    return int.from_bytes(content[start + 4 : end], "big")


def _items(content: bytes, start: int, end: int) -> dict[int, tuple[bytes, bool]]:
    """Give each item's kind, and whether it is hidden."""
    items = {}
    for name, first, _last in boxes(content, start + (8 if _number(content, start, 1) else 6), end):
        if name == b"infe":
            n_bytes = 2 if _number(content, first, 1) == 2 else 4
            kind = first + 6 + n_bytes
            hidden = bool(_number(content, first + 3, 1) & _HIDDEN)
            items[_number(content, first + 4, n_bytes)] = content[kind : kind + 4], hidden
    return items


def _references(content: bytes, start: int, end: int) -> set[tuple[bytes, int]]:
    """Give the kinds of references, each with the item that it goes out from."""
    n_bytes = 4 if _number(content, start, 1) else 2
    return {
        (kind, _number(content, first, n_bytes))
        for kind, first, _ in boxes(content, start + 4, end)
    }


def _properties(
    content: bytes, start: int, end: int
) -> tuple[Sequence[Box], Mapping[int, Sequence[int]]]:
    """Give the properties that there are, and which an item has, counted from 1."""
    properties: list[Box] = []
    used: dict[int, list[int]] = {}
    for name, first, last in boxes(content, start, end):
        if name == b"ipco":
            properties += boxes(content, first, last)
        elif name == b"ipma":
            used |= _associations(content, first, last)
    return properties, used


def _associations(content: bytes, start: int, end: int) -> dict[int, list[int]]:
    id_bytes = 4 if _number(content, start, 1) else 2
    n_bytes = 2 if _number(content, start + 3, 1) & _LONG else 1
    essential = 1 << (8 * n_bytes - 1)
    at, found = start + 8, {}
    for _ in range(_number(content, start + 4, 4)):
        if at >= end:
            break
        item, n_used = _number(content, at, id_bytes), _number(content, at + id_bytes, 1)
        at += id_bytes + 1
        places = range(at, at + n_used * n_bytes, n_bytes)
        found[item] = [_number(content, place, n_bytes) % essential for place in places]
        at += n_used * n_bytes
    return found


def _size(content: bytes, box: Box) -> tuple[int, int]:
    return _number(content, box[1] + 4, 4), _number(content, box[1] + 8, 4)


def _coded(content: bytes, box: Box) -> CodedPicture | None:
    return coded_picture(content[box[1] : box[2]])


def _icc(content: bytes, box: Box) -> bytes | None:
    name, first, last = box
    is_one = name == b"colr" and content[first : first + 4] in _PROFILES
    return content[first + 4 : last] if is_one else None


def _canvases(
    content: bytes, parts: Mapping[bytes, tuple[int, int]], kinds: Mapping[int, bytes]
) -> list[tuple[int, int]]:
    """Give the sizes of the canvases that grids and overlays are laid on."""
    start, end = parts.get(b"iloc", (0, 0))
    data = parts.get(b"idat", (0, 0))[0]
    sizes = []
    for item, (within, place) in _places(content, start, end).items():
        at = place + (data if within else 0)
        if kinds.get(item) in CANVASES:
            n_bytes = 4 if _number(content, at + 1, 1) & _LONG else 2
            width = at + CANVASES[kinds[item]]
            sizes.append(
                (_number(content, width, n_bytes), _number(content, width + n_bytes, n_bytes))
            )
    return sizes


def _places(content: bytes, start: int, end: int) -> dict[int, tuple[bool, int]]:
    """Find where each item begins, and whether that counts from the data within the header."""
    version, sizes = _number(content, start, 1), _number(content, start + 4, 2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    id_bytes = 4 if version == 2 else 2
    at, found = start + 6 + id_bytes, {}
    for _ in range(_number(content, start + 6, id_bytes)):
        if at >= end:
            break
        item, at = _number(content, at, id_bytes), at + id_bytes
        method = _number(content, at, 2) & 15 if version else 0
        at += (2 if version else 0) + 2
        first, n_extents = _number(content, at, base), _number(content, at + base, 2)
        at += base + 2
        skipped = index if version else 0
        found[item] = method == 1, first + _number(content, at + skipped, offset)
        at += n_extents * (skipped + offset + length)
    return found
