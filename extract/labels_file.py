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
from extract.errors import EmbeddingsFileError, cannot_write
from extract.strings_dataset import plain_dataset, plain_group, read_strings, write_strings

FORMAT = "sosie-labels"
FORMAT_VERSION = 1


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
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
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
    except (OSError, RuntimeError) as error:  # h5py raises either
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def store_labels(path: Path, catalog: Catalog) -> str | None:
    """Write the labels of a catalogue unless the file there already says the same.

    Returns
    -------
    str or None
        What has changed, for people; None for new or equal labels.
    """
    before = None
    try:
        levels, columns = read_labels(path, catalog.fingerprint, len(catalog))
        same_levels = [(v.name, v.values()) for v in levels] == [
            (v.name, v.values()) for v in catalog.levels
        ]
        if path.exists() and same_levels and columns == dict(catalog.columns):
            return None
        before = levels if path.exists() else None
    except EmbeddingsFileError:
        pass  # another list of pictures, or damaged: written anew
    write_labels(path, catalog)
    if before is None:
        return None
    old, new = (", ".join(v.name for v in levels) or "none" for levels in (before, catalog.levels))
    return f"labels and columns are written anew (levels {new}; before: {old})"


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
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("format") != FORMAT or file.attrs["format_version"] > FORMAT_VERSION:
                raise ValueError("another format")
            if file.attrs.get("catalog_fingerprint") != catalog_fingerprint:
                raise EmbeddingsFileError(
                    f"{path} belongs to another list of pictures; "
                    "run the extract command again to write it anew"
                )
            levels = tuple(
                _read_level(file, f"levels/{i}", n_images)
                for i in range(len(plain_group(file, "levels") or ()))
            )
            columns = {
                _name(file, f"columns/{i}"): read_strings(file, f"columns/{i}", n_images)
                for i in range(len(plain_group(file, "columns") or ()))
            }
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise EmbeddingsFileError(
            f"{path} cannot be read ({type(error).__name__}); delete it and run extract again"
        ) from error
    return levels, columns


def _read_level(file: h5py.File, name: str, n_images: int) -> Level:
    codes = plain_dataset(file, f"{name}/codes", np.int32, 1)[()]
    if len(codes) != n_images:
        raise ValueError(f"{len(codes)} codes for {n_images} pictures")
    return Level(_name(file, name), read_strings(file, f"{name}/categories"), codes)


def _name(file: h5py.File, group: str) -> str:
    found = plain_group(file, group)
    if found is None:
        raise KeyError(group)
    return str(found.attrs["name"])
