"""Labels by level and the manifest's other columns, in a file next to the embeddings.

It is rewritten whole and renamed, so that a change of labels never touches an embedding.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.catalog.catalog import Catalog, Level, check_group
from extract.catalog.multi_label import SEPARATOR, MultiLabel
from extract.errors import EmbeddingsFileError, LaterFormat, of_later_format
from extract.files.hdf5_output import replaced
from extract.files.private_memory import changed, state_of
from extract.files.sandboxed_open import crash_on_open
from extract.files.strings_dataset import (
    is_there,
    open_strings,
    plain_dataset,
    plain_group,
    strings_of,
    text_attribute,
    whole_attribute,
    write_strings,
)
from extract.ids import shown

FORMAT = "sosie-labels"
FORMAT_VERSION = 1
GROUP = "group_column"
"""The attribute that names the column of which rows stay together; there may be none."""
POSITION = "position_column"
"""The attribute that names the column of positions in a group; groups are averaged where it is."""


@dataclass(frozen=True, eq=False)
class StoredLabels:
    """What a labels' file holds, by row.

    Parameters
    ----------
    levels : tuple of Level
    columns : mapping of str to tuple of str
        The manifest's other columns.
    multi_labels : tuple of MultiLabel
    group_column : str, optional
        Of ``columns``: which rows stay together.
    position_column : str, optional
        Of ``columns``: positions in a group; groups are read as their mean where it is named.
    """

    levels: tuple[Level, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    multi_labels: tuple[MultiLabel, ...] = ()
    group_column: str | None = None
    position_column: str | None = None

    def __post_init__(self) -> None:
        check_group(self.group_column, self.columns, self.position_column)

    @property
    def products(self) -> tuple[str, ...] | None:
        """Of each row the product that is read as its mean; None where rows stay rows."""
        if self.position_column is None or self.group_column is None:
            return None
        return tuple(self.columns[self.group_column])


@dataclass(frozen=True)
class _Part:
    """A level or a column in the file; its datasets are open, and nothing of them is read.

    ``separator`` is that of a multi-label column.
    """

    name: str
    datasets: tuple[h5py.Dataset, ...]
    separator: str | None = None


Parts = dict[str, _Part]
"""Levels and columns by their place in the file."""


def labels_path(embeddings: Path) -> Path:
    """Name the labels' file of an embeddings file: same stem, ``.labels.h5``."""
    return embeddings.with_name(f"{embeddings.stem}.labels.h5")


def write_labels(path: Path, catalog: Catalog) -> None:
    """Write the labels of a catalogue whole under a temporary name, then rename.

    Groups are numbered and carry their name as an attribute: a column's name may hold a slash.
    """
    with replaced(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["catalog_fingerprint"] = catalog.ids_sha256
        if catalog.group_column is not None:
            file.attrs[GROUP] = catalog.group_column
        if catalog.position_column is not None:
            file.attrs[POSITION] = catalog.position_column
        parts: Parts = {}
        for i, level in enumerate(catalog.levels):
            group = file.create_group(f"levels/{i}")
            group.attrs["name"] = level.name
            codes = group.create_dataset("codes", data=level.codes)
            categories = write_strings(group.create_group("categories"), level.categories)
            parts[f"levels/{i}"] = _Part(level.name, (codes, *categories))
        for i, column in enumerate(catalog.multi_labels, start=len(catalog.levels)):
            group = file.create_group(f"levels/{i}")
            group.attrs["name"] = column.name
            group.attrs["separator"] = column.separator
            codes = group.create_dataset("codes", data=column.codes)
            offsets = group.create_dataset("offsets", data=column.offsets)
            categories = write_strings(group.create_group("categories"), column.categories)
            datasets = (codes, *categories, offsets)
            parts[f"levels/{i}"] = _Part(column.name, datasets, column.separator)
        for i, (name, values) in enumerate(catalog.columns.items()):
            group = file.create_group(f"columns/{i}")
            group.attrs["name"] = name
            parts[f"columns/{i}"] = _Part(name, write_strings(group, values))
        file.attrs["content_crc32"] = _crc32(parts)


def store_labels(path: Path, catalog: Catalog) -> str | None:
    """Write the labels of a catalogue unless the file there already holds the same.

    Returns
    -------
    str or None
        What has changed, for people; None for new or equal labels.

    Raises
    ------
    LaterFormat
        When the file there is a later version's, which is left as it is.
    """
    before = None
    try:
        found = read_labels(path, catalog.ids_sha256, len(catalog))
        same = _spelled(found) == _spelled(catalog) and found.columns == dict(catalog.columns)
        if path.exists() and same:
            return None
        before = found if path.exists() else None
    except LaterFormat:
        raise
    except EmbeddingsFileError:
        pass  # another list of pictures, or damaged: written again
    write_labels(path, catalog)
    if before is None:
        return None
    gone = [shown(name) for name in before.columns if name not in catalog.columns]
    lost = f"; no longer there: {', '.join(gone)}" if gone else ""
    return (
        f"labels and columns are written again (levels {_named(catalog)}; before: {_named(before)}"
        f"{lost})"
    )


def refuse_later_labels(path: Path) -> None:
    """Refuse to go on where a later version keeps the labels, before anything is written.

    Raises
    ------
    LaterFormat
    """
    try:
        read_labels(path, "", 0)
    except LaterFormat:
        raise
    except EmbeddingsFileError:
        pass  # of a list of pictures, as it should be, or damaged


def _spelled(labels: StoredLabels | Catalog) -> list[tuple[Any, ...]]:
    """Spell the labels of all rows, for comparing."""
    multi_labels = [(v.name, v.values(), v.separator) for v in labels.multi_labels]
    levels = [(v.name, v.values()) for v in labels.levels]
    return [*levels, *multi_labels, (labels.group_column, labels.position_column)]


def _named(labels: StoredLabels | Catalog) -> str:
    names = [level.name for level in labels.levels]
    names += [f"{column.name}, multi-label" for column in labels.multi_labels]
    return ", ".join(names) or "none"


def read_labels(path: Path, catalog_fingerprint: str, n_images: int) -> StoredLabels:
    """Read labels and columns; nothing where there is no such file.

    Raises
    ------
    EmbeddingsFileError
        When the labels belong to another list of pictures, or the file is not one of ours.
    """
    if not path.exists():
        return StoredLabels()
    if not path.is_file():  # a pipe would be waited for
        raise _unreadable(path, "is not a file")
    before = state_of(path)
    crashed = crash_on_open(path, lambda: _look_over(path))
    if crashed:
        raise _unreadable(path, crashed)
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = _read_open(file, catalog_fingerprint, n_images)
        if state_of(path) != before:  # its check sum may be that of other bytes than were read
            raise changed(path, "was written over")
        return found
    except EmbeddingsFileError:
        raise
    except Exception as error:
        raise _unreadable(path, type(error).__name__) from error


def _unreadable(path: Path, why: str) -> EmbeddingsFileError:
    return EmbeddingsFileError(
        f"{shown(str(path))} cannot be read ({why}); delete it and run extract again"
    )


def _look_over(path: Path) -> None:
    """Make the calls of HDF5 that reading a file makes; its rows are not read."""
    with h5py.File(path, "r", locking=False) as file:
        text_attribute(file, "format")
        whole_attribute(file, "format_version")
        text_attribute(file, "catalog_fingerprint")
        _stored_name(file, GROUP)
        _stored_name(file, POSITION)
        _stored_crc32(file)
        _parts(file)


def _read_open(file: h5py.File, catalog_fingerprint: str, n_images: int) -> StoredLabels:
    if text_attribute(file, "format") != FORMAT:
        raise ValueError("another format")
    version = whole_attribute(file, "format_version")
    if version > FORMAT_VERSION:
        raise LaterFormat(of_later_format(shown(file.filename), version, FORMAT_VERSION))
    if version < 1:
        raise ValueError("another format")
    if text_attribute(file, "catalog_fingerprint") != catalog_fingerprint:
        raise EmbeddingsFileError(
            f"{shown(file.filename)} belongs to another list of pictures; "
            "run the extract command again to write it"
        )
    parts = _parts(file)
    if _stored_crc32(file) not in (None, _crc32(parts)):
        raise _unreadable(Path(file.filename), "its check sum does not fit")
    levels, multi_labels, columns = [], [], {}
    for place, part in parts.items():
        if part.separator is not None:
            multi_labels.append(_read_multi_label(part, part.separator, n_images))
        elif place.startswith("levels/"):
            levels.append(_read_level(part, n_images))
        else:
            pooled, bounds = part.datasets
            columns[part.name] = strings_of(pooled, bounds, n_images)
    if len(levels) + len(multi_labels) + len(columns) < len(parts):
        raise ValueError("two columns of one name")
    group, position = _stored_name(file, GROUP), _stored_name(file, POSITION)
    return StoredLabels(tuple(levels), columns, tuple(multi_labels), group, position)


def _parts(file: h5py.File) -> Parts:
    """Open every level and column: its place, its name, its datasets, of which none is read."""
    found = {}
    for kind in ("levels", "columns"):
        for i in range(len(plain_group(file, kind) or ())):
            place = f"{kind}/{i}"
            group = plain_group(file, place)
            if group is None:
                raise KeyError(place)
            name, separator = text_attribute(group, "name"), None
            strings = f"{place}/categories" if kind == "levels" else place
            datasets: tuple[h5py.Dataset, ...] = open_strings(file, strings)
            if kind == "levels":
                datasets = (plain_dataset(file, f"{place}/codes", np.int32, 1), *datasets)
            if kind == "levels" and is_there(file, f"{place}/offsets"):
                datasets = (*datasets, plain_dataset(file, f"{place}/offsets", np.int64, 1))
                has_separator = "separator" in group.attrs
                separator = text_attribute(group, "separator") if has_separator else SEPARATOR
            found[place] = _Part(name, datasets, separator)
    return found


def _crc32(parts: Parts) -> int:
    """Sum up names and bytes: one label changed by a fault is as good as any other to look at."""
    crc = 0
    for place, part in parts.items():
        names = [place, part.name, *([] if part.separator is None else [part.separator])]
        crc = zlib.crc32(" ".join(names).encode("utf-8", "surrogateescape"), crc)
        for dataset in part.datasets:
            crc = zlib.crc32(dataset[()].data, zlib.crc32(str(dataset.shape).encode(), crc))
    return crc


def _stored_crc32(file: h5py.File) -> int | None:
    """Give the check sum; None in a file that was written before there was one."""
    return whole_attribute(file, "content_crc32") if "content_crc32" in file.attrs else None


def _stored_name(file: h5py.File, attribute: str) -> str | None:
    return text_attribute(file, attribute) if attribute in file.attrs else None


def _read_level(part: _Part, n_images: int) -> Level:
    codes, *strings = part.datasets
    if len(codes) != n_images:
        raise ValueError(f"{len(codes)} codes for {n_images} pictures")
    return Level(part.name, _read_categories(strings), codes[()])


def _read_multi_label(part: _Part, separator: str, n_images: int) -> MultiLabel:
    codes, *strings, offsets = part.datasets
    if len(offsets) != n_images + 1:
        raise ValueError(f"{len(offsets)} offsets for {n_images} pictures")
    return MultiLabel(part.name, _read_categories(strings), offsets[()], codes[()], separator)


def _read_categories(strings: Sequence[h5py.Dataset]) -> tuple[str, ...]:
    categories = strings_of(*strings)
    if len(set(categories)) < len(categories):
        raise ValueError("two categories of one name")
    return categories
