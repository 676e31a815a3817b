"""Clusterings: equal to scikit-learn where it is right, and said where it is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from analyze.clustering import CLUSTERINGS, Clustering, cluster
from analyze.reduction import Reduced
from extract.errors import UsageError

Planted = tuple[np.ndarray, np.ndarray]
Wrap = Callable[..., Reduced]


@pytest.mark.parametrize("n_clusters", [1, 3, 7])
def test_kmeans_equals_scikit_learn(overlapping: Planted, unreduced: Wrap, n_clusters: int) -> None:
    vectors, _ = overlapping
    with threadpool_limits(1):
        expected = KMeans(n_clusters, n_init=10, random_state=4).fit(vectors).labels_
    clustering = cluster(unreduced(vectors), n_clusters, seed=4)
    np.testing.assert_array_equal(clustering.assignments, expected)
    assert (clustering.n_clusters, clustering.method, clustering.seed) == (n_clusters, "kmeans", 4)
    assert clustering.notes == ()


def test_kmeans_finds_the_best_of_all_partitions(unreduced: Wrap) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)

    def spread(assignments: np.ndarray) -> float:
        parts = [rows[assignments == c] for c in set(assignments.tolist())]
        return float(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))

    best = min(spread(np.array(a)) for a in itertools.product(range(3), repeat=9))
    assert spread(cluster(unreduced(rows), 3).assignments) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1.0, 1e10, 1e20, 1e37])
def test_planted_clusters_are_found_at_any_scale(
    separated: Planted, unreduced: Wrap, scale: float
) -> None:
    vectors, labels = separated
    clustering = cluster(unreduced(vectors * np.float32(scale)), 4)
    assert adjusted_rand_score(labels, clustering.assignments) == 1


def test_huge_numbers_are_said(separated: Planted, unreduced: Wrap) -> None:
    vectors, _ = separated
    assert cluster(unreduced(vectors * np.float32(1e20)), 4).notes


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_the_same_seed_gives_the_same_clusters(
    overlapping: Planted, unreduced: Wrap, method: str
) -> None:
    vectors, _ = overlapping
    first, second = (cluster(unreduced(vectors), 5, 11, method).assignments for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("n_clusters", [1, 2, 10, 200])
def test_assignments_lie_within_range_and_none_is_empty(
    overlapping: Planted, unreduced: Wrap, n_clusters: int
) -> None:
    vectors, _ = overlapping
    clustering = cluster(unreduced(vectors), n_clusters)
    assert set(clustering.assignments.tolist()) == set(range(n_clusters))


def test_the_coordinates_are_never_modified(overlapping: Planted, unreduced: Wrap) -> None:
    vectors = overlapping[0].copy()
    cluster(unreduced(vectors), 5)
    np.testing.assert_array_equal(vectors, overlapping[0], strict=True)


@pytest.mark.parametrize("n_clusters", [-1, 0, 10])
def test_a_number_that_does_not_fit_is_refused(unreduced: Wrap, n_clusters: int) -> None:
    rows = np.arange(18, dtype=np.float32).reshape(9, 2)
    with pytest.raises(UsageError, match="between 1 and 9"):
        cluster(unreduced(rows), n_clusters)


def test_an_unknown_clustering_names_the_choices(unreduced: Wrap) -> None:
    with pytest.raises(UsageError, match="'dbscan': choose one of kmeans"):
        cluster(unreduced(np.eye(4, dtype=np.float32)), 2, method="dbscan")


@pytest.mark.parametrize("copies", [2, 50])
def test_fewer_different_rows_lower_the_number_and_say_so(unreduced: Wrap, copies: int) -> None:
    rows = np.tile(np.eye(3, dtype=np.float32), (copies, 1))
    clustering = cluster(unreduced(rows), 5)
    assert (clustering.n_found, clustering.n_clusters) == (3, 5)
    assert [note for note in clustering.notes if "5 clusters lowered to 3" in note]
    assert adjusted_rand_score(np.tile(np.arange(3), copies), clustering.assignments) == 1


def test_different_rows_far_down_are_counted(unreduced: Wrap) -> None:
    rows = np.zeros((100, 2), dtype=np.float32)
    rows[-2:] = [[1, 0], [0, 1]]
    clustering = cluster(unreduced(rows), 3)
    assert clustering.n_found == 3
    assert clustering.notes == ()
    assert sorted(np.bincount(clustering.assignments)) == [1, 1, 98]


def test_zeros_of_both_signs_are_one_row(unreduced: Wrap) -> None:
    rows = np.array([[0.0], [-0.0], [0.0], [-0.0]], dtype=np.float32)
    assert cluster(unreduced(rows), 2).n_found == 1


@pytest.mark.parametrize("assignments", [[0, 1], [0, 1, 3], [0, -1, 1]])
def test_a_clustering_must_fit_its_ids_and_its_number(assignments: list[int]) -> None:
    with pytest.raises(ValueError, match="assignments must"):
        Clustering(("a", "b", "c"), np.array(assignments), 3, "kmeans", 0)
