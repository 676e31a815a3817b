"""The archives that a path names: one, those of a pattern, or those of a folder."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from extract.addresses import Address, Place, place_of
from extract.errors import CatalogError, UsageError
from extract.ids import shown
from extract.refusals import Refused
from extract.sources.archives import Archive, archive
from extract.sources.byte_ranges import ByteRanges, LocalFile
from extract.sources.folder import locate_picture
from extract.sources.members import plain
from extract.sources.places import ENDINGS
from extract.sources.remote import RemoteFile, find_remote

_WILD = re.compile(r"[*?\[]")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
MOST_SHARDS = 100_000


@dataclass(frozen=True)
class ArchiveFiles:
    """Some archives of a folder.

    Parameters
    ----------
    root : Path or Address
        Absolute and without links.
    names : tuple of str
        Paths of the archives, relative to it.
    by_pattern : bool
        Whether there may be more of them the next time.
    """

    root: Place
    names: tuple[str, ...]
    by_pattern: bool = False

    @property
    def kinds(self) -> set[str]:
        """The ends of their names."""
        return {kind_of(name) for name in self.names} - {""}

    @property
    def name(self) -> str:
        """What a catalogue of them is called: as the one that was named, else as their folder."""
        if self.by_pattern or len(self.names) > 1:
            return self.root.name or "root"
        only = Path(self.names[0]).name
        return only[: -len(kind_of(only))]

    def place_of(self, path: str) -> str:
        """Give the place of a picture in them, relative to the root; in the first if in none.

        Raises
        ------
        CatalogError
            When one cannot be read.
        """
        if not path.strip():
            return path
        if len(self.names) == 1:
            return f"{self.names[0]}/{path}"
        return f"{self._holders.get(plain(path), self.names[0])}/{path}"

    @cached_property
    def _holders(self) -> dict[str, str]:
        members = {name: self.open(name).members.names for name in self.names}
        return {member: name for name, listed in members.items() for member in listed}

    def open(self, name: str) -> Archive:
        """List the members of one that is a zip or a tar.

        Raises
        ------
        CatalogError
        """
        try:
            return archive(self.file(name), kind_of(name))
        except Refused as refused:
            where = shown(f"{self.root}/{name}")
            raise CatalogError(f"{where} cannot be read: {refused.message}") from refused

    def file(self, name: str) -> ByteRanges:
        """Give one as a file.

        Raises
        ------
        CatalogError
        """
        if isinstance(self.root, Address):
            return RemoteFile(self.root / name)
        try:
            return LocalFile(locate_picture(self.root, name))
        except Refused as refused:
            where = shown(f"{self.root}/{name}")
            raise CatalogError(f"{where} cannot be read: {refused.message}") from refused


def name_of(given: Place) -> str:
    """Call a catalogue as its folder, its archive, its table, or the folder of several."""
    if isinstance(given, Path) and given.is_dir():
        return given.resolve().name or "root"
    archives = archive_files(given)
    if archives is None:
        return given.name if isinstance(given, Address) and not given.suffix else given.stem
    return archives.name


def kind_of(name: str) -> str:
    """Give the end of an archive's name; empty for another."""
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def archive_files(given: Place) -> ArchiveFiles | None:
    """Find the archives that a path names, as ``shop.zip`` or ``shards/{000..099}.tar``.

    Returns
    -------
    ArchiveFiles or None
        None where it names a folder, or nothing that could be an archive.

    Raises
    ------
    UsageError
        When a pattern matches nothing, or the file is compressed as a whole.
    """
    text = str(given)
    if isinstance(given, Address):
        if _WILD.search(text) or _RANGE.search(text):
            return _of_pattern(text)
        return ArchiveFiles(given.parent, (given.name,)) if kind_of(given.name) else None
    if given.is_dir():
        return None
    if given.is_file() and text.lower().endswith(COMPRESSED):
        raise UsageError(
            f"{given} is compressed as a whole, so that no picture can be read by itself: unpack "
            "it to a .tar, and give that"
        )
    if given.is_file() or not (_WILD.search(text) or _RANGE.search(text)):
        if not (given.is_file() and kind_of(given.name)):
            return None
        # a link that was given by name may lead anywhere, and to a file without an ending
        link = given.parent.resolve() / given.name
        root = Path(os.path.commonpath([link.parent, given.resolve().parent]))
        return ArchiveFiles(root, (link.relative_to(root).as_posix(),))
    return _of_pattern(text)


def _of_pattern(text: str) -> ArchiveFiles:
    parts = text.split("/")
    n_plain = next(i for i, part in enumerate(parts) if _WILD.search(part) or _RANGE.search(part))
    base = place_of("/".join(parts[:n_plain]) or ("/" if text.startswith("/") else "."))
    counts = [int(last) - int(first) + 1 for first, last in _RANGE.findall(text)]
    if any(count < 1 for count in counts) or math.prod(counts) > MOST_SHARDS:
        raise UsageError(f"{text} counts no files, or more than {MOST_SHARDS:,}: correct it")
    found: dict[str, None] = {}
    for pattern in _without_ranges("/".join(parts[n_plain:])):
        names = _matching(base, pattern) if _WILD.search(pattern) else [pattern]
        found |= dict.fromkeys(name for name in names if kind_of(name))
    here = isinstance(base, Path)
    missing = next((n for n in found if here and not Path(str(base), n).is_file()), None)
    if missing is not None or not found:
        what = f"there is no {base / missing}" if missing else "it matches no file"
        raise UsageError(f"{text} names .zip, .tar or .parquet files, and {what}: correct it")
    root = base.resolve() if isinstance(base, Path) else base
    return ArchiveFiles(root, tuple(sorted(found, key=os.fsencode)), by_pattern=True)


def _matching(base: Place, pattern: str) -> list[str]:
    if isinstance(base, Address):
        return find_remote(base, pattern)
    return [path.relative_to(base).as_posix() for path in base.glob(pattern)]


def _without_ranges(pattern: str) -> list[str]:
    """Spell out ``{000..002}`` as webdataset has it."""
    found = _RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = int(found[1]), int(found[2])
    numbers = (f"{number:0{len(found[1])}}" for number in range(first, last + 1))
    return [
        spelled
        for number in numbers
        for spelled in _without_ranges(pattern[: found.start()] + number + pattern[found.end() :])
    ]
