"""The members of a zip or a tar: names, places of their bytes, and reasons why some are refused."""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from extract.ids import bytes_of, shown
from extract.refusals import Reason, Refused

MOST_LINKS = 40
MOST_NUMBER = (1 << 63) - 1
STORED, DEFLATED = 0, 8
"""How a member's bytes are kept, in the numbers of zip."""


class Member(NamedTuple):
    """A member as the archive lists it.

    Parameters
    ----------
    name : str
        As it is written there.
    offset, size, packed : int
        First byte, bytes, and bytes as they are kept.
    method : int
        How they are kept; in a zip the offset is that of a header before them.
    checksum : int
        CRC-32 of a zip; of the date in a tar, which has none of the bytes.
    link : str, optional
        The member that this one stands for, as seen from the top of the archive.
    refused : Refused, optional
    hard : bool
        Whether the link is to the member of that name before it, and not to the last.
    """

    name: str
    offset: int = 0
    size: int = 0
    packed: int = 0
    method: int = STORED
    checksum: int = 0
    link: str | None = None
    refused: Refused | None = None
    hard: bool = False


@dataclass(frozen=True, eq=False)
class Members:
    """Members by name, each name once: the last of those that share one, as unpacking has it.

    Parameters
    ----------
    names : tuple of str
        Sorted by their bytes, without ``./`` in front.
    numbers : ndarray of shape (n, 5), int64
        Offset, size, packed size, method and checksum.
    refused : mapping of str to Refused
    notes : tuple of str
        What is odd about the archive, for people.
    """

    names: tuple[str, ...]
    numbers: np.ndarray
    refused: Mapping[str, Refused]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, listed: Iterable[Member], notes: Callable[[], Sequence[str]]) -> Members:
        """Take the last member of each name, and for a link what it leads to.

        Parameters
        ----------
        listed : iterable of Member
            In the order of the archive.
        notes : callable
            Gives what is odd about it, once all are listed.
        """
        by_name: dict[str, Member] = {}
        n_again = 0
        for member in listed:
            name = plain(member.name)
            if leaves(name):
                why = "leads out of the archive: pack pictures by names below its top"
                member = member._replace(refused=Refused(Reason.OUTSIDE_FOLDER, why))
            elif member.hard:
                member = _before(member, by_name)
            n_again += name in by_name
            by_name[name] = member
        names = sorted(by_name, key=bytes_of)
        refused: dict[str, Refused] = {}
        numbers = np.zeros((len(names), 5), np.int64)
        for i, name in enumerate(names):
            found = _followed(name, by_name)
            if isinstance(found, Refused):
                refused[name] = found
            elif max(found[1:6]) > MOST_NUMBER:
                why = "its place or its size in the archive is none that a file can have"
                refused[name] = Refused(Reason.CORRUPT, why)
            else:
                numbers[i] = found[1:6]
        again = (f"{n_again} names stand in it again: the last of each counts",) if n_again else ()
        return cls(tuple(names), numbers, refused, (*notes(), *again))

    def find(self, name: str) -> Member:
        """Find a member.

        Raises
        ------
        Refused
            When there is none, or it is refused.
        """
        name = plain(name)
        at = bisect_left(self.names, bytes_of(name), key=bytes_of)
        if at == len(self.names) or self.names[at] != name:
            raise Refused(Reason.MISSING, "no such member in the archive")
        if name in self.refused:
            raise self.refused[name].bare()
        return Member(name, *self.numbers[at].tolist())


def _before(member: Member, by_name: Mapping[str, Member]) -> Member:
    """Give what a hard link means among the members before it."""
    target = plain(member.link or "")
    if leaves(target):
        return member
    if target not in by_name:
        why = f"a hard link to {shown(target)}, which does not stand before it in the archive"
        return member._replace(refused=Refused(Reason.MISSING, why))
    return by_name[target]


def _followed(name: str, by_name: Mapping[str, Member]) -> Member | Refused:
    """Give what a name leads to, through links."""
    member = by_name[name]
    for _ in range(MOST_LINKS):
        if member.refused is not None:
            return member.refused
        if member.link is None:
            return member
        target = plain(member.link)
        if leaves(target):
            why = f"a link that leads out of the archive, to {shown(member.link)}"
            return Refused(Reason.OUTSIDE_FOLDER, why)
        if target not in by_name:
            return Refused(Reason.MISSING, f"a link to {shown(target)}, which the archive lacks")
        member = by_name[target]
    return Refused(Reason.MISSING, "links that lead to each other")


def plain(name: str) -> str:
    """Spell a member's name as a folder's listing does; one that leaves it stays as it is."""
    bare = posixpath.normpath(name)
    return name if leaves(bare) else bare


def leaves(name: str) -> bool:
    """Whether a name would lie outside the folder that an archive is unpacked into."""
    bare = posixpath.normpath(name)
    return bare.startswith(("/", "../")) or bare in (".", "..")
