"""Pictures unlike all that a head was trained on are told, at the rate that is promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from analyze.head.assessment import assess_head
from analyze.head.figures.predictions_sheet import draw_predictions
from analyze.head.prediction.head_file import read_head, write_head
from analyze.head.prediction.predictions import Predictions, predict
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from analyze.neighbors import novelty
from analyze.neighbors.novelty import TrainingVectors, kept_directions, threshold_of
from extract.catalog.label_column import label_levels
from extract.catalog.multi_label import MultiLabel
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
SEEN, UNSEEN = 4, 5
PLAN = Plan(
    n_folds=2,
    n_shuffles=1,
    head=HeadSpec(width=8),
    training=TrainingSpec(learning_rate=0.01, epochs=2),
    n_resamples=100,
)


def drawn(codes: np.ndarray, seed: int) -> np.ndarray:
    """A center a class, and noise."""
    noise = np.random.default_rng(seed).normal(size=(len(codes), 24))
    return (4 * np.eye(8, 24)[codes] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def catalog(embeddings_of: Make) -> EmbeddingSet:
    truth = np.arange(480) % SEEN
    told_wrong = np.random.default_rng(0).random(480) < 0.2
    codes = np.where(told_wrong, (truth + 2) % SEEN, truth)
    cells = [("", f"h{code // 2} > k{code}") for code in codes.tolist()]
    levels = label_levels("kind", " > ", cells)
    return replace(embeddings_of(drawn(truth, 1), codes), levels=levels)


def share_marked(found: Predictions) -> float:
    assert found.unlike is not None
    return float(found.unlike.mean())


@pytest.mark.parametrize("kind", ["one label", "levels", "several labels"])
def test_classes_never_trained_are_marked_and_others_as_seldom_as_promised(
    kind: str, catalog: EmbeddingSet, embeddings_of: Make, tmp_path: Path
) -> None:
    plan = replace(PLAN, n_levels=2) if kind == "levels" else PLAN
    if kind == "several labels":
        values = catalog.levels[1].values()
        listed = MultiLabel.from_values("kind", [(f"{v}", f"{v}a") for v in values])
        catalog = replace(catalog, levels=(), multi_labels=(listed,))
    report = assess_head(catalog, plan=plan)
    assert 0.01 < report.share_unlike < 0.09  # of what the folds tested
    assert sum(run.n_unlike for run in report.runs) == pytest.approx(480 * report.share_unlike)
    stored = read_head(write_head(tmp_path, report.stored(catalog.provenance)))
    assert stored.about["share_unlike"] == report.share_unlike
    held_out = predict(stored, embeddings_of(drawn(np.arange(2000) % SEEN, 2), np.zeros(2000, int)))
    assert 0.01 < share_marked(held_out) < 0.11  # 120 validation pictures promise 5 ± 2 of 100
    other = predict(stored, embeddings_of(drawn(np.full(300, UNSEEN), 3), np.zeros(300, int)))
    assert share_marked(other) > 0.6
    assert share_marked(predict(stored, catalog)) == 0  # all were trained on
    header, *rows = other.table()
    assert header[-2:] == ["distance", "unlike"]
    unit = [
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (catalog.vectors, drawn(np.full(300, UNSEEN), 3))
    ]
    exact = 1 - (unit[1] @ unit[0].T).max(axis=1)
    np.testing.assert_allclose([row[-2] for row in rows], exact, atol=2e-4)
    assert [row[-1] for row in rows] == [int(row[-2] > stored.vectors.unlike_above) for row in rows]  # type: ignore[union-attr]


@pytest.mark.parametrize(("n_classes", "n_pictures"), [(3, 6), (70, 3)])
def test_sheet_draws_each_class_surest_first_and_what_is_unlike_apart(
    n_classes: int, n_pictures: int
) -> None:
    asked: list[int] = []
    names = tuple(f"c{i}" for i in range(n_classes))
    by_class = {name: list(range(90 + 8 * i, 98 + 8 * i)) for i, name in enumerate(names)}
    unlike = np.zeros(90 + 8 * n_classes, bool)
    unlike[[90, 91, 97]] = True
    by_class["c1"] = by_class["c1"][:2]
    found = SimpleNamespace(
        classes=names,
        ids=("x",) * len(unlike),
        distances=np.arange(len(unlike)),
        unlike=unlike,
        by_class=lambda: by_class,
    )
    picture = Image.new("RGB", (4, 4), "red")
    folder = SimpleNamespace(show=lambda row: asked.append(row) or picture)
    figure = draw_predictions(found, folder)  # type: ignore[arg-type]
    words = [text.get_text() for text in figure.texts]
    assert asked[:3] == [97, 91, 90]  # the farthest first, in a row of their own
    first = 92 if n_classes == 3 else 106  # of 70 classes those said least are left out
    assert asked[3:6] == [first, first + 1, first + 2]  # then each class, without them
    n_drawn = min(n_classes, 62)
    rows = sum(word.startswith("c") for word in words)
    assert rows == n_drawn
    assert ("c1" in words) == (n_classes == 3)
    assert len(figure.axes) == (n_drawn + 1) + len(asked)
    assert max(asked.count(row) for row in asked) == 1
    assert len(asked) == 3 + (5 + 2 + 6 if n_classes == 3 else n_drawn * n_pictures)
    assert any(f"{n_classes - 62} classes predicted less often" in w for w in words) == (
        n_classes > 62
    )
    width, height = figure.get_size_inches()
    assert max(width, height) < 25
    folder = SimpleNamespace(show=lambda row: None)
    assert draw_predictions(found, folder) is None  # type: ignore[arg-type]


def test_threshold_is_what_95_of_100_further_pictures_stay_below() -> None:
    assert threshold_of(np.arange(19)) == 18  # the 19th of 19: one further in 20 is above it
    assert threshold_of(np.arange(39)) == 37
    assert threshold_of(np.array([3.0, 1.0])) == 3  # too few to promise it: the largest
    random = np.random.default_rng(0)
    above = [(random.random(50) > threshold_of(random.random(99))).mean() for _ in range(400)]
    assert np.mean(above) == pytest.approx(0.05, abs=0.01)


def test_a_large_catalogue_keeps_a_sample_and_says_so(
    catalog: EmbeddingSet, embeddings_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(novelty, "MOST_BYTES", 2 * 24 * 100)
    report = assess_head(catalog, plan=PLAN)
    assert any("of 480 training vectors the head keeps 100" in note for note in report.notes)
    stored = report.stored(catalog.provenance)
    assert stored.vectors is not None
    unit = catalog.vectors / np.linalg.norm(catalog.vectors, axis=1, keepdims=True)
    assert stored.vectors.distances(catalog.vectors).min() < 1e-4
    places = (stored.vectors.directions.astype(np.float32) @ unit.T).argmax(axis=1)
    assert (np.diff(places) > 0).all()  # different rows, in their order
    held_out = predict(stored, embeddings_of(drawn(np.arange(2000) % SEEN, 2), np.zeros(2000, int)))
    assert 0.01 < share_marked(held_out) < 0.11  # the threshold is of a sample as large


def test_a_picture_of_zeros_is_like_nothing() -> None:
    known = TrainingVectors(kept_directions(np.eye(3, 5, dtype=np.float32)), 0.5)
    asked = np.array([[0, 0, 0, 0, 0], [7, 0, 0, 0, 0], [0, 0, 0, 1e-30, 0]], np.float32)
    assert known.distances(asked).tolist() == [1, 0, 1]
    assert known.unlike(asked).tolist() == [True, False, True]
