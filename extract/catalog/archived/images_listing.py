"""Pictures as ``--images`` names them: a folder, an archive, or several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from extract.addresses import Address, Place, place_of
from extract.catalog.archived.archive_scan import scan_archives
from extract.catalog.archived.remote_scan import scan_remote
from extract.catalog.archived.samples import read_samples
from extract.catalog.catalog import ARCHIVES, Catalog, folder_levels, scan_folder
from extract.catalog.imagefolder import METADATA, list_scan
from extract.catalog.manifest import ManifestColumns, list_table
from extract.catalog.manifest_table import parquet_table
from extract.catalog.split_folders import COLUMN, split_of_folders
from extract.errors import CatalogError, UsageError
from extract.ids import shown
from extract.sources.archive_files import ArchiveFiles, archive_files
from extract.sources.parquet_pictures import ENDING
from extract.sources.remote import look_again
from extract.workspace import AnyPath


def list_images(
    images: AnyPath | Address,
    *,
    columns: ManifestColumns | None = None,
    name: str | None = None,
    leave_out: Sequence[AnyPath] = (),
) -> Catalog:
    """List a folder of pictures, a zip or a tar of them, or some: a folder or a pattern of shards.

    Ids, labels and ``metadata.csv`` are those of the folder that unpacking would make.

    Parameters
    ----------
    images : path
        A folder; an archive; ``shards/{000..099}.tar``, or with ``*``; a folder without pictures
        that holds archives.
    columns : ManifestColumns, optional
        As of :func:`extract.catalog.imagefolder.list_imagefolder`.
    name : str, optional
        The catalogue's name; the folder's or the archive's own without it.
    leave_out : sequence of paths
        Folders inside that are not looked into.

    Raises
    ------
    UsageError, NoPictures, CatalogError
        As for a folder, and when an archive cannot be read.
    """
    images = place_of(images)
    look_again(images)
    archives = archive_files(images)
    if archives is None:
        scan = (
            scan_remote(images)
            if isinstance(images, Address)
            else scan_folder(images, leave_out=leave_out, table=METADATA)
        )
        inside = [path for path, what in scan.passed_over.items() if what == ARCHIVES]
        if scan.pictures or not inside:
            return list_scan(scan, columns=columns, name=name)
        archives = ArchiveFiles(scan.root, tuple(sorted(inside, key=os.fsencode)))
        name = name or scan.root.name or "root"
    if ENDING in archives.kinds and len(archives.kinds) > 1:
        listed = " and ".join(sorted(archives.kinds))
        raise CatalogError(f"{images} holds {listed} files: name those of one kind, as *{ENDING}")
    if ENDING in archives.kinds:
        return _list_parquet(images, archives, columns or ManifestColumns(), name)
    return _list_archives(images, archives, columns, name)


def _list_parquet(
    given: Place, archives: ArchiveFiles, columns: ManifestColumns, name: str | None
) -> Catalog:
    """List the pictures in parquet files by their only column of them, and by its own classes."""
    table = parquet_table(given, archives)
    if len(table.pictures) != 1:
        there = ", ".join(map(shown, table.pictures)) or "none"
        raise UsageError(
            f"{given} must have one column of pictures as bytes, and has {there}: give it with "
            "--manifest, and name the columns with --image-column"
        )
    image, label = next(iter(table.pictures)), columns.label
    notes: tuple[str, ...] = ()
    if label is None and len(table.classes) == 1:
        label = table.classes[0]
        notes = (f"{given}: labels are those of its column {shown(label)}",)
    listed = list_table(table, replace(columns, image=image, label=label), name=name)
    if label is None and any("/" in row_id for row_id in listed.ids) and listed.ids != listed.paths:
        split = split_of_folders(listed.ids)
        sides = {} if split.sides is None else {COLUMN: split.sides}
        kept = {**sides, **listed.columns}
        listed = replace(listed, levels=folder_levels(split.paths), columns=kept)
        notes = split.notes
    return replace(listed, notes=(*notes, *listed.notes))


def _list_archives(
    given: Place, archives: ArchiveFiles, columns: ManifestColumns | None, name: str | None
) -> Catalog:
    found = scan_archives(given, archives)
    place = shown(str(given))
    labelled = read_samples(place, found.pictures, found.samples, found.read)
    listed = list_scan(found, columns=columns, name=name or archives.name, labelled=labelled)
    return replace(listed, notes=(*found.remarks, *listed.notes))
