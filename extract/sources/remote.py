"""Folders and files elsewhere, by fsspec: object stores, Hugging Face's hub, the web."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, BinaryIO, TypeVar

from extract.addresses import Address, Place, free_of_credentials
from extract.errors import CatalogError, SosieError, UsageError, in_one_line
from extract.refusals import Reason, Refused
from extract.sources.byte_ranges import Stamp

T = TypeVar("T")
SCHEMES = ("s3", "gs", "az", "hf", "https", "http")
LISTLESS = ("https", "http")
TRIES, PAUSE_SECONDS = 3, 0.5
BLOCK_BYTES = 4 << 20
DATES = ("LastModified", "last_modified", "updated", "mtime", "last_commit", "created")
PROTOCOLS = {"az": "abfs"}


@dataclass(frozen=True)
class RemoteFile:
    """A file elsewhere, as it was when it was first looked at.

    Parameters
    ----------
    address : Address
    """

    address: Address

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.address.url

    def stamp(self) -> Stamp:
        """Look at it, once in a run."""
        return _stamp(self.address)

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at a place; fewer at its end."""
        n_bytes = min(n_bytes, max(self.stamp()[0] - offset, 0))
        if not n_bytes:
            return b""
        system, path = _system(self.address)
        return tried(lambda: bytes(system.cat_file(path, start=offset, end=offset + n_bytes)))

    def read_whole(self, size: int) -> bytes:
        """Read all of it, which a listing says is of this size.

        Raises
        ------
        Refused
        """
        system, path = _system(self.address)
        content = tried(lambda: bytes(system.cat_file(path)))
        if len(content) != size:
            raise Refused(Reason.UNREACHABLE, f"{len(content):,} bytes came of {size:,}")
        return content

    def open(self) -> BinaryIO:
        """Open it as a file with a position, which is read ahead."""
        system, path = _system(self.address)
        file: BinaryIO = tried(
            lambda: system.open(path, "rb", block_size=BLOCK_BYTES, cache_type="readahead")
        )
        return file


def _system(address: Address) -> tuple[Any, str]:
    """Give the file system of an address, which fsspec keeps for each process, and a path in it."""
    scheme = address.url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        listed = ", ".join(f"{each}://" for each in SCHEMES)
        raise UsageError(f"{address} is of no scheme that is read: give one of {listed}")
    url = address.url
    if scheme in PROTOCOLS:
        url = PROTOCOLS[scheme] + url[len(scheme) :]
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
    except ImportError as error:
        raise SosieError(
            f"{scheme}:// needs a package more ({in_one_line(error)}): pip install it (the extra "
            '"cloud" brings those of s3, gs, az and https)'
        ) from error
    except Exception as error:
        words = free_of_credentials(in_one_line(error))
        raise UsageError(f"{address} cannot be reached: {words}") from error
    return system, path


def tried(read: Callable[[], T]) -> T:
    """Try some times what may fail for the moment.

    Raises
    ------
    Refused
        With the reason, and no credentials in it.
    """
    for left in reversed(range(TRIES)):
        try:
            return read()
        except FileNotFoundError as error:
            raise Refused(Reason.MISSING, "there is none at the address") from error
        except PermissionError as error:
            raise Refused(Reason.PERMISSION, "the service does not give it") from error
        except IsADirectoryError as error:
            raise Refused(Reason.NOT_REGULAR, "not a regular file") from error
        except Exception as error:  # of any of the services' libraries
            if not left:
                words = free_of_credentials(in_one_line(error))
                raise Refused(
                    Reason.UNREACHABLE, f"{type(error).__name__}: {words}, in {TRIES} tries"
                ) from error
            time.sleep(PAUSE_SECONDS * (TRIES - left))
    raise AssertionError("unreachable")


def look_again(place: Place) -> None:
    """Forget what was seen elsewhere: a catalogue is listed as it is now."""
    if isinstance(place, Address):
        _stamp.cache_clear()
        remote_files.cache_clear()
        _system(place)[0].invalidate_cache()


@cache  # as many as archives that are read
def _stamp(address: Address) -> Stamp:
    system, path = _system(address)
    return _stamp_of(tried(lambda: system.info(path)))


def _stamp_of(info: Mapping[str, Any]) -> tuple[int, int]:
    """Take size and date from what a service knows of a file; no date is 0."""
    date = next((info[name] for name in DATES if info.get(name) is not None), 0)
    date = getattr(date, "date", date) if type(date).__name__ == "LastCommitInfo" else date
    if isinstance(date, str):
        try:
            date = datetime.datetime.fromisoformat(date)
        except ValueError:
            date = 0
    if isinstance(date, datetime.datetime):
        date = date.timestamp()
    return int(info.get("size") or 0), int(float(date) * 1_000_000) * 1000


@lru_cache(maxsize=8)
def remote_files(folder: Address) -> Mapping[str, tuple[int, int]]:
    """List the files in a folder and in those below it: size and date, by relative path.

    Raises
    ------
    UsageError
        When it cannot be listed.
    CatalogError
        When its service fails.
    """
    if folder.url.partition("://")[0].lower() in LISTLESS:
        raise UsageError(
            f"{folder}: the web lists no folders; give a .zip, .tar or .parquet there, or a table "
            "of addresses with --manifest CSV --allow-download"
        )
    system, path = _system(folder)
    try:
        found = tried(lambda: system.find(path, detail=True))
    except Refused as refused:
        raise CatalogError(f"cannot list {folder}: {refused.message}") from refused
    top = path.rstrip("/") + "/"
    return {
        name[len(top) :]: _stamp_of(info)
        for name, info in found.items()
        if name.startswith(top) and info.get("type", "file") == "file"
    }


def remote_bytes(address: Address, most: int) -> bytes:
    """Read a file whole.

    Raises
    ------
    CatalogError
        When it is not there, or larger.
    """
    file = RemoteFile(address)
    try:
        size = file.stamp()[0]
        if size > most:
            raise CatalogError(f"{address}: {size:,} bytes; at most {most:,} are read")
        return file.read(0, size)
    except Refused as refused:
        raise CatalogError(f"cannot read {address}: {refused.message}") from refused


def find_remote(folder: Address, pattern: str) -> list[str]:
    """List the files of a folder that match a pattern, by relative path."""
    import fnmatch

    return [name for name in remote_files(folder) if fnmatch.fnmatchcase(name, pattern)]
