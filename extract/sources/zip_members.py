"""The members of a zip, and how one is unpacked."""

from __future__ import annotations

import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from extract.errors import CatalogError, in_one_line
from extract.refusals import Reason, Refused
from extract.sources.byte_ranges import ByteRanges, HeaderFile
from extract.sources.members import DEFLATED, STORED, Member, Members

MOST_DIRECTORY = 1 << 30
MOST_LINK = 4096
UNIX, DOS = 3, 0
ENCRYPTED, UTF_8 = 0x1, 0x800
LOCAL_HEADER = struct.Struct("<4s22xHH")


def zip_members(file: ByteRanges) -> Members:
    """List the members of a zip by its directory.

    Raises
    ------
    CatalogError
        When it is no zip, or not all of one.
    """
    with closing(HeaderFile(file.open(), MOST_DIRECTORY)) as headers:
        try:
            directory = zipfile.ZipFile(headers).infolist()  # type: ignore[arg-type]
        except Exception as error:
            raise CatalogError(
                f"{file.place} cannot be read as a zip ({in_one_line(error)}): get it again"
            ) from error
    return Members.of(_members(file, directory), list)


def _members(file: ByteRanges, directory: list[Any]) -> Iterator[Member]:
    for found in directory:
        name, mode = _name(found), found.external_attr >> 16
        if name.endswith("/"):
            continue
        sizes = found.file_size, found.compress_size, found.compress_type, found.CRC
        member = Member(name, found.header_offset, *sizes)
        if found.flag_bits & ENCRYPTED:
            why = "encrypted: unpack it, or pack it without a password"
            member = Member(name, refused=Refused(Reason.UNSUPPORTED, why))
        elif found.compress_type not in (STORED, DEFLATED):
            why = f"packed by method {found.compress_type}: pack it again, with deflate or none"
            member = Member(name, refused=Refused(Reason.UNSUPPORTED, why))
        elif found.create_system == UNIX and stat.S_ISLNK(mode):
            member = _link(file, member)
        elif found.create_system == UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            member = Member(name, refused=Refused(Reason.NOT_REGULAR, "not a regular file"))
        yield member


def _name(found: Any) -> str:
    """Read a name as the folder had it: where nothing says how, UTF-8 if it can be that."""
    name: str = found.filename
    if not found.flag_bits & UTF_8:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = found.filename
    return name.replace("\\", "/") if found.create_system == DOS else name


def _link(file: ByteRanges, member: Member) -> Member:
    """Read where a link leads to, which is its content."""
    try:
        if member.size > MOST_LINK:
            raise Refused(Reason.CORRUPT, f"a link of {member.size:,} bytes")
        target = unpacked(file, member, MOST_LINK).decode("utf-8", "surrogateescape")
    except Refused as refused:
        return Member(member.name, refused=refused)
    return Member(member.name, link=posixpath.join(posixpath.dirname(member.name), target))


def unpacked(file: ByteRanges, member: Member, most: int) -> bytes:
    """Read a member, and hold it against its check sum.

    Parameters
    ----------
    file : ByteRanges
    member : Member
    most : int
        Bytes that it may have, packed and unpacked; of more it is refused.

    Raises
    ------
    Refused
    """
    header = file.read(member.offset, LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size:
        raise Refused(Reason.TRUNCATED, "the archive ends before it")
    mark, n_name, n_extra = LOCAL_HEADER.unpack(header)
    if mark != b"PK\3\4":
        raise Refused(Reason.CORRUPT, "the zip's directory leads to no member")
    if max(member.size, member.packed) > most:
        raise Refused(Reason.TOO_LARGE, f"{member.size:,} bytes, over {most:,}")
    packed = file.read(member.offset + LOCAL_HEADER.size + n_name + n_extra, member.packed)
    if len(packed) < member.packed:
        raise Refused(Reason.TRUNCATED, "the archive ends within it")
    content = packed
    if member.method == DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)
        except zlib.error as error:
            raise Refused(Reason.CORRUPT, f"cannot be unpacked: {error}") from error
    if len(content) != member.size or zlib.crc32(content) != member.checksum:
        raise Refused(Reason.CORRUPT, "does not fit the size and the check sum in the zip")
    return content
