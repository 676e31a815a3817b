"""What lies in a folder elsewhere, listed as one here is."""

from __future__ import annotations

import posixpath

from extract.addresses import Address
from extract.catalog.archived.archive_scan import MOST_TABLE, is_hidden
from extract.catalog.catalog import ARCHIVES, IMAGE_EXTENSIONS, FolderScan
from extract.catalog.imagefolder import METADATA
from extract.ids import bytes_of
from extract.sources.archive_files import kind_of
from extract.sources.remote import remote_bytes, remote_files


class RemoteScan(FolderScan):
    """What lies in a folder elsewhere, by path relative to it."""

    def read(self, table: str) -> bytes:
        """Read a table."""
        assert isinstance(self.root, Address)
        return remote_bytes(self.root / table, MOST_TABLE)


def scan_remote(folder: Address) -> RemoteScan:
    """Look through a folder elsewhere and those below it; hidden names are not there.

    Raises
    ------
    UsageError, CatalogError
        When it cannot be listed.
    """
    names = [name for name in remote_files(folder) if not is_hidden(name)]
    pictures, tables, passed_over = [], [], {}
    for name in names:
        if posixpath.splitext(name)[1].lower() in IMAGE_EXTENSIONS:
            pictures.append(name)
        elif posixpath.basename(name) == METADATA:
            tables.append(name)
        else:
            what = "files without a picture's extension"
            passed_over[name] = ARCHIVES if kind_of(name) else what
    in_order, tables_in_order = (tuple(sorted(some, key=bytes_of)) for some in (pictures, tables))
    return RemoteScan(folder, folder, in_order, tables_in_order, passed_over)
