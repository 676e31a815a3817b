"""The ladder of indexes: what each finds, what it says that it finds, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analyze.neighbors.indexes.approximate_index import (
    ApproximateIndex,
    Effort,
    choose_effort,
    exact_answers,
    hold_out,
    recall_of,
)
from analyze.neighbors.indexes.exact_search import ExactIndex
from analyze.neighbors.indexes.index_cache import OpenedIndex, open_index
from analyze.neighbors.indexes.index_choice import Choice, check_wanted, choose_index, wanted_index
from analyze.neighbors.indexes.index_types import FLAT, INDEX_KINDS, NAMES, build, find_kind
from extract.errors import UsageError
from extract.files.strict_json import with_check_sum
from extract.storage.embeddings import EmbeddingSet, Provenance

pytestmark = pytest.mark.slow

N, D, AT = 3000, 32, 10
FEW = 400
"""Rows where what is asked is not how many of them are found."""

IDENTITY = {"backbone": "drawn"}
KINDS = [kind.name for kind in INDEX_KINDS]
Open = Callable[..., OpenedIndex]


def drawn(n: int = N, seed: int = 0, n_dims: int = D) -> np.ndarray:
    """Rows about 40 centers, as products of 40 kinds lie."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(40, n_dims))
    rows: np.ndarray = centers[rng.integers(0, 40, n)] + 0.7 * rng.normal(size=(n, n_dims))
    return rows.astype(np.float32)


def brute(vectors: np.ndarray, query: np.ndarray, k: int, out: tuple[int, ...] = ()) -> list[int]:
    """The k rows of the highest cosine, in float64, ties by row."""
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    known = np.setdiff1d(np.flatnonzero(lengths), out)
    cosines = rows[known] @ query.astype(np.float64) / lengths[known]
    best: list[int] = known[np.lexsort((known, -cosines))[:k]].tolist()
    return best


def brute_each(
    vectors: np.ndarray, queries: np.ndarray, k: int, own: np.ndarray | None = None
) -> list[list[int]]:
    """As :func:`brute` of each query, all at once; of rows without themselves where own are given.

    Rows of zeros are not among them.
    """
    rows = vectors.astype(np.float64)
    cosines = queries.astype(np.float64) @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    if own is not None:
        cosines[np.arange(len(own)), own] = -np.inf
    best: list[list[int]] = np.argsort(-cosines, axis=1, kind="stable")[:, :k].tolist()
    return best


def shares(found: list[np.ndarray], true: list[list[int]]) -> float:
    pairs = zip(found, true, strict=True)
    return float(np.mean([len({*own.tolist()} & {*best}) / len(best) for own, best in pairs]))


def embedded(vectors: np.ndarray) -> EmbeddingSet:
    ids = tuple(f"{i:06}" for i in range(len(vectors)))
    return EmbeddingSet(ids, vectors, Provenance(IDENTITY, ()))


@pytest.fixture
def opening(tmp_path: Path) -> Open:
    def open_one(
        vectors: np.ndarray, name: str, wanted: float = 0.95, dims: int | None = None
    ) -> OpenedIndex:
        path = tmp_path / "shop" / "drawn.h5"
        choice = Choice(name, dims, "as requested")
        return open_index(embedded(vectors), path, tmp_path / "index", choice, wanted)

    return open_one


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., OpenedIndex]:
    """The index of :func:`drawn` of each kind, opened once, to be asked."""

    @cache
    def open_once(name: str, dims: int | None = None) -> OpenedIndex:
        folder = tmp_path_factory.mktemp("index")
        choice = Choice(name, dims, "as asked")
        return open_index(embedded(drawn()), folder / "drawn.h5", folder / "index", choice, 0.95)

    return open_once


# what is found


def test_flat_equals_brute_force_ties_by_row() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.integers(-2, 3, (400, 3)).astype(np.float32)  # few directions: many ties
    index = ExactIndex(vectors)
    for query in range(0, 400, 7):
        if not vectors[query].any():
            continue
        found = index.find(vectors[query][None], 25, [np.array([query])])
        lengths = np.linalg.norm(vectors.astype(float), axis=1)
        with np.errstate(invalid="ignore"):
            cosines = (vectors @ vectors[query].astype(float)) / lengths / lengths[query]
        known = [i for i in range(400) if lengths[i] and i != query]
        true = sorted(known, key=lambda i: (-round(cosines[i], 12), i))[:25]
        assert found.rows[0].tolist() == true


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dims", [None, 16])
def test_an_index_finds_as_many_as_it_says(built: Open, name: str, dims: int | None) -> None:
    vectors, asked = drawn(), drawn(600, seed=5)
    opened = built(name, dims)
    assert opened.index is not None
    assert opened.index.name == name
    found = opened.index.find(asked, AT)
    true = brute_each(vectors, asked, AT)
    assert true[7] == brute(vectors, asked[7], AT)
    assert shares(list(found.rows), true) == pytest.approx(opened.recall, abs=0.01)
    rows = np.random.default_rng(3).choice(N, 600, replace=False)
    own = opened.index.find(vectors[rows], AT, list(rows[:, None]))
    true = brute_each(vectors, vectors[rows], AT, rows)
    assert true[7] == brute(vectors, vectors[rows[7]], AT, (int(rows[7]),))
    assert shares(list(own.rows), true) == pytest.approx(opened.recall_of_rows, abs=0.01)
    assert opened.recall >= 0.95
    assert opened.n_queries == (N // 5) // 2


@pytest.mark.parametrize("name", KINDS)
def test_what_is_found_is_ordered_exactly(built: Open, name: str) -> None:
    vectors = drawn()
    opened = built(name)
    assert opened.index is not None
    for query in drawn(20, seed=8):
        found = opened.index.find(query[None], AT)
        rows = found.rows[0].tolist()
        own = vectors[rows].astype(np.float64) @ query
        cosines = own / np.linalg.norm(vectors[rows].astype(np.float64), axis=1)
        cosines /= np.linalg.norm(query.astype(np.float64))
        np.testing.assert_allclose(found.similarities[0], cosines, rtol=1e-12)
        assert rows == [r for _, r in sorted(zip(-cosines, rows, strict=True))]


@pytest.mark.parametrize("name", KINDS)
def test_rows_left_out_are_never_found_and_all_others_can_be(opening: Open, name: str) -> None:
    vectors = drawn(700)
    vectors[3] = 0
    opened = opening(vectors, name)
    assert opened.index is not None
    out = np.arange(0, 700, 2)
    found = opened.index.find(vectors[1][None], 1000, [out]).rows[0]
    assert found.tolist() == brute(vectors, vectors[1], 1000, tuple(out.tolist()))
    assert len(found) == 349  # a row of zeros has no direction


def test_too_few_rows_to_teach_are_all_compared(opening: Open) -> None:
    for name in ("ivf", "ivfpq"):
        opened = opening(drawn(100), name)
        assert opened.index is None
        assert "100 rows are too few" in opened.why


@pytest.mark.parametrize("n", [1, 2, 4])
def test_tiny_catalogues_can_be_indexed(opening: Open, n: int) -> None:
    vectors = drawn(n)
    opened = opening(vectors, "hnsw")
    assert opened.index is not None
    assert opened.index.find(vectors[:1], 9).rows[0].tolist() == brute(vectors, vectors[0], 9)


# what is measured


def test_held_out_rows_are_not_in_what_is_asked() -> None:
    for n in (1, 4, 5, 57, 20_000):
        known = np.arange(n) * 3
        indexed, held = hold_out(known)
        assert sorted([*indexed.tolist(), *held.tolist()]) == known.tolist()
        assert len(held) == min(2000, n // 5)
        np.testing.assert_array_equal(hold_out(known)[1], held)


def test_true_answers_are_those_of_all_blocks_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyze.neighbors.indexes.approximate_index.ADDED_AT_ONCE", 90)
    vectors, rows = drawn(FEW), np.arange(0, FEW, 7)
    found = exact_answers(vectors, np.arange(FEW), rows, AT)
    assert [each.tolist() for each in found.rows] == brute_each(vectors, vectors[rows], AT, rows)


def test_a_graph_is_measured_on_what_it_does_not_hold() -> None:
    """Rows of the graph are an easier question; to print their recall would promise too much."""
    vectors = np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32)
    known, kind = np.arange(4000), find_kind("hnsw")
    index = ApproximateIndex(vectors, known, build(kind, vectors, known, None), kind, {})
    knobs = kind.steps(4000)[0]
    rows = known[::8]
    easy = recall_of(index, vectors, rows, exact_answers(vectors, known, rows, AT), knobs)
    new = np.random.default_rng(1).normal(size=(500, 64)).astype(np.float32)
    true = brute_each(vectors, new, AT)
    hard = shares(list(index.find(new, AT, None, knobs).rows), true)
    assert easy > hard + 0.02


def test_the_cheapest_effort_that_reaches_the_recall_is_taken() -> None:
    efforts = [
        Effort({"k": 1}, 0.90, 0.92),
        Effort({"k": 2}, 0.96, 0.94),
        Effort({"k": 3}, 0.96, 0.96),
        Effort({"k": 4}, 0.99, 0.98),
    ]
    assert [choose_effort(efforts, r).knobs["k"] for r in (0.5, 0.9, 0.95, 0.97, 1.0)] == [
        1, 1, 3, 4, 4,
    ]  # fmt: skip


def test_a_recall_out_of_reach_is_said(opening: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = replace(find_kind("hnsw"), steps=lambda _n: ({"efSearch": 1, "refined": 10},))
    monkeypatch.setattr("analyze.neighbors.indexes.index_cache.find_kind", lambda _name: hurried)
    vectors = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
    opened = opening(vectors, "hnsw", wanted=0.9)
    assert opened.recall < 0.9
    assert any("out of reach of hnsw" in note for note in opened.notes)


# where it is kept


def files(folder: Path) -> dict[str, Path]:
    return {path.suffix: path for path in (folder / "index").iterdir() if path.is_file()}


def test_a_stored_index_is_opened_not_built(
    opening: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = drawn(FEW)
    first = opening(vectors, "hnsw")
    monkeypatch.setattr("analyze.neighbors.indexes.index_cache.build", None)
    again = opening(vectors, "hnsw")
    assert (again.recall, again.recall_of_rows, again.about, again.notes) == (
        first.recall, first.recall_of_rows, first.about, (),
    )  # fmt: skip
    assert again.index is not None
    assert first.index is not None
    query = drawn(1, seed=9)
    np.testing.assert_array_equal(again.index.find(query, 9).rows, first.index.find(query, 9).rows)
    lower = opening(vectors, "hnsw", wanted=0.5)  # measured when it was built
    assert lower.recall >= 0.5


def test_changed_vectors_are_never_answered_from_an_old_index(opening: Open) -> None:
    vectors = drawn(FEW)
    opening(vectors, "sq8")
    changed = vectors.copy()
    changed[::2] = drawn(FEW // 2, seed=4)
    opened = opening(changed, "sq8")
    assert "the embeddings have changed since the index was built: built again" in opened.notes
    assert opened.index is not None
    query = drawn(1, seed=9)
    assert opened.index.find(query, AT).rows[0].tolist() == brute(changed, query[0], AT)


@pytest.mark.parametrize("name", ["ivf", "ivfpq", "hnsw"])
def test_what_an_index_was_taught_is_kept_as_the_catalogue_grows(
    opening: Open, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = drawn(1000)
    opening(small, name)
    training_set: list[object] = []

    def watched(*args: object) -> object:
        training_set.append(args[4])
        return build(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("analyze.neighbors.indexes.index_cache.build", watched)
    grown = np.concatenate([small, drawn(300, seed=3)])
    opened = opening(grown, name)
    assert training_set[0] is not None
    assert any("grew from 1000 to 1300 rows" in note for note in opened.notes)
    assert opened.index is not None
    last = grown[1299]
    assert 1299 in opened.index.find(last[None], 1).rows[0]
    found = opened.index.find(grown[1000:], AT)
    assert shares(list(found.rows), brute_each(grown, grown[1000:], AT)) > 0.9
    opening(np.concatenate([grown, drawn(4500, seed=6)]), name)
    assert training_set[1] is None  # far beyond what it was taught on


def test_a_damaged_index_is_built_again_and_said(opening: Open, tmp_path: Path) -> None:
    vectors = drawn(FEW)
    query = drawn(1, seed=9)
    opening(vectors, "sq8")
    stored = files(tmp_path)
    sound = {suffix: path.read_bytes() for suffix, path in stored.items()}

    def without(suffix: str) -> None:
        stored[suffix].unlink()

    def cut(suffix: str) -> None:
        stored[suffix].write_bytes(sound[suffix][: len(sound[suffix]) // 2])

    def flipped(suffix: str) -> None:
        raw = bytearray(sound[suffix])
        raw[len(raw) // 2] ^= 1
        stored[suffix].write_bytes(raw)

    def said(**other: object) -> None:
        changed = with_check_sum(json.loads(sound[".json"]) | other)
        stored[".json"].write_text(json.dumps(changed))

    def respelled(old: str, new: str) -> None:
        text = sound[".json"].decode()
        assert old in text
        stored[".json"].write_text(text.replace(old, new))

    harms: list[Callable[[], None]] = [
        lambda: cut(".faiss"), lambda: flipped(".faiss"), lambda: without(".faiss"),
        lambda: cut(".json"), lambda: without(".json"), lambda: stored[".json"].write_text("{}"),
        lambda: said(knobs={"refined": 10**9}), lambda: said(efforts=[[{"x": 1}, 1.0, 1.0]]),
        lambda: said(recall_of_rows=2.0), lambda: said(n_indexed="many"), lambda: said(efforts=3),
        lambda: said(index="hnsw"), lambda: said(efforts=[[{"refined": -1}, 1.0, 1.0]]),
        lambda: respelled('"n_queries":', '"n_queries":1'),  # what could be, and is not so
    ]  # fmt: skip
    for i, harm in enumerate(harms):
        for suffix, raw in sound.items():
            stored[suffix].write_bytes(raw)
        harm()
        opened = opening(vectors, "sq8")
        assert any("damaged" in note and "built again" in note for note in opened.notes), i
        assert opened.index is not None
        assert opened.index.find(query, AT).rows[0].tolist() == brute(vectors, query[0], AT)
        assert opening(vectors, "sq8").notes == ()


def test_an_index_of_a_later_version_is_neither_read_nor_replaced(
    opening: Open, tmp_path: Path
) -> None:
    vectors, query = drawn(FEW), drawn(1, seed=9)
    opening(vectors, "sq8")
    said = files(tmp_path)[".json"]
    said.write_text(json.dumps(json.loads(said.read_text()) | {"format_version": 2}))
    before = {path: path.read_bytes() for path in files(tmp_path).values()}
    opened = opening(vectors, "sq8")
    assert any("format 2" in note and "upgrade sosie" in note for note in opened.notes)
    assert opened.index is not None
    assert opened.index.find(query, AT).rows[0].tolist() == brute(vectors, query[0], AT)
    assert {path: path.read_bytes() for path in files(tmp_path).values()} == before


def test_an_index_without_a_check_sum_is_built_again(opening: Open, tmp_path: Path) -> None:
    opening(drawn(FEW), "sq8")
    path = files(tmp_path)[".json"]
    said = json.loads(path.read_text())
    del said["json_sha256"]
    path.write_text(json.dumps(said))
    assert any(
        "earlier version" in n and "built again" in n for n in opening(drawn(FEW), "sq8").notes
    )


def test_an_index_that_cannot_be_kept_answers_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "index").write_text("a file where a folder should be")
    vectors = drawn(FEW)
    choice = Choice("sq8", None, "as requested")
    opened = open_index(embedded(vectors), tmp_path / "x.h5", tmp_path / "index", choice, 0.9)
    assert opened.index is not None
    assert "index not kept" in caplog.text


def test_nothing_half_written_is_left_behind(opening: Open, tmp_path: Path) -> None:
    opening(drawn(FEW), "sq8")
    left = tmp_path / "index" / f".{files(tmp_path)['.faiss'].stem}.123.tmp"
    left.write_bytes(b"half")
    opening(drawn(FEW), "sq8")
    assert not left.exists()


# which one


def test_the_choice_follows_rows_memory_and_recall() -> None:
    assert choose_index(99_999, 1024).name == FLAT
    assert choose_index(100_000, 1024, recall=1).name == FLAT
    graph = choose_index(100_000, 1024)
    assert (graph.name, graph.reduced_dims) == ("hnsw", 256)
    assert choose_index(100_000, 128).reduced_dims is None
    assert choose_index(400_000, 256, memory=1e8).name == "ivfpq"
    assert "free" in choose_index(400_000, 256, memory=1e8).why
    assert choose_index(10_000_000, 256, memory=1e12).name == "ivfpq"
    for n in (10, 100_000, 10**7):
        assert f"{n:,}" in choose_index(n, 1024).why


def test_what_is_asked_for_is_taken_or_refused() -> None:
    assert wanted_index("ivf", None, 10, 8, recall=0.9) == Choice("ivf", None, "as requested")
    assert wanted_index("hnsw", 4, 10, 8, recall=0.9).reduced_dims == 4
    assert "is not used" in wanted_index("auto", 4, 10, 8, recall=0.9).why
    with pytest.raises(UsageError, match="--index-dims 9"):
        wanted_index("hnsw", 9, 10, 8, recall=0.9)
    for recall in (0, -1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="--recall"):
            check_wanted("auto", recall)
    with pytest.raises(UsageError, match=", ".join(NAMES)):
        check_wanted("annoy", 0.9)


def test_an_embedding_set_keeps_its_own_index(opening: Open, tmp_path: Path) -> None:
    one = embedded(drawn(500))
    other = replace(one, provenance=Provenance({"backbone": "another"}, ()))
    choice = Choice("sq8", None, "as requested")
    for each in (one, other):
        opened = open_index(each, tmp_path / "a.h5", tmp_path / "index", choice, 0.9)
        assert opened.index is not None
    assert opened.notes == ("the embeddings have changed since the index was built: built again",)
