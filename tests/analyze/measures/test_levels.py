"""Levels of labels: the same clustering against each, and how far off it is in their tree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from analyze.measures.agreement import score_clusters
from analyze.measures.levels import in_the_tree, is_parent, predicted_paths, score_levels
from extract.catalog.catalog import Level, folder_levels
from extract.catalog.manifest import label_levels


def tree(cells: list[str], separator: str = " >> ") -> tuple[Level, ...]:
    return label_levels("kind", separator, [("", cell) for cell in cells])


def codes_of(levels: tuple[Level, ...]) -> np.ndarray:
    return np.stack([level.codes for level in levels], axis=1)


CELLS = ["a >> x", "a >> x", "a >> y", "b >> x", "b >> x", "b >> z"]


def test_each_level_has_the_scores_that_it_has_alone() -> None:
    random = np.random.default_rng(0)
    levels = tree([f"{a} >> {b} >> {c}" for a, b, c in random.integers(0, 3, (60, 3))])
    assignments = random.integers(0, 4, 60)
    found = score_levels(levels, assignments)
    assert [one.name for one in found] == ["kind_1", "kind_2", "kind_3"]
    assert [one.n_classes for one in found] == [len(level.categories) for level in levels]
    for one, level in zip(found, levels, strict=True):
        assert one.scores == score_clusters(level.codes, assignments)[0]
        assert one.scores["ari"] == pytest.approx(adjusted_rand_score(level.codes, assignments))


def test_fewer_than_two_levels_say_nothing_more() -> None:
    assert score_levels((), np.zeros(3, int)) == ()
    assert score_levels(tree(["a", "b", "a"]), np.zeros(3, int)) == ()


def test_only_parents_of_a_tree_have_children() -> None:
    found = score_levels(tree(CELLS), np.array([0, 0, 0, 1, 1, 1]))
    assert (found[0].right_parent_wrong_leaf, found[0].hierarchical_f1) == (None, None)
    # y and z are put with the x of their parent; one of two labels is right for them
    assert found[1].right_parent_wrong_leaf == pytest.approx(2 / 6)
    assert found[1].hierarchical_f1 == pytest.approx((4 * 2 + 2 * 1) / 12)


def test_wrong_parents_are_not_near() -> None:
    found = score_levels(tree(["a >> x"] * 3 + ["b >> x"] * 2), np.zeros(5, int))
    assert found[1].right_parent_wrong_leaf == 0
    assert found[1].hierarchical_f1 == pytest.approx(3 / 5)


def test_a_perfect_clustering_is_off_nowhere() -> None:
    levels = tree(CELLS)
    (_, found) = score_levels(levels, levels[1].codes)
    assert (found.right_parent_wrong_leaf, found.hierarchical_f1) == (0, 1)


def brute_force(
    cells: list[tuple[str, ...]], assignments: list[int], depth: int
) -> tuple[float | None, float]:
    """By sets of ancestors, row by row (Kiritchenko et al. 2005)."""
    cells = [cell[:depth] for cell in cells]
    kept = [i for i, cell in enumerate(cells) if cell]
    said = {}
    for number in {assignments[i] for i in kept}:
        counts = Counter(cells[i] for i in kept if assignments[i] == number)
        said[number] = min(counts, key=lambda leaf: (-counts[leaf], leaf))
    right = of_said = of_true = near = deepest = 0
    for i in kept:
        true = {cells[i][:n] for n in range(1, len(cells[i]) + 1)}
        guess = said[assignments[i]]
        sure = {guess[:n] for n in range(1, len(guess) + 1)}
        right, of_said, of_true = right + len(true & sure), of_said + len(sure), of_true + len(true)
        if len(cells[i]) == depth:
            deepest += 1
            near += cells[i][:-1] == guess[: depth - 1] and cells[i] != guess
    precision, recall = right / of_said, right / of_true
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return (near / deepest if deepest else None), f1


@pytest.mark.parametrize("seed", range(30))
def test_the_tree_is_scored_as_by_sets_of_ancestors(seed: int) -> None:
    random = np.random.default_rng(seed)
    cells = [
        tuple("abc"[i] for i in random.integers(0, 3, 3)[: random.integers(0, 4)])
        for _ in range(40)
    ] + [("a", "a", "a")]
    assignments = random.integers(0, 6, 41)
    levels = tree([" >> ".join(cell) for cell in cells])
    found = score_levels(levels, assignments)
    for depth in (2, 3):
        near, f1 = brute_force(cells, assignments.tolist(), depth)
        assert found[depth - 1].right_parent_wrong_leaf == pytest.approx(near)
        assert found[depth - 1].hierarchical_f1 == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize("separator", ["/", " >> ", " > ", "|", " - "])
def test_paths_are_told_from_other_columns(separator: str) -> None:
    first, second = tree([cell.replace(" >> ", separator) for cell in CELLS], separator)
    assert is_parent(first, second)
    assert not is_parent(second, first)


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (["a", "b"], ["x", "y"]),
        (["a", "b"], ["ax", "by"]),
        (["a", "b"], ["a", "b"]),
        (["a", "b"], ["a/x", "a/y"]),
        (["a", "b"], ["a/x", "b>y"]),
        (["a", None], ["a/x", "b/x"]),
        (["a", "b"], [None, None]),
    ],
)
def test_columns_that_are_no_tree_have_no_parents(
    above: list[str | None], below: list[str | None]
) -> None:
    levels = Level.from_values("one", above), Level.from_values("two", below)
    assert not is_parent(*levels)
    found = score_levels(levels, np.array([0, 1]))
    assert [one.hierarchical_f1 for one in found] == [None, None]


def test_a_tree_may_end_or_begin_among_the_levels() -> None:
    names = [f"{a}/{b}/1.png" for a in "uv" for b in "xyz"]
    color = Level.from_values("color", list("rgrgrg"))
    found = score_levels((color, *folder_levels(names)), np.zeros(6, int))
    assert [one.hierarchical_f1 is None for one in found] == [True, True, False]
    found = score_levels((*folder_levels(names), color), np.zeros(6, int))
    assert [one.hierarchical_f1 is None for one in found] == [True, False, True]


def test_rows_without_any_label_have_no_scores() -> None:
    nothing = np.full((3, 2), -1)
    assert in_the_tree(nothing, np.zeros(3, int)) == (None, None)


def test_of_equally_frequent_leaves_the_first_is_said() -> None:
    paths = codes_of(tree(["b >> x", "a >> x", "b >> x", "a >> x"]))
    predicted = predicted_paths(paths, np.zeros(4, int))
    assert predicted.tolist() == [[0, 0]] * 4


def test_noise_says_no_leaf() -> None:
    levels = tree(["a >> b", "a >> b", "a >> c", "a >> c"])
    found = score_levels(levels, np.array([0, 0, -1, -1]))[1]
    assert found.right_parent_wrong_leaf == 0
    assert found.hierarchical_f1 == pytest.approx(2 * 4 / (8 + 4))
