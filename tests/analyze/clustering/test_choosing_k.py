"""Choosing k: what is planted, against plain code, and honest where there is nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from analyze.clustering.choosing_figure import draw_choice
from analyze.clustering.choosing_k import N_REFERENCES, choose_k, numbers_to_try
from analyze.reduction.reduction import Reduced


def reduced(points: np.ndarray) -> Reduced:
    ids = tuple(f"{i:05}" for i in range(len(points)))
    return Reduced(ids, points.astype(np.float32), "none", (), 0)


def planted(k: int, seed: int, n: int = 240, spread: float = 7.0) -> np.ndarray:
    """Draw groups of unequal size."""
    rng = np.random.default_rng(seed)
    sizes = rng.dirichlet(np.full(k, 6.0))
    labels = rng.choice(k, n, p=sizes)
    return rng.normal(size=(n, 5)) + spread * rng.normal(size=(k, 5))[labels]


@pytest.mark.parametrize("k", [3, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_groups_are_counted(k: int, seed: int) -> None:
    found = choose_k(reduced(planted(k, seed)), ks=range(2, 11))
    assert abs(found.k - k) <= 1
    assert f"{found.k} clusters: the middle of silhouette " in found.why
    assert found.notes == ()
    assert sorted(each.k for each in found.criteria)[1] == found.k


def test_the_same_again_and_another_order_of_rows_does_not_matter() -> None:
    points = planted(4, 3, n=120)
    one, again = (choose_k(reduced(points), ks=range(2, 6), seed=2) for _ in range(2))
    assert one.to_json() == again.to_json()
    other = choose_k(reduced(points[::-1].copy()), ks=range(2, 6), seed=2)
    assert other.to_json() == one.to_json()
    json.dumps(one.to_json(), allow_nan=False)


def test_silhouette_and_gap_are_those_of_plain_code() -> None:
    points = np.unique(planted(3, 5, n=90).astype(np.float32).astype(np.float64), axis=0)
    found = choose_k(reduced(points), ks=[2, 3], seed=4)
    silhouette, _, gap = found.criteria

    def fit(rows: np.ndarray, k: int, seed: int) -> Any:
        return KMeans(k, n_init=1, random_state=seed).fit(rows)

    for i, k in enumerate((2, 3)):
        slow = [silhouette_score(points, fit(points, k, 4 + s).labels_) for s in range(3)]
        assert silhouette.values[i] == pytest.approx(np.mean(slow), abs=1e-9)
    # Tibshirani, Walther and Hastie 2001: log of what is within, less its mean over references
    _, _, axes = np.linalg.svd(points - points.mean(0), full_matrices=False)
    turned = (points - points.mean(0)) @ axes.T
    rng = np.random.default_rng(4)
    boxes = [rng.uniform(turned.min(0), turned.max(0), turned.shape) for _ in range(N_REFERENCES)]
    for i, k in enumerate((2, 3)):
        logs = [np.log(fit(box, k, 4).inertia_) for box in boxes]
        within = np.log(min(fit(points, k, 4 + s).inertia_ for s in range(3)))
        assert gap.values[i] == pytest.approx(np.mean(logs) - within, abs=1e-9)
        assert gap.spreads[i] == pytest.approx(np.std(logs) * np.sqrt(1 + 1 / len(logs)))


def test_a_cloud_is_said_to_be_one() -> None:
    points = np.random.default_rng(0).normal(size=(400, 10))
    found = choose_k(reduced(points), ks=range(2, 6))
    (note,) = found.notes
    assert note.startswith("no clear structure")


def test_copies_are_looked_at_once() -> None:
    points = planted(3, 6, n=60)
    content = np.random.default_rng(0).integers(1, 256, (60, 32), dtype=np.uint8)
    thrice = np.repeat(points, 3, axis=0)
    once = choose_k(reduced(points), content, ks=range(2, 5))
    copied = choose_k(reduced(thrice), np.repeat(content, 3, axis=0), ks=range(2, 5))
    assert copied.to_json() == once.to_json()


@pytest.mark.parametrize("points", [np.ones((50, 3)), np.eye(4), np.zeros((1, 2))])
def test_too_few_different_rows_are_one_cluster_and_it_is_said(points: np.ndarray) -> None:
    found = choose_k(reduced(points))
    assert found.k == 1
    (note,) = found.notes
    assert "too few" in note


def test_numbers_to_try_leave_five_rows_a_cluster() -> None:
    assert numbers_to_try(30) == (2, 3, 4, 5, 6)
    many = numbers_to_try(100_000)
    assert many[:19] == tuple(range(2, 21))
    assert many[-1] == 60
    assert list(many) == sorted(set(many))


@pytest.mark.parametrize("ks", [[2, 3], list(range(2, 42))])
def test_the_figure_marks_what_was_chosen(ks: list[int]) -> None:
    values = np.linspace(0, 1, len(ks))
    curves = [(name, values, 0.1 * values, ks[1]) for name in ("silhouette", "stability", "gap")]
    figure = draw_choice(ks, curves, ks[0], title="title", subtitle="subtitle")
    assert len(figure.axes) == 3
    for axes in figure.axes:
        line, curve = axes.lines
        assert list(line.get_xdata()) == [ks[0]] * 2
        np.testing.assert_array_equal(curve.get_ydata(), values)
