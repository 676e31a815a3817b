"""Heads of several labels: planted truths are found, noise stays noise, references agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from analyze.head.assessment import assess_head
from analyze.head.figures.class_f1_figure import draw_class_f1
from analyze.head.figures.head_figures import draw_curves, figures_of
from analyze.head.prediction.head_file import read_head, write_head
from analyze.head.prediction.predictions import predict
from analyze.head.prediction.thresholds import best_cut, choose_thresholds, thresholds_of
from analyze.head.reporting import tables
from analyze.head.reporting.set_report import SetReport
from analyze.head.reporting.set_scores import average_precision, score_sets
from analyze.head.splitting.iterative_splits import IterativeSplitter, iterative_parts
from analyze.head.tasks.multi_label import choose_multi_label
from analyze.head.tasks.set_baselines import fit_one_against_rest, fit_regressions, fit_shares
from analyze.head.training.head_training import TrainingSpec, train_head
from analyze.head.training.network import HeadSpec
from analyze.head.training.objective import BinaryCrossEntropy, ClassSets
from analyze.head.training.plan import Plan
from analyze.head.training.probabilities import SIGMOID, fit_shared_temperature, sigmoid
from analyze.head.training.training_set import TrainingData
from analyze.measures.bootstrap import interval, resampled_weights
from extract.catalog.multi_label import MultiLabel
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
QUICK = TrainingSpec(learning_rate=0.03, epochs=20, patience=4)
PLAN = Plan(n_seeds=2, head=HeadSpec(width=32), training=QUICK, n_resamples=100)
NAMES = ("blue", "green", "plain", "red", "round", "tall")


def listing(has: np.ndarray, names: tuple[str, ...] = NAMES) -> MultiLabel:
    rows = [tuple(names[i] for i in np.flatnonzero(own)) for own in has]
    return MultiLabel.from_values("kind", rows)


def attributes(n: int = 240, seed: int = 0) -> np.ndarray:
    """Independent attributes, from one picture in two to one in five; each picture has some."""
    has = np.random.default_rng(seed).random((n, 6)) < np.linspace(0.5, 0.2, 6)
    has[~has.any(axis=1), 0] = True
    return has


def drawn(has: np.ndarray, seed: int = 1) -> np.ndarray:
    """Vectors that are the sum of what a picture has, and noise."""
    random = np.random.default_rng(seed)
    axes = 2 * np.linalg.qr(random.normal(size=(24, 24)))[0][: has.shape[1]]
    return (has @ axes + 0.3 * random.normal(size=(len(has), 24))).astype(np.float32)


@pytest.fixture(scope="module")
def catalog(embeddings_of: Make) -> EmbeddingSet:
    has = attributes()
    return replace(embeddings_of(drawn(has)), multi_labels=(listing(has),))


@pytest.fixture(scope="module")
def report(catalog: EmbeddingSet) -> SetReport:
    return assess_head(catalog, plan=replace(PLAN, n_folds=3, n_shuffles=1))


# what is learned


def test_planted_attributes_are_found(report: SetReport) -> None:
    head = report.scores["head"]
    assert head.macro_f1.mean > 0.95
    assert head.mean_average_precision.mean > 0.98
    assert head.macro_f1.low is not None
    assert head.macro_f1.low <= head.macro_f1.mean <= (head.macro_f1.high or 0)
    assert report.accuracy.mean > 0.75
    assert report.scores["logistic_regression"].macro_f1.mean > 0.9
    assert report.tested.all()
    assert not any("threshold is a half" in note for note in report.notes)


def test_labels_that_say_nothing_stay_at_chance(embeddings_of: Make) -> None:
    has = attributes(360)
    vectors = np.random.default_rng(5).normal(size=(360, 24))
    catalog = replace(embeddings_of(vectors), multi_labels=(listing(has),))
    found = assess_head(catalog, plan=replace(PLAN, n_folds=3, n_shuffles=1))
    for scores in found.scores.values():
        assert scores.mean_average_precision.mean == pytest.approx(has.mean(), abs=0.05)
    estimate = found.scores["head"].mean_average_precision
    assert estimate.low is not None
    assert estimate.low < has.mean() + 0.02


def test_loss_equals_binary_cross_entropy_written_out() -> None:
    random = np.random.default_rng(0)
    has, logits = random.random((9, 3)) < 0.4, random.normal(size=(5, 3))
    rows, trained = torch.tensor([4, 0, 1, 8, 2]), np.arange(7)
    wanted = BinaryCrossEntropy([has], trained, label_smoothing=0.2, class_weights=True)
    own, p = has[rows.numpy()], 1 / (1 + np.exp(-logits))
    yes = np.where(own, 0.9, 0.1)
    weight = np.maximum((~has[:7]).sum(0), 1) / np.maximum(has[:7].sum(0), 1)
    expected = -(weight * yes * np.log(p) + (1 - yes) * np.log(1 - p)).mean()
    given = [torch.from_numpy(logits).float()]
    assert float(wanted.training_loss(given, rows)) == pytest.approx(expected, rel=1e-5)
    plain = -np.where(own, np.log(p), np.log(1 - p)).mean()
    loss, right = wanted.judged(given, rows)
    assert loss == pytest.approx(plain, rel=1e-5)
    assert right == ((logits >= 0) == own).all(axis=1).mean()


def test_training_twice_gives_the_same_bits(catalog: EmbeddingSet) -> None:
    has = catalog.multi_labels[0].matrix()
    training_set = TrainingData(
        catalog.vectors[None], ClassSets(has), np.arange(160), np.arange(160, 240)
    )
    one, other = (train_head(training_set, PLAN.head, QUICK, seed=3) for _ in range(2))
    for name, tensor in one.head.weights.items():
        np.testing.assert_array_equal(tensor, other.head.weights[name])


# splits


def test_shares_of_every_class_are_kept_within_one_picture() -> None:
    has = attributes(200)
    parts = iterative_parts(has, np.arange(200), (0.6, 0.2, 0.2), seed=3)
    for number, share in enumerate((0.6, 0.2, 0.2)):
        own = has[parts == number].sum(axis=0)
        assert (np.abs(own - share * has.sum(axis=0)) <= 1).all()
        assert abs((parts == number).sum() - share * 200) <= 8  # classes come first


def test_groups_of_copies_are_never_split_and_seeds_matter() -> None:
    has, groups = attributes(150), np.arange(150) // 3
    first = IterativeSplitter(has, groups).folds(5, seed=0)
    for split in first:
        sides = [set(groups[getattr(split, s)].tolist()) for s in ("train", "validation", "test")]
        assert len(set.union(*sides)) == sum(map(len, sides)) == 50
    tested = np.concatenate([split.test for split in first])
    assert sorted(tested.tolist()) == list(range(150))
    again = IterativeSplitter(has, groups).folds(5, seed=0)
    assert all((a.test == b.test).all() for a, b in zip(first, again, strict=True))
    assert (IterativeSplitter(has, groups).at_once(1).test.tolist()) != IterativeSplitter(
        has, groups
    ).at_once(2).test.tolist()


def test_rarest_class_reaches_every_part() -> None:
    has = attributes(100)
    has[:, 5] = False
    has[[3, 17, 40, 71, 88], 5] = True
    parts = iterative_parts(has, np.arange(100), [0.2] * 5)
    assert sorted(parts[has[:, 5]].tolist()) == [0, 1, 2, 3, 4]


# thresholds and temperatures


def test_best_cut_equals_a_search_through_all() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        scores = np.round(random.normal(size=30), 1)  # with ties
        yes = random.random(30) < 0.4
        said = scores >= np.append(scores, best_cut(scores, yes))[:, None]
        *others, found = 2 * (said & yes).sum(axis=1) / (said.sum(axis=1) + yes.sum())
        assert found == pytest.approx(max(others))
    assert found == pytest.approx(f1_score(yes, said[-1]))


def test_few_pictures_leave_a_half_and_many_move_it() -> None:
    random = np.random.default_rng(0)
    yes = random.random(4000) < 0.1
    logits = random.normal(size=4000) + 2 * yes - 3.0  # too low by far
    has, columns = yes[:, None], logits[:, None]
    few = np.flatnonzero(yes)[:4]
    some = np.concatenate([few, np.flatnonzero(~yes)[:60]])
    assert choose_thresholds(columns[some], has[some]).tolist() == [0.5]
    at_half, free = 0.5, choose_thresholds(columns, has, prior=0)[0]
    drawn_in = choose_thresholds(columns, has)[0]
    assert free < drawn_in < at_half
    assert f1_score(yes, sigmoid(logits) >= drawn_in) > f1_score(yes, logits >= 0) + 0.3


def test_temperature_undoes_an_overconfident_factor() -> None:
    random = np.random.default_rng(0)
    logits = 2 * random.normal(size=(3000, 4))
    has = random.random((3000, 4)) < sigmoid(logits)
    assert fit_shared_temperature(3 * logits, has) == pytest.approx(3, rel=0.1)


def test_thresholds_are_of_validation_pictures_alone(catalog: EmbeddingSet) -> None:
    has = catalog.multi_labels[0].matrix()
    train, validation = np.arange(160), np.arange(160, 240)
    training_set = TrainingData(catalog.vectors[None], ClassSets(has), train, validation)
    once = replace(QUICK, refit=False)
    trained = train_head(training_set, PLAN.head, once, seed=0)
    logits = trained.head.logits(catalog.vectors[validation])[0]
    np.testing.assert_allclose(trained.validation_logits[0], logits, atol=1e-4)
    (temperature,), thresholds = trained.temperatures, thresholds_of(trained)
    chosen = SIGMOID.choose_temperature(logits, has[validation])
    assert temperature == pytest.approx(chosen, rel=1e-3)
    expected = choose_thresholds(logits / temperature, has[validation])
    np.testing.assert_allclose(thresholds, expected, atol=1e-3)
    refitted = train_head(training_set, PLAN.head, QUICK, seed=0)
    assert thresholds_of(refitted).tolist() == thresholds.tolist()


def test_nothing_of_a_tested_picture_reaches_its_head(catalog: EmbeddingSet) -> None:
    """Tested labels turned over change scores, and not one bit of head or thresholds."""
    plan = replace(PLAN, n_seeds=1, split_column="side")
    sides = tuple(("train", "train", "validation", "test")[i % 4] for i in range(240))
    known = replace(catalog, columns={"side": sides})
    has = catalog.multi_labels[0].matrix()
    turned = has.copy()
    turned[3::4] = ~turned[3::4]
    turned[~turned.any(axis=1), 0] = True
    one = assess_head(known, plan=plan)
    other = assess_head(replace(known, multi_labels=(listing(turned),)), plan=plan)
    assert one.accuracy.mean > 0.7 > 0.2 > other.accuracy.mean
    assert thresholds_of(one.final).tolist() == thresholds_of(other.final).tolist()
    for name, tensor in one.final.head.weights.items():
        np.testing.assert_array_equal(tensor, other.final.head.weights[name])


# baselines and scores


def test_regressions_are_those_of_scikit_learn(catalog: EmbeddingSet) -> None:
    has, vectors = catalog.multi_labels[0].matrix(), catalog.vectors.astype(np.float64)
    has[:, 5] = True  # of every picture: nothing is fitted
    weights, offsets = fit_regressions(vectors, has, 10.0)
    for i in range(5):
        fitted = LogisticRegression(C=10.0, max_iter=1000).fit(vectors, has[:, i])
        np.testing.assert_allclose(weights[:, i], fitted.coef_[0], atol=1e-6)
    assert (weights[:, 5] == 0).all()
    assert offsets[5] > 3
    probabilities, thresholds = fit_one_against_rest(catalog.vectors, has, np.arange(240))
    assert probabilities(catalog.vectors).shape == (240, 6)
    assert thresholds[5] == 0.5


def test_neighbors_give_shares_of_votes() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 2]]
    has = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [1, 1]], bool)
    shares = fit_shares(vectors, has, k=3)(np.eye(3, dtype=np.float32)[[0, 1]])
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]])


@pytest.mark.parametrize("ties", [False, True])
def test_scores_are_those_of_scikit_learn(ties: bool) -> None:
    random = np.random.default_rng(4)
    has = random.random((80, 5)) < 0.3
    probabilities = random.random((1, 80, 5))
    probabilities = np.round(probabilities, 1) if ties else probabilities
    said, asked = probabilities >= 0.6, np.ones((1, 80), bool)
    found = score_sets((said, probabilities), has, asked, np.arange(80), n_resamples=100)
    expected = {
        "accuracy": (said[0] == has).all(axis=1).mean(),
        "micro_f1": f1_score(has, said[0], average="micro"),
        "macro_f1": f1_score(has, said[0], average="macro"),
        "mean_average_precision": average_precision_score(has, probabilities[0], average="macro"),
    }
    assert {k: v["mean"] for k, v in found.to_json().items()} == pytest.approx(expected)


def test_differences_are_those_of_pictures_repeated() -> None:
    """Brute force: both are scored anew on every resample, in which copies stay together."""
    random = np.random.default_rng(4)
    has = random.random((36, 3)) < 0.4
    has[:4] = False
    probabilities = np.clip(0.6 * has + 0.7 * random.random((2, 36, 3)), 0, 1)
    said, groups = probabilities >= 0.6, np.arange(36) // 2
    about = (has, np.ones((1, 36), bool), groups)
    (first, second), words = zip(said, probabilities, strict=True), {"n_resamples": 25, "seed": 2}
    minus = (second[0][None], second[1][None])
    found = score_sets((first[0][None], first[1][None]), *about, minus=minus, **words)
    reckoned = {
        "micro_f1": lambda truth, own, _: f1_score(truth, own, average="micro"),
        "macro_f1": lambda truth, own, _: f1_score(truth, own, average="macro"),
        "mean_average_precision": lambda truth, _, p: average_precision_score(truth, p),
    }
    (weights,) = resampled_weights(groups, 25, 2)
    for name, score in reckoned.items():

        def gap(rows: np.ndarray, score: Callable[..., float] = score) -> float:
            one, other = (score(has[rows], s[rows], p[rows]) for s, p in (first, second))
            return one - other

        apart = getattr(found, name)
        assert apart.mean == pytest.approx(gap(np.arange(36)))
        drawn = np.array([gap(np.repeat(np.arange(36), own)) for own in weights.T])
        assert (apart.low, apart.high) == pytest.approx(interval(apart.mean, drawn))
    right = (said == has).all(axis=2).mean(axis=1)
    assert found.accuracy.mean == pytest.approx(right[0] - right[1])


def test_a_weight_counts_as_a_picture_repeated() -> None:
    random = np.random.default_rng(1)
    scores, yes = np.round(random.random(30), 1), random.random(30) < 0.4
    weights = random.integers(0, 4, (30, 3))
    for column in weights.T:
        repeated = average_precision_score(np.repeat(yes, column), np.repeat(scores, column))
        assert average_precision(scores, yes, column[:, None])[0] == pytest.approx(repeated)
    assert np.isnan(average_precision(scores, np.zeros(30, bool), weights)).all()


def test_copies_widen_the_interval(embeddings_of: Make) -> None:
    random = np.random.default_rng(1)
    has = np.repeat(attributes(60), 4, axis=0)
    said = np.repeat(attributes(60) ^ (random.random((60, 6)) < 0.2), 4, axis=0)[None]
    words = ((said, said + 0.0), has, np.ones((1, 240), bool))
    together = score_sets(*words, np.repeat(np.arange(60), 4)).macro_f1
    apart = score_sets(*words, np.arange(240)).macro_f1
    widths = [each.high - each.low for each in (together, apart)]  # type: ignore[operator]
    assert 1.6 < widths[0] / widths[1] < 2.5


# reports, files, predictions


def test_report_has_the_keys_promised(report: SetReport, tmp_path: Path) -> None:
    said = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert said["kind"] == "multi-label"
    for name in ("accuracy", "micro_f1", "macro_f1", "mean_average_precision", "difference"):
        assert set(said[name]) == {"mean", "low", "high"}
    assert said["at_half"]["macro_f1"]["mean"] == report.scores_at_half["head"].macro_f1.mean
    for name in ("logistic_regression", "knn"):
        assert {"difference", "macro_f1", "mean_average_precision"} <= set(said["baselines"][name])
    assert said["difference"] == said["baselines"]["logistic_regression"]["difference"]
    keys = {"class", "precision", "recall", "f1", "n", "threshold"}
    assert all(keys <= set(each) for each in said["classes"])
    assert {"temperature", "ece", "bins"} <= set(said["calibration"])
    assert sum(each["n"] for each in said["calibration"]["bins"]) == 240 * 6
    assert said["folds"][0]["method"] == "fold 1 of 3"
    rows = {
        "folds": list(tables.runs(report)),
        "split": list(tables.sides(report)),
        "predictions": list(tables.set_predictions(report)),
        "classes": list(tables.set_classes(report)),
        "scores": list(tables.set_scores(report)),
    }
    assert {name: len(table) for name, table in rows.items()} == {
        "folds": 4,
        "split": 241,
        "predictions": 241,
        "classes": 7,
        "scores": 25,
    }
    names = {f"{name}.csv" for name in (*rows, "curves", "coverage")}
    assert set(tables.tables_of(report)) == names
    assert rows["predictions"][1][2] == report.separator.join(
        NAMES[i] for i in np.flatnonzero(report.has[0])
    )


def test_class_scores_are_counted_over_what_was_said(report: SetReport) -> None:
    said = report.answers["head"].predictions[0]
    for i, each in enumerate(report.class_scores["head"]):
        assert each.score.f1 == pytest.approx(f1_score(report.has[:, i], said[:, i]))
        assert each.score.n == report.has[:, i].sum()
    f1 = [each.score.f1 for each in report.class_scores["head"]]
    assert np.mean(f1) == pytest.approx(report.scores["head"].macro_f1.mean)  # type: ignore[arg-type]


def test_figures_are_drawn(report: SetReport, tmp_path: Path) -> None:
    figure = draw_class_f1(report)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    counts = report.has.sum(axis=0)
    assert labels[0] == f"{NAMES[int(counts.argmax())]}  {counts.max()}"
    drawn_f1 = figure.axes[0].collections[1].get_offsets()[:, 0]
    assert sorted(drawn_f1) == pytest.approx(
        sorted(each.score.f1 for each in report.class_scores["head"])  # type: ignore[type-var]
    )
    assert draw_curves(report) is not None
    assert set(figures_of(report)) == {"class_f1", "curves", "calibration"}


@pytest.fixture(scope="module")
def head_in(report: SetReport, catalog: EmbeddingSet, tmp_path_factory: object) -> Path:
    folder: Path = tmp_path_factory.mktemp("head")  # type: ignore[attr-defined]
    return write_head(folder, report.stored(catalog.provenance))


def test_a_stored_head_says_what_it_said(
    head_in: Path, report: SetReport, catalog: EmbeddingSet
) -> None:
    stored = read_head(head_in)
    assert stored.multilabel is not None
    assert stored.multilabel.separator == "|"
    assert stored.classes == (NAMES,)
    found = predict(stored, catalog)
    own = sigmoid(report.final.head.logits(catalog.vectors)[0] / report.final.temperatures[0])
    np.testing.assert_allclose(found.probabilities, own, rtol=1e-6)
    assert (found.has == (own >= thresholds_of(report.final))).all()
    assert (found.has == report.has).all(axis=1).mean() > 0.85
    header, *rows = found.table()
    assert header[:5] == ["id", "labels", "n_labels", "probability", "abstained"]
    probabilities = [f"probability_{name}" for name in NAMES]
    assert header[5:] == [*probabilities, "distance", "unlike"]
    assert [row[-1] for row in rows] == [0] * len(rows)  # all of them were trained on
    for row, labels in zip(rows, found.predictions(), strict=True):
        assert row[1] == "|".join(labels or ())
        assert row[2] == len(labels or ())
    assert found.counts() == dict(zip(NAMES, found.has.sum(axis=0).tolist(), strict=True))


def test_nothing_is_said_of_a_picture_whose_set_is_unsure(
    head_in: Path, catalog: EmbeddingSet
) -> None:
    stored = read_head(head_in)
    whole = predict(stored, catalog)
    below = float(np.median(whole.sureness))
    found = predict(stored, catalog, abstain_below=below)
    right = np.where(found.has, found.probabilities, 1 - found.probabilities).prod(axis=1)
    np.testing.assert_array_equal(found.abstained, right < below)
    for row, unsure in zip(list(found.table())[1:], found.abstained.tolist(), strict=True):
        assert (row[1] == row[2] == "") == unsure
        assert row[4] == int(unsure)
    assert sum(found.counts().values()) == found.has[~found.abstained].sum()
    truth = catalog.multi_labels[0].matrix()
    hits = (found.has == truth).all(axis=1)
    assert hits[~found.abstained].mean() >= hits.mean()
    with pytest.raises(UsageError, match="--abstain-below"):
        predict(stored, catalog, abstain_below=1.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "ranking"}, "of kind 'ranking', which this version does not know"),
        ({"kind": None}, "does not fit its check sum"),
        ({"format_version": 1}, "format_version is 1, not 3"),
        ({"thresholds": [0.5]}, "a threshold for each class"),
        ({"thresholds": [0.5] * 5 + [1.0]}, "between 0 and 1"),
        ({"thresholds": "x"}, "could not convert"),
        ({"separator": ""}, "must not be empty"),
    ],
)
def test_heads_of_other_kinds_are_refused_in_one_line(
    head_in: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    for file in head_in.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = {**json.loads(head_in.read_text()), **change}
    content = {k: v for k, v in content.items() if v is not None}
    (tmp_path / "head.json").write_text(json.dumps(content))
    with pytest.raises(HeadFileError, match=said) as error:
        read_head(tmp_path / "head.json")
    assert "\n" not in str(error.value)


def test_a_head_without_training_vectors_is_written_as_ever(
    embeddings_of: Make, tmp_path: Path
) -> None:
    has = attributes(60)
    catalog = embeddings_of(drawn(has), has[:, 0])
    plan = replace(PLAN, n_seeds=1)
    stored = assess_head(catalog, plan=plan).stored(catalog.provenance)
    said = json.loads(write_head(tmp_path, replace(stored, vectors=None)).read_text())
    assert said["format_version"] == 1
    assert not {"kind", "thresholds", "separator", "unlike_above"} & set(said)
    assert read_head(tmp_path / "head.json").multilabel is None


# degenerate cases


def training_set(embeddings_of: Make, has: np.ndarray, **plan: object) -> SetReport:
    catalog = embeddings_of(drawn(has, 2))
    listed = replace(catalog, multi_labels=(listing(has),))
    return assess_head(listed, plan=replace(PLAN, n_seeds=1, **plan))  # type: ignore[arg-type]


def test_one_class_and_none_are_refused(embeddings_of: Make) -> None:
    one = np.zeros((30, 6), bool)
    one[:, 2] = True
    with pytest.raises(UsageError, match="one class alone"):
        training_set(embeddings_of, one)
    with pytest.raises(UsageError, match="no labelled picture"):
        training_set(embeddings_of, np.zeros((30, 6), bool))
    with pytest.raises(UsageError, match="one class alone"):
        assess_head(embeddings_of(drawn(one), one[:, 2]))
    with pytest.raises(UsageError, match=r"--levels .*column kind lists several"):
        training_set(embeddings_of, attributes(30), n_levels=2)
    both = one.copy()
    both[:, 3] = True
    with pytest.raises(UsageError, match="the same labels"):
        training_set(embeddings_of, both)


def test_a_class_of_one_is_left_out_and_said(embeddings_of: Make) -> None:
    has = attributes(90)
    has[:, 5] = False
    has[~has.any(axis=1), 0] = True
    has[0] = [False] * 5 + [True]
    has[1, 5] = True
    found = training_set(embeddings_of, has)
    assert found.classes == NAMES[:5]
    assert found.left_out == {"labels of too few pictures": 1}
    assert "0000.png" not in found.ids
    assert any("1 classes left out: they have fewer than 5" in note for note in found.notes)
    (few,) = (note for note in found.notes if "their threshold is a half" in note)
    n_few = sum(each.threshold == 0.5 for each in found.class_scores["head"])
    assert few.startswith(f"{n_few} of 5 classes have fewer than 5 validation pictures")
    assert few.endswith("--class-weights predicts rare labels more often")
    rare = np.zeros((20, 6), bool)
    rare[np.arange(20), np.arange(20) % 6] = True
    with pytest.raises(UsageError, match="fewer than two classes of 5 different pictures"):
        training_set(embeddings_of, rare)


def test_pictures_without_labels_or_direction_are_left_out(embeddings_of: Make) -> None:
    has = attributes(90)
    has[:7] = False
    vectors = drawn(has)
    vectors[10] = 0
    catalog = replace(embeddings_of(vectors), multi_labels=(listing(has),))
    views = np.stack([vectors + 0.01, vectors])
    views[0, 20, 3] = np.nan
    found = assess_head(catalog, views, plan=replace(PLAN, n_seeds=1))
    assert found.left_out == {"no label": 7, "all zeros": 1, "not finite in a view": 1}
    assert len(found.ids) == 81
    assert found.n_views == 2


def test_a_class_unseen_in_training_is_never_said(embeddings_of: Make) -> None:
    has = attributes(90)
    sides = np.array(["train", "validation", "test"])[np.arange(90) % 3]
    has[sides != "test", 5] = False
    catalog = replace(
        embeddings_of(drawn(has)), multi_labels=(listing(has),), columns={"side": tuple(sides)}
    )
    found = assess_head(catalog, plan=replace(PLAN, n_seeds=1, split_column="side"))
    assert found.split["method"] == "column side"
    assert any("1 classes are tested where no train picture has them" in n for n in found.notes)
    assert not found.answers["head"].predictions[:, :, 5].any()
    assert found.class_scores["head"][5].threshold is None
    assert found.class_scores["head"][5].score.f1 == 0
    assert found.stored(catalog.provenance).classes == (NAMES[:5],)
    json.dumps(found.to_json(), allow_nan=False)


def test_copies_that_a_naive_split_would_leak_are_counted(embeddings_of: Make) -> None:
    has = np.repeat(attributes(60), 2, axis=0)
    hashes = np.repeat(np.random.default_rng(0).integers(0, 256, (60, 32), np.uint8), 2, axis=0)
    vectors = drawn(has)
    catalog = replace(embeddings_of(vectors), multi_labels=(listing(has),), content_sha256=hashes)
    found = assess_head(catalog, plan=replace(PLAN, n_folds=3, n_shuffles=1))
    assert found.leaks["byte_identical"] > 40
    assert any("copies are kept on one side" in note for note in found.notes)
    for run in found.runs:
        assert not set(run.split.test // 2) & set(run.split.training_set // 2)


def test_the_column_that_is_meant_is_found(embeddings_of: Make) -> None:
    has = attributes(30)
    plain = embeddings_of(drawn(has), has[:, 0])
    kinds = listing(has)
    alone = replace(plain, levels=(), multi_labels=(kinds,))
    beside = replace(plain, multi_labels=(kinds,))
    two = replace(alone, multi_labels=(kinds, replace(kinds, name="other")))
    assert choose_multi_label(plain, None) is None
    assert choose_multi_label(alone, None) is choose_multi_label(alone, "1") is kinds
    assert choose_multi_label(beside, None) is None
    assert choose_multi_label(beside, "kind") is kinds
    with pytest.raises(UsageError, match=r"say which with --level: kind, other; .*--levels 2"):
        choose_multi_label(two, None)
    with pytest.raises(UsageError, match="no level 'color': this catalogue has kind"):
        choose_multi_label(alone, "color")


def test_a_split_that_trains_on_nothing_is_no_split() -> None:
    with pytest.raises(ValueError, match="must have a class"):
        TrainingData(
            np.ones((1, 4, 2), np.float32),
            ClassSets(np.zeros((4, 2), bool)),
            np.arange(2),
            np.arange(2, 4),
        )
