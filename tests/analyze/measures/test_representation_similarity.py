"""Likeness of two views of the same pictures: the formulas spelled out, and what they ignore."""

from __future__ import annotations

import numpy as np
import pytest

from analyze.measures.representation_similarity import CenteredRows, linear_cka, neighbor_overlap
from analyze.neighbors.indexes.exact_search import nearest_others

pytestmark = pytest.mark.numbers


def cka(one: np.ndarray, other: np.ndarray) -> tuple[float | None, float | None]:
    return linear_cka(CenteredRows.of(one), CenteredRows.of(other))


def drawn(n_rows: int, *n_dims: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_rows, 4))
    return [
        (3 + shared @ rng.normal(size=(4, d)) + rng.normal(size=(n_rows, d))).astype(np.float32)
        for d in n_dims
    ]


def plain_cka(one: np.ndarray, other: np.ndarray) -> float:
    n = len(one)
    centering = np.eye(n) - 1 / n
    k, m = (v.astype(np.float64) @ v.astype(np.float64).T for v in (one, other))

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        return float(np.trace(k @ centering @ m @ centering))

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def plain_debiased_cka(one: np.ndarray, other: np.ndarray) -> float:
    n = len(one)
    k, m = (v.astype(np.float64) @ v.astype(np.float64).T for v in (one, other))
    for kernel in (k, m):
        np.fill_diagonal(kernel, 0)

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        ones = np.ones(n)
        found = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
        return float((found - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3)))

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("n_dims", [(5, 9), (5, 90), (90, 120)])
def test_cka_is_its_formula_by_columns_and_by_rows(n_dims: tuple[int, int]) -> None:
    one, other = drawn(40, *n_dims)
    found, debiased = cka(one, other)
    assert found == pytest.approx(plain_cka(one, other), abs=1e-10)
    assert debiased == pytest.approx(plain_debiased_cka(one, other), abs=1e-10)
    assert cka(other, one) == pytest.approx((found, debiased), abs=1e-12)


@pytest.mark.parametrize("n_dims", [6, 70])
def test_turning_scaling_and_moving_change_nothing(n_dims: int) -> None:
    one, other = (v.astype(np.float64) for v in drawn(50, n_dims, 8))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(n_dims, n_dims)))[0]
    changed = 300 * (one @ turn) - 7
    assert cka(one, one) == pytest.approx((1, 1), abs=1e-12)
    assert cka(changed, one) == pytest.approx((1, 1), abs=1e-9)
    assert cka(changed, other) == pytest.approx(cka(one, other), abs=1e-9)
    assert cka(one * np.linspace(1, 9, n_dims), one)[0] < 0.99  # not just any linear map


def test_only_the_debiased_one_knows_that_noise_is_unrelated() -> None:
    rng = np.random.default_rng(2)
    found = np.array([cka(*rng.normal(size=(2, 30, 400))) for _ in range(20)], float)
    assert found[:, 0].min() > 0.8
    assert abs(found[:, 1].mean()) < 0.05


def test_what_has_no_likeness_is_none() -> None:
    (one,) = drawn(30, 5)
    assert cka(one, np.full((30, 3), 0.1, np.float32)) == (None, None)
    few, _ = cka(one[:3], one[:3] * 2), None
    assert few == (pytest.approx(1), None)


def test_overlap_is_that_of_sets() -> None:
    one, other = drawn(60, 6, 9)
    groups = np.arange(60)
    groups[40:45] = 3
    neighbors = [nearest_others(v, 10, groups) for v in (one, other)]
    expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*neighbors, strict=True)])
    assert 0.2 < expected < 0.9
    assert neighbor_overlap(*neighbors) == pytest.approx(expected)
    assert neighbor_overlap(neighbors[0], neighbors[0]) == 1
    none = np.full((4, 10), -1)
    assert neighbor_overlap(none, none) is None
    fewer = np.array([[1, 2, -1], [0, -1, -1], [-1, -1, -1]])
    other_way = np.array([[2, 1, -1], [2, -1, -1], [-1, -1, -1]])
    assert neighbor_overlap(fewer, other_way) == 0.5
