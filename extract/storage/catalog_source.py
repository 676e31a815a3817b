"""How a catalogue is listed: as typed, and else as when it was last embedded."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from extract.addresses import place_of, resolved
from extract.catalog.alike_labels import alike_labels
from extract.catalog.archived.images_listing import list_images
from extract.catalog.catalog import Catalog, list_folder
from extract.catalog.demo import draw_demo
from extract.catalog.imagefolder import FILE_NAME, list_imagefolder, refuse_columns
from extract.catalog.manifest import ManifestColumns, TableOptions, list_manifest
from extract.catalog.manifest_pictures import Pictures
from extract.catalog.source import IMAGE_COLUMN, CatalogSource
from extract.command_line import log, progress_bar
from extract.errors import EmbeddingsFileError, NoPictures, UsageError
from extract.files.strict_json import read_json
from extract.sources.archive_files import archive_files
from extract.storage.embeddings_file import read_provenance
from extract.workspace import Workspace

TABLE, FOLDER = "table", "folder"
COLUMNS = ("image_column", "id_column", "label_column")
SEPARATORS = ("label_separator", "multi_label_separator")
TABLE_OPTIONS = ("encoding", "sheet", "pictures", "picture_separator", "group_column")
OPTIONS = (*COLUMNS, *SEPARATORS, *TABLE_OPTIONS)
"""What shapes a catalogue in addition to its pictures' folder, by the names of the parameters."""


def list_source(
    workspace: Workspace,
    source: CatalogSource,
    output: Path | None = None,
    *,
    typed: Collection[str] = (),
    quiet: bool = True,
) -> tuple[Catalog, dict[str, Any]]:
    """List the pictures, with what was so the last time and is not typed now, and note that.

    Parameters
    ----------
    output : Path, optional
        The one file that is meant, where it was named.
    typed : collection of str
        Of ``OPTIONS``, those that are meant though they are as by default.

    Returns
    -------
    catalog : Catalog
    listing : dict
        How it is listed, for the record.
    """
    kind = TABLE if source.manifest is not None else FOLDER
    options, defaults = _flat(source), _flat(CatalogSource())
    given = {
        name: str(options[name])
        for name in (*OPTIONS, "images_dir")
        if name in typed or options[name] != defaults[name]
    }
    name = source.name or workspace.data.name
    record = last_record(workspace, name, output)
    last = last_listing(workspace, record, kind)
    if kind == FOLDER:
        _refuse_another_way(name, last_listing(workspace, record, TABLE))
    if source.manifest and last.get("images_dir") == str(resolved(source.manifest.parent)):
        del last["images_dir"]
    taken, kept = settled(given, last)
    named = [taken.get(name) for name in (*COLUMNS[1:], *SEPARATORS, "group_column")]
    if source.manifest is not None:
        image, *more = columns_of(taken.get("image_column") or IMAGE_COLUMN)
        listed = list_manifest(
            source.manifest,
            ManifestColumns(image, *named),
            images_dir=taken.get("images_dir"),
            name=source.catalog,
            options=TableOptions(
                taken.get("encoding"),
                taken.get("sheet"),
                Pictures(taken.get("pictures"), taken.get("picture_separator"), tuple(more)),
                source.table.allow_download,
            ),
        )
    else:
        columns = ManifestColumns(FILE_NAME, *named)
        listed = _list_images(workspace, source, columns, quiet=quiet)
    notes = [*listed.notes, *alike_labels([*listed.levels, *listed.multi_labels])]
    if kept:
        notes.append(f"as the last time: {' '.join(kept)}; give an option an empty text to drop it")
    noted = described(kind, taken, listed.encoding)
    folder = place_of(taken.get("images_dir") or ".")
    if kind == TABLE and archive_files(folder):  # a folder is the file's images_root
        here = isinstance(folder, Path)
        noted["images_dir"] = workspace.relative(str(folder)) if here else str(folder)
    return replace(listed, notes=tuple(notes)), noted


def _flat(source: CatalogSource) -> dict[str, Any]:
    """Options by name, those of the table too; several columns are spelled as one text."""
    image = source.image_column
    columns = image if isinstance(image, str) else json.dumps(list(image), ensure_ascii=False)
    return {**vars(source), **vars(source.table), "image_column": columns}


def columns_of(spelled: str) -> list[str]:
    """Read the columns of pictures as a listing spells them: one name, or a JSON list of several.

    Examples
    --------
    >>> columns_of("image"), columns_of('["front", "back"]')
    (['image'], ['front', 'back'])
    """
    if spelled.startswith('["'):
        with suppress(ValueError):
            found = read_json(spelled)
            if isinstance(found, list) and all(isinstance(name, str) for name in found):
                return found
    return [spelled]


def _refuse_another_way(name: str, table: Mapping[str, str]) -> None:
    """Refuse a folder where a table gave ids or labels the last time: they would be lost."""
    lost = [
        f"--{option.replace('_', '-')} {table[option]}"
        for option in ("id_column", "label_column")
        if option in table
    ]
    if lost:
        raise UsageError(
            f"the catalogue {name!r} is listed from a table, with {' '.join(lost)}: give that with "
            "--manifest CSV, or a name of its own to this folder's with --catalog NAME"
        )


def _list_images(
    workspace: Workspace, source: CatalogSource, columns: ManifestColumns, *, quiet: bool
) -> Catalog:
    """List the folder given; without one data/ if it holds pictures, else the demo."""
    name, own = source.catalog, (workspace.cache, workspace.results)
    if source.images is not None:
        return list_images(source.images, columns=columns, name=name, leave_out=own)
    if workspace.data.exists():
        with suppress(NoPictures):
            listed = list_imagefolder(workspace.data, columns=columns, name=name)
            log.info(f"no pictures given: taking those in {workspace.data}")
            return listed
    refuse_columns(workspace.data, columns)
    if workspace.demo.is_dir():
        log.info(f"no pictures given: taking the demo catalogue, {workspace.demo}")
    else:
        log.info(
            f"no pictures given and none in {workspace.data}: drawing the demo catalogue "
            f"into {workspace.demo}"
        )
        with progress_bar("pictures", quiet=quiet) as progress:
            draw_demo(workspace.demo, progress=progress)
    return list_folder(workspace.demo, name=name)


def described(
    kind: str, given: Mapping[str, str | None], encoding: str | None = None
) -> dict[str, Any]:
    """Spell how a catalogue is listed, and as what its CSV was read, for the record of its file."""
    read = {} if encoding is None else {"read_as": encoding}
    return {"from": kind, **{name: given[name] for name in OPTIONS if given.get(name)}, **read}


def last_record(workspace: Workspace, catalog: str, output: Path | None) -> Mapping[str, Any]:
    """Read the record of the file of a catalogue that was last filled; empty without one.

    Parameters
    ----------
    workspace : Workspace
    catalog : str
        Its name.
    output : Path or None
        The one file that is meant, where it was named.
    """
    records = []
    for path in workspace.stored_embeddings(catalog) if output is None else (output,):
        try:
            records.append(read_provenance(path).record)
        except EmbeddingsFileError:
            continue  # not there, or reported when that file is used
    return max(records, key=lambda record: str(record.get("updated") or ""), default={})


def last_listing(workspace: Workspace, last: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Find how a catalogue was listed when its file was last filled.

    Parameters
    ----------
    workspace : Workspace
    last : mapping
        What :func:`last_record` found.
    kind : {'table', 'folder'}
        Where it is listed from now: options of the other do not fit.

    Returns
    -------
    dict of str to str
        Options by their names, and for a table ``images_dir``; empty where nothing is known.
    """
    recorded = last.get("listing")
    known = recorded if isinstance(recorded, Mapping) else _typed(str(last.get("command") or ""))
    if known.get("from") != kind:
        return {}
    found = {name: known[name] for name in OPTIONS if isinstance(known.get(name), str)}
    root = known.get("images_dir") or last.get("images_root")
    if kind == TABLE and isinstance(root, str):
        here = isinstance(place_of(root), Path)
        found["images_dir"] = str(workspace.root / root) if here else root
    return found


def settled(
    typed: Mapping[str, str | None], last: Mapping[str, str]
) -> tuple[dict[str, str | None], list[str]]:
    """Take what was typed, and else what was so the last time.

    An empty text takes an option back. A separator that is typed cuts a column that is typed, and a
    column that is typed is not cut as another was.

    Parameters
    ----------
    typed : mapping of str to str or None
        Only what stood on the command line.
    last : mapping of str to str

    Returns
    -------
    taken : dict of str to str or None
        By the names of the parameters.
    kept : list of str
        The options that are taken from the last time, as one types them.
    """
    given = {name: value or None for name, value in typed.items()}
    kept = {name: value for name, value in last.items() if name not in given}
    other_column = given.get("label_column", last.get("label_column")) != last.get("label_column")
    cut = any(given.get(name) for name in SEPARATORS)
    if other_column or cut:
        kept = {name: value for name, value in kept.items() if name not in SEPARATORS}
    if cut:
        kept.pop("label_column", None)
    options = [
        f"--{name.replace('_', '-')} {shlex.quote(part)}"
        for name, value in kept.items()
        for part in (columns_of(value) if name == "image_column" else [value])
    ]
    return {**kept, **given}, options


def _typed(command: str) -> dict[str, str]:
    """Read the options out of a command; earlier versions kept no more than that."""
    try:
        words = [part for word in shlex.split(command) for part in _split(word)]
    except ValueError:
        return {}
    found = {"from": TABLE if "--manifest" in words else FOLDER}
    for name in OPTIONS:
        option = f"--{name.replace('_', '-')}"
        if option in words[:-1]:
            found[name] = words[words.index(option) + 1]
    return found


def _split(word: str) -> list[str]:
    option, equal, value = word.partition("=")
    return [option, value] if equal and option.startswith("--") else [word]
