"""What lies in zips and tars, listed as a folder is."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from extract.addresses import Place
from extract.catalog.archived.samples import is_sample_file
from extract.catalog.catalog import IMAGE_EXTENSIONS, FolderScan
from extract.catalog.imagefolder import METADATA
from extract.errors import CatalogError
from extract.ids import bytes_of, shown
from extract.refusals import Refused
from extract.sources.archive_files import ArchiveFiles, kind_of

MOST_TABLE = 1 << 30


@dataclass(frozen=True)
class ArchiveScan(FolderScan):
    """What lies in archives, by name as if they were unpacked into one folder.

    Parameters
    ----------
    archives : ArchiveFiles
    places : mapping of str to str
        Path of each picture and table relative to the root, through its archive.
    top : str
        The folder in the only archive that is passed through, with its slash; else empty.
    samples : tuple of str
        Files of webdataset's samples that tell of pictures, sorted by their bytes.
    remarks : tuple of str
        What is odd about the archives, for people.
    """

    archives: ArchiveFiles = field(kw_only=True)
    places: Mapping[str, str] = field(kw_only=True)
    top: str = ""
    samples: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def place_of(self, picture: str) -> str:
        """Give a picture's path relative to the root, through its archive.

        A table may name files that were passed over, as those of odd extensions.
        """
        return self.places.get(picture) or self.archives.place_of(self.top + picture)

    def read(self, table: str, most: int = MOST_TABLE) -> bytes:
        """Read a member that is no picture, of at most this many bytes."""
        place = self.places[table]
        holder = next(name for name in self.archives.names if place.startswith(f"{name}/"))
        try:
            return self.archives.open(holder).read(place[len(holder) + 1 :], most)
        except Refused as refused:
            where = shown(f"{self.folder}/{table}")
            raise CatalogError(f"{where} cannot be read: {refused.message}") from refused


def scan_archives(given: Place, archives: ArchiveFiles) -> ArchiveScan:
    """Look through zips and tars; hidden names are not there.

    A folder that has the name of the only archive, and holds all of it, is passed through.

    Raises
    ------
    CatalogError
        When one cannot be read, or two hold a picture of the same name.
    """
    found: dict[str, list[str]] = {"pictures": [], "tables": [], "samples": []}
    places: dict[str, str] = {}
    passed_over: dict[str, str] = {}
    remarks: list[str] = []
    top = ""
    for archive in archives.names:
        members = archives.open(archive).members
        remarks += [f"{shown(archive)} {note}" for note in members.notes]
        top = _top(archive, members.names) if len(archives.names) == 1 else ""
        if top:
            remarks.append(f"{shown(archive)}: names are seen from its folder {shown(top)} on")
        for name in _shown(members.names):
            bare, what = name.removeprefix(top), _what(name, kind_of(archive))
            if what is None:
                passed_over[f"{archive}/{name}"] = "files without a picture's extension"
                continue
            if bare in places:
                raise CatalogError(
                    f"{shown(bare)} is in {shown(places[bare].removesuffix(f'/{bare}'))} and in "
                    f"{shown(archive)}, and ids are unique: embed them apart, with --catalog NAME"
                )
            places[bare] = f"{archive}/{name}"
            found[what].append(bare)
    ordered = {what: tuple(sorted(names, key=bytes_of)) for what, names in found.items()}
    return ArchiveScan(
        folder=given,
        root=archives.root,
        pictures=ordered["pictures"],
        tables=ordered["tables"],
        passed_over=passed_over,
        archives=archives,
        places=places,
        top=top,
        samples=ordered["samples"],
        remarks=tuple(remarks),
    )


def is_hidden(name: str) -> bool:
    """Whether a name, or a folder in it, is hidden; one that leads out is not, but refused."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def _shown(names: tuple[str, ...]) -> Iterator[str]:
    return (name for name in names if not is_hidden(name))


def _what(name: str, kind: str) -> str | None:
    if posixpath.splitext(name)[1].lower() in IMAGE_EXTENSIONS:
        return "pictures"
    if posixpath.basename(name) == METADATA:
        return "tables"
    return "samples" if kind == ".tar" and is_sample_file(name) else None


def _top(archive: str, names: tuple[str, ...]) -> str:
    stem = posixpath.basename(archive)[: -len(kind_of(archive))] + "/"
    return stem if all(name.startswith(stem) for name in _shown(names)) else ""
