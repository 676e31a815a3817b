"""How good look-ups are: equal to plain loops, copies left out, random labels at chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from analyze.neighbors.retrieval import (
    average_precision,
    precision_at,
    rank_all,
    recall_at,
    reciprocal_rank,
)
from analyze.neighbors.retrieval_result import retrieve as retrieve_from
from analyze.neighbors.retrieval_scores import Retrieved
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance


def retrieve(
    sets: list[EmbeddingSet], **options: Any
) -> tuple[tuple[Retrieved, ...], tuple[str, ...]]:
    retrieval = retrieve_from(sets, **options)
    return retrieval.found, retrieval.notes


def drawn(n: int = 120, seed: int = 0, towards: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 5, n)
    centers = towards * rng.normal(size=(5, 12))
    return (centers[codes] + rng.normal(size=(n, 12))).astype(np.float32), codes


def embedded(
    vectors: np.ndarray, codes: np.ndarray, sha256: np.ndarray | None = None, name: str = "drawn"
) -> EmbeddingSet:
    values = [None if code < 0 else f"class {code}" for code in codes]
    ids = tuple(f"{i:05}" for i in range(len(vectors)))
    if sha256 is None:
        sha256 = np.random.default_rng(7).integers(1, 256, (len(vectors), 32), dtype=np.uint8)
    made = Provenance({"backbone": name}, (), {"model": name})
    levels = (Level.from_values("label", values),) if any(values) else ()
    return EmbeddingSet(ids, vectors, made, levels, content_sha256=sha256)


@pytest.mark.numbers
def test_every_metric_equals_a_plain_loop() -> None:
    vectors, codes = drawn()
    codes[5] = -1
    vectors[9] = 0
    groups = np.arange(len(codes))
    groups[20] = groups[21] = 22
    ranked = rank_all(vectors, codes, groups, (1, 5, 10))
    unit = vectors.astype(np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-300)
    answers = [i for i in range(len(codes)) if codes[i] >= 0 and vectors[i].any()]
    assert ranked.rows.tolist() == answers
    for place, query in enumerate(answers):
        others = [i for i in answers if groups[i] != groups[query]]
        others.sort(key=lambda i: (-round(float(unit[i] @ unit[query]), 9), i))
        right = [codes[i] == codes[query] for i in others]
        for k in (1, 5, 10):
            assert ranked.precision[k][place] == sum(right[:k]) / k
            assert ranked.recall[k][place] == pytest.approx(sum(right[:k]) / sum(right))
        assert ranked.reciprocal_rank[place] == 1 / (right.index(True) + 1)
        scores = -np.arange(len(others), dtype=float)
        own = average_precision_score(right, scores)
        assert ranked.average_precision[place] == pytest.approx(own, abs=1e-12)
        assert ranked.nearest[place].tolist() == others[:5]


def test_the_definitions_on_an_example_by_hand() -> None:
    ranks = np.array([1, 3, 10])  # of three right answers
    assert precision_at(5, ranks) == 2 / 5
    assert recall_at(5, ranks) == 2 / 3
    assert average_precision(ranks) == pytest.approx((1 / 1 + 2 / 3 + 3 / 10) / 3)
    assert reciprocal_rank(np.array([4])) == 0.25


def test_copies_do_not_answer_for_each_other() -> None:
    vectors, codes = drawn(60)
    twice = np.concatenate([vectors, vectors])
    hashes = np.random.default_rng(1).integers(1, 256, (60, 32), dtype=np.uint8)
    doubled = embedded(twice, np.concatenate([codes, codes]), np.concatenate([hashes, hashes]))
    random = np.random.default_rng(2).integers(0, 5, 60)
    shuffled = embedded(twice, np.concatenate([random, random]), np.concatenate([hashes, hashes]))
    (found,), notes = retrieve([doubled], n_resamples=100)
    (chance,), _ = retrieve([shuffled], n_resamples=100)
    assert any("have copies" in note for note in notes)
    # with copies as answers every first hit would be right
    assert chance.estimates["one_nn_accuracy", None].mean < 0.5
    assert found.estimates["one_nn_accuracy", None].mean > chance.estimates["map", None].mean


def test_random_labels_give_chance() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 16)).astype(np.float32)
    (found,), _ = retrieve([embedded(vectors, rng.integers(0, 4, 600))], n_resamples=500)
    for key in (("precision", 5), ("precision", 10), ("one_nn_accuracy", None), ("map", None)):
        estimate = found.estimates[key]
        assert estimate.mean == pytest.approx(0.25, abs=0.04)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= 0.27
        assert estimate.high >= 0.23


def test_perfect_vectors_are_perfect() -> None:
    codes = np.repeat(np.arange(4), 12)
    rng = np.random.default_rng(0)
    vectors = (10 * np.eye(4, 8)[codes] + 0.01 * rng.normal(size=(48, 8))).astype(np.float32)
    # near-equal vectors count as copies: the classes lie apart, their pictures a little
    vectors += rng.normal(size=vectors.shape).astype(np.float32)
    (found,), _ = retrieve([embedded(vectors, codes)], n_resamples=200)
    assert found.estimates["map", None].mean == 1
    assert found.estimates["precision", 10].mean == 1


def test_a_class_of_one_is_left_out_and_said() -> None:
    vectors, codes = drawn(50)
    codes[0] = 77
    (found,), notes = retrieve([embedded(vectors, codes)], n_resamples=100)
    assert 0 not in found.ranked.rows
    assert any("1 picture is left out as a query" in note for note in notes)
    assert "class 77" not in found.by_class


def test_estimates_a_class_are_those_of_its_queries() -> None:
    vectors, codes = drawn(150)
    (found,), _ = retrieve([embedded(vectors, codes)], n_resamples=100)
    of_class = found.level.codes[found.ranked.rows]
    for code, name in enumerate(found.level.categories):
        n, estimates = found.by_class[name]
        rows = of_class == code
        assert n == rows.sum()
        own = found.ranked.average_precision[rows].mean()
        assert estimates["map", None].mean == pytest.approx(own)
    total = sum(n * e["map", None].mean for n, e in found.by_class.values())
    assert found.estimates["map", None].mean == pytest.approx(total / len(of_class))


def test_intervals_cover_what_is_true() -> None:
    """Of catalogues drawn anew, nine in ten intervals or more hold the mean of very many."""
    vectors, codes = drawn(6000, seed=3, towards=0.5)
    truth, held = [], 0
    for i in range(30):
        some = slice(200 * i, 200 * (i + 1))
        (found,), _ = retrieve([embedded(vectors[some], codes[some])], n_resamples=300)
        truth.append(found.estimates["precision", 5])
    mean = float(np.mean([each.mean for each in truth]))
    for each in truth:
        assert each.low is not None
        assert each.high is not None
        held += each.low <= mean <= each.high
    assert held >= 26


def test_several_backbones_are_asked_about_the_same_pictures() -> None:
    vectors, codes = drawn(90)
    worse = vectors + 2 * np.random.default_rng(5).normal(size=vectors.shape).astype(np.float32)
    good, bad = embedded(vectors, codes), embedded(worse[:80], codes[:80], name="other")
    found, notes = retrieve([good, bad], n_resamples=100)
    assert [each.name for each in found] == ["drawn", "other"]
    assert {len(each.embeddings) for each in found} == {80}
    assert found[0].estimates["map", None].mean > found[1].estimates["map", None].mean
    assert notes


def test_the_worst_queries_are_those_of_the_lowest_precision() -> None:
    vectors, codes = drawn(100)
    (found,), _ = retrieve([embedded(vectors, codes)], n_resamples=100)
    worst = found.worst(7)
    values = [each["average_precision"] for each in worst]
    assert values == sorted(found.ranked.average_precision.tolist())[:7]
    for each in worst:
        assert [hit["rank"] for hit in each["hits"]] == [1, 2, 3, 4, 5]
        right = [hit["right"] for hit in each["hits"]]
        assert (True in right) == (each["first_right"] <= 5)


def test_a_sample_of_queries_is_said_and_repeats() -> None:
    vectors, codes = drawn(300)
    (found,), notes = retrieve([embedded(vectors, codes)], most_queries=50, n_resamples=100)
    (again,), _ = retrieve([embedded(vectors, codes)], most_queries=50, n_resamples=100)
    assert len(found.ranked.rows) == 50
    assert any("50 of 300 pictures are queries" in note for note in notes)
    assert found.rows() == again.rows()


def test_what_cannot_be_judged_is_refused() -> None:
    vectors, codes = drawn(20)
    with pytest.raises(UsageError, match="it is unknown which answers are right"):
        retrieve([embedded(vectors, np.full(20, -1))])
    with pytest.raises(UsageError, match="--level"):
        retrieve([embedded(vectors, np.arange(20))])
    with pytest.raises(UsageError, match="--k"):
        retrieve([embedded(vectors, codes)], ks=(0,))


def test_retrieval_is_printed_and_tabulated_in_python() -> None:
    vectors, codes = drawn()
    found = replace(retrieve_from([embedded(vectors, codes)], n_resamples=100), n_worst=3)
    (one,) = found.found
    tables = {name: [*table] for name, table in found.tables().items()}
    assert len(tables["classes"]) == 1 + len(one.by_class) * len(one.estimates)
    worst = [dict(zip(tables["worst"][0], row, strict=True)) for row in tables["worst"][1:]]
    lowest = np.sort(one.ranked.average_precision)[:3]
    assert [query["average_precision"] for query in worst] == lowest.tolist()
    assert all(len(query["hits"].split(" | ")) == 5 for query in worst)
    (line,) = [line for line in found.text().splitlines() if line.startswith("  mAP ")]
    assert f"{one.estimates['map', None].mean:.3f}" in line
    # sheets are drawn of pictures alone
    assert [*found.figures()] == ["retrieval", "retrieval-classes"]
