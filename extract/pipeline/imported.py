"""Vectors from elsewhere, written as an embeddings file that every analysis reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from extract.catalog.catalog import Catalog
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError, cannot_write
from extract.ids import bytes_of, shown
from extract.images.reading import read_picture
from extract.refusals import SOUND, Refused
from extract.storage.arrays import read_arrays
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import Rows, blank_fields
from extract.storage.exchange.vector_files import LabelSource, VectorFile, read_labelled
from extract.storage.labels_file import labels_path, write_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter
from extract.workspace import Workspace

ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Imported:
    """Vectors with what is known of their rows, ready to be written.

    Parameters
    ----------
    catalog : Catalog
        Ids sorted by their bytes, labels and columns in step.
    vectors : ndarray of shape (n, n_dims), float32
    content_sha256 : ndarray of shape (n, 32), uint8
        Zeros where a picture is not known.
    provenance : Provenance
    file : str
        Where it was written, relative to the workspace.
    """

    catalog: Catalog
    vectors: np.ndarray
    content_sha256: np.ndarray
    provenance: Provenance
    file: str = ""

    def to_json(self) -> dict[str, Any]:
        """What was imported, with the keys that programs read."""
        known = self.content_sha256.any(axis=1)
        return {
            "file": self.file,
            "model": self.provenance.model,
            "identity": self.provenance.short_identity,
            "n_images": len(self.vectors),
            "n_dims": int(self.vectors.shape[1]),
            "levels": [level.name for level in self.catalog.levels],
            "multi_labels": [column.name for column in self.catalog.multi_labels],
            "columns": list(self.catalog.columns),
            "n_pictures_known": int(known.sum()),
        }

    def text(self) -> str:
        """What was imported, for people."""
        found = self.to_json()
        lines = [self.file, f"{found['n_images']} rows of {found['n_dims']} dimensions"]
        labels = [*found["levels"], *found["multi_labels"]]
        lines += [f"labels: {', '.join(labels)}"] if labels else ["no labels"]
        if not labels and found["columns"]:
            lines.append(
                f"note: kept as columns, not as labels: {', '.join(map(shown, found['columns']))}; "
                "for labels give --label-column NAME, with --overwrite"
            )
        n_known = found["n_pictures_known"]
        if n_known < found["n_images"]:
            lines.append(
                f"note: the pictures of {found['n_images'] - n_known} rows are not known; name "
                "their folder with --images-dir, and ids that are paths in it"
            )
        return "\n".join(lines)


def import_vectors(
    found: VectorFile, provenance: Provenance, catalog: str, images_dir: Path | None = None
) -> Imported:
    """What a file of vectors holds, checked and in the order of an embeddings file.

    Parameters
    ----------
    found : VectorFile
    provenance : Provenance
    catalog : str
    images_dir : Path, optional
        Where pictures lie by their ids; those that are there are hashed.

    Raises
    ------
    UsageError
        Naming the first row, id or label that cannot be taken.
    """
    labels = {
        name: [value or None for value in values] if isinstance(values, list) else values
        for name, values in found.labels.items()
        if name not in found.separators
    }
    ids, vectors, coded = read_arrays(found.vectors, found.ids, labels or None)
    if found.ids is None:  # as many digits in each, so that sorting them keeps the rows' order
        ids = tuple(f"{row:0{len(str(len(ids) - 1))}}" for row in range(len(ids)))
    order = np.array(sorted(range(len(ids)), key=lambda row: bytes_of(ids[row])))
    ids = tuple(ids[row] for row in order)
    content = _stored_contents(found, len(ids))[order]
    paths = tuple(found.paths[row] for row in order) if found.paths else ids
    if any("\0" in path for path in paths):
        raise UsageError("path: a path of a picture holds NUL; give another")
    if images_dir is not None:
        _hash_pictures(content, paths, images_dir)
    columns = {k: tuple(v[row] for row in order) for k, v in found.columns.items()}
    levels = tuple(level.take(order) for level in coded)
    several = tuple(
        _multi_label(name, found.labels[name], separator).take(order)
        for name, separator in found.separators.items()
    )
    root = images_dir or Path()
    listed = Catalog(
        catalog,
        root,
        ids,
        paths,
        levels,
        columns,
        multi_labels=several,
        group_column=found.group_column if found.group_column in columns else None,
    )
    return Imported(listed, vectors[order], content, provenance)


def import_file(
    workspace: Workspace,
    source: Path,
    ids: Path | None = None,
    labels: LabelSource | None = None,
    *,
    name: str | None = None,
    catalog: str | None = None,
    images_dir: Path | None = None,
    overwrite: bool = False,
) -> Imported:
    """Vectors of a file, written into a workspace as an embeddings file.

    Parameters
    ----------
    workspace : Workspace
    source : Path
        As of :func:`~extract.storage.exchange.vector_files.read_vectors`.
    ids : Path, optional
        A line per row, or a table with a column of ids.
    labels : LabelSource, optional
    name, catalog : str, optional
        The source's name without them. A name that was given says what made the vectors: a head
        trained on some predicts on others of that name.
    images_dir : Path, optional
        Where pictures lie, by their ids.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    UsageError
        When something cannot be taken, or the file is there.
    """
    found = read_labelled(source, ids, labels or LabelSource())
    named = {"named": True} if name else {}
    name = name or source.stem
    made: dict[str, Any] = {"model": name, "source": source.name}
    if images_dir is not None:
        images_dir = images_dir.resolve()
        made["images_root"] = workspace.relative(images_dir)
    identity = {"imported": name, **named, "sha256": _sha256_of(source)}
    provenance = Provenance(identity, ({"decoder": "imported"},), made)
    catalog = catalog or source.stem
    path = workspace.embeddings_file(catalog, name, provenance.short_identity)
    if path.exists() and not overwrite:
        raise UsageError(f"{workspace.relative(path)} is there already: give --overwrite")
    imported = import_vectors(found, provenance, catalog, images_dir)
    write_imported(path, imported)
    return replace(imported, file=workspace.relative(path))


def write_imported(path: Path, imported: Imported) -> None:
    """Write an embeddings file and its labels, whole or not at all.

    Raises
    ------
    EmbeddingsFileError
        When it cannot be written.
    """
    catalog, vectors = imported.catalog, imported.vectors
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".import-") as folder:
            draft = Path(folder) / path.name
            lay_out(draft, catalog, imported.provenance, vectors.shape[1])
            with closing(RowWriter(read_table(draft))) as writer:
                for first in range(0, len(vectors), ROWS_AT_ONCE):
                    places = np.arange(first, min(first + ROWS_AT_ONCE, len(vectors)))
                    writer.write(places, _rows(imported, places))
                writer.sync()
            write_labels(labels_path(draft), catalog)
            labels_path(draft).replace(labels_path(path))
            draft.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def _rows(imported: Imported, places: np.ndarray) -> Rows:
    fields = blank_fields(len(places))
    fields["status"][:] = SOUND
    fields["content_sha256"][:] = imported.content_sha256[places]
    fields["size"][:] = fields["mtime_ns"][:] = -1
    return Rows(imported.vectors[places].copy(), **fields)


def _multi_label(name: str, cells: Sequence[str], separator: str) -> MultiLabel:
    """Read texts that list several labels, as an export of our own spells them."""
    return MultiLabel.from_values(
        name, [{*filter(None, c.split(separator))} for c in cells], separator
    )


def _stored_contents(found: VectorFile, n_rows: int) -> np.ndarray:
    contents = np.zeros((n_rows, 32), np.uint8)
    for row, digits in enumerate(found.content_sha256 or ()):
        if digits:
            try:
                contents[row] = np.frombuffer(bytes.fromhex(digits), np.uint8)
            except ValueError as error:
                raise UsageError(
                    f"content_sha256: {shown(digits)!r} of row {row} is not 64 hexadecimal digits"
                ) from error
    return contents


def _hash_pictures(content: np.ndarray, paths: Sequence[str], images_dir: Path) -> None:
    """Fill in the sha256 of each picture that is not known and can be read in the folder."""
    for row in np.flatnonzero(~content.any(axis=1)).tolist():
        with suppress(Refused):
            picture = read_picture(images_dir, paths[row])
            content[row] = np.frombuffer(picture.sha256, np.uint8)


def _sha256_of(source: Path) -> str:
    """sha256 of a file; of a folder over those of its files, by name."""
    if source.is_file():
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        digest.update(bytes_of(path.relative_to(source).as_posix()) + b"\0")
        digest.update(bytes.fromhex(_sha256_of(path)))
    return digest.hexdigest()
