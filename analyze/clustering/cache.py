"""The cluster of each row kept between runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.array_cache import ArrayCache, check_texts
from analyze.clustering.clustering import CLUSTERINGS, Clustering, finds_number, number_of_clusters
from analyze.measures.contingency_metrics import NOISE
from analyze.reduction.cache import reduction_key
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True)
class ClusteringCache:
    """Keeps clusterings of reduced embeddings.

    Their notes are those of the reduction and of the clustering, so that nothing that had to be
    lowered goes unsaid where both are read.

    Parameters
    ----------
    folder : Path
        Deleting it costs time, never truth.
    """

    folder: Path

    def read(
        self,
        embeddings: EmbeddingSet,
        reduction: str,
        n_clusters: int,
        seed: int,
        method: str = "kmeans",
    ) -> Clustering | None:
        """Give what the same vectors, steps, seed, number and versions gave before, or None."""

        def build(assignments: np.ndarray, record: Mapping[str, Any]) -> Clustering:
            if assignments.ndim != 1 or assignments.dtype.kind not in "iu":
                raise ValueError(f"assignments must be whole numbers, got {assignments.dtype}")
            notes, number = (
                check_texts(record["notes"]),
                number_of_clusters(method, n_clusters, assignments),
            )
            return Clustering(embeddings.ids, assignments, number, method, seed, notes)

        return self._store.read(_key(embeddings, reduction, n_clusters, seed, method), build)

    def write(self, embeddings: EmbeddingSet, reduction: str, clustering: Clustering) -> None:
        """Keep a clustering; where it cannot be, a warning reports it."""
        key = _key(embeddings, reduction, clustering.n_clusters, clustering.seed, clustering.method)
        self._store.write(
            key, clustering.assignments.astype(np.int32), notes=list(clustering.notes)
        )

    @property
    def _store(self) -> ArrayCache:
        return ArrayCache(self.folder, "the clustering is")


def _key(
    embeddings: EmbeddingSet, reduction: str, n_clusters: int, seed: int, method: str
) -> dict[str, Any]:
    """Name all that a clustering depends on; null is what a method does not take."""
    spec = CLUSTERINGS.get(method)
    # what an earlier version kept has noise for its last cluster
    noise = {"noise": NOISE} if finds_number(method) else {}
    return {
        "reduction": reduction_key(embeddings, reduction, seed),
        "method": method,
        "n_clusters": n_clusters if spec is None or spec.takes_k else None,
        "seed": seed if spec is None or spec.uses_chance else None,
        **noise,
    }
