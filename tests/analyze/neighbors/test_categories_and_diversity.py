"""Searching inside a category, and hits unlike each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analyze.neighbors.category_filter import rows_inside
from analyze.neighbors.diversity import MarginalRelevance, check_weight
from analyze.neighbors.query import Query
from analyze.neighbors.similar import LookUp, find_similar, pool_size
from analyze.pictures.duplicates import Relation
from analyze.pictures.picture_folder import PictureFolder
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

N = 300


@pytest.fixture
def products() -> EmbeddingSet:
    rng = np.random.default_rng(0)
    kinds = [None if i % 50 == 0 else "ab=c"[i % 4] for i in range(N)]
    colors = ["red" if i % 3 else "blue" for i in range(N)]
    levels = Level.from_values("kind", kinds), Level.from_values("kind=x", colors)
    vectors = rng.normal(size=(N, 16)).astype(np.float32)
    hashes = rng.integers(1, 256, (N, 32), dtype=np.uint8)
    ids = tuple(f"{i:04}" for i in range(N))
    return EmbeddingSet(ids, vectors, Provenance({}, ()), levels, content_sha256=hashes)


def values(products: EmbeddingSet, level: int) -> tuple[str | None, ...]:
    return products.levels[level].values()


def test_values_of_a_level_widen_levels_narrow(products: EmbeddingSet) -> None:
    kinds, colors = values(products, 0), values(products, 1)
    both = rows_inside(products, ["kind=a", "kind=b"])
    assert both is not None
    assert both.rows.tolist() == [i for i in range(N) if kinds[i] in ("a", "b")]
    narrow = rows_inside(products, ["kind=a", "kind=x=red"])
    assert narrow is not None
    assert narrow.rows.tolist() == [i for i in range(N) if kinds[i] == "a" and colors[i] == "red"]
    equals = rows_inside(products, ["kind=="])  # a value that is an equals sign
    assert equals is not None
    assert set(np.array(kinds, object)[equals.rows]) == {"="}
    assert rows_inside(products, []) is None


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("color=red", "kind, kind=x"),
        ("kind", "LEVEL=VALUE"),
        ("kind=x=rde", "red"),
        ("kind=", "kind"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    products: EmbeddingSet, wanted: str, said: str
) -> None:
    with pytest.raises(UsageError, match="--where") as error:
        rows_inside(products, [wanted])
    assert said in str(error.value)


def test_a_look_up_inside_is_brute_force_over_its_rows(products: EmbeddingSet) -> None:
    inside = rows_inside(products, ["kind=b"])
    assert inside is not None
    pictures = PictureFolder(products, None)
    unit = products.vectors / np.linalg.norm(products.vectors, axis=1, keepdims=True)
    for row in (0, 1, 5, 17):
        query = Query(products.ids[row], products.vectors[row], row)
        (answer,) = find_similar(products, [query], pictures, top=7, inside=inside)
        rows = [i for i in inside.rows.tolist() if i != row]
        true = sorted(rows, key=lambda i: -float(unit[i] @ unit[row]))[:7]
        assert [hit.row for hit in answer.hits] == true


def naive(relevance: np.ndarray, unit: np.ndarray, weight: float, n: int) -> list[int]:
    """Maximal marginal relevance as the paper writes it."""
    taken: list[int] = []
    while len(taken) < n:
        left = [i for i in range(len(relevance)) if i not in taken]
        scores = [
            weight * relevance[i]
            - (1 - weight) * max([float(unit[i] @ unit[j]) for j in taken], default=0.0)
            for i in left
        ]
        taken.append(left[int(np.argmax(scores))])
    return taken


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
def test_diverse_hits_are_those_of_the_definition(weight: float) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 6)).astype(np.float32)
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    relevance = unit @ unit[0]
    marginal = MarginalRelevance(relevance, vectors, weight)
    free = np.ones(40, bool)
    found = []
    for _ in range(12):
        place = marginal.take(free)
        assert place is not None
        free[place] = False
        found.append(place)
    assert found == naive(relevance, unit, weight, 12)
    assert marginal.take(np.zeros(40, bool)) is None


def test_all_weight_on_similarity_is_the_plain_order(products: EmbeddingSet) -> None:
    look_up = LookUp(products, PictureFolder(products, None))
    query = Query("x", products.vectors[9], 9)
    plain = [hit.row for hit in look_up.ask(query, top=12).hits]
    assert [hit.row for hit in look_up.ask(query, top=12, diverse=1.0).hits] == plain


def test_diverse_hits_are_less_alike_and_from_the_most_similar(products: EmbeddingSet) -> None:
    look_up = LookUp(products, PictureFolder(products, None))
    query = Query("x", products.vectors[9], 9)
    most_similar = {hit.row for hit in look_up.ask(query, top=pool_size(10)).hits}

    def alike(rows: list[int]) -> float:
        some = products.vectors[rows]
        some = some / np.linalg.norm(some, axis=1, keepdims=True)
        return float((some @ some.T)[np.triu_indices(len(rows), 1)].mean())

    plain = [hit.row for hit in look_up.ask(query, top=10).hits]
    diverse = [hit.row for hit in look_up.ask(query, top=10, diverse=0.3).hits]
    assert diverse[0] == plain[0]
    assert set(diverse) <= most_similar
    assert alike(diverse) < alike(plain)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(UsageError, match="--diverse-weight"):
        check_weight(weight)


def test_copies_are_looked_for_at_once_as_one_by_one(
    products: EmbeddingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are copies to the eye, in chains: both ways fold them under the same hits."""
    rng = np.random.default_rng(2)
    vectors = products.vectors.copy()
    for i in range(0, 120, 6):  # six of a kind, each a little off the one before
        for j in range(1, 6):
            step = 0.02 * rng.normal(size=16).astype(np.float32)
            vectors[i + j] = vectors[i + j - 1] + step
    shop = EmbeddingSet(
        products.ids, vectors, Provenance({}, ()), content_sha256=products.content_sha256
    )
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    monkeypatch.setattr(
        "analyze.neighbors.copies_and_variants.Relatives._compare",
        lambda self, one, other: Relation.COPY if units[one] @ units[other] > 0.999 else None,
    )
    pictures = PictureFolder(shop, None)
    queries = [Query(shop.ids[i], vectors[i], i) for i in range(0, N, 11)]
    at_once = find_similar(shop, queries, pictures, top=12)
    monkeypatch.setattr(
        "analyze.neighbors.copies_and_variants.Relatives.near", lambda self, rows: {}
    )
    one_by_one = find_similar(shop, queries, pictures, top=12)
    assert [answer.hits for answer in at_once] == [answer.hits for answer in one_by_one]
    assert max(len(hit.near_equal) for answer in at_once for hit in answer.hits) >= 2
