"""Heads of several backbones: planted differences, McNemar by hand, pictures lost and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from analyze.head import rival_tables
from analyze.head.assessment import assess_head
from analyze.head.rivals import Contender, Discordant, compare_heads, count_discordant
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from analyze.measures.estimates import mean_over_pictures
from analyze.pictures.near_duplicates import Copies, join_copies
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Planted = tuple[np.ndarray, np.ndarray]
Make = Callable[..., EmbeddingSet]
PLAN = Plan(
    n_folds=3,
    n_shuffles=2,
    head=HeadSpec(width=16),
    training=TrainingSpec(learning_rate=0.01, epochs=15, patience=4),
    n_resamples=300,
    seed=1,
)


def called(embeddings: EmbeddingSet, model: str, weights: str = "hub") -> EmbeddingSet:
    identity = {"backbone": model, "weights": {"source": weights}}
    return replace(embeddings, provenance=Provenance(identity, ()))


def noisy(vectors: np.ndarray, scale: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(scale=scale, size=vectors.shape)
    return np.asarray(vectors + noise, dtype=np.float32)


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


def test_identical_vectors_differ_by_nothing(overlapping: Planted, embeddings_of: Make) -> None:
    embeddings = embeddings_of(*overlapping)
    found = compare_heads(
        [Contender(embeddings), Contender(called(embeddings, "vgg16"))], plan=PLAN
    )
    (rival,) = found.rivals
    difference = rival.difference
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    assert rival.discordant == (0, 0)
    assert (rival.discordant.p_value, rival.p_adjusted) == (1, 1)
    assert "cannot be told apart with 200 pictures" in rival.verdict
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
    assert poor.told_apart
    assert poor.verdict.startswith("good is better than poor by 0.")
    assert poor.difference.low is not None
    assert poor.difference.low > 0.1
    assert not twin.told_apart
    assert poor.p_adjusted == pytest.approx(min(1, 2 * poor.discordant.p_value))
    assert poor.difference.mean == pytest.approx(
        found.report.accuracy.mean - poor.report.accuracy.mean
    )
    assert done[-1] == (18, 18)
    assert done == sorted(done)
    turned = compare_heads([contenders[1], contenders[0]], plan=PLAN).rivals[0]
    assert turned.verdict.startswith("good is better than poor by 0.")
    assert turned.difference.mean == pytest.approx(-poor.difference.mean)


def test_all_heads_share_splits_and_seeds(overlapping: Planted, embeddings_of: Make) -> None:
    vectors, labels = overlapping
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
    right = [each.predicted["head"] == each.labels for each in (report, rival)]
    by_hand = mean_over_pictures(
        right[0].astype(float) - right[1], report.groups, n_resamples=300, seed=1
    )
    assert found.rivals[0].difference == by_hand


def test_what_one_file_lacks_is_left_out_and_counted(
    overlapping: Planted, embeddings_of: Make
) -> None:
    vectors, labels = overlapping
    values: list[str | None] = [str(label) for label in labels]
    values[7] = None
    main = embeddings_of(vectors, values, left_out={"truncated": 2})
    zero = vectors.copy()
    zero[11] = 0
    fewer = called(embeddings_of(zero, values), "vgg16", "random")
    kept = np.delete(np.arange(200), [3, 4, 5])
    views = np.stack([vectors, vectors + 0.1])
    found = compare_heads(
        [Contender(main, views), Contender(fewer.take(kept), zero[None, kept])], plan=PLAN
    )
    said = found.to_json()
    assert said["n_images"] == 200 - 3 - 1 - 1
    assert said["left_out_by_reason"] == {
        "truncated": 2,
        "not the same in all files": 3,
        "not usable in all files": 1,
        "no label": 1,
    }
    assert not {"0003.png", "0011.png", "0007.png"} & set(found.report.ids)
    assert found.report.ids == found.rivals[0].report.ids
    assert any("compared on the 197 pictures that all files hold" in n for n in said["notes"])
    assert any("1 labelled pictures have no vector" in n for n in said["notes"])
    assert any(n.endswith("nothing in these weights was learned") for n in said["notes"])
    assert [found.report.n_views, found.rivals[0].report.n_views] == [2, 1]


def test_programs_read_what_was_promised(overlapping: Planted, embeddings_of: Make) -> None:
    embeddings = embeddings_of(*overlapping)
    rivals = [
        called(embeddings_of(noisy(overlapping[0], s), overlapping[1]), f"m{s}") for s in (1, 2)
    ]
    plan = replace(PLAN, n_folds=None, n_seeds=2)
    found = compare_heads([Contender(each) for each in (embeddings, *rivals)], plan=plan)
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [each["model"] for each in said["against"]] == ["m1", "m2"]
    promised = "model identity weights accuracy difference mcnemar_p p_adjusted verdict"
    for each, rival in zip(said["against"], found.rivals, strict=True):
        assert {*promised.split(), "seconds", "epochs", "classes", "confusion"} <= set(each)
        assert set(each["accuracy"]) == set(each["difference"]) == {"mean", "low", "high"}
        assert each["epochs"]["best"] <= each["epochs"]["stopped"]
        assert np.sum(each["confusion"]["counts"]) == 2 * 40
        assert each["mcnemar_p"] <= each["p_adjusted"] <= 1
        assert each["only_right"] == dict(zip(("head", "rival"), rival.discordant, strict=True))
    tables = rival_tables.tables_of_rivals(found)
    for name in ("against.csv", "against_classes.csv", "against_confusion.csv"):
        header, *rows = tables[name]
        assert {len(row) for row in rows} == {len(header)}
        assert list(dict.fromkeys(row[0] for row in rows)) == [*found.named_reports]
    header, *answers = rival_tables.predictions(found)
    for column, report in enumerate(found.named_reports.values(), start=3):
        share = np.mean([row[2] == row[column] for row in answers])
        assert share == pytest.approx(report.accuracy.mean)


def test_one_alone_is_no_comparison(overlapping: Planted, embeddings_of: Make) -> None:
    with pytest.raises(UsageError, match="--against"):
        compare_heads([Contender(embeddings_of(*overlapping))], plan=PLAN)


# copies of several files


def test_copies_of_any_file_are_copies() -> None:
    alone = np.arange(5)
    one = Copies(np.array([0, 0, 1, 2, 3]), alone)
    other = Copies(np.array([4, 5, 5, 7, 7]), np.array([0, 1, 2, 3, 3]))
    joined = join_copies([one, other])
    assert [joined.groups[0] == g for g in joined.groups] == [True, True, True, False, False]
    assert joined.groups[3] == joined.groups[4]
    assert joined.by_bytes[3] == joined.by_bytes[4]
