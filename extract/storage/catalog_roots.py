"""Which folder a stored catalogue's pictures came from."""

from __future__ import annotations

from pathlib import Path

from extract.catalog.catalog import Catalog
from extract.errors import EmbeddingsFileError, UsageError
from extract.sources.archive_files import archive_files
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_provenance
from extract.workspace import Workspace


def recorded_root(workspace: Workspace, catalog: Catalog) -> str:
    """Spell the pictures' folder for the record: relative inside the workspace, which may move."""
    root = catalog.images_root
    return workspace.relative(root) if isinstance(root, Path) else str(root)


def check_root(workspace: Workspace, catalog: Catalog, output: Path | None = None) -> None:
    """Refuse a name, or a file, that stands for other pictures already.

    Raises
    ------
    UsageError
        With the two folders and the option that gives these a place of their own.
    """
    wanted = recorded_root(workspace, catalog)
    stored = workspace.stored_embeddings(catalog.name) if output is None else (output,)
    for path in stored:
        try:
            root = read_provenance(path).record.get("images_root")
        except EmbeddingsFileError:
            continue  # not there, or reported when that file is used
        if root is not None and root != wanted:
            what, way_out = (
                (f"the name {catalog.name!r}", "--catalog NAME")
                if output is None
                else (f"the file {output}", "--output FILE")
            )
            raise UsageError(
                f"{what} stands for pictures in {root} already, not in {wanted}: "
                f"give these another with {way_out}"
            )


def pictures_root(
    workspace: Workspace, provenance: Provenance, given: Path | None = None
) -> Path | None:
    """Find a file's pictures: in the folder given, else in its own if the workspace holds that.

    A file from elsewhere must not make us open other people's paths.

    Returns
    -------
    Path or None
        None where no folder may be opened.

    Raises
    ------
    UsageError
        When the folder given is not there.
    """
    if given is not None:
        archives = archive_files(given)
        if archives is not None:  # paths lead through them
            return Path(str(archives.root))
        if not given.is_dir():
            raise UsageError(f"no folder {given}: give the pictures' folder with --images DIR")
        return given.resolve()
    recorded = provenance.record.get("images_root")
    if not isinstance(recorded, str):
        return None
    try:
        root = (workspace.root / recorded).resolve()
        inside = root.is_relative_to(workspace.root) and root.is_dir()
    except (OSError, ValueError):  # no path at all: NUL, lone surrogates, far too long
        return None
    return root if inside else None
