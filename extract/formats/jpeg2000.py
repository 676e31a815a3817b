"""A JPEG 2000's header: its numbers and colors, as far as Pillow does not expose them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from extract.formats.iso_boxes import boxes

_CODESTREAM = b"\xff\x4f\xff\x51"
_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_ENUMERATED, _ICC = 1, (2, 3)


@dataclass(frozen=True)
class Jpeg2000:
    """The part of a header that defines what the numbers mean.

    Parameters
    ----------
    bits : tuple of int
        Of each component.
    color_space : int, optional
        The number of an enumerated color space; None where none is named.
    icc : bytes, optional
    size : tuple of int
        Width and height.
    plain : bool
        Whether all components have as many bits, no sign and every pixel's number, and no palette
        defines what these mean.
    """

    bits: tuple[int, ...]
    color_space: int | None = None
    icc: bytes | None = None
    size: tuple[int, int] = (0, 0)
    plain: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether it has more bits than Pillow reads right: over 8 in two or more components."""
        return len(self.bits) > 1 and max(self.bits) > 8


def is_jpeg2000(content: bytes) -> bool:
    """Whether a file is one by its first bytes."""
    return content.startswith((_CODESTREAM, _SIGNATURE))


def read_jpeg2000(content: bytes) -> Jpeg2000:
    """Read it from a file or a naked codestream; no component where there is no codestream."""
    if content[:4] == _CODESTREAM:
        return _of_codestream(content, 0)
    color_space = icc = None
    has_palette, found = False, Jpeg2000(())
    for name, start, end in boxes(content):
        if name == b"jp2h":
            color_space, icc = _colors(content, start, end)
            has_palette = any(part[0] == b"pclr" for part in boxes(content, start, end))
        elif name == b"jp2c":
            found = _of_codestream(content, start)
            break
    plain = found.plain and not has_palette
    return replace(found, color_space=color_space, icc=icc, plain=plain)


def _colors(content: bytes, start: int, end: int) -> tuple[int | None, bytes | None]:
    """Take the first specification of color in a header: its number, or its profile."""
    for name, first, last in boxes(content, start, end):
        if name == b"colr" and last - first > 3:
            if content[first] == _ENUMERATED:
                return int.from_bytes(content[first + 3 : first + 7], "big"), None
            return None, content[first + 3 : last] if content[first] in _ICC else None
    return None, None


def _of_codestream(content: bytes, start: int) -> Jpeg2000:
    """Read the SIZ segment (ISO 15444-1, A.5.1)."""
    right, bottom, left, top = (
        int.from_bytes(content[at : at + 4], "big") for at in range(start + 8, start + 24, 4)
    )
    n_components = int.from_bytes(content[start + 40 : start + 42], "big")
    parts = content[start + 42 : start + 42 + 3 * n_components]
    depths = parts[::3]
    same = len(set(depths)) == 1 and depths[0] < 0x80
    plain = same and set(parts[1::3]) | set(parts[2::3]) == {1}
    bits = tuple((depth & 0x7F) + 1 for depth in depths)
    return Jpeg2000(bits, size=(max(0, right - left), max(0, bottom - top)), plain=plain)
