"""The members of a tar, found by its headers alone."""

from __future__ import annotations

import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from extract.errors import CatalogError, in_one_line
from extract.ids import shown
from extract.refusals import Reason, Refused
from extract.sources.byte_ranges import ByteRanges, HeaderFile
from extract.sources.members import Member, Members

BLOCK = 512
MOST_HEADER = 16 << 20
LOOKED_AT = 64 << 10
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def tar_members(file: ByteRanges) -> Members:
    """List the members of a tar that is not compressed as a whole.

    What is cut off or damaged is a note; what stands before it can be read all the same.

    Raises
    ------
    CatalogError
        When it is no tar.
    """
    start = file.read(0, BLOCK)
    for mark, program in COMPRESSED.items():
        if start.startswith(mark):
            raise CatalogError(
                f"{file.place} is compressed by {program}, so that no member can be read by "
                f"itself: type {program} -d -k on it and give the .tar"
            )
    notes: list[str] = []
    with closing(HeaderFile(file.open(), MOST_HEADER)) as headers:
        try:
            tar: Any = tarfile.open(  # noqa: SIM115 - only the file that it reads is open
                fileobj=headers,  # type: ignore[call-overload]
                mode="r:",
                encoding="utf-8",
                errors="surrogateescape",
            )
        except Exception as error:
            raise CatalogError(
                f"{file.place} cannot be read as a tar ({in_one_line(error)}): get it again"
            ) from error
        return Members.of(_members(tar, headers, notes), lambda: notes)


def _members(tar: Any, headers: HeaderFile, notes: list[str]) -> Iterator[Member]:
    """Yield members as they come; a tar keeps them all otherwise."""
    try:
        while (found := tar.next()) is not None:
            tar.members.clear()
            if found.size < 0 or tar.offset <= found.offset:  # it would be found for ever
                raise ValueError(f"a header claims {shown(str(found.size))} bytes")
            if not found.isdir() and "\0" not in found.name + found.linkname:
                yield _member(found)
    except Exception as error:  # noqa: BLE001 - whatever a damaged header makes of a reader
        notes.append(
            f"is cut off or damaged at byte {tar.offset:,} ({in_one_line(error)}): what stands "
            "before it is read"
        )
        return
    # the library ends silently at a header with a wrong check sum, as if the tar ended there
    headers.seek(tar.offset)
    end = headers.read(LOOKED_AT)
    if not end:
        notes.append("has no end mark: it may be cut off")
    elif end[:BLOCK].strip(b"\0"):
        notes.append(f"is damaged at byte {tar.offset:,}: what stands before it is read")
    elif end.strip(b"\0"):
        notes.append(
            f"goes on after its end at byte {tar.offset:,}, which is not read: it may be several "
            "tars in one file"
        )


def _member(found: Any) -> Member:
    name, size = found.name, found.size
    if found.issym():
        return Member(name, link=posixpath.join(posixpath.dirname(name), found.linkname))
    if found.islnk():
        return Member(name, link=found.linkname, hard=True)
    if not found.isreg():
        return Member(name, refused=Refused(Reason.NOT_REGULAR, "not a regular file"))
    if found.issparse():
        why = "kept with holes (sparse): pack it again without -S"
        return Member(name, refused=Refused(Reason.UNSUPPORTED, why))
    checksum = zlib.crc32(repr(found.mtime).encode())
    return Member(name, found.offset_data, size, size, checksum=checksum)
