"""Nearest neighbors: equal to a plain loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from analyze import similarity
from analyze.neighbors.indexes.exact_search import (
    ExactIndex,
    load_faiss,
    one_nn_accuracy,
    products_from,
)
from analyze.unit_vectors import unit_rows
from extract.catalog.catalog import Level

pytestmark = pytest.mark.numbers


def nearest(vectors: np.ndarray, labels: np.ndarray) -> tuple[float | None, int]:
    found = one_nn_accuracy(
        vectors, Level("kind", tuple(map(str, range(30))), labels.astype(np.int32))
    )
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
    ("labels", "left_out"), [([-1, -1, -1], 0), ([0, -1, -1], 0), ([0, 0, -1], 1), ([-1], 0)]
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
    monkeypatch.setattr(similarity, "BLOCK_BYTES", block_bytes)
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


# the index


def all_compared(
    vectors: np.ndarray, query: np.ndarray, left_out: np.ndarray | None = None
) -> tuple[list[int], list[float]]:
    """Compare a query with one row after the other in float64, best first, ties by row."""
    barred = set() if left_out is None else set(left_out.tolist())
    one = query.astype(np.float64)
    cosines = {}
    for i, row in enumerate(vectors.astype(np.float64)):
        if i not in barred and row.any():
            cosines[i] = float(
                (row * one).sum() / np.sqrt((row**2).sum()) / np.sqrt((one**2).sum())
            )
    rows = sorted(cosines, key=lambda i: (-cosines[i], i))
    return rows, [cosines[i] for i in rows]


def assert_found(
    vectors: np.ndarray, queries: np.ndarray, k: int, left_out: list[np.ndarray] | None = None
) -> None:
    """Hold what the index finds for each query against all rows, compared one by one."""
    found = ExactIndex(vectors).find(queries, k, left_out)
    assert len(found.rows) == len(found.similarities) == len(queries)
    for i, query in enumerate(queries):
        rows, cosines = all_compared(vectors, query, left_out[i] if left_out else None)
        assert found.rows[i].tolist() == rows[:k]
        assert found.similarities[i].dtype == np.float64
        np.testing.assert_allclose(found.similarities[i], cosines[:k], rtol=0, atol=1e-12)


def clustered(n_images: int, n_dims: int, seed: int, spread: float = 1e-3) -> np.ndarray:
    """Draw rows of a few products each, so alike that float32 hardly tells them apart."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(5, n_dims))[rng.integers(0, 5, n_images)]
    lengths = rng.uniform(0.1, 10, (n_images, 1))
    return ((centers + spread * rng.normal(size=centers.shape)) * lengths).astype(np.float32)


SIZES = [(1, 3, 1), (2, 1, 5), (50, 8, 1), (50, 8, 10), (150, 64, 7), (40, 5, 100), (90, 16, 90)]


@pytest.mark.parametrize(("n_images", "n_dims", "k"), SIZES)
def test_found_rows_equal_a_plain_loop(n_images: int, n_dims: int, k: int) -> None:
    vectors = np.random.default_rng(n_images).normal(size=(n_images, n_dims)).astype(np.float32)
    if n_dims == 1:
        vectors = np.abs(vectors)  # one number has one direction, or the other
    assert_found(vectors, vectors, k)


@pytest.mark.parametrize(("n_images", "n_dims", "k"), SIZES[2:])
def test_found_rows_equal_a_plain_loop_where_rows_are_alike(
    n_images: int, n_dims: int, k: int
) -> None:
    vectors = clustered(n_images, n_dims, n_images)
    assert_found(vectors, vectors, k)


def test_equal_rows_are_found_in_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 9)).astype(np.float32)
    same = np.array([3, 7, 8, 20, 41, 42, 59])
    # powers of two scale exactly, so that these cosines are equal to the last bit
    vectors[same] = vectors[3] * np.float32(2) ** rng.integers(-20, 20, (len(same), 1))
    found = ExactIndex(vectors).find(vectors[same], 5)
    for rows, cosines in zip(found.rows, found.similarities, strict=True):
        assert rows.tolist() == same[:5].tolist()
        assert len(set(cosines.tolist())) == 1
    assert_found(vectors, vectors, 5)
    assert_found(vectors, vectors, 50)


def test_hundreds_of_equal_rows_are_found_from_the_first() -> None:
    vectors = np.ones((500, 7), dtype=np.float32)
    vectors[::2] = -1
    (rows,) = ExactIndex(vectors).find(vectors[1:2], 4).rows
    assert rows.tolist() == [1, 3, 5, 7]


def test_near_ties_that_float32_cannot_tell_are_ordered_by_float64() -> None:
    rng = np.random.default_rng(1)
    tilt = rng.permutation(np.linspace(1e-4, 3e-4, 200))
    vectors = np.zeros((200, 12), dtype=np.float32)
    vectors[:, 0], vectors[:, 1] = 1, tilt
    query = vectors[:1] * 0
    query[0, 0] = 1
    rounded = unit_rows(vectors) @ query[0]
    assert len(np.unique(rounded)) < 5, "float32 has to be blind for this to show anything"
    (rows,) = ExactIndex(vectors).find(query, 10).rows
    assert rows.tolist() == np.argsort(tilt)[:10].tolist()
    assert_found(vectors, query, 10)


@pytest.mark.parametrize("n_dims", [1, 3, 16, 257])
def test_an_answer_does_not_depend_on_what_else_is_asked(n_dims: int) -> None:
    rng = np.random.default_rng(n_dims)
    vectors = rng.normal(size=(300, n_dims)).astype(np.float32)
    vectors[150:] = vectors[:150] * rng.choice([0.1, 1, 7], (150, 1))  # of one direction, or nearly
    queries = rng.normal(size=(90, n_dims)).astype(np.float32)
    out = [rng.choice(300, i % 4, replace=False) for i in range(90)]
    index = ExactIndex(vectors)
    together = index.find(queries, 7, out)
    for i, query in enumerate(queries):
        alone = index.find(query[None], 7, [out[i]])
        assert np.array_equal(alone.rows[0], together.rows[i])
        assert np.array_equal(alone.similarities[0], together.similarities[i])


def test_what_is_left_out_is_never_found() -> None:
    rng = np.random.default_rng(2)
    vectors = clustered(70, 6, 2)
    left_out = [rng.choice(70, n, replace=False) for n in (0, 1, 5, 40, 66, 69, 70)]
    queries = vectors[: len(left_out)]
    found = ExactIndex(vectors).find(queries, 4, left_out)
    assert [len(rows) for rows in found.rows] == [4, 4, 4, 4, 4, 1, 0]
    for rows, out in zip(found.rows, left_out, strict=True):
        assert not set(rows.tolist()) & set(out.tolist())
    assert_found(vectors, queries, 4, left_out)


def test_each_query_leaves_out_its_own_rows() -> None:
    vectors, _ = drawn(40, 5, 3)
    own = [np.array([i]) for i in range(40)]
    assert_found(vectors, vectors, 3, own)
    with pytest.raises(ValueError, match="shorter"):
        ExactIndex(vectors).find(vectors, 3, own[:-1])


def test_rows_of_zeros_are_found_by_nobody() -> None:
    vectors, _ = drawn(30, 4, 4)
    vectors[[0, 11, 29]] = 0
    queries = np.concatenate([vectors[[1, 5]], -vectors[[7]]])
    found = ExactIndex(vectors).find(queries, 30)
    assert all(len(rows) == 27 for rows in found.rows)
    assert not {0, 11, 29} & {row for rows in found.rows for row in rows.tolist()}
    assert_found(vectors, queries, 30)
    nothing = ExactIndex(np.zeros((3, 4), dtype=np.float32)).find(queries, 2)
    assert [len(rows) for rows in nothing.rows] == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e30, 3e37])
def test_lengths_of_rows_and_queries_do_not_matter_to_the_index(scale: float) -> None:
    vectors, _ = drawn(50, 8, 5)
    lengths = np.float32(2) ** np.random.default_rng(0).integers(-3, 3, (50, 1))
    scaled = vectors * lengths * np.float32(scale)
    assert np.isfinite(scaled).all()
    plain = ExactIndex(vectors).find(vectors, 6)
    for found in (
        ExactIndex(scaled).find(vectors, 6),
        ExactIndex(vectors).find(scaled, 6),
        ExactIndex(scaled).find(scaled, 6),
    ):
        for i in range(50):
            assert found.rows[i].tolist() == plain.rows[i].tolist()
            np.testing.assert_allclose(found.similarities[i], plain.similarities[i], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1.0, 1e30, 3e38])
def test_unit_rows_have_length_one_and_zeros_stay(scale: float) -> None:
    vectors = np.array([[1, 0, 0], [1, -1, 1], [0, 0, 0]], np.float32) * np.float32(scale)
    lengths = np.linalg.norm(unit_rows(vectors), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0], atol=1e-6)


def test_the_order_of_rows_does_not_matter_to_the_index() -> None:
    vectors, _ = drawn(80, 8, 6)
    order = np.random.default_rng(0).permutation(80)
    plain, moved = ExactIndex(vectors).find(vectors, 9), ExactIndex(vectors[order]).find(vectors, 9)
    for i in range(80):
        assert order[moved.rows[i]].tolist() == plain.rows[i].tolist()
        # the sum of one row must not depend on the rows beside it: equal to the last bit
        assert moved.similarities[i].tolist() == plain.similarities[i].tolist()


def test_the_index_leaves_what_it_is_given_as_it_was() -> None:
    vectors, _ = drawn(30, 6, 7)
    before = vectors.copy()
    vectors.flags.writeable = False
    queries = vectors[:5]
    left_out = [np.array([9, 2, i]) for i in range(5)]
    ExactIndex(vectors).find(queries, 40, left_out)
    np.testing.assert_array_equal(vectors, before, strict=True)
    assert [out.tolist() for out in left_out] == [[9, 2, i] for i in range(5)]


def test_faiss_keeps_the_setting_that_others_find_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one for the whole process: back after a search, one that fails, and two at once."""
    settings = load_faiss().cvar
    monkeypatch.setattr(settings, "distance_compute_blas_threshold", 23)
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    ExactIndex(vectors).find(vectors, 3)
    assert settings.distance_compute_blas_threshold == 23
    with pytest.raises(AssertionError):
        ExactIndex(vectors).find(np.zeros((20, 7), np.float32), 3)
    assert settings.distance_compute_blas_threshold == 23
    with products_from(40):
        other = products_from(60)
        other.__enter__()
        assert settings.distance_compute_blas_threshold == 60
    assert settings.distance_compute_blas_threshold != 23, "the other one goes on"
    other.__exit__(None, None, None)
    assert settings.distance_compute_blas_threshold == 23
