"""Several levels taught together: the tree, its answers, its scores against sets of words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analyze.head.assessment import assess_head
from analyze.head.figures.levels_figure import draw_levels
from analyze.head.prediction.head_file import read_head, write_head
from analyze.head.prediction.predictions import predict
from analyze.head.prediction.tree import (
    Tree,
    grow_tree,
    likeliest_path,
    parent_places,
    summed_upwards,
)
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.tables import level_classes, level_predictions, levels
from analyze.head.reporting.tree_report import score_tree
from analyze.head.training.head_training import TrainingSpec, train_head
from analyze.head.training.network import HeadSpec, build_network, forward
from analyze.head.training.objective import CrossEntropy, LevelTargets
from analyze.head.training.plan import Plan
from analyze.head.training.probabilities import UNKNOWN
from analyze.head.training.training_set import TrainingData
from extract.catalog.catalog import Level
from extract.catalog.label_column import label_levels
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
QUICK = TrainingSpec(learning_rate=0.03, epochs=15, patience=4)
SMALL = Plan(
    n_folds=3, n_shuffles=1, n_levels=2, head=HeadSpec(width=32), training=QUICK, n_resamples=100
)
CELLS = ["home > mugs > blue", "home > mugs", "home", "bags > red", "bags > mugs", ""]


def levels_of(cells: list[str]) -> tuple[Level, ...]:
    return label_levels("kind", " > ", [("", cell) for cell in cells])


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, list[str]]:
    """Two parents of three kinds each, one picture in eight labelled by its parent alone."""
    random = np.random.default_rng(3)
    leaf = np.arange(144) % 6
    parents, kinds = 4 * np.eye(2, 24)[leaf // 3], 2 * np.eye(6, 24, 2)[leaf]
    vectors = (parents + kinds + 0.5 * random.normal(size=(144, 24))).astype(np.float32)
    cells = [f"p{i // 3} > k{i}" for i in leaf.tolist()]
    return vectors, ["p1" if i % 8 == 5 else cell for i, cell in enumerate(cells)]


@pytest.fixture(scope="module")
def catalog(planted: tuple[np.ndarray, list[str]], embeddings_of: Make) -> EmbeddingSet:
    vectors, cells = planted
    flat = embeddings_of(vectors, np.zeros(len(cells), int))
    return replace(flat, levels=levels_of(cells))


@pytest.fixture(scope="module")
def report(catalog: EmbeddingSet) -> ClassReport:
    found = assess_head(catalog, plan=SMALL)
    assert isinstance(found, ClassReport)
    return found


def test_a_label_that_ends_above_stands_in_for_what_is_below() -> None:
    tree = grow_tree([level.take(np.arange(5)) for level in levels_of(CELLS)])
    assert tree.levels[2].values() == (
        *("home > mugs > blue", "home > mugs", "home"),
        *("bags > red", "bags > mugs"),
    )
    leaves = tree.levels[2].codes
    for number in range(3):
        assert (tree.climbed(leaves, number) == tree.levels[number].codes).all()
    assert tree.climbed(np.array([-1]), 0).tolist() == [-1]


def test_levels_that_are_no_tree_are_refused() -> None:
    color = Level.from_values("color", ["red", "blue"])
    with pytest.raises(UsageError, match="level color does not divide level kind"):
        grow_tree([Level.from_values("kind", ["bags", "bags"]), color])


def test_probabilities_add_up_and_no_answer_contradicts_the_one_above() -> None:
    tree = grow_tree([level.take(np.arange(5)) for level in levels_of(CELLS)])
    every = tuple(np.arange(len(level.categories)) for level in tree.levels)
    places = parent_places(every, tree.parents)
    random = np.random.default_rng(0)
    last = random.dirichlet(np.full(len(every[2]), 0.5), size=400)
    found = summed_upwards(last, places)
    for number, level in enumerate(tree.levels):
        above = tree.climbed(every[2], number)
        by_hand = np.stack([last[:, above == c].sum(1) for c in range(len(level.categories))], 1)
        np.testing.assert_allclose(found[number], by_hand, atol=1e-12)
    path = likeliest_path(found, places)
    assert (path[0] == found[0].argmax(axis=1)).all()
    assert (path[0] != tree.climbed(last.argmax(axis=1), 0)).any()  # the likeliest leaf may differ
    for number in range(2):
        assert (places[number][path[number + 1]] == path[number]).all()


def test_hierarchical_f1_is_that_of_sets_of_words() -> None:
    random = np.random.default_rng(1)
    cells = [CELLS[i] for i in random.integers(0, 5, 60)]
    tree = grow_tree(levels_of(cells))
    leaves = random.integers(0, len(tree.levels[2].categories), (2, 60))
    leaves[1, :20] = -1
    scores, apart = score_tree(
        tree, {"head": leaves, "other": leaves[:, ::-1] * 0}, np.arange(60), n_resamples=100
    )
    shared = both = 0
    for run, row in zip(*np.nonzero(leaves >= 0), strict=True):
        truth, said = (
            {c for level in range(3) for c in [labels(tree, code, level)]}
            for code in (tree.levels[2].codes[row], leaves[run, row])
        )
        shared, both = shared + len(truth & said), both + len(truth) + len(said)
    assert scores["head"].mean == pytest.approx(2 * shared / both, abs=1e-12)
    gap = scores["head"].mean - scores["other"].mean
    assert apart["other"].mean == pytest.approx(gap, abs=1e-12)
    assert apart["other"].low < gap < apart["other"].high  # type: ignore[operator]


def labels(tree: Tree, code: int, level: int) -> str:
    return tree.levels[level].categories[int(tree.climbed(np.array([code]), level)[0])]


def test_the_loss_is_the_mean_over_levels_of_what_each_knows() -> None:
    codes = np.array([[0, 1, 1, 0], [2, UNKNOWN, 0, 1]])
    wanted = CrossEntropy(codes, np.arange(4), label_smoothing=0.0, class_weights=False)
    network = build_network(3, wanted.n_classes, HeadSpec(width=4, dropout=0), seed=0)
    rows = torch.tensor([0, 1, 3])
    logits = forward(network, torch.randn(4, 3, generator=torch.manual_seed(0)))
    some = [own[rows].detach() for own in logits]
    log = [torch.log_softmax(own, dim=1) for own in some]
    first = -(log[0][0, 0] + log[0][1, 1] + log[0][2, 0]) / 3
    second = -(log[1][0, 2] + log[1][2, 1]) / 2
    assert float(wanted.training_loss(some, rows).detach()) == pytest.approx(
        float(first + second) / 2
    )
    loss, right = wanted.judged(some, rows)
    assert loss == pytest.approx(float(first + second) / 2)
    assert right == pytest.approx(float((some[0].argmax(1) == torch.tensor([0, 1, 0])).sum()) / 3)


def test_one_level_is_trained_as_if_there_were_no_others(
    few: tuple[np.ndarray, np.ndarray],
) -> None:
    vectors, labels = few
    rows = np.arange(len(labels))
    plain = TrainingData(vectors[None], LevelTargets.of_one(labels), rows[::2], rows[1::2])
    same = replace(plain, targets=LevelTargets(np.stack([labels, np.zeros_like(labels)])[:1]))
    one, other = (
        train_head(training_set, HeadSpec(width=8), QUICK) for training_set in (plain, same)
    )
    for name, weights in one.head.weights.items():
        assert weights.tobytes() == other.head.weights[name].tobytes()


def test_a_planted_tree_is_found_at_every_level(report: ClassReport) -> None:
    assert report.level == "kind_1"
    assert report.tree is not None
    top, last = report.tree.levels
    assert (top.n_classes, last.n_classes) == (2, 7)
    assert top.accuracy == report.accuracy
    # one in eight is labelled by its parent alone, which no vector tells
    assert top.path.mean > 0.9
    assert last.path.mean > 0.7
    assert report.tree.hierarchical_f1["head"].mean > last.path.mean
    assert report.tree.right_parent_wrong_leaf > 0
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["levels"][1]["alone"]["mean"]
    rows = list(level_predictions(report.tree, report.ids))
    assert len(rows) == 1 + 2 * 144
    assert len(list(levels(report.tree))) == 1 + 2 * 5
    assert len(list(level_classes(report.tree))) == 1 + 2 + 7
    assert draw_levels(report.tree, title="Two levels").axes


def test_random_leaves_below_a_true_top_stay_at_chance(
    planted: tuple[np.ndarray, list[str]], embeddings_of: Make
) -> None:
    vectors, cells = planted
    random = np.random.default_rng(0)
    tops = [cell.split(" > ")[0] for cell in cells]
    cells = [f"{top} > {top}k{random.integers(4)}" for top in tops]
    flat = embeddings_of(vectors, np.zeros(len(cells), int))
    tree = assess_head(replace(flat, levels=levels_of(cells)), plan=SMALL).tree
    assert tree is not None
    low, high = tree.levels[1].path.low, tree.levels[1].path.high
    assert low is not None
    assert high is not None
    assert low - 0.05 < 0.25 < high + 0.05


def test_the_head_file_keeps_the_tree(
    report: ClassReport, catalog: EmbeddingSet, tmp_path: Path
) -> None:
    stored = report.stored(catalog.provenance)
    path = write_head(tmp_path, stored)
    again = read_head(path)
    assert again.levels == ("kind_1", "kind_2")
    assert [own.tolist() for own in again.parents] == [own.tolist() for own in stored.parents]
    one, other = (predict(each, catalog, abstain_below=0.8) for each in (stored, again))
    assert list(one.table()) == list(other.table())
    header, *rows = list(one.table())
    deep = [row for row, depth in zip(rows, one.depth, strict=True) if depth == 1]
    shallow = [row for row, depth in zip(rows, one.depth, strict=True) if depth == 0]
    assert deep
    assert shallow
    at = {name: i for i, name in enumerate(header)}
    for row in deep:
        assert row[at["class"]] == row[at["kind_2"]]
        assert row[at["class"]].startswith(row[at["kind_1"]])
    for row in shallow:  # unsure of the kind, not of what it is a kind of
        assert row[at["class"]] == row[at["kind_1"]] != ""
        assert row[at["kind_2"]] == ""
        assert row[at["probability"]] >= 0.8 > row[at["kind_2_probability"]]
    assert sum(one.counts().values()) == int((~one.abstained).sum())
    said = json.loads(path.read_text())
    for broken in ([[0] * 7], [[0, 1]], [[0, 1, 2, 0, 1, 0, 1]], []):
        path.write_text(json.dumps({**said, "parents": broken}))
        with pytest.raises(HeadFileError, match="parent"):
            read_head(path)


def test_more_levels_than_there_are_is_said(catalog: EmbeddingSet) -> None:
    with pytest.raises(UsageError, match=r"--levels 3 from kind_1 downwards: .* kind_1, kind_2"):
        assess_head(catalog, plan=replace(SMALL, n_levels=3))
    with pytest.raises(UsageError, match="--levels must be 1 or more"):
        replace(SMALL, n_levels=0)
