"""Nearest neighbors: equal to a plain loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from analyze import neighbors
from analyze.neighbors import one_nn_accuracy


def nearest(vectors: np.ndarray, labels: np.ndarray) -> tuple[float | None, int]:
    found = one_nn_accuracy(vectors, labels)
    return found.accuracy, found.n_left_out


def by_loop(vectors: np.ndarray, labels: np.ndarray) -> tuple[float | None, int]:
    """Compare every pair in float64; the first of the most similar rows wins."""
    lengths = [float(np.sqrt((row.astype(float) ** 2).sum())) for row in vectors]
    usable = [i for i in range(len(vectors)) if labels[i] >= 0 and lengths[i] > 0]
    left_out = sum(int(labels[i] >= 0 and lengths[i] == 0) for i in range(len(vectors)))
    hits = 0
    for i in usable:
        best, nearest = -2.0, -1
        for j in usable:
            cosine = float(vectors[i].astype(float) @ vectors[j].astype(float))
            cosine = round(cosine / (lengths[i] * lengths[j]), 9)
            if j != i and cosine > best:
                best, nearest = cosine, j
        hits += int(nearest >= 0 and labels[nearest] == labels[i])
    return (hits / len(usable) if len(usable) > 1 else None), left_out


def drawn(n_images: int, n_dims: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n_images)
    labels[:2] = 0, 1
    towards = rng.normal(size=(4, n_dims))[labels]
    return (rng.normal(size=(n_images, n_dims)) + towards).astype(np.float32), labels


@pytest.mark.parametrize(("n_images", "n_dims"), [(2, 3), (3, 1), (40, 5), (90, 64)])
def test_accuracy_equals_a_plain_loop(n_images: int, n_dims: int) -> None:
    for seed in range(3):
        vectors, labels = drawn(n_images, n_dims, seed)
        assert nearest(vectors, labels) == by_loop(vectors, labels)


@pytest.mark.parametrize("seed", range(4))
def test_ties_go_to_the_lower_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, _ = drawn(12, 16, seed)
    copies = vectors[rng.integers(0, 12, 60)] * np.float32(2) ** rng.integers(-3, 4, (60, 1))
    labels = rng.integers(0, 3, 60)
    assert nearest(copies, labels) == by_loop(copies, labels)


def test_the_lower_of_two_equal_rows_decides() -> None:
    vectors = np.array([[1, 0], [2, 0], [4, 0], [0, 1]], dtype=np.float32)
    # 0 -> 1, 1 -> 0, 2 -> 0, 3 -> 0 (all at cosine 0)
    assert nearest(vectors, np.array([0, 1, 0, 0])) == (2 / 4, 0)
    assert nearest(vectors, np.array([0, 0, 1, 1])) == (2 / 4, 0)


def test_a_row_is_never_its_own_neighbor() -> None:
    vectors, _ = drawn(30, 8, 0)
    assert nearest(vectors, np.arange(30)) == (0.0, 0)


def test_opposite_rows_are_still_neighbors_where_there_is_no_other() -> None:
    vectors = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert nearest(vectors, np.array([0, 1])) == (0.0, 0)


def test_rows_of_zeros_are_left_out_and_counted() -> None:
    vectors, labels = drawn(40, 6, 1)
    vectors[[0, 7, 39]] = 0
    kept = np.linalg.norm(vectors, axis=1) > 0
    assert nearest(vectors, labels) == (
        nearest(vectors[kept], labels[kept])[0],
        3,
    )
    assert nearest(vectors, labels) == by_loop(vectors, labels)


def test_rows_without_a_label_are_no_neighbors() -> None:
    vectors, labels = drawn(50, 6, 2)
    vectors[4] = 0
    labels[[4, *range(10, 30)]] = -1
    kept = labels >= 0
    expected = nearest(vectors[kept], labels[kept])
    assert nearest(vectors, labels) == expected == by_loop(vectors, labels)
    assert expected[1] == 0, "a row of zeros without a label is not counted"


@pytest.mark.parametrize(
    ("labels", "left_out"), [([-1, -1, -1], 0), ([0, -1, -1], 0), ([0, 0, -1], 1), ([], 0)]
)
def test_fewer_than_two_rows_have_no_accuracy(labels: list[int], left_out: int) -> None:
    vectors = np.ones((len(labels), 3), dtype=np.float32)
    vectors[1:2] = 0
    assert nearest(vectors, np.array(labels, dtype=np.int32)) == (None, left_out)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e37])
def test_lengths_do_not_matter(scale: float) -> None:
    vectors, labels = drawn(60, 8, 3)
    lengths = np.random.default_rng(0).uniform(0.1, 1, (60, 1)).astype(np.float32)
    scaled = vectors * lengths * np.float32(scale)
    assert nearest(scaled, labels) == nearest(vectors, labels)


@pytest.mark.parametrize("block_bytes", [1, 1_000, 7_777, 10_000_000])
def test_blocks_do_not_matter(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = drawn(90, 16, 4)
    monkeypatch.setattr(neighbors, "BLOCK_BYTES", block_bytes)
    assert nearest(vectors, labels) == by_loop(vectors, labels)


def test_the_order_of_rows_does_not_matter() -> None:
    vectors, labels = drawn(80, 8, 5)
    order = np.random.default_rng(0).permutation(80)
    assert nearest(vectors[order], labels[order]) == nearest(vectors, labels)


def test_the_vectors_are_never_modified() -> None:
    vectors, labels = drawn(20, 4, 6)
    before = vectors.copy()
    nearest(vectors, labels)
    np.testing.assert_array_equal(vectors, before, strict=True)


def test_a_sample_of_queries_stands_for_all_and_is_said() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, 3_000)
    vectors = (np.eye(4, 16)[labels] + 0.5 * rng.normal(size=(3_000, 16))).astype(np.float32)
    whole = one_nn_accuracy(vectors, labels)
    part = one_nn_accuracy(vectors, labels, most_queries=1_000, seed=1)
    assert (whole.n_queries, part.n_queries, part.n_rows) == (3_000, 1_000, 3_000)
    assert whole.accuracy is not None
    assert part.accuracy == pytest.approx(whole.accuracy, abs=0.05)
    assert part == one_nn_accuracy(vectors, labels, most_queries=1_000, seed=1)
