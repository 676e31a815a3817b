"""Joined vectors: the same pictures in every row, each backbone with the same say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analyze.reduction.concatenation import average_views, join_embeddings
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]


@pytest.fixture
def two(embeddings_of: Make) -> list[EmbeddingSet]:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    made = [
        embeddings_of((10.0**scale * rng.normal(size=(40, 5 + scale))).astype(np.float32), labels)
        for scale in (0, 3)
    ]
    named = (Provenance({"backbone": name}, ()) for name in ("near", "far"))
    return [replace(s, provenance=p) for s, p in zip(made, named, strict=True)]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_rows_are_joined_by_id_and_cosines_are_the_mean_of_theirs(two: list[EmbeddingSet]) -> None:
    order = np.random.default_rng(1).permutation(40)[:30]
    joined, notes = join_embeddings([two[0], two[1].take(order)])
    kept = np.sort(order)
    assert joined.ids == tuple(two[0].ids[i] for i in kept)
    assert len(notes) == 1
    one, other = (unit(each.vectors[kept]) for each in two)
    expected = (one @ one.T + other @ other.T) / 2
    found = unit(joined.vectors)
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-6)
    assert joined.levels[0].values() == two[0].take(kept).levels[0].values()


def test_the_parts_are_named_and_random_weights_stay_said(two: list[EmbeddingSet]) -> None:
    drawn = Provenance({"backbone": "far", "weights": {"source": "random"}}, ())
    joined, _ = join_embeddings([two[0], replace(two[1], provenance=drawn)])
    assert joined.provenance.model == "near + far"
    assert joined.provenance.weights == "random"
    other, _ = join_embeddings(two)
    assert other.provenance.identity_sha256 != joined.provenance.identity_sha256


def test_other_pictures_are_not_joined(two: list[EmbeddingSet]) -> None:
    strangers = replace(two[1], ids=tuple(f"other{i}" for i in range(40)))
    with pytest.raises(UsageError, match="no picture is in all of them"):
        join_embeddings([two[0], strangers])
    with pytest.raises(UsageError, match="--join takes two"):
        join_embeddings(two[:1])
    content = np.random.default_rng(2).integers(1, 256, (40, 32), dtype=np.uint8)
    changed = content.copy()
    changed[3] += 1
    sets = [replace(s, content_sha256=c) for s, c in zip(two, (content, changed), strict=True)]
    joined, notes = join_embeddings(sets)
    assert two[0].ids[3] not in joined.ids
    assert "1 picture left out" in notes[0]


def test_a_row_of_zeros_says_nothing_and_breaks_nothing(two: list[EmbeddingSet]) -> None:
    vectors = two[0].vectors.copy()
    vectors[7] = 0
    joined, _ = join_embeddings([replace(two[0], vectors=vectors), two[1]])
    assert np.linalg.norm(joined.vectors[7]) == pytest.approx(1, abs=1e-6)


def test_averaged_views_are_the_mean_direction_and_are_other_numbers(
    two: list[EmbeddingSet],
) -> None:
    plain = two[0]
    views = np.random.default_rng(2).normal(size=(3, *plain.vectors.shape)).astype(np.float32)
    made = average_views(plain, 100 * views)  # lengths say nothing
    expected = np.mean([unit(each) for each in (plain.vectors, *views)], axis=0)
    np.testing.assert_allclose(made.vectors, expected, atol=1e-6)
    assert made.provenance.identity_sha256 != plain.provenance.identity_sha256
    assert made.fingerprint != plain.fingerprint
    np.testing.assert_allclose(
        average_views(plain, plain.vectors[None]).vectors, unit(plain.vectors), atol=1e-6
    )
