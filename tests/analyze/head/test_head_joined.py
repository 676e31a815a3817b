"""A head on several backbones: their vectors and views side by side, row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analyze.head.joined import is_joined, join_contenders, parts_of
from analyze.head.rivals import Contender
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def two(embeddings_of: Make) -> list[Contender]:
    random = np.random.default_rng(0)
    made = []
    for name, n_dims, n_views in (("near", 5, 3), ("far", 7, 2)):
        vectors = random.normal(size=(20, n_dims)).astype(np.float32)
        views = random.normal(size=(n_views, 20, n_dims)).astype(np.float32)
        embeddings = embeddings_of(vectors, np.arange(20) % 4)
        provenance = Provenance({"backbone": f"{name}.tag"}, (), {"model": name})
        made.append(Contender(replace(embeddings, provenance=provenance), views))
    return made


def test_views_of_one_number_stand_beside_each_other(two: list[Contender]) -> None:
    order = np.random.default_rng(1).permutation(20)[:15]
    fewer = Contender(two[1].embeddings.take(order), two[1].views[:, order])  # type: ignore[index]
    joined, _ = join_contenders([two[0], fewer])
    assert joined.views is not None
    assert joined.views.shape == (2, 15, 12)  # as many views as both have
    kept = np.sort(order)
    for number in (0, 1):
        parts = [unit(each.views[number][kept]) for each in two]  # type: ignore[index]
        np.testing.assert_allclose(joined.views[number], np.hstack(parts), atol=1e-6)
    parts = [unit(each.embeddings.vectors[kept]) for each in two]
    np.testing.assert_allclose(joined.embeddings.vectors, np.hstack(parts), atol=1e-6)


def test_without_views_of_all_there_are_none(two: list[Contender]) -> None:
    joined, _ = join_contenders([two[0], two[1]._replace(views=None)])
    assert joined.views is None


def test_each_backbone_can_be_had_again(two: list[Contender]) -> None:
    joined, _ = join_contenders(two)
    made = joined.embeddings.provenance
    assert is_joined(made)
    parts = parts_of(made)
    assert [part.model for part in parts] == ["near", "far"]
    expected = [each.embeddings.provenance.identity_sha256 for each in two]
    assert [part.identity_sha256 for part in parts] == expected
    assert parts_of(parts[0]) == [parts[0]]
    with pytest.raises(ValueError, match="2 backbones are joined, 1 are named"):
        parts_of(replace(made, record={"model": "near"}))
