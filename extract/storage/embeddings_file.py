"""The embeddings file, format 1: laid out whole first, then filled in place.

A finished row is never lost, an unfinished row is never shown as finished, a row is never another
picture's. While it is filled no HDF5 handle is open for writing: rows go to their place with
``pwrite``, then ``fdatasync``, and only then their status marks them as sound.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.catalog.catalog import ids_fingerprint
from extract.errors import EmbeddingsFileError, LaterFormat, of_later_format
from extract.files.private_memory import changed, inode_of, state_of
from extract.files.sandboxed_open import crash_on_open
from extract.files.strict_json import read_json, with_check_sum, without_check_sum
from extract.files.strings_dataset import (
    is_there,
    open_strings,
    plain_dataset,
    plain_group,
    read_strings,
    refuse_overlaps,
    text_attribute,
    whole_attribute,
)
from extract.ids import shown
from extract.storage.embeddings import EmbeddingSet, Provenance, canonical_json, sha256_of
from extract.storage.embeddings_table import (
    LATER_FIELDS,
    ROW_FIELDS,
    EmbeddingsTable,
    Rows,
    blank_fields,
)
from extract.storage.labels_file import labels_path, read_labels
from extract.storage.provenance_check import (
    refuse_odd_ids,
    refuse_unknown_execution_configs,
    refuse_unusable,
)
from extract.workspace import AnyPath

log = logging.getLogger("sosie")

FORMAT = "sosie-embeddings"
FORMAT_VERSION = 1
RECORD_BYTES = 8192
HEADER_BYTES = 1 << 20
"""Attributes lie near the start of the file, before any dataset of size."""


def padded_record(record: Mapping[str, Any]) -> str:
    """Spell the record with room to grow, since it is rewritten in place when a run ends."""
    text = canonical_json(with_check_sum(record))
    for least in ("command", "versions", "images_root"):
        if len(text) > RECORD_BYTES:  # a record must never keep a run from its work
            record = {**record, least: None}
            text = canonical_json(with_check_sum(record))
    return text.ljust(RECORD_BYTES)


def read_provenance(path: Path) -> Provenance:
    """Read only the head of a file: cheap, for listing files.

    Raises
    ------
    EmbeddingsFileError
    """
    with _opened(path) as file:
        provenance = _read_provenance(file)
    _report_damaged_record(path, provenance)
    return provenance


def read_list_of_pictures(path: Path) -> tuple[str, int]:
    """Read which list of pictures a file is of: its fingerprint, and how many there are.

    Raises
    ------
    EmbeddingsFileError
    """
    with _opened(path) as file:
        n_rows = int(_datasets(file)["embeddings"].shape[0])
        return text_attribute(file, "catalog_fingerprint"), n_rows


def read_table(path: Path, *, trusted: bool = False) -> EmbeddingsTable:
    """Open an embeddings file, also one that is being filled, and check that it is one.

    Parameters
    ----------
    path : Path
    trusted : bool
        Whether this process has just written it whole, so that HDF5 cannot crash on it.

    Raises
    ------
    EmbeddingsFileError
        When it is not there, not of this format, of a later version, or its parts disagree.
    """
    with _opened(path, trusted=trusted) as file:
        table = _read_open_table(path, file)
    _report_damaged_record(path, table.provenance)
    return table


@contextmanager
def _opened(path: Path, *, trusted: bool = False) -> Iterator[h5py.File]:
    """Open a file for reading; whatever is wrong with it becomes one line."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "is not there"
        raise EmbeddingsFileError(
            f"no embeddings file: {path} {what}; make one with python -m extract"
        )
    crashed = None if trusted else crash_on_open(path, lambda: _look_over(path))
    if crashed:
        raise _unreadable(path, crashed)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except EmbeddingsFileError:
        raise
    except Exception as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, PermissionError):
            raise EmbeddingsFileError(
                f"{shown(str(path))}: Permission denied; let this user read it, or name another"
            ) from error
        raise _unreadable(path, shown(detail[:200])) from error


def _unreadable(path: Path, why: str) -> EmbeddingsFileError:
    return EmbeddingsFileError(
        f"{shown(str(path))} is not a readable embeddings file ({why}): name another, or, if it "
        "is one of python -m extract's that was damaged, move it away and run that again"
    )


def _look_over(path: Path) -> None:
    """Make the calls of HDF5 that reading a file makes; its rows are not read."""
    with h5py.File(path, "r", locking=False) as file:
        _read_provenance(file)
        _datasets(file)


def _read_provenance(file: h5py.File) -> Provenance:
    if text_attribute(file, "format") != FORMAT:
        raise ValueError(f"its format attribute is not {FORMAT!r}")
    version = whole_attribute(file, "format_version")
    if version < 1:
        raise ValueError(f"there is no format {version}")
    if version > FORMAT_VERSION:
        raise LaterFormat(of_later_format(shown(str(file.filename)), version, FORMAT_VERSION))
    checked = _is_checked(file)
    provenance = Provenance(
        identity=read_json(text_attribute(file, "identity")),
        execution_configs=tuple(read_json(text_attribute(file, "realisations"))),
        record=_read_record(text_attribute(file, "record")),
    )
    if provenance.identity_sha256 != text_attribute(file, "identity_sha256"):
        raise ValueError("its identity does not fit its hash")
    refuse_unusable(provenance)
    if checked and sha256_of(list(provenance.execution_configs)) != text_attribute(
        file, "realisations_sha256"
    ):
        raise ValueError("its execution configs do not fit their hash")
    return provenance


def _is_checked(file: h5py.File) -> bool:
    """Whether all of the file has check sums; those of earlier versions lack some."""
    return "realisations_sha256" in file.attrs or is_there(file, "fields_crc32")


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Open every dataset of the format, each only as plain bytes of its own; none is read."""
    found = {"embeddings": plain_dataset(file, "embeddings", "<f4", 2)}
    checked = _is_checked(file)
    for name, (dtype, shape) in ROW_FIELDS.items():
        if checked or name not in LATER_FIELDS or is_there(file, name):
            found[name] = plain_dataset(file, name, dtype, 1 + len(shape))
    for name in ("ids", "paths"):
        if name == "ids" or plain_group(file, name) is not None:
            found[f"{name}/bytes"], found[f"{name}/offsets"] = open_strings(file, name)
    refuse_overlaps(file, found)
    return found


def _read_open_table(path: Path, file: h5py.File) -> EmbeddingsTable:
    provenance = _read_provenance(file)
    found = _datasets(file)
    n_rows, n_dims = found["embeddings"].shape
    if not n_rows or not n_dims:
        raise ValueError(f"its embeddings are {n_rows} rows of {n_dims} numbers")
    stored = [name for name in ROW_FIELDS if name in found]
    for name in stored:
        if found[name].shape != (n_rows, *ROW_FIELDS[name][1]):
            raise ValueError(f"{name} has shape {found[name].shape} for {n_rows} rows")
    ids = read_strings(file, "ids", n_rows)
    refuse_odd_ids(ids)
    if ids_fingerprint(ids) != text_attribute(file, "catalog_fingerprint"):
        raise ValueError("its ids do not fit their fingerprint")
    paths = read_strings(file, "paths", n_rows) if "paths/bytes" in found else ids
    # of files of this version: a path that is another shows another product's picture
    if "paths_sha256" in file.attrs and ids_fingerprint(paths) != text_attribute(
        file, "paths_sha256"
    ):
        raise ValueError("its paths do not fit their hash")
    fields = blank_fields(n_rows) | {name: found[name][()] for name in stored}
    refuse_unknown_execution_configs(provenance, fields["status"], fields["realisation"])
    offsets = {name: found[name].id.get_offset() for name in ("embeddings", *stored)}
    return EmbeddingsTable(
        path=path,
        provenance=provenance,
        ids=ids,
        paths=paths,
        rows=Rows(
            vectors=np.memmap(path, "<f4", "r", offsets["embeddings"], (n_rows, n_dims)),
            **fields,
        ),
        offsets=offsets,
        inode=inode_of(file.id.get_vfd_handle()),
    )


def _read_record(text: str) -> dict[str, Any]:
    """Read the record; a torn one is no reason to refuse a file, since nothing depends on it."""
    try:
        return without_check_sum(read_json(text))[0]
    except ValueError:
        return {}


def _report_damaged_record(path: Path, provenance: Provenance) -> None:
    """Warn that a file has no record, which every run writes: it is damaged."""
    if not provenance.record:
        _warn_of_record(path, path.stat().st_mtime_ns)


@cache
def _warn_of_record(path: Path, _mtime_ns: int) -> None:
    """Warn once of each state of a file."""
    log.warning(
        "%s: its record is damaged and counts as empty: where its pictures lie is not known; "
        "python -m extract writes it again",
        shown(str(path)),
    )


def read_embeddings(path: AnyPath) -> EmbeddingSet:
    """Read the sound rows of an embeddings file with their labels.

    Rows that are to do, refused, damaged or not finite are left out and counted. Where a catalogue
    was listed with ``--pictures mean``, a product is one row, the mean of its pictures' vectors.

    Raises
    ------
    EmbeddingsFileError
        When the file cannot be read, changes meanwhile, or holds no sound row.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from extract import extract_embeddings, list_folder, load_backbone, read_embeddings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (8, 8), "red").save(f"{folder}/red.png")
    ...     backbone, file = load_backbone("efficientnet_lite0"), f"{folder}/vectors.h5"
    ...     _ = extract_embeddings(list_folder(folder), backbone, file)
    ...     read_embeddings(file)
    EmbeddingSet(1 x 1280, efficientnet_lite0 pad)
    """
    path = Path(path)
    before = state_of(path)
    table = read_table(path)
    vectors, proven, finite = table.private_vectors()
    counts = table.counts(proven)
    if "damaged" in counts and state_of(path) != before:
        raise changed(path, "was written over")
    refused = counts["refused"]
    left_out = {
        "to_do": counts["to_do"],
        **refused,
        "damaged": counts.get("damaged", 0),
        "not_finite": refused.get("not_finite", 0) + int((proven & ~finite).sum()),
    }
    rows = np.flatnonzero(proven & finite)
    if not len(rows):
        raise EmbeddingsFileError(
            f"{path} holds no sound row yet: run python -m extract, or see why with "
            f"python -m extract show {path}"
        )
    content = table.rows.content_sha256[rows]  # zeros where it is not known
    labels = read_labels(labels_path(path), ids_fingerprint(table.ids), len(table))
    found = EmbeddingSet(
        ids=tuple(table.ids[i] for i in rows),
        vectors=vectors,
        provenance=table.provenance,
        levels=tuple(level.take(rows) for level in labels.levels),
        columns={name: tuple(values[i] for i in rows) for name, values in labels.columns.items()},
        left_out={reason: int(count) for reason, count in left_out.items() if count},
        content_sha256=content if content.any() else None,
        paths=None if table.paths == table.ids else tuple(table.paths[i] for i in rows),
        multi_labels=tuple(column.take(rows) for column in labels.multi_labels),
        group_column=labels.group_column,
    )
    if labels.position_column is None:
        return found
    products = found.mean_of_groups(labels.position_column)
    log.info(
        "%s: %d pictures of %d products, each the mean of its pictures' vectors",
        shown(path.name),
        len(found),
        len(products),
    )
    return products
