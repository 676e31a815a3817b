"""A catalogue as embedding-atlas opens it: vectors, a map, neighbors, pictures and labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.neighbors.indexes.exact_search import ExactIndex
from analyze.reduction.reduction import Reduced
from extract.errors import UsageError, cannot_write
from extract.files.durability import written_whole
from extract.storage.embeddings import EmbeddingSet
from extract.storage.exchange.export import arrow_table, check_can_export, load_pyarrow

N_NEIGHBORS = 15
"""As many as embedding-atlas computes by default."""


@dataclass(frozen=True)
class AtlasFile:
    """A table for embedding-atlas, as written.

    Parameters
    ----------
    file : str
    n_images, n_dims, n_neighbors : int
    reduction : str
        Of the map, as typed.
    seed : int
    notes : tuple of str
    """

    file: str
    n_images: int
    n_dims: int
    n_neighbors: int
    reduction: str
    seed: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What was written, with the keys that programs read."""
        return {**vars(self), "notes": list(self.notes)}

    def text(self) -> str:
        """What was written and how it is opened, for people."""
        lines = [
            self.file,
            f"{self.n_images} rows of {self.n_dims} numbers, {self.n_neighbors} neighbors each, "
            f"map by {self.reduction}, seed {self.seed}",
            f"open it: embedding-atlas {self.file} --x x --y y --neighbors neighbors",
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def write_atlas(
    path: Path,
    embeddings: EmbeddingSet,
    reduced: Reduced,
    *,
    images: Path | None = None,
    n_neighbors: int = N_NEIGHBORS,
    overwrite: bool = False,
) -> AtlasFile:
    """Write a parquet file that embedding-atlas opens as it is, whole or not at all.

    Columns are ``id``, ``vector``, ``image`` (the picture's path), ``x`` and ``y`` of the map,
    ``neighbors`` (row numbers ``ids`` and cosine ``distances``, each row its own first), labels
    and other columns.

    Parameters
    ----------
    path : Path
    embeddings : EmbeddingSet
    reduced : Reduced
        Of the same rows; of more than two dimensions the first two principal components.
    images : Path, optional
        Folder of the pictures; without it paths are as the catalogue has them.
    n_neighbors : int
        Of fewer rows all are taken.
    overwrite : bool

    Raises
    ------
    UsageError
        When the file is there, or the rows do not span a plane.
    SosieError
        When it cannot be written, or pyarrow is not installed.
    """
    check_can_export(path, "parquet", overwrite=overwrite)
    arrow = load_pyarrow()
    import pyarrow.parquet

    flat = reduced.plane
    if flat is None:
        raise UsageError("the rows do not span a plane, so there is no map: give another --reduce")
    rows, distances = nearest_rows(embeddings.vectors, n_neighbors)
    paths = embeddings.paths or embeddings.ids
    shown = [each if images is None else str(images / each) for each in paths]
    columns = {
        "image": arrow.array([_utf8(each) for each in shown], arrow.string()),
        "x": arrow.array(flat.points[:, 0].astype(np.float32)),
        "y": arrow.array(flat.points[:, 1].astype(np.float32)),
        "neighbors": arrow.array(
            [
                {"ids": i, "distances": d}
                for i, d in zip(rows.tolist(), distances.tolist(), strict=True)
            ],
            arrow.struct(
                [("ids", arrow.list_(arrow.int64())), ("distances", arrow.list_(arrow.float32()))]
            ),
        ),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            pyarrow.parquet.write_table(arrow_table(embeddings, columns), temporary)
    except OSError as error:
        raise cannot_write(path, error) from error
    blank = int((~embeddings.vectors.any(axis=1)).sum())
    notes = (f"{blank} rows of zeros have no neighbors but themselves",) if blank else ()
    return AtlasFile(
        str(path),
        len(embeddings),
        int(embeddings.vectors.shape[1]),
        rows.shape[1] - 1,
        reduced.reduction,
        reduced.seed,
        (*reduced.notes, *notes),
    )


def nearest_rows(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest others of each row by cosine, after the row itself.

    Returns
    -------
    rows : ndarray of shape (n, 1 + k), int64
        Of fewer rows with a direction all; a row of zeros is its own neighbor throughout.
    distances : ndarray of shape (n, 1 + k), float32
        1 - cosine.

    Examples
    --------
    >>> import numpy as np
    >>> rows, distances = nearest_rows(np.array([[1, 0], [1, 1], [0, 1]], np.float32), 1)
    >>> rows.tolist(), distances.round(3).tolist()
    ([[0, 1], [1, 0], [2, 1]], [[0.0, 0.293], [0.0, 0.293], [0.0, 0.293]])
    """
    directed = np.flatnonzero(vectors.any(axis=1))
    k = max(0, min(k, len(directed) - 1))
    rows = np.repeat(np.arange(len(vectors))[:, None], 1 + k, axis=1)
    distances = np.zeros(rows.shape, np.float32)
    if k:
        found = ExactIndex(vectors).find(
            vectors[directed], k, [directed[i : i + 1] for i in range(len(directed))]
        )
        rows[directed, 1:] = np.stack(found.rows)
        distances[directed, 1:] = np.maximum(0, 1 - np.stack(found.similarities))
    return rows, distances


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
