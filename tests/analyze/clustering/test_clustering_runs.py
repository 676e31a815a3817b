"""Many clusterings: what no seed changes is computed once, whatever the method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analyze.clustering import runs as clustering_runs
from analyze.clustering.cache import ClusteringCache
from analyze.clustering.clustering import CLUSTERINGS, Clustering, cluster
from analyze.clustering.runs import KeptResults, Run, cluster_all
from analyze.reduction.reduction import Reduced, reduce
from extract.storage.embeddings import EmbeddingSet

Planted = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def embeddings(overlapping: Planted, embeddings_of: Callable[..., EmbeddingSet]) -> EmbeddingSet:
    return embeddings_of(overlapping[0])


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Method and seed of each clustering that is computed."""
    done = []

    def counted(reduced: Reduced, n_clusters: int, seed: int, method: str) -> Clustering:
        done.append((method, seed))
        return cluster(reduced, n_clusters, seed, method)

    monkeypatch.setattr(clustering_runs, "cluster", counted)
    return done


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_a_run_is_what_its_clustering_alone_says(embeddings: EmbeddingSet, method: str) -> None:
    runs = [Run(embeddings, "pca:3", 4, seed, method) for seed in (5, 6)]
    for run, found in zip(runs, cluster_all(runs, KeptResults(), n_jobs=1), strict=True):
        reduced = reduce(embeddings, "pca:3", run.seed)
        alone = cluster(reduced, 4, run.seed, method)
        np.testing.assert_array_equal(found.assignments, alone.assignments)
        assert (found.method, found.seed, found.n_clusters, found.notes) == (
            *(method, run.seed, alone.n_clusters),
            (*reduced.notes, *alone.notes),
        )


def test_kmeans_is_the_default(embeddings: EmbeddingSet) -> None:
    assert Run(embeddings, "none", 4, 0).method == "kmeans"


def test_what_no_seed_changes_is_computed_once(
    embeddings: EmbeddingSet, computed: list[tuple[str, int]]
) -> None:
    embeddings = embeddings.take(np.arange(60))
    runs = [
        Run(embeddings, reduction, 4, seed, method)
        for method in ("kmeans", "agglomerative", "hdbscan")
        for reduction in ("none", "pca:3,tsne:5")
        for seed in range(3)
    ]
    told: list[tuple[int, int]] = []
    found = cluster_all(runs, KeptResults(), n_jobs=1, progress=lambda *now: told.append(now))
    assert sorted(computed) == sorted(
        [("kmeans", seed) for seed in (0, 1, 2)] * 2
        + [(method, seed) for method in ("agglomerative", "hdbscan") for seed in (0, 0, 1, 2)]
    )
    assert [clustering.seed for clustering in found] == [run.seed for run in runs]
    assert told == [(i, 18) for i in range(1, 19)]
    for method, first in (("agglomerative", 6), ("hdbscan", 12)):
        assert [c.method for c in found[first : first + 6]] == [method] * 6
        for seed in (1, 2):
            same, other = found[first].assignments, found[first + seed].assignments
            np.testing.assert_array_equal(same, other)


def test_a_number_that_is_found_is_no_reason_to_compute_again(
    embeddings: EmbeddingSet, computed: list[tuple[str, int]]
) -> None:
    runs = [Run(embeddings, "none", k, 0, method) for method in ("hdbscan", "gmm") for k in (3, 4)]
    found = cluster_all(runs, KeptResults(), n_jobs=1)
    assert sorted(computed) == [("gmm", 0), ("gmm", 0), ("hdbscan", 0)]
    assert found[0].n_clusters == found[1].n_clusters == found[0].n_found
    assert [clustering.n_clusters for clustering in found[2:]] == [3, 4]


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_a_kept_clustering_is_read_by_its_method(
    embeddings: EmbeddingSet, tmp_path: Path, computed: list[tuple[str, int]], method: str
) -> None:
    kept = KeptResults(clusterings=tmp_path)
    runs = [Run(embeddings, "none", 4, seed, method) for seed in (1, 2)]
    first = cluster_all(runs, kept, n_jobs=1)
    n_computed = 2 if CLUSTERINGS[method].uses_chance else 1
    assert len(computed) == n_computed
    second = cluster_all(runs, kept, n_jobs=1)
    assert len(computed) == n_computed
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.assignments, other.assignments)
        assert (one.method, one.seed, one.n_clusters, one.notes) == (
            *(other.method, other.seed, other.n_clusters, other.notes),
        )
    assert cluster_all([Run(embeddings, "none", 4, 1)], kept, n_jobs=1)[0].method == "kmeans"


def test_chance_in_the_reduction_alone_keeps_seeds_apart(
    embeddings: EmbeddingSet, tmp_path: Path
) -> None:
    cache = ClusteringCache(tmp_path)
    for reduction, shared in (("none", True), ("pca:3", False)):
        reduced = reduce(embeddings, reduction, 1)
        cache.write(embeddings, reduction, cluster(reduced, 4, 1, "agglomerative"))
        kept = cache.read(embeddings, reduction, 4, 2, "agglomerative")
        assert (kept is not None) == shared
        assert cache.read(embeddings, reduction, 4, 1) is None
