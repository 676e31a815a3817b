"""Doubt over pictures: as slow code has it, the same for all, right about what is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from analyze.comparison import uncertainty as doubts
from analyze.comparison.comparison import compare
from analyze.comparison.pairwise_tests import compare_pairs
from analyze.comparison.resampling import (
    RESAMPLED,
    permuted_means,
    resampled_means,
    why_no_interval,
)
from analyze.comparison.scores import ComparedModel, Setting
from analyze.measures.bootstrap import interval, p_value, permuted_rows, resampled_weights
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]


def noisy(labels: np.ndarray, share: float, seed: int, n_clusters: int = 5) -> np.ndarray:
    """Give clusters that follow the labels but for a share of the rows."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n_clusters, len(labels))
    return np.where(rng.random(len(labels)) < share, drawn, labels)


def test_means_of_resamples_are_those_of_rows_repeated() -> None:
    labels = np.arange(60) % 4
    units = np.r_[np.arange(50), np.arange(10)]  # ten copies
    cells = [[noisy(labels, 0.3, seed) for seed in range(2)], [noisy(labels, 0.6, 9)]]
    found = resampled_means(labels, cells, units, 30, seed=5)
    assert found.keys() == set(RESAMPLED)
    (weights,) = resampled_weights(units, 30, seed=5)
    for cell, seeds in enumerate(cells):
        for i in range(30):
            drawn = np.arange(60).repeat(weights[:, i])
            slow = [adjusted_rand_score(labels[drawn], each[drawn]) for each in seeds]
            assert found["ari"][cell, i] == pytest.approx(np.mean(slow), abs=1e-12)


def test_shuffled_labels_are_those_of_scikit_learn_and_copies_move_together() -> None:
    labels = np.arange(60) % 4
    units = np.r_[np.arange(50), np.arange(10)]
    cells = [[noisy(labels, 0.3, seed) for seed in range(2)]]
    found = permuted_means(labels, cells, units, 25, seed=3)
    (rows,) = permuted_rows(units, 25, seed=3)
    for each, expected in zip(rows, found[0], strict=True):
        assert sorted(each) == list(range(60))
        assert (units[each[50:]] == units[each[:10]]).all()
        slow = [adjusted_rand_score(labels[each], clusters) for clusters in cells[0]]
        assert expected == pytest.approx(np.mean(slow), abs=1e-12)
    assert abs(found.mean()) < 0.02


def test_too_few_pictures_of_a_class_have_no_interval_and_it_is_said() -> None:
    few = np.repeat(np.arange(20), 4)
    assert why_no_interval(few, np.arange(80), "kind") == (
        "no intervals: the median class of kind has 4 pictures, and 5 are needed"
    )
    assert why_no_interval(np.repeat(np.arange(16), 5), np.arange(80), "kind") is None
    copies = why_no_interval(np.arange(80) % 2, np.arange(80) % 3, "kind")
    assert copies == "no intervals: 3 pictures without their copies, 10 are needed"


def settings(*names: str) -> list[Setting]:
    models = [ComparedModel(name, name, "0" * 8, "pretrained", 3, None) for name in names]
    return [Setting(model, reduction, "kmeans") for model in models for reduction in ("none", "l2")]


def test_pairs_differ_in_one_thing_and_families_are_adjusted_alone() -> None:
    rng = np.random.default_rng(0)
    six = settings("a", "b", "c")
    scores = {each: rng.normal(0.5, 0.01, 4) for each in six}
    scores[six[0]] += 0.2
    resampled = {each: scores[each].mean() + rng.normal(0, 0.05, 5000) for each in six}
    words = {"level": "class", "metric": "ari", "n_images": 99}
    pairs = compare_pairs(six, scores, resampled, differing="model", **words)  # type: ignore[arg-type]
    assert [(p.a.model.name, p.b.model.name, p.a.reduction) for p in pairs] == [
        (a, b, reduction) for reduction in ("none", "l2") for a, b in ("ab", "ac", "bc")
    ]
    first = pairs[0]
    both = resampled[six[0]] - resampled[six[2]]
    assert first.difference == pytest.approx(scores[six[0]].mean() - scores[six[2]].mean())
    assert (first.low, first.high) == interval(first.difference, both)
    assert (
        p_value(first.difference, both) <= first.p_adjusted <= 3 * p_value(first.difference, both)
    )
    assert first.verdict.startswith("a is better than b by 0.")
    assert first.distinguished
    assert pairs[2].verdict.startswith("b and c cannot be distinguished with 99 pictures: ")
    assert not pairs[2].distinguished
    others = compare_pairs(six, scores, resampled, differing="reduction", **words)  # type: ignore[arg-type]
    assert [(p.a.model.name, p.a.reduction, p.b.reduction) for p in others] == [
        (name, "none", "l2") for name in "abc"
    ]
    assert others[0].verdict.startswith("none is better than l2 by 0.")
    assert compare_pairs(six, scores, resampled, differing="clustering", **words) == ()  # type: ignore[arg-type]


def test_what_only_seeds_can_explain_is_not_told_apart() -> None:
    one, other = settings("a", "b")[::2]
    rng = np.random.default_rng(1)
    scores = {one: np.array([0.2, 0.8, 0.5]), other: np.array([0.7, 0.1, 0.4])}
    resampled = {each: scores[each].mean() + rng.normal(0, 0.001, 2000) for each in (one, other)}
    (pair,) = compare_pairs(
        [one, other],
        scores,
        resampled,
        level="class",
        metric="ari",
        n_images=99,
        differing="model",
    )
    assert pair.low > 0
    assert "cannot be distinguished with 3 seeds" in pair.verdict


@pytest.fixture
def backbones(embeddings_of: Make) -> list[EmbeddingSet]:
    """One that sees the classes, one that sees them a little less, and one that sees nothing."""
    rng = np.random.default_rng(2)
    labels = np.arange(240) % 4
    noise = rng.normal(size=(240, 8))
    sets = []
    for name, spread in (("sharp", 3.2), ("blurred", 2.2), ("blind", 0.0)):
        vectors = (noise + spread * np.eye(4, 8)[labels]).astype(np.float32)
        made = embeddings_of(vectors, labels)
        sets.append(replace(made, provenance=Provenance({"backbone": name}, ())))
    return sets


def test_a_planted_difference_is_found_and_chance_is_chance(backbones: list[EmbeddingSet]) -> None:
    found = compare(backbones, reductions=["none"], seeds=range(3), n_resamples=500)
    said = [pair.verdict for pair in found.pairs if pair.metric == "ari"]
    assert [words.split(" by ")[0] for words in said] == [
        "sharp is better than blurred",
        "sharp is better than blind",
        "blurred is better than blind",
    ]
    chance = {c.model.name: c.p_chance for c in found.cells if c.metric == "ari"}
    assert chance["sharp"] == chance["blurred"] == 1 / 1000
    assert chance["blind"] is not None
    assert chance["blind"] > 0.01
    for cell in found.cells:
        if cell.metric in RESAMPLED:
            assert cell.low is not None
            assert cell.high is not None
            assert cell.mean is not None
            assert cell.low < cell.mean < cell.high <= 1
            assert cell.p_chance is None or cell.metric == "ari"
    assert [found.as_good_as_best(Setting(m, "none", "kmeans"), "ari") for m in found.models] == [
        True,
        False,
        False,
    ]


def test_the_same_backbone_twice_cannot_be_told_apart(backbones: list[EmbeddingSet]) -> None:
    twin = replace(backbones[1], provenance=Provenance({"backbone": "twin"}, ()))
    found = compare([backbones[1], twin], reductions=["none"], seeds=range(3), n_resamples=300)
    (pair,) = [pair for pair in found.pairs if pair.metric == "ari"]
    assert (pair.difference, pair.low, pair.high, pair.p_adjusted) == (0, 0, 0, 1)
    assert (
        pair.verdict
        == "blurred and twin cannot be distinguished with 240 pictures: 0.000 (0.000 to 0.000)"
    )


def test_copies_are_one_picture(backbones: list[EmbeddingSet]) -> None:
    """Each picture five times is no more knowledge than once."""

    def copied(embeddings: EmbeddingSet, times: int) -> EmbeddingSet:
        rows = np.arange(240).repeat(times)
        content = np.zeros((len(rows), 32), np.uint8)
        content[:, 0], content[:, 1] = rows, 1
        taken = embeddings.take(rows)
        ids = tuple(f"{i:05}" for i in range(len(rows)))
        return replace(taken, ids=ids, content_sha256=content)

    once, five = (
        compare([copied(backbones[1], n)], reductions=["none"], seeds=[0], n_resamples=1000)
        for n in (1, 5)
    )
    widths = [found.cells[0].high - found.cells[0].low for found in (once, five)]  # type: ignore[operator]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)


def test_few_pictures_a_class_are_compared_without_intervals(embeddings_of: Make) -> None:
    labels = np.arange(60) // 3
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    found = compare([embeddings_of(vectors, labels)], reductions=["none", "l2"], seeds=range(2))
    assert {cell.low for cell in found.cells} == {None}
    assert found.cells[0].mean is not None
    assert found.cells[0].p_chance is not None
    assert found.reduction_pairs == ()
    assert found.n_resamples == 0
    assert [note for note in found.notes if "median class" in note]


def test_pairs_take_enough_resamples_and_cells_as_many_as_asked(
    backbones: list[EmbeddingSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "N_RESAMPLES_OF_PAIRS", 700)
    alone = compare(backbones[:1], reductions=["none"], seeds=[0], n_resamples=300)
    both = compare(backbones[:2], reductions=["none"], seeds=[0], n_resamples=300)
    assert both.cells[0] == alone.cells[0]
    p = [pair.p_adjusted for pair in both.pairs]
    assert all(round(each * 701) / 701 == pytest.approx(each) for each in p)
