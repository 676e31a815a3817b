"""Augmented views of pictures, embedded once: files next to the plain one, row by row."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extract.errors import EmbeddingsFileError, LaterFormat, UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance, canonical_json
from extract.storage.embeddings_file import read_embeddings, read_provenance
from extract.workspace import VIEWS

log = logging.getLogger("sosie")


@dataclass(frozen=True, eq=False)
class StoredViews:
    """Views in step with the rows of a plain file.

    Parameters
    ----------
    features : ndarray of shape (n_views, n_images, n_dims), float32
    notes : tuple of str
    """

    features: np.ndarray
    notes: tuple[str, ...] = ()


def find_views(plain: Path, provenance: Provenance) -> list[Path]:
    """Return the files with the identity of a plain file but for ``view``, by view's number.

    One that cannot be read is left out, with a warning.

    Raises
    ------
    LaterFormat
        When one is a later version's.
    UsageError
        When there are views of several policies or seeds: none is chosen silently.
    """
    wanted = canonical_json(dict(provenance.identity))
    found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path in sorted((plain.parent / VIEWS).glob("*.h5")):
        if path.name.endswith(".labels.h5"):
            continue
        try:
            identity: dict[str, Any] = dict(read_provenance(path).identity)
        except LaterFormat:
            raise
        except EmbeddingsFileError as error:
            log.warning("a view is left out: %s", error)
            continue
        view = identity.pop("view", None)
        if isinstance(view, dict) and canonical_json(identity) == wanted:
            number = view.get("index")
            kind = canonical_json({k: v for k, v in view.items() if k != "index"})
            found[kind].append((number if isinstance(number, int) else 0, path))
    if len(found) > 1:
        raise UsageError(
            f"views of {len(found)} kinds next to {plain.name} ({'; '.join(sorted(found))}): move "
            "those not meant out of the folder, or leave --views out"
        )
    return [path for each in found.values() for _, path in sorted(each)]


def read_views(plain: Path, embeddings: EmbeddingSet) -> StoredViews | None:
    """Read the views of a plain file, in the order of its rows; None where there are none.

    A picture that a view lacks is itself in its place.

    Raises
    ------
    UsageError
        When there are views of several policies or seeds.
    """
    paths = find_views(plain, embeddings.provenance)
    if not paths:
        return None
    features = np.repeat(embeddings.vectors[None], len(paths), axis=0)
    row_of = {row_id: i for i, row_id in enumerate(embeddings.ids)}
    n_lacking = 0
    for number, path in enumerate(paths):
        view = read_embeddings(path)
        there = [i for i, row_id in enumerate(view.ids) if row_id in row_of]
        features[number, [row_of[view.ids[i]] for i in there]] = view.vectors[there]
        n_lacking += len(embeddings) - len(there)
    notes: tuple[str, ...] = ()
    if n_lacking:
        notes = (f"{n_lacking} rows of the views are missing: the plain picture stands for them",)
    return StoredViews(features, notes)
