"""A folder of pictures with ``metadata.csv`` among them, as Hugging Face's imagefolder has it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from extract.addresses import Place, free_of_credentials
from extract.catalog.catalog import Catalog, FolderScan, catalog_of_scan, folder_levels, scan_folder
from extract.catalog.manifest import (
    Labels,
    ManifestColumns,
    check_separator,
    labels_of_column,
    no_column,
)
from extract.catalog.manifest_table import read_csv
from extract.catalog.split_folders import COLUMN, split_of_folders
from extract.errors import CatalogError, UsageError
from extract.ids import bytes_of, shown
from extract.workspace import AnyPath

METADATA = "metadata.csv"
FILE_NAME = "file_name"


@dataclass(frozen=True)
class MetadataRow:
    """A row of some metadata file: where it stands, for errors, and its cells by column."""

    where: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Metadata:
    """All metadata files of a folder: columns in order, rows by the picture's path."""

    columns: tuple[str, ...] = ()
    rows: Mapping[str, MetadataRow] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def list_imagefolder(
    folder: AnyPath,
    *,
    columns: ManifestColumns | None = None,
    name: str | None = None,
    leave_out: Sequence[AnyPath] = (),
) -> Catalog:
    r"""List a folder of pictures with the rows of its ``metadata.csv`` files.

    Rows are the pictures found and those named; a path is relative to the metadata file's own
    folder. Without such a file this is :func:`extract.catalog.catalog.list_folder`.

    Parameters
    ----------
    folder : path
    columns : ManifestColumns, optional
        Ids and labels: without a label column the folders are the labels, without an id column
        a picture's path is its id. ``image`` is not used: the column is ``file_name``.
    name : str, optional
        The catalogue's name; the folder's own without it.
    leave_out : sequence of paths
        Folders inside that are not looked into.

    Raises
    ------
    UsageError
        When the folder or a named column is not there.
    NoPictures
        When no picture is found or named.
    CatalogError
        When the folder or a metadata file cannot be read; the message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from extract import ManifestColumns, list_imagefolder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "0.jpg").touch()
    ...     _ = Path(folder, "metadata.csv").write_text("file_name,kind\n0.jpg,cup\n")
    ...     list_imagefolder(folder, columns=ManifestColumns(label="kind")).levels[0].values()
    ('cup',)
    """
    scan = scan_folder(folder, leave_out=leave_out, table=METADATA)
    return list_scan(scan, columns=columns, name=name)


def list_scan(
    scan: FolderScan,
    *,
    columns: ManifestColumns | None = None,
    name: str | None = None,
    labelled: Metadata | None = None,
) -> Catalog:
    """List what was found in a folder or in archives, as :func:`list_imagefolder` does.

    Parameters
    ----------
    labelled : Metadata, optional
        What is known of its pictures otherwise than by a ``metadata.csv``, which comes first.
    """
    columns = columns or ManifestColumns(image=FILE_NAME)
    folder, metadata = scan.folder, _joined(_read_metadata(scan), labelled or Metadata())
    if not metadata.columns:
        refuse_columns(folder, columns)
        return catalog_of_scan(scan, name=name, notes=metadata.notes)
    _check_named(folder, metadata, columns)
    paths = sorted({*scan.pictures, *metadata.rows}, key=bytes_of)
    id_of = {path: path for path in paths}
    if columns.id is not None:
        id_of = _ids(columns.id, paths, metadata)
        paths.sort(key=lambda path: bytes_of(id_of[path]))
    used = {FILE_NAME, columns.id, columns.label} - {columns.group}
    split = split_of_folders(["" if _leaves(path) else path for path in paths])
    levels, multi_labels = _labels(paths, metadata, columns, split.paths)
    sides = {} if split.sides is None else {COLUMN: split.sides}
    return Catalog(
        name=name or scan.root.name or "root",
        images_root=scan.root,
        ids=tuple(id_of[path] for path in paths),
        paths=tuple(map(scan.place_of, paths)),
        levels=levels,
        columns=sides
        | {
            column: tuple(_cell(metadata, path, column) for path in paths)
            for column in metadata.columns
            if column not in used
        },
        notes=(
            *scan.notes(metadata.rows),
            *metadata.notes,
            *_without_row(scan, metadata),
            *split.notes,
        ),
        multi_labels=multi_labels,
        group_column=columns.group,
    )


def _joined(metadata: Metadata, labelled: Metadata) -> Metadata:
    if not labelled.columns:
        return metadata
    rows = dict(labelled.rows)
    for path, row in metadata.rows.items():
        other = rows.get(path)
        rows[path] = replace(row, cells={**other.cells, **row.cells}) if other else row
    columns = dict.fromkeys((*metadata.columns, *labelled.columns))
    return Metadata(tuple(columns), rows, (*metadata.notes, *labelled.notes))


def refuse_columns(folder: Place, columns: ManifestColumns) -> None:
    """Refuse columns that are named where no table is.

    Raises
    ------
    UsageError
    """
    for option, column in (
        ("--id-column", columns.id),
        ("--label-column", columns.label),
        ("--label-separator", columns.label_separator),
        ("--multi-label-separator", columns.multi_label_separator),
        ("--group-column", columns.group),
    ):
        if column is not None:
            raise UsageError(
                f"{option} needs a table: give one with --manifest CSV, or put a {METADATA} with "
                f"a column {FILE_NAME} into {folder}"
            )


def _read_metadata(scan: FolderScan) -> Metadata:
    """Unite the metadata files of a folder, the outermost first."""
    columns: dict[str, None] = {}
    rows: dict[str, MetadataRow] = {}
    notes = []
    for table in sorted(scan.tables, key=lambda path: path.count("/")):
        path, raw = scan.folder / table, None
        try:
            raw = scan.read(table)
            read = read_csv(path, raw)
        except CatalogError:
            if raw is None or FILE_NAME.encode() in raw.replace(b"\0", b""):  # UTF-16 has NULs
                raise
            read = None  # another program's
        if read is None or FILE_NAME not in read.header:
            notes.append(f"{shown(table)} has no column {FILE_NAME}: passed over")
            continue
        notes += read.notes
        columns |= dict.fromkeys(read.header)
        for line, row in read.rows:
            where = f"{shown(str(path))}, line {line}"
            cells = map(free_of_credentials, row)
            found = MetadataRow(where, dict(zip(read.header, cells, strict=True)))
            _add(rows, posixpath.dirname(table), found)
    return Metadata(tuple(columns), rows, tuple(notes))


def _add(rows: dict[str, MetadataRow], folder: str, row: MetadataRow) -> None:
    file_name = row.cells[FILE_NAME]
    if not file_name.strip():
        raise CatalogError(f"{row.where}: column {FILE_NAME!r} is empty")
    path = _path_in_folder(folder, file_name)
    if path in rows:
        raise CatalogError(
            f"{row.where}: {shown(file_name)!r} is named in {rows[path].where} too; "
            "keep one of the two rows"
        )
    rows[path] = row


def _path_in_folder(folder: str, file_name: str) -> str:
    """Spell a picture's path as the listing does; one that leaves the folder stays as it is."""
    joined = posixpath.join(folder, file_name)
    plain = posixpath.normpath(joined)
    return joined if _leaves(plain) else plain


def _leaves(path: str) -> bool:
    plain = posixpath.normpath(path)
    return plain.startswith(("/", "../")) or plain in (".", "..")


def _check_named(folder: Place, metadata: Metadata, columns: ManifestColumns) -> None:
    check_separator(columns)
    for option, column in (
        ("--id-column", columns.id),
        ("--label-column", columns.label),
        ("--group-column", columns.group),
    ):
        if column is not None and column not in metadata.columns:
            raise no_column(f"{METADATA} of {folder}", metadata.columns, option, column)


def _ids(column: str, paths: Sequence[str], metadata: Metadata) -> dict[str, str]:
    """Take each picture's id from a column; it must be there and be another's no more."""
    id_of: dict[str, str] = {}
    holder: dict[str, MetadataRow] = {}
    for path in paths:
        row = metadata.rows.get(path)
        if row is None:
            raise CatalogError(
                f"{shown(path)} has no row in {METADATA}, so no id in column {column!r}: "
                "add a row, or leave --id-column away"
            )
        row_id = row.cells.get(column, "")
        if not row_id.strip():
            raise CatalogError(f"{row.where}: column {column!r} is empty")
        if row_id in holder:
            raise CatalogError(
                f"{row.where}: {shown(row_id)!r} in column {column!r} stands in "
                f"{holder[row_id].where} too; name a column of unique ids with --id-column"
            )
        holder[row_id] = row
        id_of[path] = row_id
    return id_of


def _cell(metadata: Metadata, path: str, column: str) -> str:
    row = metadata.rows.get(path)
    return row.cells.get(column, "") if row else ""


def _labels(
    paths: Sequence[str], metadata: Metadata, columns: ManifestColumns, folders: Sequence[str]
) -> Labels:
    if columns.label is None:  # folders outside are nobody's classes
        return folder_levels(folders), ()
    where = {path: row.where for path, row in metadata.rows.items()}
    cells = [(where.get(path, ""), _cell(metadata, path, columns.label)) for path in paths]
    return labels_of_column(columns.label, columns, cells)


def _without_row(scan: FolderScan, metadata: Metadata) -> tuple[str, ...]:
    count = sum(path not in metadata.rows for path in scan.pictures)
    have = "picture has" if count == 1 else "pictures have"
    return (f"{count} {have} no row in {METADATA}",) if count else ()
