"""Pictures made small for a page: WebP, inside of it or on sheets of many next to it."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyze.pictures.picture_folder import PictureFolder
from extract.refusals import Refused

if TYPE_CHECKING:
    from PIL import Image

PIXELS = 64
QUALITY = 70
MOST_INSIDE = 10_000
"""Pictures of a page; of more there are sheets next to it."""

ACROSS = 32
A_SHEET = ACROSS * ACROSS

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Small pictures, row by row.

    Parameters
    ----------
    inside : tuple of str
        WebP in base64, empty where a picture is not shown; none at all where there are sheets.
    sheets : tuple of bytes
        WebP of 32 x 32 pictures each.
    n_shown : int
    notes : tuple of str
        What was not opened, and why.
    """

    inside: tuple[str, ...] = ()
    sheets: tuple[bytes, ...] = ()
    n_shown: int = 0
    notes: tuple[str, ...] = ()


def make_thumbnails(pictures: PictureFolder, progress: Progress | None = None) -> Thumbnails:
    """Make each row's picture small, by as many threads as there are cores.

    Parameters
    ----------
    pictures : PictureFolder
    progress : callable, optional
        (done, of how many).
    """
    n = len(pictures.embeddings)
    if pictures.root is None:  # the page names the option that gives it
        return Thumbnails()
    found: list[bytes] = []
    sheets: list[bytes] = []
    n_shown = 0
    with ThreadPoolExecutor(_n_cores()) as pool:
        for start in range(0, n, A_SHEET):
            rows = range(start, min(start + A_SHEET, n))
            small = list(pool.map(lambda row: _small(pictures, row), rows))
            n_shown += sum(each is not None for each in small)
            if n > MOST_INSIDE:
                sheets.append(_sheet(small))
            else:
                found += [b"" if each is None else _webp(each) for each in small]
            if progress:
                progress(rows[-1] + 1, n)
    inside = tuple(base64.b64encode(each).decode("ascii") for each in found)
    return Thumbnails(inside if n_shown else (), tuple(sheets), n_shown, pictures.notes())


def _n_cores() -> int:
    return max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4))


def _small(pictures: PictureFolder, row: int) -> Image.Image | None:
    """Give a picture with a longer side of 64 pixels; None where it cannot be had."""
    picture = pictures.open_small(row, PIXELS)
    if picture is None:
        return None
    try:
        small = picture if max(picture.size) > PIXELS else picture.copy()
        small.thumbnail((PIXELS, PIXELS), reducing_gap=3.0)
    except (OSError, Refused):
        return None
    return small


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=3)
    return file.getvalue()


def _sheet(small: list[Image.Image | None]) -> bytes:
    from PIL import Image

    sheet = Image.new("RGB", (ACROSS * PIXELS, -(-len(small) // ACROSS) * PIXELS), "white")
    for i, each in enumerate(small):
        if each is not None:
            left, top = (i % ACROSS) * PIXELS, (i // ACROSS) * PIXELS
            width, height = each.size
            sheet.paste(each, (left + (PIXELS - width) // 2, top + (PIXELS - height) // 2))
    return _webp(sheet)
