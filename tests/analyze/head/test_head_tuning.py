"""Tuning of the head: what was typed first, the best of what is kept, blind to the test."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyze.head.assessment import assess_head
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.training.head_training import TrainingSpec, train_head
from analyze.head.training.network import HeadSpec
from analyze.head.training.objective import LevelTargets
from analyze.head.training.plan import Plan
from analyze.head.training.training_set import TrainingData, hold_out
from analyze.head.tuning import search
from analyze.head.tuning import trials as tuning
from analyze.head.tuning.search import Choices, Interval, Trial
from analyze.head.tuning.trials import Tuned, tune_head
from analyze.head.tuning.tuning_figure import draw_tuning
from analyze.head.tuning.tuning_report import (
    HyperparameterSearch,
    mean_importance,
    trial_rows,
    tuning_json,
)
from extract.errors import FileLocked, UsageError
from extract.files.file_lock import locked
from extract.storage.embeddings import EmbeddingSet

pytestmark = pytest.mark.slow

optuna = pytest.importorskip("optuna")
Planted = tuple[np.ndarray, np.ndarray]
Make = Callable[..., EmbeddingSet]
SMALL = HeadSpec(width=16, dropout=0.25)
QUICK = TrainingSpec(learning_rate=0.003, epochs=12, patience=4)


@pytest.fixture(scope="module", autouse=True)
def narrow_heads() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "WIDTHS", (8, 32))
        patch.setattr(tuning, "N_RANDOM", 4)
        yield


@pytest.fixture(scope="module")
def training_set(few: Planted) -> TrainingData:
    vectors, labels = few
    split = StratifiedSplitter(labels, np.arange(120)).at_once()
    return hold_out(vectors, LevelTargets.of_one(labels), split)[0]


@pytest.fixture(scope="module")
def whole(training_set: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("whole")
    return tune_head(training_set, SMALL, QUICK, n_trials=8, seed=3, folder=folder)


def without_time(tuned: Tuned) -> list[Trial]:
    return [replace(trial, seconds=0) for trial in tuned.trials]


def stored(path: Path) -> list[optuna.trial.FrozenTrial]:
    study = optuna.load_study(study_name="head", storage=f"sqlite:///{path}")
    return study.get_trials()


def test_the_first_trial_is_what_was_typed(training_set: TrainingData, whole: Tuned) -> None:
    first = whole.trials[0]
    typed = {"learning_rate": 0.003, "width": 16, "dropout": 0.25, "weight_decay": 0.01}
    assert typed.items() <= first.settings.items()
    trained = train_head(training_set, SMALL, QUICK, seed=3)
    losses = [epoch.validation_loss for epoch in trained.curves]
    assert (first.value, first.best_epoch) == (min(losses), trained.best_epoch)
    assert whole.best.value is not None
    assert whole.best.value <= min(losses)


def test_the_best_is_the_lowest_of_what_is_kept(training_set: TrainingData, whole: Tuned) -> None:
    assert whole.storage is not None
    finished = [t for t in stored(whole.storage) if t.state.name == "COMPLETE"]
    lowest = min(finished, key=lambda trial: trial.value)
    assert (whole.best.value, dict(whole.best.settings)) == (lowest.value, lowest.params)
    again = train_head(training_set, whole.head, whole.training, seed=3)
    assert min(epoch.validation_loss for epoch in again.curves) == lowest.value
    assert (whole.head.width, whole.training.learning_rate) == (
        lowest.params["width"],
        lowest.params["learning_rate"],
    )
    assert whole.training.refit  # what is not searched stays as typed


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    training_set: TrainingData, whole: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(*args: object, seed: int, on_epoch: Callable[..., None], **words: object) -> None:
        if len(calls) == 6:
            on_epoch = interrupt
        calls.append(seed)
        train_head(*args, seed=seed, on_epoch=on_epoch, **words)  # type: ignore[arg-type]

    def interrupt(number: int, _epoch: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    calls: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "train_head", stopping)
        with pytest.raises(KeyboardInterrupt):
            tune_head(training_set, SMALL, QUICK, n_trials=8, seed=3, folder=tmp_path)
    (path,) = tmp_path.glob("*.db")
    assert len(stored(path)) == 6
    told: list[tuple[int, int]] = []
    resumed = tune_head(
        training_set,
        SMALL,
        QUICK,
        n_trials=8,
        seed=3,
        folder=tmp_path,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 8) for done in range(6, 9)]
    assert without_time(resumed) == without_time(whole)
    assert resumed.importance == whole.importance


def test_typed_again_nothing_is_tried_again(
    training_set: TrainingData, whole: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert whole.storage is not None
    monkeypatch.setattr(tuning, "train_head", None)
    folder = whole.storage.parent
    again = tune_head(training_set, SMALL, QUICK, n_trials=8, seed=3, folder=folder)
    assert (again.trials, again.best) == (whole.trials, whole.best)
    fewer = tune_head(training_set, SMALL, QUICK, n_trials=6, seed=3, folder=folder)
    assert fewer.trials == whole.trials[:6]
    with pytest.raises(TypeError):  # one more is to be trained
        tune_head(training_set, SMALL, QUICK, n_trials=9, seed=3, folder=folder)


def test_trials_are_those_of_the_seed_and_of_what_is_taught(
    training_set: TrainingData, whole: Tuned, tmp_path: Path
) -> None:
    unkept = tune_head(training_set, SMALL, QUICK, n_trials=6, seed=3)
    assert without_time(unkept) == without_time(whole)[:6]
    assert unkept.storage is None
    other = tune_head(training_set, SMALL, QUICK, n_trials=2, seed=4, folder=tmp_path)
    assert other.trials[1].settings != whole.trials[1].settings
    nudged = replace(training_set, features=training_set.features * np.float32(1.5) + 1)
    names = {other.storage}
    for changed, training in ((nudged, QUICK), (training_set, replace(QUICK, batch_size=32))):
        names.add(tune_head(changed, SMALL, training, n_trials=1, folder=tmp_path).storage)
    assert len(names) == 3


def test_what_is_tested_has_no_say(overlapping: Planted, embeddings_of: Make) -> None:
    vectors, labels = overlapping
    plan = Plan(n_seeds=1, head=SMALL, training=QUICK, n_resamples=100)
    chosen = []
    for scrambled in (False, True):
        vectors = vectors.copy()
        if scrambled:
            test = chosen[0].studies[0][0].test
            vectors[test] = vectors[np.random.default_rng(0).permutation(test)]
        tuner = HyperparameterSearch(SMALL, QUICK, n_trials=3, n_splits=1)
        accuracy = assess_head(embeddings_of(vectors, labels), plan=plan, choose=tuner).accuracy
        chosen.append(tuner)
        assert (accuracy.mean < 0.45) == scrambled
    (before, one), (after, other) = (tuner.studies[0] for tuner in chosen)
    assert (before.test == after.test).all()
    assert without_time(one) == without_time(other)


def test_each_fold_is_tuned_on_what_it_teaches(few: Planted, embeddings_of: Make) -> None:
    told: list[tuple[int, int]] = []
    plan = Plan(n_folds=3, n_shuffles=1, head=SMALL, training=QUICK, n_resamples=100)
    tuner = HyperparameterSearch(
        SMALL, QUICK, 2, 4, progress=lambda done, total: told.append((done, total))
    )
    report = assess_head(embeddings_of(*few), plan=plan, choose=tuner)
    assert told[-1] == (8, 8)
    methods = [*(f"fold {i} of 3" for i in (1, 2, 3)), "all pictures in training"]
    assert [split.method for split, _ in tuner.studies] == methods
    assert report.final.head.spec == tuner.studies[-1][1].head  # what is kept is tuned too
    for run, (split, tuned) in zip(report.runs, tuner.studies[:-1], strict=True):
        assert run.split is split
        assert run.trained.head.spec == tuned.head
        assert min(e.validation_loss for e in run.trained.curves) == tuned.best.value
    said = tuning_json(tuner.studies)
    assert (said["n_trials"], said["best"], said["storage"]) == (8, None, None)
    assert said["value"] == pytest.approx(np.mean([t.best.value for _, t in tuner.studies]))
    assert len(list(trial_rows(tuner.studies))) == 1 + 8


def test_a_planted_bad_region_is_given_up(
    training_set: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates below 1e-6 learn nothing: once most of the others are good, those end early."""
    monkeypatch.setattr(search, "LEARNING_RATES", (1e-8, 0.1))
    monkeypatch.setattr(tuning, "N_RANDOM", 30)  # learned from, the region would not be entered
    tuned = tune_head(training_set, SMALL, replace(QUICK, patience=12), n_trials=30, seed=0)
    hopeless = [t for t in tuned.trials[10:] if t.settings["learning_rate"] < 1e-6]
    assert len(hopeless) > 3
    assert all(trial.pruned and trial.n_epochs < 12 for trial in hopeless)
    assert tuned.best.settings["learning_rate"] > 1e-4


def test_a_loss_that_is_no_number_is_a_poor_trial(
    training_set: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = replace(QUICK, learning_rate=1e38)
    with pytest.raises(UsageError, match="lower --learning-rate"):
        tune_head(training_set, SMALL, wild, n_trials=1)
    tuned = tune_head(training_set, SMALL, wild, n_trials=12)
    assert (tuned.trials[0].pruned, tuned.trials[0].best_epoch) == (True, 0)
    assert tuned.best.settings["learning_rate"] < 1e30
    with pytest.raises(UsageError, match="--trials"):
        tune_head(training_set, n_trials=0)


def test_without_optuna_one_line_says_what_to_type(
    training_set: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r'pip install -e "\.\[head\]"$'):
        tune_head(training_set, n_trials=2)


def test_what_cannot_be_kept_is_tried_all_the_same(
    training_set: TrainingData, whole: Tuned, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert whole.storage is not None
    words = {"n_trials": 2, "seed": 3}
    (tmp_path / "file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / whole.storage.name).write_bytes(b"no database at all" * 99)
    for folder in (tmp_path / "file", tmp_path / "damaged"):
        caplog.clear()
        tuned = tune_head(training_set, SMALL, QUICK, folder=folder, **words)  # type: ignore[arg-type]
        assert without_time(tuned) == without_time(whole)[:2]
        assert tuned.storage is None
        assert "trials are not kept" in caplog.text
    with locked(tmp_path / whole.storage.name), pytest.raises(FileLocked, match="another run"):
        tune_head(training_set, SMALL, QUICK, folder=tmp_path, **words)  # type: ignore[arg-type]


def test_a_trial_that_was_changed_is_tried_again_and_said(
    training_set: TrainingData, whole: Tuned, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert whole.storage is not None
    path = tmp_path / whole.storage.name
    for change, said in (
        ("UPDATE trial_values SET value = 0.01 WHERE trial_id = 2", "trial 2 does not fit"),
        ("UPDATE trial_params SET param_value = 1 WHERE trial_id = 1", "delete it"),
        ("UPDATE trial_params SET distribution_json = '{'", "delete it"),
        ("DELETE FROM trials WHERE number = 3", "trial 4 is not whole"),
        ("UPDATE study_user_attributes SET value_json = '2'", "is of format 2"),
    ):
        path.write_bytes(whole.storage.read_bytes())
        with sqlite3.connect(path) as database:
            database.execute(change)
        before = path.read_bytes()
        caplog.clear()
        tuned = tune_head(training_set, SMALL, QUICK, n_trials=2, seed=3, folder=tmp_path)
        assert without_time(tuned) == without_time(whole)[:2]
        assert said in caplog.text
        assert ("upgrade sosie" in caplog.text) != ("delete it" in caplog.text)
        assert path.read_bytes() == before
    with sqlite3.connect(path) as database:  # as an earlier version kept them
        database.execute("DELETE FROM trial_user_attributes WHERE key = 'json_sha256'")
        database.execute("DELETE FROM study_user_attributes")
    caplog.clear()
    tuned = tune_head(training_set, SMALL, QUICK, n_trials=8, seed=3, folder=tmp_path)
    assert tuned.trials == whole.trials
    assert "8 trials" in caplog.text
    assert "without check sums" in caplog.text


def test_any_path_will_do(training_set: TrainingData, tmp_path: Path) -> None:
    folder = tmp_path / "100% {a}?b#c é"
    tuned = tune_head(training_set, SMALL, QUICK, n_trials=1, folder=folder)
    assert tuned.storage is not None
    assert tuned.storage.is_relative_to(folder)
    assert tuned.storage.stat().st_size > 0


# decisions


def test_what_is_typed_lies_in_what_is_searched() -> None:
    head, training = HeadSpec(width=300, dropout=0.9), TrainingSpec(learning_rate=0.5)
    space = search.space_around(head, training)
    assert space["learning_rate"] == Interval(1e-5, 0.5, log=True)
    assert space["width"] == Choices((8, 32, 300))
    assert space["dropout"] == Interval(0, 0.9)
    assert search.typed_settings(head, training, space)["width"] == 300
    assert "weight_decay" not in search.space_around(head, TrainingSpec(weight_decay=0))


def test_settings_take_their_places_and_no_others() -> None:
    settings = {"width": 8, "learning_rate": 0.1}
    head, training = search.settled(SMALL, QUICK, settings)
    assert (head, training) == (replace(SMALL, width=8), replace(QUICK, learning_rate=0.1))
    with pytest.raises(ValueError, match="epochs"):
        search.settled(SMALL, QUICK, {"epochs": 3})


def tried(*values: float | None) -> list[Trial]:
    return [Trial(i, {"width": i}, v, 9, 3, 1.0) for i, v in enumerate(values, start=1)]


def test_best_and_its_history_by_hand() -> None:
    trials = tried(None, 0.5, 0.7, None, 0.4, 0.4)
    best = search.best_of(trials)
    assert best is not None
    assert best.number == 5
    np.testing.assert_equal(search.best_so_far(trials), [np.nan, 0.5, 0.5, 0.5, 0.4, 0.4])
    assert search.best_of(tried(None)) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [((0.5, None), "1 finished"), ((0.5, 0.5), "one validation loss"), ((0.5, 0.4), None)],
)
def test_importance_needs_two_different_values(values: tuple[float, ...], said: str | None) -> None:
    why = search.without_importance(tried(*values))
    assert (why is None) if said is None else (why is not None and said in why)


def test_a_setting_that_decides_is_the_most_important(
    training_set: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LEARNING_RATES", (1e-8, 0.1))
    monkeypatch.setattr(tuning, "N_RANDOM", 40)
    monkeypatch.setattr(tuning, "N_UNPRUNED", 40)  # what is given up is no part of importance
    tuned = tune_head(training_set, SMALL, replace(QUICK, epochs=6), n_trials=40)
    assert tuned.n_pruned == 0
    assert next(iter(tuned.importance)) == "learning_rate"
    assert sum(tuned.importance.values()) == pytest.approx(1)


def test_importance_of_several_splits_is_their_mean(whole: Tuned) -> None:
    split = StratifiedSplitter(np.arange(40) % 2, np.arange(40)).at_once()
    other = replace(whole, importance={"width": 1.0})
    lacking = replace(whole, importance={}, lacks_importance="too few")
    shares = mean_importance([(split, whole), (split, other), (split, lacking)])
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["width"] == pytest.approx((whole.importance["width"] + 1) / 2)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_the_figure_draws_trials_or_gains(whole: Tuned) -> None:
    words = {"title": "t", "subtitle": "s"}
    figure = draw_tuning([whole.trials], whole.importance, **words)
    history, shares = figure.axes
    (points,) = (line for line in history.lines if line.get_label() == "finished")
    drawn = [t.value for t in whole.trials if not t.pruned]
    assert points.get_ydata().tolist() == drawn
    assert len(shares.patches) == len(whole.importance)
    figure = draw_tuning([tried(0.5, 0.3), tried(0.4, 0.4)], {}, lacking="why not", **words)
    history, shares = figure.axes
    np.testing.assert_allclose(history.lines[-1].get_ydata(), [0, -0.1])
    assert [text.get_text() for text in shares.texts] == ["why not"]
