"""The bytes of a picture, wherever it lies, or a reason why they cannot be had."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from extract.addresses import Address, Place
from extract.catalog.catalog import Catalog
from extract.images.memory_limits import MAX_FILE_BYTES, hold_file
from extract.images.missing_pictures import why_missing
from extract.refusals import Reason, Refused
from extract.sources.downloads import is_on_the_web
from extract.sources.places import opened_picture_file, stat_picture


@dataclass(frozen=True)
class PictureFile:
    """The bytes of a picture and what was seen when they were read.

    Parameters
    ----------
    content : bytes
    sha256 : bytes
        32 bytes, over the content.
    size : int
        Bytes.
    mtime_ns : int
        Nanoseconds since the epoch.
    """

    content: bytes
    sha256: bytes
    size: int
    mtime_ns: int


def read_picture(images_root: Place, path: str, *, downloads: bool = False) -> PictureFile:
    """Read a picture of at most 256 MiB, from a regular file or an archive that is one.

    Parameters
    ----------
    images_root : Path or Address
    path : str
    downloads : bool
        Whether addresses of the web may be opened.

    Raises
    ------
    Refused
    """
    try:
        with opened_picture_file(images_root, path, downloads=downloads) as found:
            if found.size == 0:
                raise Refused(Reason.EMPTY, "an empty file")
            if found.size > MAX_FILE_BYTES:
                raise Refused(Reason.TOO_LARGE, f"{found.size:,} bytes, over {MAX_FILE_BYTES:,}")
            hold_file(found.size + found.packed)
            content = found.read(MAX_FILE_BYTES)
    except Refused as refused:
        if isinstance(images_root, Address) or (downloads and is_on_the_web(path)):
            raise
        if refused.reason is Reason.MISSING:
            raise why_missing(images_root, path, refused.message) from refused
        raise
    size = found.size if found.recorded_size is None else found.recorded_size
    return PictureFile(content, hashlib.sha256(content).digest(), size, found.mtime_ns)


def stat_row(catalog: Catalog, row: int) -> tuple[int, int]:
    """Give size and mtime of a catalogue's picture, or (-1, -1) where it cannot be reached."""
    path = catalog.paths[row]
    return stat_picture(catalog.images_root, path, downloads=catalog.allow_download)


def read_row(catalog: Catalog, row: int) -> PictureFile:
    """Read a catalogue's picture.

    Raises
    ------
    Refused
    """
    path = catalog.paths[row]
    return read_picture(catalog.images_root, path, downloads=catalog.allow_download)
