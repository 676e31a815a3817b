"""Splits of the head: every class on every side, copies on one, what a naive split would leak."""

from __future__ import annotations

import numpy as np
import pytest

from analyze.head.splitting.leaks import count_leaks, leak_note
from analyze.head.splitting.splits import Split
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.pictures.near_duplicates import NEAR_COSINE, find_copies
from extract.errors import UsageError

LABELS = np.repeat([0, 1, 2], [50, 40, 30])
ALONE = np.arange(120)


def with_copies() -> np.ndarray:
    """Groups in which every fifth picture has a copy of its own class."""
    groups = ALONE.copy()
    groups[1::10] = groups[0::10]
    return groups


def test_a_stratified_split_is_60_20_20_in_every_class() -> None:
    split = StratifiedSplitter(LABELS, ALONE).at_once(seed=3)
    for label, size in enumerate((50, 40, 30)):
        counts = [(LABELS[rows] == label).sum() for rows in (split.train, split.validation)]
        assert counts == [size * 3 // 5, size // 5]
    whole = np.sort(np.concatenate([split.training_set, split.test]))
    assert (whole == ALONE).all()
    again, other = (
        StratifiedSplitter(LABELS, ALONE).at_once(seed=3),
        StratifiedSplitter(LABELS, ALONE).at_once(seed=4),
    )
    assert (again.test == split.test).all()
    assert len(np.intersect1d(other.test, split.test)) < len(split.test)


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_never_parted(seed: int) -> None:
    groups = with_copies()
    splits = (
        StratifiedSplitter(LABELS, groups).at_once(seed),
        *StratifiedSplitter(LABELS, groups).folds(5, seed),
    )
    for split in splits:
        sides = np.array(split.sides(120))
        for group in np.unique(groups):
            assert len(set(sides[groups == group])) == 1
    tested = np.concatenate([split.test for split in splits[1:]])
    assert sorted(tested.tolist()) == ALONE.tolist()


def test_every_fold_teaches_and_validates_every_class() -> None:
    for split in StratifiedSplitter(LABELS, ALONE).folds(4, seed=1):
        for rows in (split.train, split.validation, split.test):
            assert set(LABELS[rows]) == {0, 1, 2}
        assert len(split.validation) == pytest.approx(len(split.training_set) / 4, abs=2)


def test_a_naive_split_leaks_the_planted_copies_and_ours_does_not() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(120, 24)).astype(np.float32)
    hashes = random.integers(1, 256, (120, 32), dtype=np.uint8)
    for i in range(0, 40, 4):
        hashes[i + 1] = hashes[i]
        vectors[i + 1] = vectors[i]
    for i in range(60, 80, 4):
        vectors[i + 1] = vectors[i] * 3 + 0.01 * random.normal(size=24)
    copies = find_copies(vectors, hashes)
    assert copies.notes == ()
    naive = list(StratifiedSplitter(LABELS, ALONE).naive(5, 0))
    leaks = count_leaks(copies, naive)
    leaked = {"byte": 0, "near": 0}
    for first, kind in [(i, "byte") for i in range(0, 40, 4)] + [
        (i, "near") for i in range(60, 80, 4)
    ]:
        apart = any((first in t) != (first + 1 in t) for _, t in naive)
        leaked[kind] += 2 * apart
    assert leaked["byte"] > 4
    assert leaked["near"] > 2
    assert (leaks["byte_identical"], leaks["near_identical"]) == (leaked["byte"], leaked["near"])
    assert leaks["pictures"] == sum(leaked.values())
    assert leaks["groups"] == 15
    assert f"{leaks['pictures']} pictures" in leak_note(leaks)[0]
    ours = StratifiedSplitter(LABELS, copies.groups).folds(5, 0)
    kept = count_leaks(copies, [(split.training_set, split.test) for split in ours])
    assert kept["pictures"] == 0
    assert leak_note(kept) == ()


def test_near_pictures_chain_and_zeros_are_near_none() -> None:
    turn = np.arccos(NEAR_COSINE) * 0.9
    angles = [0.0, turn, 2 * turn, 2.0, 3.0]
    vectors = np.array([[np.cos(a), np.sin(a)] for a in angles] + [[0, 0], [0, 0]], np.float32)
    assert vectors[0] @ vectors[2] < NEAR_COSINE
    groups = find_copies(vectors, None).groups
    assert len(set(groups[:3])) == 1
    assert len(set(groups[[0, 3, 4, 5, 6]])) == 5


def test_blocks_change_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(30, 16)), 2, axis=0).astype(np.float32)
    vectors = vectors[random.permutation(60)]
    whole = find_copies(vectors, None).groups
    monkeypatch.setattr("analyze.pictures.near_duplicates.BLOCK_BYTES", 4 * 60 * 7)
    assert (find_copies(vectors, None).groups == whole).all()
    assert len(np.unique(whole)) == 30


def test_vectors_that_are_all_alike_make_no_copies() -> None:
    vectors = 1 + 0.01 * np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    hashes = np.arange(1, 101, dtype=np.uint8)[:, None].repeat(32, axis=1)
    hashes[7] = hashes[3]
    copies = find_copies(vectors, hashes)
    assert (copies.groups == copies.by_bytes).all()
    assert len(np.unique(copies.groups)) == 99
    assert "100 pictures" not in copies.notes[0]
    assert "99 pictures hang together" in copies.notes[0]


def test_a_column_is_taken_and_its_copies_leave_the_taught() -> None:
    values = ["train"] * 80 + ["Val"] * 19 + ["test "] * 20 + [""]
    labels, groups = ALONE % 3, ALONE.copy()
    groups[5] = groups[100]  # trained and tested
    groups[6] = groups[85]  # trained and validated
    split = StratifiedSplitter(labels, groups).by_column("part", values)
    assert split.test.tolist() == list(range(99, 119))
    assert split.validation.tolist() == list(range(80, 99))
    assert split.train.tolist() == [i for i in range(80) if i not in (5, 6)]
    assert any("2 pictures left out" in note for note in split.notes)
    assert any("1 pictures without a side" in note for note in split.notes)


def test_a_column_without_validation_takes_some_of_train() -> None:
    values = ["train"] * 90 + ["test"] * 30
    split = StratifiedSplitter(ALONE % 3, ALONE).by_column("part", values)
    assert len(split.validation) in range(20, 26)
    assert split.training_set.tolist() == list(range(90))


def test_a_tested_class_that_nobody_teaches_counts_and_is_said() -> None:
    labels = ALONE % 2
    labels[110:] = 2
    values = ["train"] * 70 + ["validation"] * 20 + ["test"] * 30
    labels[71] = 3
    split = StratifiedSplitter(labels, ALONE).by_column("part", values)
    assert 71 not in split.validation
    assert len(split.test) == 30
    assert any("10 tested pictures are of 1 classes" in note for note in split.notes)
    assert any("1 validation pictures left out" in note for note in split.notes)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["train"] * 100 + ["holdout"] * 20, "'holdout'"),
        (["train"] * 120, "side test"),
        (["test"] * 120, "side train"),
        (["train"] * 5 + ["test"] * 115, "one class alone"),
    ],
)
def test_columns_that_cannot_split_are_one_clear_line(values: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        StratifiedSplitter(LABELS, ALONE).by_column("part", values)


def test_rare_classes_and_missing_labels_are_left_out_and_said() -> None:
    labels = LABELS.copy()
    labels[:3] = 7  # a class of three
    labels[3] = 8  # a class of one
    labels[10:20] = -1
    split = StratifiedSplitter(labels, ALONE).at_once()
    rows = np.concatenate([split.training_set, split.test])
    assert set(labels[rows]) == {0, 1, 2}
    assert len(rows) == 106
    assert split.notes == (
        "4 pictures left out: their 2 classes have fewer than 5 different pictures",
    )


def test_copies_do_not_make_a_class_large_enough() -> None:
    labels, groups = LABELS.copy(), ALONE.copy()
    labels[:8] = 7
    groups[:8] = 0
    assert 7 not in labels[StratifiedSplitter(labels, groups).at_once().training_set]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full(20, -1), "no labels"),
        (np.zeros(20, int), "one class alone"),
        (np.arange(20), "fewer than two classes of 5"),
    ],
)
def test_nothing_to_teach_is_one_clear_line(labels: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        StratifiedSplitter(labels, np.arange(20)).at_once()
    with pytest.raises(UsageError, match=said):
        StratifiedSplitter(labels, np.arange(20)).folds(5)


def test_classes_of_two_taught_pictures_have_a_validation_side() -> None:
    labels = np.repeat([0, 1, 2], 4)
    for split in StratifiedSplitter(labels, np.arange(12)).folds(2, seed=1):
        assert set(labels[split.train]) == {0, 1, 2}
        assert len(split.validation)
    with pytest.raises(UsageError, match="every class has one training picture"):
        StratifiedSplitter(np.repeat([0, 1, 2], 2), np.arange(6)).folds(2, seed=1)


def test_all_may_be_taught_and_copies_still_do_not_say_when_to_stop() -> None:
    labels = np.arange(40) % 2
    groups = np.arange(40) // 4  # two pictures of either class
    split = StratifiedSplitter(labels, groups).all_for_training(np.arange(4, 40), 3)
    assert split.training_set.tolist() == list(range(4, 40))
    assert len(split.test) == 0
    assert not set(groups[split.train]) & set(groups[split.validation])
    assert set(labels[split.validation]) == {0, 1}


def test_a_split_with_shared_or_no_rows_cannot_be_made() -> None:
    one, two, three = (np.array(rows) for rows in ([0, 1], [2], [3]))
    assert Split(one, two, three, "by hand", 0).sides(5) == [
        "train",
        "train",
        "validation",
        "test",
        "",
    ]
    with pytest.raises(ValueError, match="share rows"):
        Split(one, two, np.array([1]), "by hand", 0)
    with pytest.raises(ValueError, match="validation side"):
        Split(one, np.array([], int), three, "by hand", 0)
    assert Split(one, two, np.array([], int), "all are taught", 0).to_json()["n_test"] == 0
