"""Labels of webdataset's samples: files named as a picture is up to the first dot."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from extract.addresses import free_of_credentials
from extract.catalog.imagefolder import FILE_NAME, Metadata, MetadataRow
from extract.catalog.manifest_cells import MAX_COLUMNS, refuse_unstorable, spelled
from extract.errors import CatalogError
from extract.files.strict_json import read_json
from extract.ids import shown

TEXTS = ("cls", "txt", "text", "caption", "id")
JSON = "json"
MOST_BYTES = 64 << 10
"""Of one such file."""


def is_sample_file(name: str) -> bool:
    """Whether a member's name is that of a text or a JSON object about a picture."""
    return _split(name)[1].lower() in (*TEXTS, JSON)


def _split(name: str) -> tuple[str, str]:
    """Cut a name at the first dot of its last part, as webdataset does: a key and what it is.

    Examples
    --------
    >>> _split("a.b/0001.left.jpg")
    ('a.b/0001', 'left.jpg')
    """
    folder, last = posixpath.split(name)
    key, _, kind = last.partition(".")
    return posixpath.join(folder, key), kind


def read_samples(
    place: str, pictures: Sequence[str], files: Sequence[str], read: Callable[[str, int], bytes]
) -> Metadata:
    """Read what such files tell of pictures: a column for each kind of text and each JSON key.

    Parameters
    ----------
    place : str
        Of the archives, for errors.
    pictures, files : sequence of str
    read : callable
        Takes a file's name and the most bytes that it may have.

    Raises
    ------
    CatalogError
        When one cannot be read.
    """
    cells_of: dict[str, dict[str, str]] = {}
    wanted = {_split(name)[0] for name in pictures}
    for name in files:
        key, kind = _split(name)
        if key in wanted:
            cells = _cells(f"{place}, {shown(name)}", kind.lower(), read(name, MOST_BYTES))
            cells_of.setdefault(key, {}).update(cells)
    columns = dict.fromkeys(column for cells in cells_of.values() for column in cells)
    if len(columns) > MAX_COLUMNS:
        raise CatalogError(f"{place}: {len(columns)} columns; at most {MAX_COLUMNS} are read")
    rows = {
        name: MetadataRow(f"{place}, sample {shown(_split(name)[0])}", cells_of[_split(name)[0]])
        for name in pictures
        if _split(name)[0] in cells_of
    }
    listed = ", ".join(shown(column)[:40] for column in list(columns)[:12])
    notes = (f"{place}: files next to the pictures give the columns {listed}",) if columns else ()
    return Metadata(tuple(columns), rows, notes)


def _cells(where: str, kind: str, raw: bytes) -> Mapping[str, str]:
    try:
        text = raw.decode("utf-8").strip()
        found: Any = read_json(text) if kind == JSON else {kind: text}
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{where} is no {kind}: take it away, or write it again") from error
    if not isinstance(found, dict):
        raise CatalogError(f"{where} is no JSON object: take it away, or write it again")
    cells = {}
    for key, value in found.items():
        name = f"{JSON}.{key}" if kind == JSON and (key in TEXTS or key == FILE_NAME) else key
        cells[name] = free_of_credentials(spelled(value)[0])
        refuse_unstorable(where, name + cells[name])
    return cells
