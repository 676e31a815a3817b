"""One backbone under one corruption: what became of each picture, kept between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from analyze.array_cache import ArrayCache, keyed_versions
from analyze.clustering.clustering import cluster
from analyze.head.prediction.head_file import StoredHead, check_identity
from analyze.head.prediction.predictions import ClassPredictions, predict
from analyze.neighbors.indexes.exact_search import ExactIndex
from analyze.unit_vectors import unit_rows
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.images.corruptions import FAMILIES, Corruption
from extract.storage.embeddings import EmbeddingSet

FIGURES = ("cosine", "found", "nearest_other", "cluster", "head_right")
"""Of each picture: its cosine with the stored row, whether that or a copy of it is the nearest of
all, the nearest row of another group, the cluster, and whether the head is right."""

NONE = -1
REVISION = 2
"""Raised whenever a corruption or a figure gives other numbers."""


@dataclass(frozen=True, eq=False)
class HeadTest:
    """A head, and the pictures that it was not trained on.

    Parameters
    ----------
    stored : StoredHead
    level : Level
        With the labels of all rows, that the head gives.
    """

    stored: StoredHead
    level: Level

    def __post_init__(self) -> None:
        if self.stored.multilabel is not None:
            raise UsageError("a head of several labels has no accuracy: leave --head out")
        if self.stored.stage:
            raise UsageError("a head with a last stage of its own embeds otherwise: leave it out")

    def right(self, embeddings: EmbeddingSet, rows: np.ndarray) -> np.ndarray:
        """Say of each row whether the head predicts its label; NaN where that tells nothing.

        Parameters
        ----------
        embeddings : EmbeddingSet
            Of corrupted pictures.
        rows : ndarray of shape (n,), int
            Which rows of the catalogue these are.

        Returns
        -------
        ndarray of shape (n,), float64
            NaN of pictures without a label, or that the head was trained on.
        """
        predicted = predict(self.stored, embeddings)
        assert isinstance(predicted, ClassPredictions)
        names = np.array([*self.stored.classes[-1], ""])[predicted.path[-1]]
        known, trained_on = self.level.values(), self.stored.training_ids
        right = np.full(len(rows), np.nan)
        for place, (row, row_id) in enumerate(zip(rows.tolist(), embeddings.ids, strict=True)):
            if known[row] is not None and row_id not in trained_on:
                right[place] = names[place] == known[row]
        return right

    def digest(self, rows: np.ndarray) -> str:
        """sha256 over its numbers, classes and training ids, and the labels of rows."""
        known = self.level.values()
        labels = [known[row] for row in rows.tolist()]
        trained_on = sorted(self.stored.training_ids)
        found = hashlib.sha256(repr((self.stored.classes, trained_on, labels)).encode())
        for name, numbers in sorted(self.stored.head.weights.items()):
            found.update(name.encode() + np.ascontiguousarray(numbers).tobytes())
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Reference:
    """The unaltered catalogue that corrupted pictures are held against.

    Parameters
    ----------
    embeddings : EmbeddingSet
        All rows of one backbone.
    rows : ndarray of shape (n,), int
        Those that are corrupted.
    copies : ndarray of shape (n_images,), int
        Pictures of equal bytes have one number: any of them is the original.
    groups : ndarray of shape (n_images,), int
        Copies and pictures of one product have one number: none of them is another picture.
    n_clusters : int or None
        None where there are no labels to hold clusters against.
    head : HeadTest or None
    seed : int
    """

    embeddings: EmbeddingSet
    rows: np.ndarray
    copies: np.ndarray
    groups: np.ndarray
    n_clusters: int | None
    head: HeadTest | None
    seed: int

    def __post_init__(self) -> None:
        if self.head is not None:
            check_identity(self.head.stored, self.embeddings.provenance)

    @cached_property
    def _index(self) -> ExactIndex:
        return ExactIndex(self.embeddings.vectors)

    @cached_property
    def _of_group(self) -> dict[int, np.ndarray]:
        groups = self.groups
        return {int(g): np.flatnonzero(groups == g) for g in np.unique(groups[self.rows])}

    def figures(self, vectors: np.ndarray) -> np.ndarray:
        """Hold corrupted pictures against the catalogue.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_dims), float32
            Of the rows, NaN where there is none.

        Returns
        -------
        ndarray of shape (5, n), float64
            :data:`FIGURES` of each picture; NaN where there is no vector or no such figure.
        """
        found = np.full((len(FIGURES), len(self.rows)), np.nan)
        there = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        if not len(there):
            return found
        rows, own = self.rows[there], vectors[there]
        stored = unit_rows(self.embeddings.vectors[rows]).astype(np.float64)
        cosines = (stored * unit_rows(own).astype(np.float64)).sum(axis=1)
        found[0, there] = np.clip(cosines, -1, 1)
        found[1, there], found[2, there] = self._nearest(rows, own)
        if self.n_clusters is not None and self.n_clusters <= len(there):
            found[3, there] = cluster(own, self.n_clusters, self.seed).assignments
        if self.head is not None:
            taken = self.embeddings.take(rows)
            corrupted = EmbeddingSet(taken.ids, own, taken.provenance)
            found[4, there] = self.head.right(corrupted, rows)
        return found

    def _nearest(self, rows: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether the row or a copy is the nearest of all, and the nearest of another group."""
        found, other = np.zeros(len(rows)), np.full(len(rows), NONE, float)
        directed = np.flatnonzero(vectors.any(axis=1))
        if not len(directed):
            return found, other
        alike = [self._of_group[int(self.groups[row])] for row in rows[directed]]
        queries = vectors[directed]
        nearest = self._index.find(queries, 1).rows
        others = self._index.find(queries, 1, alike).rows
        for place, first, second in zip(directed, nearest, others, strict=True):
            original = self.copies[rows[place]]
            found[place] = bool(len(first)) and self.copies[first[0]] == original
            other[place] = second[0] if len(second) else NONE
        return found, other


@dataclass(frozen=True)
class CellCache:
    """Keeps the figures of one backbone, corruption by corruption.

    Parameters
    ----------
    folder : Path or None
        None where nothing is kept.
    about : mapping
        All that the figures depend on but for the corruption; JSON values only.
    """

    folder: Path | None
    about: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path | None, reference: Reference, config: Mapping[str, Any]) -> CellCache:
        """Name what the figures of one backbone depend on."""
        digest = hashlib.sha256()
        for numbers in (reference.rows, reference.copies, reference.groups):
            digest.update(np.ascontiguousarray(numbers.astype(np.int64)).data)
        head = reference.head
        about = {
            "embeddings": reference.embeddings.fingerprint,
            "rows": digest.hexdigest(),
            "n_clusters": reference.n_clusters,
            "head": head.digest(reference.rows) if head else None,
            "config": {name: config[name] for name in ("decoder", "runtime", "device")},
            "seed": reference.seed,
            "revision": REVISION,
            "versions": keyed_versions(),
        }
        return cls(folder, about)

    def figures(
        self,
        corruption: Corruption | None,
        n: int,
        measure: Callable[[], np.ndarray],
        *,
        again: bool = False,
    ) -> np.ndarray:
        """Give what was kept, else measure and keep it; ndarray of shape (5, n), float64.

        Parameters
        ----------
        n : int
            Pictures.
        measure : callable
            () -> what is kept.
        again : bool
            Whether to measure in any case.
        """
        if self.folder is None:
            return measure()
        store = ArrayCache(self.folder, "what corrupted pictures gave is")
        key = {**self.about, "corruption": _key(corruption)}

        def check(figures: np.ndarray, record: Mapping[str, Any]) -> np.ndarray:
            del record
            if figures.shape != (len(FIGURES), n) or figures.dtype != np.float64:
                raise ValueError(f"figures of shape {figures.shape}")
            return figures

        kept = None if again else store.read(key, check)
        if kept is None:
            kept = measure()
            store.write(key, kept)
        return kept


def _key(corruption: Corruption | None) -> dict[str, Any] | None:
    if corruption is None:
        return None
    amount = FAMILIES[corruption.family].amounts[corruption.severity - 1]
    return {"family": corruption.family, "severity": corruption.severity, "amount": amount}
