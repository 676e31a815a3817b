"""Clusterings: equal to scikit-learn where it is right, and said where it is not."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, ward
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.datasets import make_circles
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from analyze.clustering import methods as clustering_methods
from analyze.clustering.clustering import CLUSTERINGS, Clustering, cluster
from analyze.commands import options
from analyze.measures.contingency_metrics import NOISE
from analyze.reduction.reduction import Reduced
from extract.errors import UsageError

Planted = tuple[np.ndarray, np.ndarray]
Wrap = Callable[..., Reduced]
GIVEN = [name for name, spec in CLUSTERINGS.items() if spec.takes_k]


@pytest.mark.parametrize("n_clusters", [1, 3, 7])
def test_kmeans_equals_scikit_learn(overlapping: Planted, unreduced: Wrap, n_clusters: int) -> None:
    vectors, _ = overlapping
    with threadpool_limits(1):
        expected = KMeans(n_clusters, n_init=10, random_state=4).fit(vectors).labels_
    clustering = cluster(unreduced(vectors), n_clusters, seed=4)
    np.testing.assert_array_equal(clustering.assignments, expected)
    assert (clustering.n_clusters, clustering.method, clustering.seed) == (n_clusters, "kmeans", 4)
    assert clustering.notes == ()


def many_rows(n_rows: int = 5000) -> np.ndarray:
    """Draw rows of eight classes, and three rows far from all others."""
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=3.0, size=(8, 6))
    rows = centers[rng.integers(0, 8, n_rows)] + rng.normal(size=(n_rows, 6))
    rows[:3] += 400.0
    return rows.astype(np.float32)


def inertia(rows: np.ndarray, assignments: np.ndarray) -> float:
    parts = (rows[assignments == each].astype(np.float64) for each in np.unique(assignments))
    return float(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))


def test_kmeans_of_many_rows_starts_on_a_sample_and_is_as_good(
    unreduced: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many_rows()
    whole = cluster(unreduced(rows), 9, seed=1)
    monkeypatch.setattr(clustering_methods, "STARTING_ROWS", 500)
    sampled = cluster(unreduced(rows), 9, seed=1)
    assert sampled.notes == (
        "kmeans: 30 starts on 900 rows, the best goes on over all",
    )  # 100 a cluster
    assert len(set(sampled.assignments[:3].tolist())) == 1  # the few that lie far are not missed
    assert (sampled.assignments == sampled.assignments[0]).sum() == 3
    own, their = (inertia(rows, each.assignments) for each in (sampled, whole))
    assert own <= 1.005 * their
    again = cluster(unreduced(rows), 9, seed=1)
    assert (again.assignments == sampled.assignments).all()


def test_a_coreset_is_unbiased() -> None:
    rows = many_rows()
    direct = float(((rows.astype(np.float64) - 1.0) ** 2).sum())
    sums = []
    for seed in range(30):
        drawn, weights = clustering_methods._coreset(rows, 400, seed)
        squares = ((rows[drawn].astype(np.float64) - 1.0) ** 2).sum(axis=1)
        sums.append(float((weights * squares).sum()) * len(rows) / len(drawn))
    assert abs(np.mean(sums) / direct - 1) < 0.02  # by chance alone the three far rows give 50 %


def test_kmeans_finds_the_best_of_all_partitions(unreduced: Wrap) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)

    def spread(assignments: np.ndarray) -> float:
        parts = [rows[assignments == c] for c in set(assignments.tolist())]
        return float(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))

    best = min(spread(np.array(a)) for a in itertools.product(range(3), repeat=9))
    assert spread(cluster(unreduced(rows), 3).assignments) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1.0, 1e10, 1e20, 1e37])
def test_planted_clusters_are_found_at_any_scale(
    separated: Planted, unreduced: Wrap, scale: float, method: str
) -> None:
    vectors, labels = separated
    clustering = cluster(unreduced(vectors * np.float32(scale)), 4, method=method)
    assert clustering.n_found == 4
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


@pytest.mark.parametrize("method", [n for n, spec in CLUSTERINGS.items() if not spec.uses_chance])
def test_without_chance_every_seed_gives_the_same(
    overlapping: Planted, unreduced: Wrap, method: str
) -> None:
    one, other = (cluster(unreduced(overlapping[0]), 5, seed, method) for seed in (1, 2))
    np.testing.assert_array_equal(one.assignments, other.assignments)


@pytest.mark.parametrize("method", GIVEN)
@pytest.mark.parametrize("n_clusters", [1, 2, 10, 200])
def test_assignments_lie_within_range_and_none_is_empty(
    overlapping: Planted, unreduced: Wrap, n_clusters: int, method: str
) -> None:
    vectors, _ = overlapping
    clustering = cluster(unreduced(vectors), n_clusters, method=method)
    assert set(clustering.assignments.tolist()) == set(range(n_clusters))


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_the_coordinates_are_never_modified(
    overlapping: Planted, unreduced: Wrap, method: str
) -> None:
    vectors = overlapping[0].copy()
    cluster(unreduced(vectors), 5, method=method)
    np.testing.assert_array_equal(vectors, overlapping[0], strict=True)


@pytest.mark.parametrize("method", GIVEN)
@pytest.mark.parametrize("n_clusters", [-1, 0, 10])
def test_a_number_that_does_not_fit_is_refused(
    unreduced: Wrap, n_clusters: int, method: str
) -> None:
    rows = np.arange(18, dtype=np.float32).reshape(9, 2)
    with pytest.raises(UsageError, match="between 1 and 9"):
        cluster(unreduced(rows), n_clusters, method=method)


def test_an_unknown_clustering_names_the_choices(unreduced: Wrap) -> None:
    with pytest.raises(UsageError, match="'dbscan': choose one of kmeans"):
        cluster(unreduced(np.eye(4, dtype=np.float32)), 2, method="dbscan")


@pytest.mark.parametrize("method", GIVEN)
@pytest.mark.parametrize("copies", [2, 50])
def test_fewer_different_rows_lower_the_number_and_say_so(
    unreduced: Wrap, copies: int, method: str
) -> None:
    rows = np.tile(np.eye(3, dtype=np.float32), (copies, 1))
    clustering = cluster(unreduced(rows), 5, method=method)
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


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 9, 12])
@pytest.mark.parametrize("kind", ["equal", "zeros", "pairs", "one apart", "line", "opposed"])
def test_few_and_equal_rows_are_clustered(
    unreduced: Wrap, method: str, n_rows: int, kind: str
) -> None:
    at = np.arange(n_rows, dtype=np.float32)
    rows = {
        "equal": np.ones((n_rows, 3)),
        "zeros": np.zeros((n_rows, 3)),
        "pairs": np.stack([at // 2, (at // 2) ** 2], axis=1),
        "one apart": np.stack([at == 0, at != 0, at == 0], axis=1),
        "line": at[:, None],
        "opposed": np.stack([1 - 2 * (at % 2), 0 * at], axis=1),
    }[kind].astype(np.float32)
    n_different = len(np.unique(rows, axis=0))
    for n_clusters in range(1, n_rows + 1):
        clustering = cluster(unreduced(rows), n_clusters, 3, method)
        assert len(clustering.assignments) == n_rows
        assert clustering.n_found <= n_different
        if method not in ("spherical", "hdbscan", "gmm", "spectral"):
            assert clustering.n_found == min(n_clusters, n_different)
        if method != "hdbscan":
            assert clustering.n_clusters == n_clusters


def test_spherical_finds_the_best_of_all_partitions(unreduced: Wrap) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def cosines(assignments: np.ndarray) -> float:
        """By Dhillon and Modha: the length of each part's sum is its sum of cosines."""
        parts = [unit[assignments == c] for c in set(assignments.tolist())]
        return float(sum(np.linalg.norm(part.sum(axis=0)) for part in parts))

    best = max(cosines(np.array(a)) for a in itertools.product(range(3), repeat=9))
    found = cluster(unreduced(rows), 3, method="spherical")
    assert cosines(found.assignments) == pytest.approx(best, rel=1e-6)


def test_spherical_looks_at_directions_alone(unreduced: Wrap) -> None:
    random = np.random.default_rng(0)
    planted = np.repeat(np.arange(3), 30)
    rows = np.eye(3, 5)[planted] + 0.1 * random.normal(size=(90, 5))
    rows *= random.lognormal(sigma=3, size=(90, 1))
    rows = rows.astype(np.float32)
    found = cluster(unreduced(rows), 3, method="spherical").assignments
    assert adjusted_rand_score(planted, found) == 1
    assert adjusted_rand_score(planted, cluster(unreduced(rows), 3).assignments) < 0.5


def test_spherical_says_what_has_no_direction_or_none_of_its_own(unreduced: Wrap) -> None:
    rows = np.array([[0, 0], [1, 0], [2, 0], [0, 3], [0, 5], [7, 0]], dtype=np.float32)
    found = cluster(unreduced(rows), 4, method="spherical")
    assert (found.n_found, found.n_clusters) == (2, 4)
    assert adjusted_rand_score([0, 0, 1, 1, 0], found.assignments[1:]) == 1
    assert found.assignments[0] == 0
    assert any("1 rows of zeros" in note for note in found.notes)
    assert any("4 clusters lowered to 2" in note for note in found.notes)


def test_gmm_finds_what_kmeans_cannot_and_says_how(unreduced: Wrap) -> None:
    """A small dense cloud in the middle of a wide one."""
    planted = np.repeat([0, 1], 300)
    rows = np.random.default_rng(0).normal(size=(600, 2)) * np.array([[0.05], [3]])[planted]
    rows = rows.astype(np.float32)
    found = cluster(unreduced(rows), 2, method="gmm")
    assert adjusted_rand_score(planted, found.assignments) > 0.95
    assert adjusted_rand_score(planted, cluster(unreduced(rows), 2).assignments) < 0.2
    assert any("full covariances (600 rows, 2 dimensions" in note for note in found.notes)


def test_gmm_takes_diagonal_covariances_where_rows_are_few(
    overlapping: Planted, unreduced: Wrap
) -> None:
    found = cluster(unreduced(overlapping[0]), 5, method="gmm")
    assert any("diagonal covariances (200 rows, 64 dimensions" in note for note in found.notes)


@pytest.mark.parametrize("n_clusters", [2, 7])
def test_agglomerative_equals_scipys_ward(
    overlapping: Planted, unreduced: Wrap, n_clusters: int
) -> None:
    vectors, _ = overlapping
    expected = fcluster(ward(vectors.astype(np.float64)), n_clusters, "maxclust")
    found = cluster(unreduced(vectors), n_clusters, method="agglomerative").assignments
    assert adjusted_rand_score(expected, found) == 1


def test_agglomerative_refuses_more_pairs_than_memory_holds(
    unreduced: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering_methods, "MOST_WARD_ROWS", 9)
    rows = np.arange(10, dtype=np.float32)[:, None]
    with pytest.raises(UsageError, match="takes 9 at most, not 10: use --cluster kmeans"):
        cluster(unreduced(rows), 2, method="agglomerative")


def test_spectral_equals_scikit_learn_and_parts_rings(unreduced: Wrap) -> None:
    rows, planted = make_circles(300, noise=0.03, factor=0.4, random_state=0)
    rows = rows.astype(np.float32)
    found = cluster(unreduced(rows), 2, seed=4, method="spectral").assignments
    assert adjusted_rand_score(planted, found) == 1
    rows = np.random.default_rng(0).normal(size=(150, 3)).astype(np.float32)
    alone = SpectralClustering(
        4, affinity="nearest_neighbors", n_neighbors=10, eigen_solver="arpack", random_state=4
    ).fit(rows)
    found = cluster(unreduced(rows), 4, seed=4, method="spectral").assignments
    np.testing.assert_array_equal(found, alone.labels_)


def test_spectral_goes_another_way_where_arpack_finds_nothing(
    separated: Planted, unreduced: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr("sklearn.manifold._spectral_embedding.eigsh", fails)
    found = cluster(unreduced(separated[0]), 4, method="spectral")
    assert any("ARPACK finds no eigenvectors" in note for note in found.notes)
    assert found.n_found > 1


def test_clusters_that_stay_empty_are_said(unreduced: Wrap) -> None:
    rows = np.random.default_rng(0).standard_cauchy(size=(300, 5)) ** 3
    found = cluster(unreduced(rows.astype(np.float32)), 40, method="gmm")
    assert found.n_found < 40
    assert f"{found.n_found} of 40 clusters hold rows" in found.notes


@pytest.mark.parametrize("dense_bytes", [0, 1 << 29])
def test_hdbscan_puts_noise_into_no_cluster_and_counts_it(
    unreduced: Wrap, monkeypatch: pytest.MonkeyPatch, dense_bytes: int
) -> None:
    monkeypatch.setattr(clustering_methods, "DENSE_BYTES", dense_bytes)
    random = np.random.default_rng(0)
    planted = np.repeat([0, 1, 2], 50)
    dense = np.array([[0, 0], [30, 0], [0, 30]])[planted] + random.normal(size=(150, 2))
    far = np.array([[300, 0], [0, 300], [-300, 0], [0, -300]])
    found = cluster(unreduced(np.r_[dense, far].astype(np.float32)), 1, method="hdbscan")
    assert adjusted_rand_score(planted, found.assignments[:150]) == 1
    assert found.assignments[150:].tolist() == [NOISE] * 4
    assert (found.n_clusters, found.n_found, found.n_noise) == (3, 3, 4)
    assert any("4 of 154 rows are noise: in no cluster (-1" in note for note in found.notes)


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(2, 2), (6, 3), (100, 5), (525, 11), (40000, 100)]
)
def test_what_hdbscan_calls_a_cluster_grows_with_the_rows(n_rows: int, expected: int) -> None:
    assert clustering_methods.smallest_cluster(n_rows) == expected


def test_the_option_names_every_clustering() -> None:
    assert re.findall(r"\w+", options.CLUSTER_HELP.replace(" or ", " ")) == list(CLUSTERINGS)


@pytest.mark.parametrize("assignments", [[0, 1], [0, 1, 3], [0, -1, 1]])
def test_a_clustering_must_fit_its_ids_and_its_number(assignments: list[int]) -> None:
    with pytest.raises(ValueError, match="assignments must"):
        Clustering(("a", "b", "c"), np.array(assignments), 3, "kmeans", 0)
