"""Which folder a stored catalogue's pictures came from."""

from __future__ import annotations

from extract.catalog import Catalog
from extract.embeddings_file import read_provenance
from extract.errors import EmbeddingsFileError, UsageError
from extract.workspace import Workspace


def recorded_root(workspace: Workspace, catalog: Catalog) -> str:
    """Spell the pictures' folder for the record: relative inside the workspace, which may move."""
    return workspace.relative(catalog.images_root)


def check_root(workspace: Workspace, catalog: Catalog) -> None:
    """Refuse a name that stands for other pictures already.

    Raises
    ------
    UsageError
        With the two folders and the option that gives this one another name.
    """
    wanted = recorded_root(workspace, catalog)
    for path in workspace.stored_embeddings(catalog.name):
        try:
            stored = read_provenance(path).record.get("images_root")
        except EmbeddingsFileError:
            continue  # said when that file is used
        if stored is not None and stored != wanted:
            raise UsageError(
                f"the name {catalog.name!r} stands for pictures in {stored} already, not in "
                f"{wanted}: give these another with --catalog NAME"
            )
