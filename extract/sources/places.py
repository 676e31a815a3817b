"""Where a path of a catalogue leads to: a file of the folder, or a place in an archive there."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from extract.errors import CatalogError
from extract.refusals import Reason, Refused
from extract.sources.archives import KINDS, archive
from extract.sources.byte_ranges import ByteRanges, LocalFile
from extract.sources.downloads import SEEN, is_on_the_web
from extract.sources.fetching_ahead import ahead
from extract.sources.folder import locate_picture, opened_file, stat_file
from extract.sources.located import NOWHERE, Located
from extract.sources.parquet_pictures import ENDING, opened_in_parquet, stat_in_parquet

ENDINGS = (*KINDS, ENDING)
"""Of the names of files with pictures inside."""

_WITHIN = re.compile(rf"({'|'.join(map(re.escape, ENDINGS))})/", re.IGNORECASE)


class Inside(NamedTuple):
    """A place in an archive: ``shop.tar/cups/0.jpg``, ``shop.parquet/17/image``."""

    file: ByteRanges
    kind: str
    name: str


def inside(images_root: Path, path: str) -> Inside | None:
    """Find the archive that a path goes through; None for a path of folders alone."""
    for found in _WITHIN.finditer(path):
        try:
            real = locate_picture(images_root, path[: found.end() - 1])
            if stat.S_ISREG(os.stat(real).st_mode):  # noqa: PTH116 - bytes
                return Inside(LocalFile(real), found[1].lower(), path[found.end() :])
        except (Refused, OSError):
            continue  # what is wrong is found where the path is opened
    return None


def stat_picture(images_root: Path, path: str, *, downloads: bool = False) -> tuple[int, int]:
    """Give a picture's size in bytes and mtime in ns, or (-1, -1) where it cannot be reached."""
    if downloads and is_on_the_web(path):
        return SEEN
    place = inside(images_root, path)
    if place is None:
        return stat_file(images_root, path)
    if place.kind == ENDING:
        return stat_in_parquet(place.file, place.name)
    try:
        return archive(place.file, place.kind).stat(place.name)
    except (Refused, CatalogError):
        return NOWHERE


def opened_picture_file(
    images_root: Path, path: str, *, downloads: bool = False
) -> AbstractContextManager[Located]:
    """Find a picture, which is at hand as long as the block lasts.

    Parameters
    ----------
    images_root : Path
    path : str
    downloads : bool
        Whether addresses of the web may be opened.

    Raises
    ------
    Refused
        Here, or on entering the block.
    """
    if downloads and is_on_the_web(path):
        return _downloaded(path)
    place = inside(images_root, path)
    if place is None:
        return opened_file(images_root, path)
    if place.kind == ENDING:
        return opened_in_parquet(place.file, place.name)
    try:
        return archive(place.file, place.kind).opened(place.name)
    except CatalogError as error:
        raise Refused(Reason.CORRUPT, str(error)) from error


@contextmanager
def _downloaded(path: str) -> Iterator[Located]:
    content = ahead().take(path)
    yield Located(len(content), SEEN[1], lambda _: content, recorded_size=SEEN[0])
