"""Probes: the neighbors of a plain loop, folds that keep copies together, planted knowledge."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from analyze.measures.probes import folds_of, linear_probe, nearest_vote
from analyze.neighbors.indexes.exact_search import nearest_others, one_nn_accuracy

Planted = tuple[np.ndarray, np.ndarray]


def plain_neighbors(vectors: np.ndarray, k: int, groups: np.ndarray) -> list[list[int]]:
    found = []
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    for i in range(len(rows)):
        others = [
            j for j in range(len(rows)) if groups[j] != groups[i] and lengths[j] and lengths[i]
        ]
        cosines = {j: float(np.sum(rows[i] * rows[j]) / lengths[i] / lengths[j]) for j in others}
        found.append(sorted(others, key=lambda j: (-round(cosines[j], 12), j))[:k])
    return found


def plain_vote(nearest: list[int], labels: np.ndarray) -> int:
    votes = Counter(int(labels[j]) for j in nearest)
    most = max(votes.values())
    return next(int(labels[j]) for j in nearest if votes[int(labels[j])] == most)


@pytest.fixture
def with_copies(overlapping: Planted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of which some are equal: copies of one picture, and two pictures that look equal."""
    vectors, labels = (array.copy() for array in overlapping)
    groups = np.arange(200)
    for first, second in ((3, 90), (3, 91), (10, 150)):
        vectors[second] = vectors[first]
        groups[second] = groups[first]
    vectors[[60, 120]] = vectors[20]
    vectors[77] = 0
    return vectors, labels, groups


@pytest.mark.numbers
@pytest.mark.parametrize("k", [1, 5, 20])
def test_neighbors_and_votes_are_those_of_a_plain_loop(
    with_copies: tuple[np.ndarray, np.ndarray, np.ndarray], k: int
) -> None:
    vectors, labels, groups = with_copies
    expected = plain_neighbors(vectors, k, groups)
    found = nearest_others(vectors, k, groups)
    assert [[j for j in row if j >= 0] for row in found.tolist()] == expected
    correct = nearest_vote(nearest_others(vectors, 20, groups), labels, k)
    assert np.isnan(correct[77])
    for i in np.delete(np.arange(200), 77):
        assert correct[i] == (plain_vote(expected[i], labels) == labels[i])
    assert not any(groups[i] in groups[row[row >= 0]] for i, row in enumerate(found))


def test_blocks_and_lack_of_others_change_nothing(
    overlapping: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, labels = overlapping
    alone = np.arange(200)
    whole = nearest_others(vectors, 5, alone)
    monkeypatch.setattr("analyze.similarity.BLOCK_BYTES", 4 * 200 * 7)
    assert (nearest_others(vectors, 5, alone) == whole).all()
    assert nearest_vote(whole, labels, 1).mean() == one_nn_accuracy(vectors, labels).accuracy
    few = nearest_others(vectors[:3], 5, np.array([0, 0, 1]))
    assert few.tolist() == [
        [2, -1, -1, -1, -1],
        [2, -1, -1, -1, -1],
        [few[2, 0], 1 - few[2, 0]] + [-1] * 3,
    ]
    assert np.isnan(nearest_vote(nearest_others(vectors[:2], 5, np.zeros(2)), labels[:2], 1)).all()


def test_rows_that_are_all_equal_have_the_first_ones_as_neighbors() -> None:
    found = nearest_others(np.ones((60, 4), np.float32), 3, np.arange(60))
    assert found[0].tolist() == [1, 2, 3]
    assert found[59].tolist() == [0, 1, 2]


def test_folds_keep_copies_together_and_leave_rare_classes_out() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 70, 200)
    labels = (groups * 7919) % 4
    labels[groups < 9] = 4 + (groups[groups < 9] >= 4)  # of 4 and of 5 different pictures
    folds = folds_of(labels, groups, seed=3)
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1
    assert (folds[labels == 4] == -1).all()
    assert (folds[labels != 4] >= 0).all()
    assert set(folds[labels != 4]) == set(range(5))
    assert (folds_of(labels, groups, seed=3) == folds).all()
    assert (folds_of(labels, groups, seed=4) != folds).any()
    assert (folds_of(np.zeros(200, int), groups) == -1).all()


def test_a_probe_finds_what_is_planted_and_nothing_where_nothing_is(separated: Planted) -> None:
    vectors, labels = separated
    groups = np.arange(120)
    folds = folds_of(labels, groups)
    assert linear_probe(vectors, labels, groups, folds).tolist() == [1.0] * 120
    noise = np.random.default_rng(1).normal(size=(120, 300)).astype(np.float32)
    chance = linear_probe(noise, labels, groups, folds)
    assert chance.mean() == pytest.approx(0.25, abs=0.13)  # three deviations


def test_a_probe_does_not_learn_from_copies() -> None:
    """Vectors that know each picture but no class: known only where a copy is in what is taught."""
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(60, 200)).astype(np.float32)
    labels = np.repeat(rng.integers(0, 3, 60), 2)
    vectors, groups = np.repeat(pictures, 2, axis=0), np.repeat(np.arange(60), 2)
    honest = linear_probe(vectors, labels, groups, folds_of(labels, groups)).mean()
    apart = np.arange(120)
    fooled = linear_probe(vectors, labels, apart, folds_of(labels, apart)).mean()
    assert honest < 0.55 < 0.75 < fooled


def test_only_asked_pictures_count_and_turning_changes_nothing(overlapping: Planted) -> None:
    vectors, labels = overlapping
    groups = np.arange(200)
    folds = folds_of(labels, groups)
    folds[:7] = -1
    found = linear_probe(vectors[:, :20], labels, groups, folds)
    assert np.isnan(found[:7]).all()
    assert set(found[7:]) == {0.0, 1.0}
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(300, 20)))[0].T
    turned = linear_probe((vectors[:, :20] @ turn).astype(np.float32), labels, groups, folds)
    assert np.nanmean(np.abs(turned - found)) <= 0.01
