"""Columns of several labels that are a tree: planted ones are found, no answer contradicts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from analyze.explanation.class_targets import head_target
from analyze.explanation.targets import in_numpy
from analyze.explanation.truth import truth_of_head
from analyze.head.assessment import assess_head
from analyze.head.figures.class_f1_figure import draw_class_f1
from analyze.head.prediction.head_file import read_head, write_head
from analyze.head.prediction.predictions import predict
from analyze.head.prediction.set_tree import SetTree
from analyze.head.prediction.thresholds import thresholds_of
from analyze.head.reporting import tables
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.text import class_lines, heading
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from analyze.head.training.probabilities import sigmoid
from extract.catalog.multi_label import MultiLabel
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
PLAN = Plan(
    n_folds=2,
    n_shuffles=1,
    n_levels=2,
    head=HeadSpec(width=32, dropout=0.2),
    training=TrainingSpec(learning_rate=0.03, epochs=40, patience=8),
    n_resamples=100,
)
GROUPS = ("bag", "hat", "shoe")
KINDS = ("bag", "boot", "cap", "shoe", "tote")
"""Two go by the name of a group; a kind called bag is a hat, one called shoe is a bag."""

ABOVE = np.array([1, 2, 1, 0, 0])
N = 90


def column(name: str, rows: Sequence[Sequence[str]]) -> MultiLabel:
    return MultiLabel.from_values(name, rows)


def listing(name: str, has: np.ndarray, names: Sequence[str]) -> MultiLabel:
    return column(name, [[names[i] for i in np.flatnonzero(own)] for own in has])


@pytest.fixture(scope="module")
def catalog(embeddings_of: Make) -> EmbeddingSet:
    """Vectors that are the sum of a picture's kinds, and much noise; some groups have no kind."""
    random = np.random.default_rng(0)
    kinds = random.random((N, 5)) < 0.3
    groups = np.zeros((N, 3), bool)
    for kind, group in enumerate(ABOVE):
        groups[:, group] |= kinds[:, kind]
    groups |= (random.random((N, 3)) < 0.1) | ~groups.any(axis=1, keepdims=True)
    axes = np.linalg.qr(random.normal(size=(16, 16)))[0]
    vectors = kinds @ axes[:5] + groups @ axes[5:8] + 0.35 * random.normal(size=(N, 16))
    both = (listing("group", groups, GROUPS), listing("kind", kinds, KINDS))
    return replace(embeddings_of(vectors.astype(np.float32)), multi_labels=both)


@pytest.fixture(scope="module")
def report(catalog: EmbeddingSet) -> SetReport:
    found = assess_head(catalog, plan=PLAN)
    assert isinstance(found, SetReport)
    return found


@pytest.fixture(scope="module")
def head_in(
    report: SetReport, catalog: EmbeddingSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_head(tmp_path_factory.mktemp("head"), report.stored(catalog.provenance))


def test_the_tree_that_was_planted_is_found_and_never_contradicted(report: SetReport) -> None:
    """Of the head and of each baseline, at the thresholds and at a half."""
    assert report.tree.levels == ("group", "kind")
    assert report.tree.classes == (GROUPS, KINDS)
    assert report.tree.parents[0].tolist() == ABOVE.tolist()
    for own in report.answers.values():
        above, below = ABOVE, np.arange(3, 8)
        assert (own.probabilities[:, :, above] >= own.probabilities[:, :, below]).all()
        for said in (own.predictions, own.at_half):
            assert (said[:, :, above] | ~said[:, :, below]).all()
    assert 0 < report.contradicted < 1  # so the rule has altered some
    assert report.scores["head"].macro_f1.mean > 0.7


def test_a_class_has_the_greatest_value_of_all_that_stand_below_it() -> None:
    names = (("a", "b"), ("c", "d", "e"), ("f", "g", "h"))
    tree = SetTree(("x", "y", "z"), names, (np.array([1, 0, 1]), np.array([2, 0, 2])))
    below = {0: [0, 3], 1: [1, 2, 4, 5, 6, 7], 2: [2, 6], 3: [3], 4: [4, 5, 7]}
    values = np.random.default_rng(0).random((2, 50, 8))
    expected = [values[..., below.get(i, [i])].max(axis=-1) for i in range(8)]
    np.testing.assert_array_equal(tree.raised(values), np.stack(expected, axis=-1))
    np.testing.assert_array_equal(tree.raised(values > 0.8), tree.raised(values) > 0.8)
    some = tree.take(np.array([1, 4, 5, 7]))
    assert some.classes == (("b",), ("e",), ("f", "h"))
    assert [own.tolist() for own in some.parents] == [[0], [0, 0]]
    assert some.spelled == ("x: b", "y: e", "z: f", "z: h")


WEAR = [("wear",), ("wear", "home"), ("home",), ("wear",), ("home", "wear")] * 4
SHOES = [("shoes",), ("shoes",), (), (), ("mugs", "shoes")] * 4


@pytest.mark.parametrize(
    ("above", "below", "said"),
    [
        (WEAR, [("shoes",)] * 20, r"class shoes .*0002\.png lacks wear"),
        ([("wear", "home")] * 20, SHOES, "class mugs several classes above .* such as home, wear;"),
        (WEAR, [(str(i),) for i in range(20)], "no class of column below has enough pictures"),
    ],
)
def test_columns_that_are_no_tree_are_refused_in_one_line(
    embeddings_of: Make,
    above: list[tuple[str, ...]],
    below: list[tuple[str, ...]],
    said: str,
) -> None:
    plain = embeddings_of(np.random.default_rng(0).normal(size=(20, 4)))
    both = (column("above", above), column("below", below))
    known = replace(plain, multi_labels=both)
    with pytest.raises(UsageError, match=said) as error:
        assess_head(known, plan=PLAN)
    assert "\n" not in str(error.value)
    with pytest.raises(
        UsageError, match=r"--levels 2 .* column below lists several labels .* 0 be"
    ):
        assess_head(known, level="below", plan=PLAN)


def test_paths_say_which_of_several_classes_is_meant(embeddings_of: Make) -> None:
    """Each picture of the rare path has another label, too, as a product in two categories."""
    above = [("a", "a b")] * 8 + [("a",), ("a b",)] * 6
    below = [("a b > x",)] * 8 + [("a > y",), ()] * 6
    plain = embeddings_of(np.random.default_rng(0).normal(size=(20, 4)))
    known = replace(plain, multi_labels=(column("k_1", above), column("k_2", below)))
    found = assess_head(known, plan=replace(PLAN, training=TrainingSpec(epochs=1)))
    assert found.classes == ("k_1: a", "k_1: a b", "k_2: a > y", "k_2: a b > x")
    assert found.tree.parents[0].tolist() == [0, 1]


def test_a_class_that_is_left_out_leaves_none_below_it_alone(embeddings_of: Make) -> None:
    """What stands above a class has all its pictures: it is kept where one of them is."""
    above = [("rare",)] + [("often",), ("odd",)] * 14 + [("often",)]
    below = [("rare below",)] + [("x",), ("y",)] * 14 + [("once",)]
    plain = embeddings_of(np.random.default_rng(0).normal(size=(30, 4)))
    known = replace(plain, multi_labels=(column("one", above), column("two", below)))
    found = assess_head(known, plan=replace(PLAN, training=TrainingSpec(epochs=1)))
    assert found.tree.classes == (("odd", "often"), ("x", "y"))
    assert found.tree.parents[0].tolist() == [1, 0]
    assert found.left_out == {"labels of too few pictures": 1}
    (note,) = (note for note in found.notes if "left out" in note)
    assert note.startswith("3 classes left out")
    assert note.endswith("so do all that stand below them")
    assert found.has[:, 1].sum() == 15  # the picture of a class left out keeps that above


def test_each_level_is_scored_by_its_own_classes(report: SetReport) -> None:
    said = json.loads(json.dumps(report.to_json(), allow_nan=False))
    head, parts = report.answers["head"].predictions[0], (slice(0, 3), slice(3, 8))
    for level, part, name in zip(said["levels"], parts, ("group", "kind"), strict=True):
        own, has = head[:, part], report.has[:, part]
        assert (level["level"], level["n_classes"]) == (name, has.shape[1])
        right = (own == has).all(axis=1)
        assert level["accuracy"]["mean"] == pytest.approx(right.mean())
        assert level["macro_f1"]["mean"] == pytest.approx(f1_score(has, own, average="macro"))
        for baseline, known in level["baselines"].items():
            other = (report.answers[baseline].predictions[0][:, part] == has).all(axis=1)
            assert known["accuracy"] == pytest.approx(other.mean())
            assert known["difference"]["mean"] == pytest.approx(right.mean() - other.mean())
            assert "mean_average_precision" in known
    assert said["accuracy"]["mean"] == (head == report.has).all(axis=1).mean()
    assert said["contradicted"] == report.contradicted
    rows = [(each["level"], each["class"]) for each in said["classes"]]
    assert rows == [*(("group", name) for name in GROUPS), *(("kind", name) for name in KINDS)]


def test_tables_text_and_figures_name_the_level_of_a_class(report: SetReport) -> None:
    found = {name: list(rows) for name, rows in tables.tables_of(report).items()}
    assert found["classes.csv"][0][:2] == ["level", "class"]
    assert found["classes.csv"][4][:2] == ["kind", "bag"]
    assert len(found["levels.csv"]) == 1 + 2 * 3 * 2 * 4
    assert found["levels.csv"][-1][:4] == ["kind", "knn", "0.5", "mean_average_precision"]
    row = found["predictions.csv"][1]
    spelled = [report.classes[i] for i in np.flatnonzero(report.has[0])]
    assert row[2] == "|".join(spelled)
    lines = [*heading(report, "x.h5"), *class_lines(report)]
    text = "\n".join(lines)
    starts = [i for i, line in enumerate(lines) if line.startswith("bag ")]
    tops = [i for i, line in enumerate(lines) if line.startswith("level ")]
    assert tops[0] < starts[0] < tops[1] < starts[1]  # each below its level
    for words in (
        "several labels of group, kind",
        "level kind, 5 classes: all labels right",
        "would contradict this tree",
    ):
        assert words in text
    axes = draw_class_f1(report).axes[0]
    names = [label.get_text().rsplit("  ", 1)[0] for label in axes.get_yticklabels()]
    assert (names[0], names[4]) == ("group", "kind")
    assert (sorted(names[1:4]), sorted(names[5:])) == ([*GROUPS], [*KINDS])
    drawn = [axes.collections[i].get_offsets()[:, 0] for i in (1, 5)]  # of the head
    f1 = [[each.score.f1 for each in level.class_scores["head"]] for level in report.levels]
    assert [sorted(own) for own in drawn] == [sorted(own) for own in f1]
    assert len(axes.get_legend().get_texts()) == 3


def test_a_stored_head_says_the_same_bit_for_bit_and_level_by_level(
    head_in: Path, report: SetReport, catalog: EmbeddingSet
) -> None:
    stored = read_head(head_in)
    assert (stored.levels, stored.classes) == (("group", "kind"), (GROUPS, KINDS))
    found, before = (predict(h, catalog) for h in (stored, report.stored(catalog.provenance)))
    np.testing.assert_array_equal(found.probabilities, before.probabilities)
    np.testing.assert_array_equal(found.has, before.has)
    # without the rule the same head contradicts itself
    plain = sigmoid(stored.head.logits(catalog.vectors)[0] / stored.temperatures[0])
    alone = plain >= thresholds_of(report.final)
    assert (alone[:, 3:] & ~alone[:, ABOVE]).any()
    assert not (found.has[:, 3:] & ~found.has[:, ABOVE]).any()
    assert (found.probabilities[:, ABOVE] >= found.probabilities[:, 3:]).all()
    np.testing.assert_array_equal(found.has | alone, found.has)
    header, *rows = found.table()
    assert header[5:13] == [
        *("group", "group_n_labels", "group_probability"),
        *("kind", "kind_n_labels", "kind_probability"),
        *("probability_group: bag", "probability_group: hat"),
    ]
    assert len(set(header)) == len(header)
    for row, has in zip(rows, found.has, strict=True):
        groups, kinds = (
            [n for n, own in zip(*pair, strict=True) if own]
            for pair in (
                (GROUPS, has[:3]),
                (KINDS, has[3:]),
            )
        )
        assert (row[5], row[6]) == ("|".join(groups), len(groups))
        assert (row[8], row[9]) == ("|".join(kinds), len(kinds))
        assert row[2] == row[6] + row[9]
        assert row[3] == pytest.approx(row[7] * row[10])
    assert found.counts()["kind: bag"] == found.has[:, 3].sum()
    silent = list(predict(stored, catalog, abstain_below=1).table())[1]
    assert silent[1] == silent[5] == silent[8] == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parents": [[0, 1, 2, 3, 0]]}, "every class must have a parent"),
        ({"parents": []}, "each level but the first"),
        ({"thresholds": [0.5] * 5}, "a threshold for each class"),
        ({"levels": ["group"]}, "classes for each of its levels"),
        ({"parents": [[0, 0, 0, 0, 0]]}, "does not fit its check sum"),
    ],
)
def test_a_head_whose_tree_does_not_fit_is_refused(
    head_in: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    for file in head_in.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = {**json.loads(head_in.read_text()), **change}
    (tmp_path / "head.json").write_text(json.dumps(content))
    with pytest.raises(HeadFileError, match=said):
        read_head(tmp_path / "head.json")


@pytest.mark.parametrize(("level", "part"), [(0, slice(0, 3)), (1, slice(3, 8))])
def test_each_level_is_explained_as_it_is_predicted(
    head_in: Path, catalog: EmbeddingSet, level: int, part: slice
) -> None:
    stored = read_head(head_in)
    found = predict(stored, catalog)
    target = head_target(stored, level, "probability")
    assert target.columns == stored.classes[level]
    assert target.probabilities is not None
    assert target.predictions is not None
    np.testing.assert_array_equal(
        target.probabilities(catalog.vectors), found.probabilities[:, part]
    )
    np.testing.assert_array_equal(target.predictions(catalog.vectors), found.has[:, part])
    values = in_numpy(target.values, catalog.vectors)
    np.testing.assert_allclose(values, found.probabilities[:, part], atol=1e-5)
    some = torch.from_numpy(catalog.vectors[:3].astype(np.float64)).requires_grad_()
    assert torch.autograd.gradcheck(target.values, some)
    truth = truth_of_head(stored, level, (), catalog.multi_labels)
    assert truth is catalog.multi_labels[level]
    assert [own["level"] for own in stored.about["held_out"]] == ["group", "kind"]
