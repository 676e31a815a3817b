"""Heads of several backbones: planted differences, McNemar by hand, pictures lost and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from analyze.head import rival_tables
from analyze.head.against_figure import draw_against
from analyze.head.assessment import assess_head
from analyze.head.results import rival_lines
from analyze.head.rivals import (
    Contender,
    Discordant,
    HeadComparison,
    compare_heads,
    count_discordant,
)
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from analyze.measures.estimates import mean_over_pictures
from analyze.pictures.near_duplicates import Copies, find_copies, join_copies
from extract.catalog.label_column import label_levels
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Planted = tuple[np.ndarray, np.ndarray]
Make = Callable[..., EmbeddingSet]
PLAN = Plan(
    n_folds=2,
    n_shuffles=1,
    head=HeadSpec(width=16),
    training=TrainingSpec(learning_rate=0.015, epochs=8, patience=4),
    n_resamples=100,
    seed=1,
)
LABELS = ("blue", "plain", "tall")


def called(embeddings: EmbeddingSet, model: str, weights: str = "hub") -> EmbeddingSet:
    identity = {"backbone": model, "weights": {"source": weights}}
    return replace(embeddings, provenance=Provenance(identity, ()))


def noisy(vectors: np.ndarray, scale: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(scale=scale, size=vectors.shape)
    return np.asarray(vectors + noise, dtype=np.float32)


def hold_together(found: HeadComparison) -> None:
    """Each table is of every backbone, and its answers are as often right as is said."""
    tables = rival_tables.tables_of_rivals(found)
    answers = list(tables.pop("against_predictions.csv"))[1:]
    for column, report in enumerate(found.named_reports.values(), start=3):
        share = np.mean([row[2] == row[column] for row in answers])
        assert share == pytest.approx(report.accuracy.mean)
    for header, *rows in tables.values():
        assert {len(row) for row in rows} == {len(header)}
        assert list(dict.fromkeys(row[0] for row in rows)) == [*found.named_reports]
    header, *rows = rival_tables.summary(found)
    for rival, row in zip(found.rivals, rows[1:], strict=True):
        said = dict(zip(header, row, strict=True))
        for name, apart in rival.differences.items():
            assert said[f"difference_{name}"] == apart.mean
            assert said[f"difference_{name}_high"] == apart.high


# McNemar's test


@pytest.mark.parametrize(("one", "other"), [(0, 0), (3, 3), (1, 9), (12, 2), (41, 12)])
def test_mcnemar_is_the_fair_coin_by_hand(one: int, other: int) -> None:
    n, fewer = one + other, min(one, other)
    tail = sum(comb(n, k) for k in range(fewer + 1)) / 2**n
    assert Discordant(one, other).p_value == pytest.approx(min(1.0, 2 * tail))
    assert Discordant(other, one).p_value == Discordant(one, other).p_value


def test_a_picture_counts_once_by_most_of_its_answers() -> None:
    nan = np.nan
    first = np.array([[1, 1, 0, 1, nan], [1, 0, 0, 1, nan], [1, 1, 1, 0, nan]])
    second = np.array([[0, 0, 1, 1, nan], [0, 0, 1, 1, nan], [1, 1, 0, 1, nan]])
    alone = np.arange(5)
    assert count_discordant(first, second, alone) == (2, 1)
    assert count_discordant(second, first, alone) == (1, 2)
    tripled = [np.tile(right, 3) for right in (first, second)]
    assert count_discordant(*tripled, np.tile(alone, 3)) == (2, 1)
    even = np.array([[1.0], [0.0]])
    assert count_discordant(even, np.ones((2, 1)), np.zeros(1, int)) == (0, 1)
    with pytest.raises(ValueError, match="the same pictures"):
        count_discordant(first, np.zeros((3, 5)), alone)


# the comparison


@pytest.fixture(scope="module")
def few(overlapping: Planted) -> Planted:
    """120 of the pictures, and 16 of their numbers."""
    vectors, labels = overlapping
    return vectors[:120, :16], labels[:120]


def test_identical_vectors_differ_by_nothing(few: Planted, embeddings_of: Make) -> None:
    embeddings = embeddings_of(*few)
    found = compare_heads(
        [Contender(embeddings), Contender(called(embeddings, "vgg16"))], plan=PLAN
    )
    (rival,) = found.rivals
    difference = rival.difference
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    assert rival.discordant == (0, 0)
    assert (rival.discordant.p_value, rival.p_adjusted) == (1, 1)
    assert "cannot be distinguished with 120 pictures" in rival.verdict
    alone = assess_head(embeddings, plan=PLAN)
    assert alone.logits.tobytes() == found.report.logits.tobytes()
    assert alone.accuracy == found.report.accuracy == rival.report.accuracy


def test_a_planted_better_backbone_is_told(separated: Planted, embeddings_of: Make) -> None:
    vectors, labels = separated
    sets = {
        "good": embeddings_of(noisy(vectors, 1), labels),
        "poor": embeddings_of(noisy(vectors, 12), labels),
        "twin": embeddings_of(noisy(vectors, 1, seed=1), labels),
    }
    contenders = [Contender(called(each, name)) for name, each in sets.items()]
    done: list[tuple[int, int]] = []
    found = compare_heads(contenders, plan=PLAN, progress=lambda *told: done.append(told))
    poor, twin = found.rivals
    assert poor.distinguished
    assert poor.verdict.startswith("good is better than poor by 0.")
    assert poor.difference.low is not None
    assert poor.difference.low > 0.1
    assert not twin.distinguished
    assert poor.p_adjusted == pytest.approx(min(1, 2 * poor.discordant.p_value))
    assert poor.difference.mean == pytest.approx(
        found.report.accuracy.mean - poor.report.accuracy.mean
    )
    assert done[-1] == (6, 6)
    assert done == sorted(done)
    once = replace(PLAN, n_folds=None, n_seeds=1)
    turned = compare_heads([contenders[1], contenders[0]], plan=once).rivals[0]
    assert turned.verdict.startswith("good is better than poor by 0.")
    assert turned.difference.mean < 0


def test_all_heads_share_splits_and_seeds(few: Planted, embeddings_of: Make) -> None:
    vectors, labels = few
    near = vectors.copy()
    near[labels.argsort(kind="stable")[:3]] = vectors[labels.argsort(kind="stable")[0]]
    one, other = embeddings_of(vectors, labels), called(embeddings_of(near, labels), "vgg16")
    found = compare_heads([Contender(one), Contender(other)], plan=PLAN)
    assert found.report.final is not None
    assert found.rivals[0].report.final is None  # nobody keeps it, so nobody trains it
    report, rival = found.report, found.rivals[0].report
    for mine, theirs in zip(report.runs, rival.runs, strict=True):
        assert mine.seed == theirs.seed
        for side in ("train", "validation", "test"):
            assert (getattr(mine.split, side) == getattr(theirs.split, side)).all()
    copied = np.argsort(labels, kind="stable")[:3]
    assert len(set(report.groups[copied])) == 1  # by the other's vectors alone
    assert len(set(assess_head(one, plan=PLAN).groups[copied])) == 3


def test_what_one_file_lacks_is_left_out_and_counted(few: Planted, embeddings_of: Make) -> None:
    vectors, labels = few
    values: list[str | None] = [str(label) for label in labels]
    values[7] = None
    main = embeddings_of(vectors, values, left_out={"truncated": 2})
    zero = vectors.copy()
    zero[11] = 0
    fewer = called(embeddings_of(zero, values), "vgg16", "random")
    kept = np.delete(np.arange(120), [3, 4, 5])
    views = np.stack([vectors, vectors + 0.1])
    found = compare_heads(
        [Contender(main, views), Contender(fewer.take(kept), zero[None, kept])], plan=PLAN
    )
    said = found.to_json()
    assert said["n_images"] == 120 - 3 - 1 - 1
    assert said["left_out_by_reason"] == {
        "truncated": 2,
        "not the same in all files": 3,
        "not usable in all files": 1,
        "no label": 1,
    }
    assert not {"0003.png", "0011.png", "0007.png"} & set(found.report.ids)
    assert found.report.ids == found.rivals[0].report.ids
    assert any("compared on the 117 pictures that all files hold" in n for n in said["notes"])
    assert any("1 labelled pictures have no vector" in n for n in said["notes"])
    assert any(n.endswith("nothing in these weights was learned") for n in said["notes"])
    assert [found.report.n_views, found.rivals[0].report.n_views] == [2, 1]


def test_programs_read_what_was_promised(few: Planted, embeddings_of: Make) -> None:
    embeddings = embeddings_of(*few)
    rivals = [called(embeddings_of(noisy(few[0], s), few[1]), f"m{s}") for s in (1, 2)]
    plan = replace(PLAN, n_folds=None, n_seeds=2)
    found = compare_heads([Contender(each) for each in (embeddings, *rivals)], plan=plan)
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [each["model"] for each in said["against"]] == ["m1", "m2"]
    promised = "model identity weights accuracy difference mcnemar_p p_adjusted verdict"
    for each, rival in zip(said["against"], found.rivals, strict=True):
        assert {*promised.split(), "seconds", "epochs", "classes", "confusion"} <= set(each)
        assert set(each["accuracy"]) == set(each["difference"]) == {"mean", "low", "high"}
        assert each["epochs"]["best"] <= each["epochs"]["stopped"]
        assert np.sum(each["confusion"]["counts"]) == 2 * 24
        assert each["mcnemar_p"] <= each["p_adjusted"] <= 1
        assert each["only_right"] == dict(zip(("head", "rival"), rival.discordant, strict=True))
        assert each["differences"] == {}
        right = [own.right["head"] for own in (found.report, rival.report)]
        by_hand = mean_over_pictures(
            right[0] - right[1], found.report.groups, n_resamples=100, seed=1
        )
        assert rival.difference == by_hand
    tables = rival_tables.tables_of_rivals(found)
    assert {"against_classes.csv", "against_confusion.csv", "against_folds.csv"} <= set(tables)
    assert next(tables["against.csv"])[-1] == "pooling"
    hold_together(found)


def test_one_alone_is_no_comparison(few: Planted, embeddings_of: Make) -> None:
    with pytest.raises(UsageError, match="--against"):
        compare_heads([Contender(embeddings_of(*few))], plan=PLAN)


# several labels a picture, levels of a tree


@pytest.fixture(scope="module")
def of_sets(embeddings_of: Make) -> HeadComparison:
    """Three attributes: a backbone that sees them, one that hardly does, and the first again.

    The first file has no labels of a picture, the second lists others of another and separates
    them otherwise, the third has no labels.
    """
    random = np.random.default_rng(0)
    has = random.random((90, 3)) < 0.5
    has[~has.any(axis=1), 0] = True
    vectors = (2 * has @ np.eye(3, 12) + 0.3 * random.normal(size=(90, 12))).astype(np.float32)
    rows = [tuple(LABELS[i] for i in np.flatnonzero(own)) for own in has]
    unknown, other = list(rows), list(rows)
    unknown[4], other[7] = (), tuple(set(LABELS) - set(rows[7])) or ("blue",)
    sees = replace(embeddings_of(vectors), multi_labels=(MultiLabel.from_values("is", unknown),))
    column = MultiLabel.from_values("is", other, ";")
    hardly = replace(embeddings_of(noisy(vectors, 2)), multi_labels=(column,))
    named = {"sees": sees, "hardly": hardly, "again": embeddings_of(vectors)}
    plan = replace(PLAN, training=replace(PLAN.training, learning_rate=0.03))
    return compare_heads([Contender(called(e, name)) for name, e in named.items()], plan=plan)


def test_a_backbone_that_finds_more_labels_is_told(of_sets: HeadComparison) -> None:
    hardly, again = of_sets.rivals
    assert hardly.verdict.startswith("sees is better than hardly by 0.")
    scores = [each.scores["head"] for each in of_sets.named_reports.values()]
    assert list(hardly.differences) == ["micro_f1", "macro_f1", "mean_average_precision"]
    for name, apart in hardly.differences.items():
        gap = getattr(scores[0], name).mean - getattr(scores[1], name).mean
        assert apart.mean == pytest.approx(gap)
        assert apart.low is not None
        assert 0 < apart.low < gap
        same = again.differences[name]
        assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert (again.discordant, again.discordant.p_value) == ((0, 0), 1)
    assert not again.distinguished
    said = json.loads(json.dumps(of_sets.to_json(), allow_nan=False))["against"][0]
    assert said["differences"]["macro_f1"]["mean"] == hardly.differences["macro_f1"].mean
    assert said["macro_f1"]["mean"] == scores[1].macro_f1.mean


def test_labels_of_several_files_are_one_truth(of_sets: HeadComparison) -> None:
    report = of_sets.report
    assert len(report.ids) == 89
    assert "0007.png" not in report.ids  # of which files disagree
    assert "0004.png" in report.ids  # which the other file knows
    assert report.left_out == {"not the same in all files": 1}
    assert "1 picture left out: files disagree on their labels" in of_sets.notes
    assert "no column 'is' in again: the others' labels are used" in of_sets.notes
    assert report.classes == LABELS


def test_several_labels_are_drawn_written_and_said(of_sets: HeadComparison) -> None:
    hold_together(of_sets)
    assert {"against_scores.csv", "against_classes.csv", "against_folds.csv"} <= set(
        rival_tables.tables_of_rivals(of_sets)
    )
    lines = rival_lines(of_sets)
    assert lines[0].startswith("hardly: all labels right 0.")
    assert sum("macro F1, sees minus" in line for line in lines) == 2
    axes = draw_against(of_sets).axes[0]
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [name.split(",")[0] for name in named] == ["sees", "hardly", "again"]
    classes = [text.get_text().split()[0] for text in axes.get_yticklabels()]
    assert sorted(classes) == sorted(LABELS)
    for report, dots in zip(
        of_sets.named_reports.values(), axes.collections[1:], strict=True
    ):  # the first are the lines between dots
        f1 = {each.score.name: each.score.f1 for each in report.class_scores["head"]}
        assert dots.get_offsets()[:, 0].tolist() == pytest.approx([f1[name] for name in classes])


def test_of_many_labels_those_that_differ_most_are_drawn(of_sets: HeadComparison) -> None:
    names = tuple(f"label {i:02}" for i in range(62))
    gains = np.random.default_rng(0).permutation(62) / 100 - 0.2
    reports = []
    for report, f1 in zip(of_sets.named_reports.values(), (gains, 0 * gains, gains), strict=True):
        score = report.class_scores["head"][0]
        own = [
            replace(score, score=replace(score.score, name=name, f1=0.3 + value))
            for name, value in zip(names, f1.tolist(), strict=True)
        ]
        reports.append(replace(report, classes=names))
        vars(reports[-1])["class_scores"] = {"head": own}  # in place of what would be counted
        vars(reports[-1])["scores"] = report.scores
    rivals = [replace(r, report=own) for r, own in zip(of_sets.rivals, reports[1:], strict=True)]
    axes = draw_against(replace(of_sets, report=reports[0], rivals=tuple(rivals))).axes[0]
    drawn = [text.get_text()[:8] for text in axes.get_yticklabels()]
    largest = np.argsort(-np.abs(gains), kind="stable")[:40]
    assert drawn == [names[i] for i in sorted(largest, key=lambda i: -gains[i])]
    assert any("the 40 of 62 classes that differ most" in text.get_text() for text in axes.texts)


@pytest.fixture(scope="module")
def of_levels(embeddings_of: Make) -> HeadComparison:
    """Two kinds of two each: a backbone that sees both levels, one that sees the first alone.

    The first file knows the first level alone, and the second calls one leaf something else.
    """
    leaf = np.arange(80) % 4
    noise = 0.5 * np.random.default_rng(0).normal(size=(80, 12))
    tops, leaves = 4 * np.eye(2, 12)[leaf // 2], 3 * np.eye(4, 12, 2)[leaf]
    cells = [f"k{i // 2} > k{i}" for i in leaf.tolist()]
    known = [label_levels("kind", " > ", [("", cell) for cell in cells])]
    cells[9] = "k0 > k0"
    known.append(label_levels("kind", " > ", [("", cell) for cell in cells]))
    sets = [embeddings_of(own + noise) for own in (tops + leaves, tops, tops + leaves)]
    names = ("sees", "top", "again")
    sees, top, again = (called(e, name) for e, name in zip(sets, names, strict=True))
    contenders = [
        Contender(replace(sees, levels=known[0][:1])),
        Contender(replace(top, levels=known[0])),
        Contender(replace(again, levels=known[1])),
    ]
    return compare_heads(contenders, plan=replace(PLAN, n_levels=2))


def test_a_backbone_is_better_at_the_level_that_it_sees(of_levels: HeadComparison) -> None:
    top, again = of_levels.rivals
    assert list(top.differences) == ["path_kind_1", "path_kind_2", "hierarchical_f1"]
    trees = [each.tree for each in of_levels.named_reports.values()]
    for level, own in enumerate(("path_kind_1", "path_kind_2")):
        gap = trees[0].levels[level].path.mean - trees[1].levels[level].path.mean
        assert top.differences[own].mean == pytest.approx(gap)
    first, second, f1 = top.differences.values()
    assert first.low <= 0 <= first.high  # type: ignore[operator]
    assert second.low > 0.2  # type: ignore[operator]
    assert not top.distinguished  # which is of the first level
    heads = [tree.hierarchical_f1["head"].mean for tree in trees]
    assert f1.mean == pytest.approx(heads[0] - heads[1])
    assert f1.low > 0  # type: ignore[operator]
    assert {(own.mean, own.low, own.high) for own in again.differences.values()} == {(0, 0, 0)}
    assert again.discordant.p_value == 1


def test_levels_that_one_file_knows_are_compared(of_levels: HeadComparison) -> None:
    assert "0009.png" not in of_levels.report.ids  # the files disagree at the second level
    assert len(of_levels.report.ids) == 79
    assert "1 picture left out: files disagree on their labels" in of_levels.notes
    assert "no level 'kind_2' in sees: the others' labels are used" in of_levels.notes
    hold_together(of_levels)
    assert {"against_levels.csv", "against_level_classes.csv"} <= set(
        rival_tables.tables_of_rivals(of_levels)
    )
    assert any("path at level kind_2, sees minus top +0." in s for s in rival_lines(of_levels))
    said = json.loads(json.dumps(of_levels.to_json(), allow_nan=False))["against"][0]
    assert [level["level"] for level in said["levels"]] == ["kind_1", "kind_2"]
    first = draw_against(of_levels).axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == ["k0", "k1"]


# copies of several files


def test_copies_of_any_file_are_copies() -> None:
    alone = np.arange(5)
    one = Copies(np.array([0, 0, 1, 2, 3]), alone)
    other = Copies(np.array([4, 5, 5, 7, 7]), np.array([0, 1, 2, 3, 3]))
    joined = join_copies([one, other])
    assert [joined.groups[0] == g for g in joined.groups] == [True, True, True, False, False]
    assert joined.groups[3] == joined.groups[4]
    assert joined.by_bytes[3] == joined.by_bytes[4]


def test_a_large_product_is_no_chain_of_copies() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(100, 64)).astype(np.float32)
    vectors[1] = vectors[0] + 0.01 * vectors[2]
    products = np.arange(100)
    products[50:63] = 50
    found = find_copies(vectors, None, products)
    assert found.groups[0] == found.groups[1]
    turned = rng.permutation(100)
    for copies in (join_copies([found]), join_copies([found, found])):
        assert copies.notes == ()
        assert (copies.groups == found.groups).all()
        again = join_copies([copies.take(turned)])
        assert again.notes == ()
        same = np.equal.outer(found.groups[turned], found.groups[turned])
        assert (np.equal.outer(again.groups, again.groups) == same).all()
