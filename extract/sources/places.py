"""Where a path of a catalogue leads to: a file, a place in an archive, or an address."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import NamedTuple

from extract.addresses import Address, Place
from extract.errors import CatalogError
from extract.refusals import Reason, Refused
from extract.sources.archives import KINDS, archive
from extract.sources.byte_ranges import ByteRanges, LocalFile
from extract.sources.downloads import MOST_BYTES, SEEN, download, is_on_the_web
from extract.sources.fetching_ahead import ahead
from extract.sources.folder import locate_picture, opened_file, stat_file
from extract.sources.located import NOWHERE, Located
from extract.sources.members import leaves, plain
from extract.sources.parquet_pictures import ENDING, opened_in_parquet, stat_in_parquet
from extract.sources.remote import RemoteFile, remote_files

ENDINGS = (*KINDS, ENDING)
"""Of the names of files with pictures inside."""

_WITHIN = re.compile(rf"({'|'.join(map(re.escape, ENDINGS))})/", re.IGNORECASE)


class Inside(NamedTuple):
    """A place in an archive: ``shop.tar/cups/0.jpg``, ``shop.parquet/17/image``."""

    file: ByteRanges
    kind: str
    name: str


def inside(images_root: Place, path: str) -> Inside | None:
    """Find the archive that a path goes through; None for a path of folders alone."""
    for found in _WITHIN.finditer(path):
        outer, kind, name = path[: found.end() - 1], found[1].lower(), path[found.end() :]
        if isinstance(images_root, Address):
            return None if leaves(outer) else Inside(RemoteFile(images_root / outer), kind, name)
        try:
            real = locate_picture(images_root, outer)
            if stat.S_ISREG(os.stat(real).st_mode):  # noqa: PTH116 - bytes
                return Inside(LocalFile(real), kind, name)
        except (Refused, OSError):
            continue  # what is wrong is found where the path is opened
    return None


def stat_picture(images_root: Place, path: str, *, downloads: bool = False) -> tuple[int, int]:
    """Give a picture's size in bytes and mtime in ns, or (-1, -1) where it cannot be reached."""
    if downloads and is_on_the_web(path):
        return SEEN
    place = inside(images_root, path)
    try:
        if place is not None:
            if place.kind == ENDING:
                return stat_in_parquet(place.file, place.name)
            return archive(place.file, place.kind).stat(place.name)
        if isinstance(images_root, Address):
            return remote_files(images_root).get(plain(path), NOWHERE)
    except (Refused, CatalogError):
        return NOWHERE
    return stat_file(images_root, path)


def opened_picture_file(
    images_root: Place, path: str, *, downloads: bool = False
) -> AbstractContextManager[Located]:
    """Find a picture, which is at hand as long as the block lasts.

    Parameters
    ----------
    images_root : Path or Address
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
    if isinstance(images_root, Address):
        return _begun_ahead(images_root, path)
    place = inside(images_root, path)
    return opened_file(images_root, path) if place is None else _opened_inside(place)


def expect_picture(images_root: Place, path: str, *, downloads: bool = False) -> None:
    """Begin to fetch a picture that will be opened soon, where it is not on this machine."""
    if downloads and is_on_the_web(path):
        ahead().expect(path, partial(download, path))
    elif isinstance(images_root, Address) and f"{ENDING}/" not in path.lower():
        ahead().expect(f"{images_root}/{path}", partial(_fetched, images_root, path))


def _opened_inside(place: Inside) -> AbstractContextManager[Located]:
    if place.kind == ENDING:
        return opened_in_parquet(place.file, place.name)
    try:
        return archive(place.file, place.kind).opened(place.name)
    except CatalogError as error:
        raise Refused(Reason.CORRUPT, str(error)) from error


@contextmanager
def _downloaded(path: str) -> Iterator[Located]:
    content = ahead().take(path, partial(download, path), MOST_BYTES)
    yield Located(len(content), SEEN[1], lambda _: content, recorded_size=SEEN[0])


@contextmanager
def _begun_ahead(images_root: Address, path: str) -> Iterator[Located]:
    """Find a picture elsewhere; read what was begun before."""
    with _opened_remote(images_root, path) as found:
        fetch = partial(_fetched, images_root, path)
        yield Located(
            found.size,
            found.mtime_ns,
            lambda most: ahead().take(f"{images_root}/{path}", fetch, most),
            found.packed,
            found.recorded_size,
        )


def _fetched(images_root: Address, path: str, most: int) -> bytes:
    with _opened_remote(images_root, path) as found:
        if found.size > most:
            raise Refused(Reason.TOO_LARGE, f"{found.size:,} bytes, over {most:,}")
        return found.read(most)


def _opened_remote(images_root: Address, path: str) -> AbstractContextManager[Located]:
    place = inside(images_root, path)
    return _opened_there(images_root, path) if place is None else _opened_inside(place)


@contextmanager
def _opened_there(images_root: Address, path: str) -> Iterator[Located]:
    name = plain(path)
    if leaves(name):
        raise Refused(Reason.OUTSIDE_FOLDER, "leads out of the pictures' folder: name one in it")
    try:
        seen = remote_files(images_root).get(name)
    except CatalogError as error:
        raise Refused(Reason.UNREACHABLE, str(error)) from error
    if seen is None:
        raise Refused(Reason.MISSING, f"no such file in {images_root}")
    file = RemoteFile(images_root / name)
    yield Located(seen[0], seen[1], lambda _: file.read_whole(seen[0]))
