"""Heads from Python: what they predict, that a file keeps it, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from typed_commands import Typist

from analyze import HeadClassifier, HeadSpec, Plan, TrainingSpec, assess_head, load_head, train_head
from analyze.__main__ import main as analyze
from extract import EmbeddingSet, Workspace, read_embeddings
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.pipeline.imported import import_file

Few = tuple[np.ndarray, np.ndarray]
SMALL, SHORT = HeadSpec(width=16), TrainingSpec(epochs=12, patience=4, learning_rate=0.01)


@pytest.fixture(scope="module")
def head(few: Few) -> HeadClassifier:
    return train_head(few[0], few[1].astype(str), head=SMALL, training=SHORT)


def test_a_head_is_the_one_that_folds_keep(few: Few, head: HeadClassifier) -> None:
    plan = Plan(n_folds=2, n_shuffles=1, head=SMALL, training=SHORT, n_resamples=100)
    found = assess_head(few[0], few[1].astype(str), plan=plan)
    kept = found.head.stored
    assert kept.classes == head.stored.classes
    assert kept.temperatures == head.stored.temperatures
    for name, weights in kept.head.weights.items():
        np.testing.assert_array_equal(weights, head.stored.head.weights[name])


def test_an_assessment_is_a_result(few: Few, tmp_path: Path) -> None:
    plan = Plan(n_seeds=1, head=SMALL, training=SHORT, n_resamples=100)
    found = assess_head(few[0], few[1].astype(str), plan=plan)
    assert repr(found) == found.text()
    assert f"{found.accuracy.mean:.3f}" in found.text()
    assert set(found.baselines) == {"logistic_regression", "knn"}
    counts = np.array(found.to_json()["confusion"]["counts"])
    axes = found.plot_confusion()
    cells = [int(text.get_text()) for text in axes.texts if text.get_text().isdigit()]
    assert cells == counts.ravel().tolist()
    plt.close("all")
    found.save(tmp_path / "own")
    assert {p.stem for p in (tmp_path / "own").iterdir()} == {
        *found.tables(),
        *found.figures(),
        "head",
    }
    read = load_head(tmp_path / "own" / "head.json")
    np.testing.assert_array_equal(read.predict(few[0]), found.head.predict(few[0]))
    with pytest.raises(UsageError, match="is there already"):
        found.save(tmp_path / "own")


def test_classes_are_the_most_probable_and_probabilities_add_up(
    few: Few, head: HeadClassifier
) -> None:
    vectors, labels = few
    probabilities = head.predict_proba(vectors)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    predicted = head.predict(vectors)
    assert predicted.tolist() == head.classes_[probabilities.argmax(axis=1)].tolist()
    assert head.classes_.tolist() == sorted(set(labels.astype(str)))
    assert head.score(vectors, labels.astype(str)) == (predicted == labels.astype(str)).mean() > 0.5
    frame = head.predictions(vectors, abstain_below=0.9)
    assert (frame["abstained"] == (probabilities.max(axis=1) < 0.9)).all()


def test_an_order_of_rows_is_kept_and_rows_without_a_label_are_left_out(few: Few) -> None:
    vectors, labels = few
    named = [None if i % 7 == 0 else str(c) for i, c in enumerate(labels)]
    ids = [f"{i}.jpg" for i in range(len(vectors))][::-1]
    e = EmbeddingSet.from_arrays(vectors, ids=ids, labels=named)
    head = train_head(e, head=SMALL, training=SHORT)
    assert any("no label" in note for note in head.notes)
    assert head.stored.training_ids == {i for i, own in zip(ids, named, strict=True) if own}
    assert head.predict(e[::-1]).tolist() == head.predict(e)[::-1].tolist()
    assert head.predictions(e)["id"].tolist() == ids


def test_a_file_keeps_every_bit_and_is_never_replaced(
    few: Few, head: HeadClassifier, tmp_path: Path
) -> None:
    path = tmp_path / "made" / "shop.json"
    head.save(path)
    read = load_head(str(path))
    np.testing.assert_array_equal(read.predict_proba(few[0]), head.predict_proba(few[0]))
    assert repr(read) == repr(head)
    with pytest.raises(UsageError, match="is there already"):
        head.save(path)
    with pytest.raises(UsageError, match="does not end so"):
        head.save(tmp_path / "head.pkl")
    with pytest.raises(UsageError, match="pickles are not loaded"):
        load_head(tmp_path / "head.pkl")


def test_the_command_predicts_the_same_with_the_file(own_shop: Path, typist: Typist) -> None:
    (file,) = Workspace(own_shop).stored_embeddings("photos")
    e = read_embeddings(file)
    head = train_head(e, head=SMALL, training=SHORT)
    head.save(own_shop / "head.json")
    words = ["--head", "head.json", "--catalog", "photos", "--json"]
    said = typist(analyze, "predict", *words, at=own_shop).json
    with (own_shop / said["file"]).open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["class"]]
    frame = head.predictions(e)
    assert [row["id"] for row in rows] == frame["id"].tolist()
    assert [row["class"] for row in rows] == head.predict(e).tolist()
    assert [float(row["probability"]) for row in rows] == frame["probability"].tolist()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def test_several_labels_are_a_column_a_class(
    few: Few, embeddings_of: Callable[..., EmbeddingSet]
) -> None:
    vectors, labels = few
    values = [(f"c{c}",) if c % 2 else (f"c{c}", "even") for c in labels.tolist()]
    e = replace(embeddings_of(vectors), multi_labels=(MultiLabel.from_values("is", values),))
    head = train_head(e, head=SMALL, training=SHORT)
    has, probabilities = head.predict(e), head.predict_proba(e)
    assert has.dtype == bool
    assert has.shape == probabilities.shape == (len(e), len(head.classes_))
    assert "even" in head.classes_
    with pytest.raises(UsageError, match="one label a row"):
        head.score(e)


def test_levels_of_a_tree_are_predicted_at_the_last(
    few: Few, embeddings_of: Callable[..., EmbeddingSet]
) -> None:
    vectors, labels = few
    below = [f"{c // 2} > {c}" for c in labels.tolist()]
    e = embeddings_of(vectors, labels // 2, below)
    head = train_head(e, n_levels=2, head=SMALL, training=SHORT)
    assert head.stored.levels == ("class", "class_2")
    assert set(head.predict(e)) <= set(below)
    assert head.predict_proba(e).shape == (len(e), 5)


def test_other_vectors_are_refused(
    few: Few, head: HeadClassifier, embeddings_of: Callable[..., EmbeddingSet]
) -> None:
    vectors, labels = few
    with pytest.raises(UsageError, match="3 dimensions, and the head takes 24"):
        head.predict(vectors[:, :3])
    with pytest.raises(UsageError, match="differ"):
        head.predict(embeddings_of(vectors, labels))
    more = EmbeddingSet.from_arrays(vectors[:5])  # of the same name, with another digest
    assert head.predict(more).tolist() == head.predict(vectors[:5]).tolist()
    with pytest.raises(UsageError, match="differ"):
        head.predict(EmbeddingSet.from_arrays(vectors[:5], name="clip"))
    with pytest.raises(UsageError, match="analyze head"):
        train_head(vectors, labels.astype(str), training=TrainingSpec(unfreeze="last"))
    with pytest.raises(UsageError):
        train_head(vectors, ["one"] * len(vectors))
    with pytest.raises(UsageError, match="nothing to train on"):
        train_head(vectors)
    for threshold in (-0.1, 1.1):
        with pytest.raises(UsageError, match="from 0 to 1"):
            head.predictions(vectors, abstain_below=threshold)


def test_a_level_that_is_named_is_the_one_that_is_scored(few: Few) -> None:
    vectors, labels = few
    other = np.roll(labels.astype(str), 1)
    e = EmbeddingSet.from_arrays(vectors, labels={"other": other, "kind": labels.astype(str)})
    own = train_head(e, "kind", head=SMALL, training=SHORT)
    right = own.score(e)
    assert own.score(e, "kind") == own.score(e, "2") == right > own.score(e, "other")
    with pytest.raises(UsageError, match="no level 'nosuch'"):
        own.score(e, "nosuch")


def test_vectors_of_a_name_that_nobody_gave_are_refused(few: Few, tmp_path: Path) -> None:
    """Two files may be called alike; a name that was given says what made the vectors."""
    workspace, found = Workspace(tmp_path), {}
    for folder, scale, name in [("a", 1, None), ("b", 2, None), ("c", 3, "mine"), ("d", 4, "mine")]:
        source = tmp_path / folder / "features.npy"
        source.parent.mkdir()
        np.save(source, scale * few[0])
        made = import_file(workspace, source, name=name, catalog=folder)
        found[folder] = read_embeddings(workspace.root / made.file)
    of_a, of_c = (
        train_head(found[each], few[1].astype(str), head=SMALL, training=SHORT) for each in "ac"
    )
    assert len(of_a.predict(found["a"])) == len(of_c.predict(found["d"])) == len(few[0])
    with pytest.raises(UsageError, match="sha256 differ"):
        of_a.predict(found["b"])
    with pytest.raises(UsageError, match="differ"):
        of_a.predict(found["c"])
