"""Which pictures ``python -m extract`` embeds: as typed, and as the last time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from extract import command_line as cl
from extract.errors import NoPictures, UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from extract.catalog.catalog import Catalog
    from extract.catalog.manifest import ManifestColumns

IMAGE_COLUMN = "image"
"""A manifest's column of paths, where none is named."""


@dataclass(frozen=True)
class Place:
    """Where pictures are listed, and under which name, as typed."""

    images: Path | None
    manifest: Path | None
    images_dir: Path | None
    catalog: str | None
    output: Path | None

    @property
    def name(self) -> str | None:
        """The catalogue's; None without pictures given."""
        given = self.manifest or self.images
        if self.catalog or given is None:
            return self.catalog
        return given.stem if self.manifest else given.resolve().name


def list_pictures(
    context: typer.Context, workspace: Workspace, place: Place, quiet: bool
) -> tuple[Catalog, dict[str, Any]]:
    """List the pictures, with what was so the last time and is not typed now, and say that.

    Returns
    -------
    catalog : Catalog
    listing : dict
        How it is listed, for the record.
    """
    from extract.catalog.alike_labels import alike_labels
    from extract.catalog.imagefolder import FILE_NAME
    from extract.catalog.manifest import ManifestColumns, list_manifest
    from extract.storage.catalog_source import (
        FOLDER,
        OPTIONS,
        TABLE,
        described,
        last_listing,
        last_record,
        settled,
    )

    kind = TABLE if place.manifest is not None else FOLDER
    typed = {name: context.params[name] for name in OPTIONS if cl.was_typed(context, name)}
    if place.images_dir is not None:
        typed["images_dir"] = str(place.images_dir)
    name = place.name or workspace.data.name
    record = last_record(workspace, name, place.output)
    last = last_listing(workspace, record, kind)
    if kind == FOLDER:
        _refuse_another_way(name, last_listing(workspace, record, TABLE))
    if place.manifest and last.get("images_dir") == str(place.manifest.parent.resolve()):
        del last["images_dir"]
    taken, kept = settled(typed, last)
    named = [taken.get(name) for name in OPTIONS[1:]]
    if place.manifest is not None:
        columns = ManifestColumns(taken.get("image_column") or IMAGE_COLUMN, *named)
        root = taken.get("images_dir")
        listed = list_manifest(place.manifest, columns, images_dir=root, name=place.catalog)
    else:
        columns = ManifestColumns(FILE_NAME, *named)
        listed = _list_images(workspace, place.images, columns, place.catalog, quiet)
    notes = [*listed.notes, *alike_labels([*listed.levels, *listed.multi_labels])]
    if kept:
        notes.append(f"as the last time: {' '.join(kept)}; give an option an empty text to drop it")
    return replace(listed, notes=tuple(notes)), described(kind, taken)


def _refuse_another_way(name: str, table: Mapping[str, str]) -> None:
    """Refuse a folder where a table said ids or labels the last time: they would be lost."""
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
    workspace: Workspace,
    images: Path | None,
    columns: ManifestColumns,
    name: str | None,
    quiet: bool,
) -> Catalog:
    """List the folder given; without one data/ if it holds pictures, else the demo."""
    from extract.catalog.catalog import list_folder
    from extract.catalog.imagefolder import list_imagefolder, refuse_columns

    own = (workspace.cache, workspace.results)
    if images is not None:
        return list_imagefolder(images, columns=columns, name=name, leave_out=own)
    if workspace.data.exists():
        with suppress(NoPictures):
            listed = list_imagefolder(workspace.data, columns=columns, name=name)
            cl.log.info(f"no pictures given: taking those in {workspace.data}")
            return listed
    refuse_columns(workspace.data, columns)
    if workspace.demo.is_dir():
        cl.log.info(f"no pictures given: taking the demo catalogue, {workspace.demo}")
    else:
        from extract.commands.demo import draw_with_progress

        cl.log.info(
            f"no pictures given and none in {workspace.data}: drawing the demo catalogue "
            f"into {workspace.demo}"
        )
        draw_with_progress(workspace.demo, seed=0, quiet=quiet)
    return list_folder(workspace.demo, name=name)
