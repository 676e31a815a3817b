"""The index that Python users search: as brute force finds, by ids and by vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analyze import NeighborIndex
from extract import EmbeddingSet
from extract.errors import UsageError

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(400, 8)).astype(np.float32)
IDS = tuple(f"p{i}" for i in range(400))
SET = EmbeddingSet.from_arrays(VECTORS, IDS)


def brute(query: np.ndarray, k: int) -> list[str]:
    cosines = VECTORS @ query / np.linalg.norm(VECTORS, axis=1) / np.linalg.norm(query)
    return [IDS[i] for i in np.argsort(-cosines, kind="stable")[:k]]


@pytest.mark.parametrize("kind", ["auto", "hnsw"])
def test_answers_are_those_of_brute_force(kind: str) -> None:
    index = NeighborIndex(SET, kind=kind, recall=0.999)
    assert index.kind == {"auto": "flat"}.get(kind, kind)
    found = index.search(VECTORS[:3] + 0.01, k=5)
    assert list(found.columns) == ["query", "rank", "id", "similarity"]
    for name, own in found.groupby("query"):
        assert own["id"].tolist() == brute(VECTORS[int(name)] + 0.01, 5)
        assert own["rank"].tolist() == [1, 2, 3, 4, 5]
        assert own["similarity"].is_monotonic_decreasing


def test_an_id_is_not_its_own_answer() -> None:
    index = NeighborIndex(SET)
    by_id = index.search(["p7", "p2"], k=3)
    assert by_id["query"].tolist() == ["p7"] * 3 + ["p2"] * 3
    assert by_id["id"].tolist() == [w for i in (7, 2) for w in brute(VECTORS[i], 4)[1:]]
    assert index.search("p7", k=3).equals(by_id[:3])
    assert len(NeighborIndex(VECTORS[:3]).search("1", k=9)) == 2


@pytest.mark.parametrize(
    ("queries", "k", "line"),
    [
        ("none", 3, "no row has the id 'none'"),
        (np.ones((1, 5)), 3, "queries of 5 dimensions, and the index has 8"),
        (np.zeros((1, 8)), 3, "query '0' is a row of zeros"),
        ("p1", 0, "k 0: give 1 or more"),
    ],
)
def test_what_cannot_be_searched_is_one_line(queries: Any, k: int, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        NeighborIndex(SET).search(queries, k)
