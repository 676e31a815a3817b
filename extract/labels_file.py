"""Labels by level and the manifest's other columns, in a file beside the embeddings.

It is rewritten whole and renamed, so that a change of labels never touches an embedding.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from extract.catalog import Catalog, Level
from extract.errors import EmbeddingsFileError
from extract.strings_dataset import plain_dataset, read_strings, write_strings


def labels_path(embeddings: Path) -> Path:
    """Name the labels' file of an embeddings file: same stem, ``.labels.h5``."""
    return embeddings.with_name(f"{embeddings.stem}.labels.h5")


def write_labels(path: Path, catalog: Catalog) -> None:
    """Write the labels of a catalogue whole under a temporary name, then rename.

    Groups are numbered and carry their name as an attribute: a column's name may hold a slash.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["format"] = "sosie-labels"
            file.attrs["format_version"] = 1
            file.attrs["catalog_fingerprint"] = catalog.fingerprint
            for i, level in enumerate(catalog.levels):
                group = file.create_group(f"levels/{i}")
                group.attrs["name"] = level.name
                group.create_dataset("codes", data=level.codes)
                write_strings(group.create_group("categories"), level.categories)
            for i, (name, values) in enumerate(catalog.columns.items()):
                group = file.create_group(f"columns/{i}")
                group.attrs["name"] = name
                write_strings(group, values)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def store_labels(path: Path, catalog: Catalog) -> None:
    """Write the labels of a catalogue unless the file there already says the same."""
    try:
        levels, columns = read_labels(path, catalog.fingerprint, len(catalog))
        same_levels = [(v.name, v.values()) for v in levels] == [
            (v.name, v.values()) for v in catalog.levels
        ]
        if path.exists() and same_levels and columns == dict(catalog.columns):
            return
    except EmbeddingsFileError:
        pass  # another list of pictures, or damaged: written anew
    write_labels(path, catalog)


def read_labels(
    path: Path, catalog_fingerprint: str, n_images: int
) -> tuple[tuple[Level, ...], Mapping[str, tuple[str, ...]]]:
    """Read levels and columns; nothing where there is no such file.

    Raises
    ------
    EmbeddingsFileError
        When the labels belong to another list of pictures, or the file is not one of ours.
    """
    if not path.exists():
        return (), {}
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("catalog_fingerprint") != catalog_fingerprint:
                raise EmbeddingsFileError(
                    f"{path} belongs to another list of pictures; "
                    "run the extract command again to write it anew"
                )
            levels = tuple(
                _read_level(file, f"levels/{i}", n_images)
                for i in range(len(file.get("levels", ())))
            )
            columns = {
                str(file[f"columns/{i}"].attrs["name"]): read_strings(
                    file, f"columns/{i}", n_images
                )
                for i in range(len(file.get("columns", ())))
            }
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise EmbeddingsFileError(
            f"{path} cannot be read ({type(error).__name__}); delete it and run extract again"
        ) from error
    return levels, columns


def _read_level(file: h5py.File, name: str, n_images: int) -> Level:
    codes = plain_dataset(file, f"{name}/codes", np.int32, 1)[()]
    if len(codes) != n_images:
        raise ValueError(f"{len(codes)} codes for {n_images} pictures")
    return Level(str(file[name].attrs["name"]), read_strings(file, f"{name}/categories"), codes)
