"""Scores of joint tables: those of scikit-learn, of rows repeated, of counting."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from analyze.measures.contingency_metrics import METRICS, JointTables

THEIRS = {
    "ari": metrics.adjusted_rand_score,
    "ami": metrics.adjusted_mutual_info_score,
    "nmi": metrics.normalized_mutual_info_score,
    "v_measure": metrics.v_measure_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "fowlkes_mallows": metrics.fowlkes_mallows_score,
}
SHAPES = [(1, 1), (1, 3), (3, 1), (2, 2), (4, 6), (7, 7), (62, 62), (30, 5), (200, 200)]


def drawn(n_classes: int, n_clusters: int, seed: int, n: int = 200) -> tuple[np.ndarray, ...]:
    """Draw labels, and clusters that follow them half of the time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    follows = rng.random(n) < 0.5
    return labels, np.where(follows, labels % n_clusters, rng.integers(0, n_clusters, n))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", THEIRS)
def test_metrics_equal_scikit_learns(name: str, shape: tuple[int, int]) -> None:
    for seed in range(5):
        labels, assignments = drawn(*shape, seed)
        found = METRICS[name](JointTables.of(labels, assignments))
        assert found == pytest.approx([THEIRS[name](labels, assignments)], abs=1e-12)


@pytest.mark.parametrize("name", THEIRS)
def test_each_row_alone_and_all_rows_equal_are_as_scikit_learn_has_them(name: str) -> None:
    alone, equal = np.arange(9), np.zeros(9, int)
    for one in (alone, equal):
        for other in (alone, equal, np.arange(9) % 2):
            for labels, assignments in ((one, other), (other, one)):
                found = METRICS[name](JointTables.of(labels, assignments))
                assert found == pytest.approx([THEIRS[name](labels, assignments)], abs=1e-12)


def test_every_metric_is_here() -> None:
    assert METRICS.keys() - THEIRS.keys() == {"purity", "matched_accuracy"}


def test_purity_is_counted() -> None:
    labels, assignments = drawn(5, 4, seed=1)
    agreeing = sum(
        max((labels[assignments == cluster] == kind).sum() for kind in range(5))
        for cluster in range(4)
    )
    assert METRICS["purity"](JointTables.of(labels, assignments)) == [agreeing / 200]


@pytest.mark.parametrize("name", METRICS)
def test_weights_count_as_rows_repeated(name: str) -> None:
    labels, assignments = drawn(5, 7, seed=2)
    weights = np.random.default_rng(3).integers(0, 3, (200, 6), dtype=np.int32)
    weights[labels == 4, 0] = 0  # a class and a cluster that one table lacks
    weights[assignments == 6, 1] = 0
    found = METRICS[name](JointTables.of(labels, assignments, weights))
    for each, counts in zip(found, weights.T, strict=True):
        repeated = JointTables.of(labels.repeat(counts), assignments.repeat(counts))
        assert METRICS[name](repeated) == pytest.approx([each], abs=1e-12)


def test_a_table_is_spelled_out() -> None:
    labels, assignments = np.array([3, 3, 5, 5, 5]), np.array([9, 2, 2, 2, 9])
    tables = JointTables.of(labels, assignments)
    np.testing.assert_array_equal(tables.table(0), [[1, 1], [2, 1]])
    np.testing.assert_array_equal(tables.class_counts[:, 0], [2, 3])
    np.testing.assert_array_equal(tables.cluster_counts[:, 0], [3, 2])


def test_a_hundred_thousand_rows_lose_no_digit() -> None:
    labels, assignments = drawn(62, 62, seed=4, n=100_000)
    tables = JointTables.of(labels, assignments)
    for name in ("ari", "nmi", "fowlkes_mallows"):
        theirs = THEIRS[name](labels, assignments)
        assert METRICS[name](tables) == pytest.approx([theirs], abs=1e-12)
