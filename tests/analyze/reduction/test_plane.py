"""The plane of a map: the reduction's own where it has one, else principal components."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analyze.reduction.reduction import Reduced

Planted = tuple[np.ndarray, np.ndarray]
Wrap = Callable[..., Reduced]


@pytest.mark.parametrize(
    ("reduction", "first"),
    [
        ("tsne", "t-SNE 1"),
        ("l2,pca:9,tsne:30:random", "t-SNE 1"),
        ("pca:2", "PC 1"),
        ("none", "axis 1"),
        ("pca:2,l2", "axis 1"),
    ],
)
def test_two_coordinates_are_drawn_as_they_are(unreduced: Wrap, reduction: str, first: str) -> None:
    points = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    flat = unreduced(points, reduction).plane
    assert flat is not None
    np.testing.assert_array_equal(flat.points, points, strict=True)
    assert flat.axis_names == (first, first.replace("1", "2"))


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:64"])
def test_more_coordinates_are_projected_on_two_components(
    overlapping: Planted, unreduced: Wrap, components: Callable[..., np.ndarray], reduction: str
) -> None:
    vectors, _ = overlapping
    flat = unreduced(vectors, reduction, seed=3).plane
    assert flat is not None
    np.testing.assert_array_equal(flat.points, components(vectors, 2, 3), strict=True)
    assert "principal component" in flat.axis_names[0]


@pytest.mark.parametrize(
    "coordinates",
    [np.ones((1, 5)), np.eye(2, 5), np.ones((9, 5)), np.zeros((9, 2)), np.arange(9.0)[:, None]],
    ids=["one row", "two rows", "equal rows", "zeros", "one column"],
)
def test_rows_that_span_no_plane_have_none(unreduced: Wrap, coordinates: np.ndarray) -> None:
    assert unreduced(coordinates.astype(np.float32)).plane is None


def test_huge_numbers_have_a_plane(separated: Planted, unreduced: Wrap) -> None:
    vectors, _ = separated
    flat = unreduced(vectors * np.float32(1e20)).plane
    ordinary = unreduced(vectors).plane
    assert flat is not None
    assert ordinary is not None
    np.testing.assert_allclose(flat.points / np.float32(1e20), ordinary.points, atol=1e-3)
