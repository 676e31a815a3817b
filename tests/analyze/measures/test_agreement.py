"""Agreement: scores against brute force and known values, and nothing is ever dropped."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from analyze.clustering.clustering import cluster
from analyze.measures.agreement import Agreement, agree
from analyze.measures.contingency_metrics import METRICS, NOISE, JointTables, match
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

NAMES = tuple("abcdefghij")
SHAPES = [(1, 1), (2, 2), (3, 3), (5, 5), (2, 5), (5, 2), (4, 6), (6, 4), (1, 4), (4, 1)]


def drawn(
    n_images: int, n_classes: int, n_clusters: int, seed: int
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray, int]:
    """Draw what `compared` takes: clusters that follow the classes half of the time, none empty."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(n_classes), rng.integers(0, n_classes, n_images - n_classes)]
    drawn = rng.integers(0, n_clusters, n_images)
    follows = rng.random(n_images) < 0.5
    assignments = np.where(follows, labels % n_clusters, drawn)
    assignments[-n_clusters:] = np.arange(n_clusters)
    return labels, NAMES, assignments, n_clusters


def compared(labels: Any, names: Sequence[str], assignments: Any, n_clusters: int) -> Agreement:
    """Compare clusters with classes that are given as codes, -1 where a row has none."""
    level = Level("kind", tuple(names), np.asarray(labels, np.int32))
    return agree(level, np.asarray(assignments), n_clusters)


def best_by_trying_all(confusion: np.ndarray) -> int:
    """Find the largest number of rows that any one-to-one matching puts right."""
    if confusion.shape[0] > confusion.shape[1]:
        confusion = confusion.T
    rows = range(confusion.shape[0])
    columns = itertools.permutations(range(confusion.shape[1]), len(rows))
    return max(sum(int(confusion[r, c[r]]) for r in rows) for c in columns)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_the_matching_is_the_best_of_all(shape: tuple[int, int], seed: int) -> None:
    confusion = np.random.default_rng(seed).integers(0, 20, shape)
    classes, clusters = match(confusion)
    assert len(set(classes.tolist())) == len(set(clusters.tolist())) == min(shape)
    assert confusion[classes, clusters].sum() == best_by_trying_all(confusion)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_confusion_counts_every_row_once(shape: tuple[int, int]) -> None:
    labels, _, assignments, _ = drawn(60, *shape, seed=1)
    agreement = compared(labels, NAMES, assignments, shape[1])
    assert agreement.confusion.shape == shape
    assert agreement.confusion.sum() == agreement.n_labelled == 60
    for i, name in enumerate(agreement.classes):
        for j, number in enumerate(agreement.clusters):
            both = (labels == NAMES.index(name)) & (assignments == number)
            assert agreement.confusion[i, j] == both.sum()


@pytest.mark.parametrize("shape", [(3, 3), (3, 6), (6, 3)])
def test_matched_clusters_stand_in_the_order_of_their_classes(shape: tuple[int, int]) -> None:
    agreement = compared(*drawn(60, *shape, seed=2))
    matched = [c for c in agreement.clusters if c in agreement.cluster_to_class]
    assert agreement.clusters[: len(matched)] == tuple(matched)
    assert [agreement.cluster_to_class[c] for c in matched] == [
        name for name in agreement.classes if name in agreement.cluster_to_class.values()
    ]
    assert sorted(agreement.clusters) == list(range(shape[1]))


def test_empty_clusters_are_columns_too() -> None:
    agreement = compared(np.array([0, 0, 1, 1]), NAMES, np.array([3, 3, 1, 1]), 5)
    assert agreement.clusters[:2] == (3, 1)
    assert agreement.confusion.tolist() == [[2, 0, 0, 0, 0], [0, 2, 0, 0, 0]]
    assert dict(agreement.cluster_to_class) == {3: "a", 1: "b"}


def test_permuting_cluster_numbers_changes_nothing() -> None:
    labels, _, assignments, _ = drawn(300, 5, 5, seed=0)
    first = compared(labels, NAMES, assignments, 5)
    for seed in range(5):
        renamed = np.random.default_rng(seed).permutation(5)
        second = compared(labels, NAMES, renamed[assignments], 5)
        np.testing.assert_array_equal(second.confusion, first.confusion)
        assert second.scores == pytest.approx(first.scores, abs=1e-12)
        assert dict(second.cluster_to_class) == {
            int(renamed[c]): name for c, name in first.cluster_to_class.items()
        }


@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (6, 3)])
def test_permuting_cluster_numbers_changes_nothing_with_ties_or_unmatched(
    shape: tuple[int, int],
) -> None:
    labels, _, assignments, n_clusters = drawn(16, *shape, seed=0)
    first = compared(labels, NAMES, assignments, n_clusters)
    for seed in range(20):
        renamed = np.random.default_rng(seed).permutation(n_clusters)
        second = compared(labels, NAMES, renamed[assignments], n_clusters)
        assert second.scores == pytest.approx(first.scores, abs=1e-12)
        np.testing.assert_array_equal(second.confusion, first.confusion)


def test_ari_equals_counting_pairs() -> None:
    labels, names, assignments, n_clusters = drawn(30, 3, 4, seed=5)
    together = np.zeros((2, 2))
    for i, j in itertools.combinations(range(30), 2):
        same = int(labels[i] == labels[j]), int(assignments[i] == assignments[j])
        together[same] += 1
    total = together.sum()
    expected = together[1].sum() * together[:, 1].sum() / total
    most = (together[1].sum() + together[:, 1].sum()) / 2
    ari = (together[1, 1] - expected) / (most - expected)
    scores = compared(labels, names, assignments, n_clusters).scores
    assert scores["ari"] == pytest.approx(ari, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "assignments", "ari"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        ([0, 0, 1, 2], [0, 0, 1, 1], 4 / 7),  # scikit-learn's guide: 0.57
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], 0.24242424242424243),  # the same: 0.24
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
    ],
)
def test_ari_has_its_published_values(
    labels: list[int], assignments: list[int], ari: float
) -> None:
    tables = JointTables.of(np.array(labels), np.array(assignments))
    assert METRICS["ari"](tables) == pytest.approx(ari)


def test_equal_partitions_score_one() -> None:
    labels = np.repeat(np.arange(4), 5)
    scores = compared(labels, NAMES, (labels + 1) % 4, 4).scores
    assert scores == pytest.approx(dict.fromkeys(METRICS, 1.0))


def test_random_clusters_agree_no_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(60):
        labels, assignments = rng.integers(0, 5, (2, 200))
        scores.append(compared(labels, NAMES, assignments, 5).scores)
    for name in ("ari", "ami"):
        assert abs(np.mean([s[name] for s in scores])) < 0.005
        assert max(abs(s[name]) for s in scores) < 0.06
    assert np.mean([s["nmi"] for s in scores]) > 0.01, "not corrected for chance"


def test_unmatched_clusters_count_as_wrong() -> None:
    labels = np.repeat([0, 1], 10)
    assignments = np.r_[[0] * 6, [2] * 4, [1] * 7, [3] * 3]
    agreement = compared(labels, NAMES, assignments, 4)
    assert agreement.scores["matched_accuracy"] == 13 / 20
    assert dict(agreement.cluster_to_class) == {0: "a", 1: "b"}


def test_classes_without_a_cluster_count_as_wrong() -> None:
    labels = np.repeat([0, 1, 2], 10)
    agreement = compared(labels, NAMES, np.repeat([0, 1, 1], 10), 2)
    assert agreement.scores["matched_accuracy"] == 20 / 30
    assert len(agreement.cluster_to_class) == 2


@pytest.mark.parametrize("shape", SHAPES[1:8])
def test_matched_accuracy_is_the_best_of_all_matchings(shape: tuple[int, int]) -> None:
    labels, _, assignments, n_clusters = drawn(50, *shape, seed=3)
    agreement = compared(labels, NAMES, assignments, n_clusters)
    best = best_by_trying_all(JointTables.of(labels, assignments).table(0))
    assert agreement.scores["matched_accuracy"] == best / 50
    matched = sum(
        int(agreement.confusion[agreement.classes.index(name), agreement.clusters.index(cluster)])
        for cluster, name in agreement.cluster_to_class.items()
    )
    assert matched == best


def test_rows_without_a_label_are_left_out_and_said() -> None:
    labels, names, assignments, n_clusters = drawn(60, 3, 4, seed=4)
    missing = labels.copy()
    missing[::3] = -1
    kept = missing >= 0
    agreement = compared(missing, names, assignments, n_clusters)
    assert agreement.n_labelled == agreement.confusion.sum() == 40
    assert agreement.scores == compared(labels[kept], names, assignments[kept], n_clusters).scores
    assert [note for note in agreement.notes if "40 rows with a label" in note]


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="labels: no row has one"):
        compared(np.full(4, -1), NAMES, np.zeros(4, dtype=int), 1)


def test_categories_without_a_row_are_no_classes() -> None:
    agreement = compared(np.array([4, 4, 1]), NAMES, np.array([0, 0, 1]), 2)
    assert agreement.classes == ("b", "e")
    assert agreement.scores == pytest.approx(dict.fromkeys(METRICS, 1.0))


@pytest.mark.parametrize("assignments", [[0, 0, 0, 0], [0, 1, 2, 0]])
def test_one_class_is_not_informative(assignments: list[int]) -> None:
    agreement = compared(np.full(4, 2), NAMES, np.array(assignments), 3)
    assert agreement.scores == dict.fromkeys(METRICS)
    assert [note for note in agreement.notes if "not informative" in note]
    assert agreement.confusion.sum() == 4


def test_class_scores_are_recall_and_precision() -> None:
    labels = np.repeat([0, 1, 2], [10, 8, 2])
    assignments = np.r_[[1] * 7, [0] * 3, [0] * 6, [1] * 2, [0] * 2]
    first, second, third = compared(labels, NAMES, assignments, 2).class_scores()
    assert (first.name, first.n_images, first.cluster) == ("a", 10, 1)
    assert (first.recall, first.precision) == (7 / 10, 7 / 9)
    assert (second.name, second.n_images, second.cluster) == ("b", 8, 0)
    assert (second.recall, second.precision) == (6 / 8, 6 / 11)
    assert (third.n_images, third.cluster, third.recall, third.precision) == (2, None, 0.0, None)


def test_class_scores_equal_scikit_learn() -> None:
    labels, names, assignments, n_clusters = drawn(90, 4, 4, seed=6)
    agreement = compared(labels, names, assignments, n_clusters)
    predicted = [names.index(agreement.cluster_to_class[c]) for c in assignments.tolist()]
    scores = agreement.class_scores()
    recall = metrics.recall_score(labels, predicted, average=None)
    precision = metrics.precision_score(labels, predicted, average=None)
    assert [s.recall for s in scores] == pytest.approx(recall)
    assert [s.precision for s in scores] == pytest.approx(precision)
    assert agreement.scores["matched_accuracy"] == metrics.accuracy_score(labels, predicted)


def test_an_empty_matched_cluster_has_no_precision() -> None:
    agreement = compared(np.array([0, 0, 1]), NAMES, np.array([0, 0, 0]), 2)
    empty = agreement.class_scores()[1]
    assert (empty.name, empty.recall, empty.precision) == ("b", 0.0, None)


@pytest.mark.parametrize(
    ("confusion", "matched"),
    [
        (np.zeros((2, 3), int), {0: "a", 1: "b"}),
        (np.zeros((2, 2), int), {0: "a"}),
        (np.zeros((2, 2), int), {0: "a", 1: "a"}),
    ],
)
def test_an_agreement_that_does_not_fit_is_refused(
    confusion: np.ndarray, matched: dict[int, str]
) -> None:
    with pytest.raises(ValueError, match=r"matched|shape"):
        Agreement(("a", "b"), (0, 1), confusion, matched, {}, 0)


def test_noise_matches_no_class_and_is_shown_last() -> None:
    """Where noise is the largest group of a class, the next cluster is matched to it."""
    labels = np.repeat([0, 1, 2], 10)
    assignments = np.r_[[0] * 10, [NOISE] * 7, [1] * 3, [2] * 9, NOISE]
    found = compared(labels, NAMES, assignments, 3)
    assert found.clusters == (0, 1, 2, NOISE)
    assert found.cluster_to_class == {0: "a", 1: "b", 2: "c"}
    assert found.unmatched == ()
    assert found.confusion.tolist() == [[10, 0, 0, 0], [0, 3, 0, 7], [0, 0, 9, 1]]
    assert found.scores["matched_accuracy"] == pytest.approx(22 / 30)
    as_a_group = np.where(assignments == NOISE, 3, assignments)
    ari = metrics.adjusted_rand_score(labels, as_a_group)
    assert found.scores["ari"] == pytest.approx(ari)
    assert [score.recall for score in found.class_scores()] == [1.0, 0.3, 0.9]


def test_noise_alone_leaves_every_class_unmatched() -> None:
    found = compared(np.array([0, 0, 1]), NAMES, np.full(3, NOISE), 0)
    assert (found.clusters, dict(found.cluster_to_class)) == ((NOISE,), {})
    assert found.confusion.tolist() == [[2], [1]]
    assert found.scores["matched_accuracy"] == 0
    with pytest.raises(ValueError, match="must be matched"):
        Agreement(("a",), (0, NOISE), np.ones((1, 2), int), {NOISE: "a"}, {}, 2)


def test_labels_and_clusters_are_taken_as_one_has_them() -> None:
    y, c = ["a", "a", "b", None, "b"], [2, 2, 0, 0, -1]
    by_codes = compared([0, 0, 1, -1, 1], ("a", "b"), c, 3)
    found = agree(y, c)
    assert found.scores == by_codes.scores
    assert found.to_frame().to_dict() == {
        2: {"a": 2, "b": 0},
        0: {"a": 0, "b": 1},
        **{1: {"a": 0, "b": 0}, -1: {"a": 0, "b": 1}},
    }
    embeddings = EmbeddingSet.from_arrays(np.eye(5), list("vwxyz"), y)
    clustering = cluster(embeddings, 2)
    by_id = dict(reversed([*zip("vwxyz", y, strict=True)]))
    scores = [agree(given, clustering).scores for given in (embeddings, y, by_id)]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize(
    ("y", "c", "line"),
    [
        (["a", "b"], [0, 1, 1], "2 of 'label' for 3 rows"),
        (["a", "b"], [0.5, 1], "one whole number a row"),
        (["a", "b"], [0, -2], "-2 is below -1"),
        ({}, [0, 1], "no row has one"),
    ],
)
def test_what_cannot_be_compared_is_one_line(y: Any, c: Any, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        agree(y, c)
