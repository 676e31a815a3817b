"""Pictures that are members of a zip or a tar, read where they are; nothing is unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from extract.refusals import Reason, Refused
from extract.sources.byte_ranges import ByteRanges, Stamp, date_of_archive
from extract.sources.located import NOWHERE, Located
from extract.sources.members import Member, Members
from extract.sources.tar_members import tar_members
from extract.sources.zip_members import unpacked, zip_members

KINDS: dict[str, Callable[[ByteRanges], Members]] = {".zip": zip_members, ".tar": tar_members}
"""How the members of an archive are listed, by the end of its name."""

CUT_OFF = Refused(Reason.TRUNCATED, "the archive ends within it")


@dataclass(frozen=True, eq=False)
class Archive:
    """An archive as it was when its members were listed.

    Parameters
    ----------
    file : ByteRanges
    kind : str
        A key of ``KINDS``.
    stamp : tuple of int
    members : Members
    date : int
        In ns, of the archive; another one where it has other members.
    """

    file: ByteRanges
    kind: str
    stamp: Stamp
    members: Members
    date: int

    def stat(self, name: str) -> tuple[int, int]:
        """Give a member's size, and the date of the archive: one that was written is read again."""
        try:
            return self.members.find(name).size, self.date
        except Refused:
            return NOWHERE

    @contextmanager
    def opened(self, name: str) -> Iterator[Located]:
        """Find a member.

        Raises
        ------
        Refused
        """
        member = self.members.find(name)
        packed = member.packed if member.packed != member.size else 0
        yield Located(member.size, self.date, partial(self._read, member), packed)

    def read(self, name: str, most: int) -> bytes:
        """Read a member of at most this many bytes.

        Raises
        ------
        Refused
        """
        member = self.members.find(name)
        if member.size > most:
            raise Refused(Reason.TOO_LARGE, f"{member.size:,} bytes, over {most:,}")
        return self._read(member, most)

    def _read(self, member: Member, most: int) -> bytes:
        if self.kind == ".zip":
            return unpacked(self.file, member, most)
        content = self.file.read(member.offset, member.size)
        if len(content) < member.size:
            raise CUT_OFF.bare()
        return content


_listed: dict[tuple[ByteRanges, str], Archive] = {}
"""Archives of which the members are known; processes that load pictures inherit them."""


def archive(file: ByteRanges, kind: str) -> Archive:
    """List an archive's members, once as long as it stays as it is.

    Raises
    ------
    CatalogError
        When it cannot be read as an archive of its kind.
    Refused
        When it is not there.
    """
    stamp = file.stamp()
    known = _listed.get((file, kind))
    if known is None or known.stamp != stamp:
        members = KINDS[kind](file)
        date = date_of_archive(file, stamp, members.numbers.tobytes())
        known = _listed[file, kind] = Archive(file, kind, stamp, members, date)
    return known
