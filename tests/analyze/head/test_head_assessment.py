"""The head beside its baselines: planted truths, chance, intervals reckoned by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyze.head.assessment import assess_head
from analyze.head.reporting import tables
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.class_scores import count_confusion, score_classes
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.tasks.baselines import elected, fit_nearest
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from analyze.measures.estimates import mean_over_pictures
from analyze.measures.probes import fit_linear_probe, folds_of, linear_probe, nearest_vote
from analyze.neighbors.indexes.exact_search import nearest_others
from analyze.pictures.stored_views import find_views, read_views
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Planted = tuple[np.ndarray, np.ndarray]
Make = Callable[..., EmbeddingSet]
QUICK = TrainingSpec(learning_rate=0.02, epochs=15, patience=3)
SMALL = Plan(
    n_folds=3, n_shuffles=1, head=HeadSpec(width=16), training=QUICK, n_resamples=300, seed=1
)


@pytest.fixture(scope="module")
def folded(few: Planted, embeddings_of: Make) -> ClassReport:
    """Heads of classes that overlap, tested by folds of two shuffles."""
    report = assess_head(embeddings_of(*few), plan=replace(SMALL, n_shuffles=2))
    assert isinstance(report, ClassReport)
    return report


def test_separable_classes_score_one_everywhere(separated: Planted, embeddings_of: Make) -> None:
    report = assess_head(embeddings_of(*separated), plan=SMALL)
    assert report.accuracy.mean == 1
    assert report.difference == report.baseline_differences["knn"]
    assert (report.difference.mean, report.difference.low, report.difference.high) == (0, 0, 0)
    assert {(s.precision, s.recall, s.f1) for s in report.scores} == {(1, 1, 1)}
    assert report.confusion.trace() == report.confusion.sum() == 120


def test_random_labels_stay_at_chance(embeddings_of: Make) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(300, 20)).astype(np.float32)
    labels = random.integers(0, 4, 300)
    report = assess_head(embeddings_of(vectors, labels), plan=SMALL)
    assert report.accuracy.low is not None
    assert report.accuracy.high is not None
    assert report.accuracy.low - 0.02 < 0.25 < report.accuracy.high + 0.02
    assert report.accuracy.high - report.accuracy.low < 0.12


def test_a_planted_leak_is_counted_and_gives_nothing_away(embeddings_of: Make) -> None:
    """Copies whose class nothing else tells: parted they would be found, together they are not."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 32)).astype(np.float32)
    labels = random.integers(0, 4, 60)
    embeddings = embeddings_of(np.tile(vectors, (3, 1)), np.tile(labels, 3))
    report = assess_head(embeddings, plan=SMALL)
    assert report.leaks["near_identical"] > 80
    assert report.leaks["byte_identical"] == 0
    assert any("would have tested" in note for note in report.notes)
    assert report.accuracy.mean < 0.4
    assert report.baselines["knn"].mean < 0.4
    hashes = np.arange(1, 61, dtype=np.uint8)[:, None].repeat(32, axis=1)
    same = replace(embeddings, content_sha256=np.tile(hashes, (3, 1)))
    quick = replace(SMALL, training=replace(QUICK, epochs=1))
    assert assess_head(same, plan=quick).leaks["byte_identical"] == report.leaks["near_identical"]


def test_folds_test_every_picture_once_a_shuffle(folded: ClassReport) -> None:
    report = folded
    assert len(report.runs) == 3 * 2
    for predicted in report.predicted.values():
        assert predicted.shape == (2, 120)
        assert (predicted >= 0).all()
    right = report.predicted["head"] == report.labels
    assert report.accuracy.mean == pytest.approx(right.mean())
    regression = report.predicted["logistic_regression"] == report.labels
    assert report.difference.mean == pytest.approx(right.mean() - regression.mean())
    assert (report.logits.argmax(axis=2) == report.predicted["head"]).all()
    accuracies = [run.to_json(report.right)["accuracy"] for run in report.runs]
    tested = [len(run.split.test) for run in report.runs]
    assert np.average(accuracies, weights=tested) == pytest.approx(right.mean())
    assert len({run.seed for run in report.runs}) == 6


def test_one_split_is_tested_by_several_seeds(few: Planted, embeddings_of: Make) -> None:
    plan = replace(SMALL, n_folds=None, n_seeds=3)
    report = assess_head(embeddings_of(*few), plan=plan)
    assert [run.seed for run in report.runs] == [1, 2, 3]
    assert len({id(run.split) for run in report.runs}) == 1
    (split,) = {id(run.split): run.split for run in report.runs}.values()
    assert len(split.test) == 24
    assert ((report.predicted["head"] >= 0).sum(axis=1) == 24).all()
    assert np.isnan(report.logits[:, split.training_set]).all()
    said = report.to_json()
    assert said["split"]["n_seeds"] == 3
    assert said["split"]["n_test"] == 24
    assert sum(score.n for score in report.scores) == 24


def test_a_second_run_says_the_same(few: Planted, embeddings_of: Make) -> None:
    vectors, _ = few
    views = np.stack([vectors + 0.1, vectors * 1.1])
    plan = replace(SMALL, n_folds=2)
    first, again = (assess_head(embeddings_of(*few), views, plan=plan) for _ in range(2))
    assert first.logits.tobytes() == again.logits.tobytes()
    one, other = first.to_json(), again.to_json()
    for row in one["folds"] + other["folds"]:
        del row["seconds"]
    assert one == other
    assert one["n_views"] == 2
    json.dumps(one, allow_nan=False)
    plain = assess_head(embeddings_of(*few), plan=plan)
    assert plain.logits.tobytes() != first.logits.tobytes()
    assert (plain.predicted["knn"] == first.predicted["knn"]).all()


def test_what_cannot_be_used_is_left_out_and_counted(few: Planted, embeddings_of: Make) -> None:
    vectors, labels = few
    vectors = vectors.copy()
    vectors[4] = 0
    views = vectors[None] + 1
    views[0, 9, 3] = np.nan
    values = [None if i in (0, 1, 2) else str(label) for i, label in enumerate(labels)]
    values[20] = "alone"
    report = assess_head(embeddings_of(vectors, values), views, plan=SMALL)
    assert report.left_out == {"no label": 3, "not finite in a view": 1, "all zeros": 1}
    assert len(report.ids) == 115
    assert any(note.startswith("1 pictures left out") for note in report.notes)
    place = report.ids.index("0020.png")
    assert (report.predicted["head"][:, place] == -1).all()
    (alone,) = (score for score in report.scores if score.name == "alone")
    assert (alone.precision, alone.recall, alone.f1, alone.n) == (None, None, None, 0)


def test_a_class_nobody_teaches_counts_as_wrong(separated: Planted, embeddings_of: Make) -> None:
    vectors, labels = separated
    values = [str(label) for label in labels]
    sides = ["train" if i % 2 else "test" for i in range(120)]
    unseen = [i for i in range(0, 120, 2) if labels[i] == 3]
    for i in np.flatnonzero(labels == 3):
        sides[i] = "test"
    embeddings = embeddings_of(vectors, values, columns={"part": tuple(sides)})
    plan = Plan(split_column="part", n_seeds=1, head=HeadSpec(width=16), training=QUICK)
    report = assess_head(embeddings, plan=plan)
    n_unseen = int((labels == 3).sum())
    n_tested = sides.count("test")
    assert len(unseen) < n_unseen
    assert report.accuracy.mean == pytest.approx(1 - n_unseen / n_tested)
    assert any(f"{n_unseen} tested pictures are of 1 classes" in note for note in report.notes)
    assert np.isneginf(report.logits[0, report.runs[0].split.test, 3]).all()
    assert report.scores[3].recall == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([None] * 40, "no labels"),
        (["cup"] * 40, "one class alone"),
        ([str(i) for i in range(40)], "fewer than two classes of 3"),
    ],
)
def test_nothing_to_teach_is_one_clear_line(
    values: list[str | None], said: str, embeddings_of: Make
) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    with pytest.raises(UsageError, match=said):
        assess_head(embeddings_of(vectors, values), plan=SMALL)


def test_a_column_that_is_not_there_is_named_with_those_that_are(
    separated: Planted, embeddings_of: Make
) -> None:
    embeddings = embeddings_of(*separated, columns={"price": ("1",) * 120})
    with pytest.raises(UsageError, match=r"no column 'part'.*price"):
        assess_head(embeddings, plan=Plan(split_column="part"))
    with pytest.raises(UsageError, match="leave one of them out"):
        Plan(n_folds=5, split_column="part")


# baselines


def test_the_regression_is_the_probe_of_the_same_folds(
    separated: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one C to choose from, the tested rows' part in mean and axes changes no answer."""
    monkeypatch.setattr("analyze.measures.probes.GRID", (10.0,))
    random = np.random.default_rng(0)
    vectors = (separated[0] + random.normal(scale=9, size=(120, 16))).astype(np.float32)
    labels, alone = separated[1], np.arange(120)
    probed = linear_probe(vectors, labels, alone, folds_of(labels, alone))
    for split in StratifiedSplitter(labels, alone).folds(5):
        training_set = split.training_set
        classes_of = fit_linear_probe(
            vectors[training_set], labels[training_set], alone[training_set]
        )
        said = classes_of(vectors[split.test]) == labels[split.test]
        assert (said == probed[split.test]).all()
    assert 0.5 < probed.mean() < 1


def test_more_numbers_than_pictures_and_equal_rows_are_no_trouble() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    vectors = (random.normal(size=(30, 80)) + 4 * np.eye(3, 80)[labels]).astype(np.float32)
    classes_of = fit_linear_probe(vectors, labels, np.arange(30))
    more = (random.normal(size=(30, 80)) + 4 * np.eye(3, 80)[labels]).astype(np.float32)
    assert (classes_of(more) == labels).mean() > 0.8
    flat = fit_linear_probe(np.ones((30, 80), np.float32), labels, np.arange(30))
    assert set(flat(more)) <= {0, 1, 2}


def test_nearest_vote_as_among_all(overlapping: Planted) -> None:
    vectors, labels = overlapping
    alone = np.arange(200)
    expected = nearest_vote(nearest_others(vectors, 5, alone), labels, 5)
    for i in range(0, 200, 20):
        others = np.delete(alone, i)
        said = fit_nearest(vectors[others], labels[others])(vectors[i : i + 1])
        assert (said[0] == labels[i]) == expected[i]
    assert elected(np.array([[1, 2, 2, 1, 3], [4, 5, 6, 7, 8]])).tolist() == [1, 4]
    assert fit_nearest(vectors[:2], labels[:2])(vectors[:3]).tolist()[:2] == labels[:2].tolist()


# what answers are worth


def test_intervals_are_over_pictures_not_runs() -> None:
    random = np.random.default_rng(0)
    right = (random.random(400) < 0.8).astype(float)
    once = mean_over_pictures(right[None], np.arange(400))
    often = mean_over_pictures(np.repeat(right[None], 9, axis=0), np.arange(400))
    assert once == often
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert once.low == pytest.approx(right.mean() - half, abs=0.006)
    assert once.high == pytest.approx(right.mean() + half, abs=0.006)


def test_copies_are_no_further_evidence() -> None:
    right = (np.random.default_rng(0).random(100) < 0.7).astype(float)
    alone = mean_over_pictures(right[None], np.arange(100), seed=3)
    doubled = mean_over_pictures(np.tile(right, 2)[None], np.tile(np.arange(100), 2), seed=3)
    assert doubled == alone


def test_pictures_not_tested_do_not_count() -> None:
    values = np.array([[1, np.nan, 0, np.nan], [0, np.nan, 0, 1]])
    estimate = mean_over_pictures(values, np.arange(4))
    assert estimate.mean == pytest.approx((0.5 + 0 + 1) / 3)
    assert (estimate.low, estimate.high) == (None, None)


def test_scores_of_classes_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([[0, 0, 1, 1, 0, -1], [0, 0, 0, 1, 1, -1]])
    counts = count_confusion(labels, predicted, 3)
    assert counts.tolist() == [[5, 1, 0], [1, 3, 0], [0, 0, 0]]
    zero, one, two = score_classes(counts, ["a", "b", "c"], [3, 2, 0])
    assert (zero.precision, zero.recall, zero.f1, zero.n) == (5 / 6, 5 / 6, 5 / 6, 3)
    assert (one.precision, one.recall, one.f1) == (3 / 4, 3 / 4, 3 / 4)
    assert two.to_json() == {"class": "c", "precision": None, "recall": None, "f1": None, "n": 0}


def test_tables_hold_what_the_report_says(folded: ClassReport) -> None:
    report = folded
    header, *rows = tables.predictions(report)
    assert header[:4] == ["id", "run", "class", "head"]
    assert np.mean([row[2] == row[3] for row in rows]) == pytest.approx(report.accuracy.mean)
    assert all(0 < row[-1] <= 1 for row in rows)
    header, *rows = tables.sides(report)
    assert len(header) == 2 + 6
    for column in range(2, 8):
        assert {row[column] for row in rows} == {"train", "validation", "test"}
    assert all([row[2:5].count("test"), row[5:].count("test")] == [1, 1] for row in rows)
    _, *epochs = tables.curves(report)
    assert len(epochs) == sum(run.trained.stopped_epoch for run in report.runs)


# stored views


@pytest.fixture
def with_views(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, embeddings_of: Make) -> Path:
    """A plain file and two views, the second without its first picture, as files are read."""
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3) + 1
    plain = embeddings_of(vectors, ["a", "a", "b", "b"])
    identity = dict(plain.provenance.identity)
    sets = {"net.h5": plain}
    for index in (2, 1):
        made = Provenance({**identity, "view": {"policy": "p", "seed": 0, "index": index}}, ())
        view = replace(plain, vectors=vectors + index, provenance=made)
        sets[f"views/net-{3 - index}.h5"] = view if index == 1 else view.take(np.array([1, 2, 3]))
    other = Provenance({**identity, "backbone": "x", "view": {"index": 0}}, ())
    sets["views/other.h5"] = replace(plain, provenance=other)
    (tmp_path / "views").mkdir()
    for name in sets:
        (tmp_path / name).touch()
    for function, read in (
        ("read_embeddings", lambda path: sets[path.relative_to(tmp_path).as_posix()]),
        ("read_provenance", lambda path: sets[path.relative_to(tmp_path).as_posix()].provenance),
    ):
        monkeypatch.setattr(f"analyze.pictures.stored_views.{function}", read)
    return tmp_path / "net.h5"


def test_views_are_found_by_identity_in_their_order(with_views: Path, embeddings_of: Make) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3) + 1
    plain = embeddings_of(vectors, ["a", "a", "b", "b"])
    assert [p.name for p in find_views(with_views, plain.provenance)] == ["net-2.h5", "net-1.h5"]
    stored = read_views(with_views, plain)
    assert stored is not None
    assert (stored.features[0] == vectors + 1).all()
    assert (stored.features[1, 1:] == vectors[1:] + 2).all()
    assert (stored.features[1, 0] == vectors[0]).all()
    assert stored.notes == ("1 rows of the views are missing: the plain picture stands for them",)
    elsewhere = replace(plain, levels=(Level.from_values("class", ["a", "b", "a", "b"]),))
    other = Provenance({"backbone": "none of these"}, ())
    assert read_views(with_views, replace(elsewhere, provenance=other)) is None


def test_no_interval_leaves_what_an_accuracy_can_be() -> None:
    right = np.ones((1, 60))
    right[0, :3] = 0.0  # the shift by the bootstrap's own bias may lead beyond the ends
    groups = np.arange(60)
    for seed in range(40):
        above = mean_over_pictures(right, groups, least=0.0, n_resamples=200, seed=seed)
        below = mean_over_pictures(1 - right, groups, least=0.0, n_resamples=200, seed=seed)
        assert above.high is not None
        assert below.low is not None
        assert above.mean < above.high <= 1.0
        assert 0.0 <= below.low < below.mean
    apart = mean_over_pictures(right - 1, groups, n_resamples=200)
    assert apart.low is not None
    assert apart.low < apart.mean < 0


def test_heads_that_were_cut_off_are_said(few: Planted, embeddings_of: Make) -> None:
    training = TrainingSpec(learning_rate=1e-4, epochs=3, patience=3)
    short = replace(SMALL, n_folds=2, training=training)
    notes = assess_head(embeddings_of(*few), plan=short).notes
    assert any("2 of 2 heads were still getting better at their last epoch" in n for n in notes)
