"""The map of the page: which stored one is taken, where its rows lie, what is lit on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from analyze.array_cache import ArrayCache
from analyze.lookup.service.served_catalog import ServedCatalog, level_counts
from analyze.lookup.web.map_view import draw_map
from analyze.lookup.web.view_models import color_name
from analyze.neighbors.category_filter import rows_inside
from analyze.presentation.palette import places_of
from analyze.reduction.cache import ReductionCache, reduction_key
from analyze.reduction.stored_maps import FLATTEST, MOST_POINTS, StoredMap, stored_maps
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]


def served(embeddings: EmbeddingSet) -> ServedCatalog:
    """Stand for a served catalogue that only needs its rows."""
    level = embeddings.levels[0] if embeddings.levels else None
    places = places_of(level) if level else []
    about = {"embeddings": embeddings, "level": level, "names": None, "places": places}
    return cast(ServedCatalog, SimpleNamespace(counts=level_counts, **about))


def test_the_map_of_the_lowest_seed_of_these_very_vectors_is_taken(
    tmp_path: Path, separated: tuple[np.ndarray, np.ndarray], embeddings_of: Make
) -> None:
    vectors, labels = separated
    embeddings = embeddings_of(vectors, labels)
    cache = ReductionCache(tmp_path)
    for seed in (2, 1):
        cache(embeddings, "tsne:5", seed, None)
    first = cache(embeddings, "pca:3,tsne:5", 4, None)
    cache(embeddings, "pca:2", 0, None)  # is no map
    cache(embeddings_of(vectors * 2, labels), "tsne:7", 0, None)  # of other vectors
    found = stored_maps(tmp_path, embeddings)
    assert [(each.name, each.seed) for each in found] == [("tsne:5", 1), ("pca:3,tsne:5", 4)]
    assert np.array_equal(found[1].points, first.coordinates)


@pytest.mark.parametrize("stretch", [(1, 1), (9, 1), (1, 9), (3, 2)])
def test_rows_lie_on_the_sheet_and_both_axes_are_alike(stretch: tuple[int, int]) -> None:
    points = (np.random.default_rng(0).normal(size=(50, 2)) * stretch).astype(np.float32)
    places, height = StoredMap("tsne", 0, points).within(1000, 24)
    assert FLATTEST * 1000 <= height <= 1000
    assert places.min() >= 24 - 1e-6
    assert places[:, 0].max() <= 1000 - 24 + 1e-6
    assert places[:, 1].max() <= height - 24 + 1e-6
    ratios = pdist(places) / pdist(points)
    assert ratios == pytest.approx(ratios[0], rel=1e-3)
    assert np.argmax(points[:, 1]) == np.argmin(places[:, 1])  # what was up is up


@pytest.mark.parametrize("typed", ["tsne", "tsne:5:random", "umap", "umap:4", "l2,pca:3,tsne:5"])
def test_a_map_is_called_as_its_reduction_is_typed(
    tmp_path: Path, separated: tuple[np.ndarray, np.ndarray], embeddings_of: Make, typed: str
) -> None:
    embeddings = embeddings_of(separated[0][:20])
    key = reduction_key(embeddings, typed, 0)
    ArrayCache(tmp_path, "").write(key, np.zeros((20, 2), np.float32))
    assert [each.name for each in stored_maps(tmp_path, embeddings)] == [typed]


def test_points_that_coincide_lie_in_the_middle() -> None:
    places, height = StoredMap("tsne", 0, np.ones((3, 2), np.float32)).within(1000, 24)
    assert places == pytest.approx(np.tile([500, height / 2], (3, 1)))


def test_of_many_rows_a_sample_is_drawn_and_all_that_are_lit() -> None:
    many = StoredMap("tsne", 0, np.zeros((MOST_POINTS + 100, 2), np.float32))
    lit = np.array([3, MOST_POINTS + 99])
    rows = many.rows_drawn(lit)
    assert set(lit) <= set(rows)
    assert MOST_POINTS <= len(rows) <= MOST_POINTS + len(lit)
    assert len(set(rows.tolist())) == len(rows)


def test_what_is_lit_is_lit_once_in_order_and_all_else_is_drawn(
    separated: tuple[np.ndarray, np.ndarray], embeddings_of: Make
) -> None:
    vectors, labels = separated
    embeddings = embeddings_of(vectors, labels)
    stored = StoredMap("tsne", 0, vectors[:, :2].astype(np.float32))
    drawn = draw_map(served(embeddings), stored, query=4, hits=[9, 4, 2, 9])
    assert [point.row for point in drawn.lit] == [9, 2]
    assert drawn.query is not None
    assert drawn.query.row == 4
    others = {point.row for point in drawn.points}
    assert others == set(range(len(vectors))) - {9, 2, 4}
    assert drawn.n_drawn == len(vectors)
    assert drawn.n_left_out == 0
    level = embeddings.levels[0]
    assert {entry.word: entry.n_images for entry in drawn.legend} == {
        category: int((level.codes == code).sum()) for code, category in enumerate(level.categories)
    }
    for point in (*drawn.points, *drawn.lit, drawn.query):
        assert point.code == level.codes[point.row]


def test_inside_a_category_only_it_and_what_is_lit_are_drawn(
    separated: tuple[np.ndarray, np.ndarray], embeddings_of: Make
) -> None:
    vectors, labels = separated
    embeddings = embeddings_of(vectors, labels)
    level = embeddings.levels[0]
    inside = rows_inside(embeddings, [f"{level.name}={level.categories[0]}"])
    assert inside is not None
    outside = int(np.flatnonzero(level.codes != 0)[0])
    stored = StoredMap("tsne", 0, vectors[:, :2].astype(np.float32))
    drawn = draw_map(served(embeddings), stored, hits=[outside], inside=inside)
    assert {point.row for point in drawn.points} == set(inside.rows.tolist())
    assert [point.row for point in drawn.lit] == [outside]


def test_no_color_stands_for_two_classes_and_what_the_legend_does_not_name_is_gray(
    embeddings_of: Make,
) -> None:
    codes = np.repeat(np.arange(45), np.where(np.arange(45) == 21, 4, 2))
    points = np.random.default_rng(0).normal(size=(len(codes), 2)).astype(np.float32)
    catalog = served(embeddings_of(points, [f"class {c:02}" for c in codes]))
    drawn = draw_map(catalog, StoredMap("tsne", 0, points))
    colors = {entry.code: entry.color for entry in drawn.legend}
    largest = [*range(19), 21]
    assert colors == {c: f"c{place}" for place, c in enumerate(largest)}, "21 is larger than 19"
    assert drawn.n_more_classes == 25
    for point in drawn.points:
        assert point.color == colors.get(point.code, "c-none") == color_name(catalog, point.code)
