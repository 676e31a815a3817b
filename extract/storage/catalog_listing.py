"""The catalogue that an embeddings file was made of, read back from it: all of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from extract.catalog.catalog import Catalog, ids_fingerprint
from extract.storage.embeddings_file import read_table
from extract.storage.labels_file import labels_path, read_labels

OF_FOLDERS = "/"


def listed_catalog(path: Path, root: Path) -> tuple[Catalog, str | None]:
    """Read ids, paths, labels, columns and groups of a file, of pictures that were refused too.

    Parameters
    ----------
    path : Path
        Of the embeddings file.
    root : Path
        Of the workspace, as seen from which the pictures' folder is recorded.

    Returns
    -------
    catalog : Catalog
    separator : str or None
        What stands between the levels of a label; None where they are columns of their own.

    Raises
    ------
    EmbeddingsFileError
        When the file, or that of its labels, cannot be read.
    """
    table = read_table(path)
    labels = read_labels(labels_path(path), ids_fingerprint(table.ids), len(table))
    record = table.provenance.record
    listing = record.get("listing")
    listing = listing if isinstance(listing, Mapping) else {}
    separator = listing.get("label_separator")
    if listing.get("from") == "folder" and not listing.get("label_column"):
        separator = OF_FOLDERS if len(labels.levels) > 1 else None
    recorded = record.get("images_root")
    images = Path(recorded) if isinstance(recorded, str) else Path()
    catalog = Catalog(
        path.parent.name,
        images if root == Path.cwd() else root / images,
        table.ids,
        table.paths,
        labels.levels,
        labels.columns,
        multi_labels=labels.multi_labels,
        group_column=labels.group_column,
    )
    return catalog, separator if isinstance(separator, str) and labels.levels else None
