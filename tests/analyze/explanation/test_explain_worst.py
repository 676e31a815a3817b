"""``explain --worst`` takes mistakes about pictures that were not taught, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyze.explanation import sheets
from analyze.explanation.class_targets import head_target
from analyze.explanation.questions import Question, Subject, ask
from analyze.explanation.truth import truth_of_head
from analyze.explanation.worst import worst_mistakes
from analyze.head.assessment import assess_head
from analyze.head.prediction.head_file import StoredHead, read_head, write_head
from analyze.head.prediction.predictions import predict
from analyze.head.prediction.tree import likeliest_path, summed_upwards
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.held_out_mistakes import (
    HeldOutMistakes,
    Mistake,
    class_mistakes,
    set_mistakes,
)
from analyze.head.reporting.set_report import SetReport
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from extract.catalog.multi_label import MultiLabel
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet

pytestmark = pytest.mark.usefixtures("few_strengths")

Make = Callable[..., EmbeddingSet]
PLAN = Plan(
    n_folds=2,
    n_shuffles=2,
    head=HeadSpec(width=16, dropout=0),
    training=TrainingSpec(learning_rate=0.02, epochs=60, patience=60),
    n_resamples=100,
)
N, PLANTED = 48, (5, 17)
"""Pictures, and those whose label is not what they show."""


def shown(n: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Vectors of three classes, and the classes."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    vectors = 2 * np.eye(6)[codes] + 0.2 * rng.normal(size=(n, 6))
    return vectors.astype(np.float32), [("a >> 1", "a >> 2", "b >> 1")[code] for code in codes]


@pytest.fixture(scope="module")
def catalog(embeddings_of: Make) -> EmbeddingSet:
    """One label a picture, of two levels, two of them planted wrong; several labels beside them."""
    vectors, below = shown(N)
    for row in PLANTED:
        below[row] = "a >> 1" if below[row] == "b >> 1" else "b >> 1"
    found = embeddings_of(vectors, [name[0] for name in below], below)
    has = MultiLabel.from_values("kinds", [(name[0], name[-1]) for name in below])
    return replace(found, multi_labels=(has,))


@pytest.fixture(scope="module")
def report(catalog: EmbeddingSet) -> ClassReport:
    found = assess_head(catalog, level="class_2", plan=PLAN)
    assert isinstance(found, ClassReport)
    return found


@pytest.fixture
def stored(report: ClassReport, catalog: EmbeddingSet) -> StoredHead:
    return report.stored(catalog.provenance)


def worst_of(
    stored: StoredHead, catalog: EmbeddingSet, n: int = 9, number: int = 0
) -> tuple[dict[int, Mistake], list[str]]:
    target = head_target(stored, number, "logit")
    truth = truth_of_head(stored, number, catalog.levels, catalog.multi_labels)
    assert truth is not None
    return worst_mistakes(stored, stored.levels[number], target, catalog, truth, n)


def test_planted_errors_come_first_though_the_head_has_learned_them(
    report: ClassReport, catalog: EmbeddingSet, stored: StoredHead, tmp_path: Path
) -> None:
    stored = read_head(write_head(tmp_path, stored))
    found, notes = worst_of(stored, catalog, 2)
    assert set(found) == set(PLANTED)
    n_wrong = int((report.probabilities.argmax(axis=1) != report.labels).sum())
    assert notes == [f"{n_wrong} mistakes in {N} held-out pictures, the least probable truth first"]
    for row, mistake in found.items():
        own = report.probabilities[row]
        assert mistake.probability == own[report.labels[row]]
        assert mistake.worst_label == report.classes[own.argmax()]
        assert mistake.labels == (report.spelled_labels()[row],)
    # the head that is kept was taught both, and is asked why it would be what was said held out
    target = head_target(stored, 0, "logit")
    subjects = [
        Subject(catalog.ids[row], catalog.vectors[row], row, mistake=each)
        for row, each in found.items()
    ]
    questions = ask(target, subjects, None)
    assert [target.columns[q.column] for q in questions] == [m.worst_label for m in found.values()]
    spelled = questions[0].to_json(target)
    first = next(iter(found.values()))
    assert spelled["held_out_predicted"] == [first.worst_label]
    assert spelled["held_out_probability"] == first.probability
    assert {q.column for q in ask(target, subjects, "a >> 2")} == {1}
    assert sheets.mistake_lines(questions[0])[0] == f"held out: {first.worst_label}"
    assert sheets.mistake_lines(Question(Subject("x", catalog.vectors[0]), 0)) == []


def test_a_head_that_errs_on_taught_pictures_alone_shows_nothing(
    catalog: EmbeddingSet, stored: StoredHead
) -> None:
    clean = HeldOutMistakes("class_2", N, 0, ()).to_json()
    found, notes = worst_of(replace(stored, about={**stored.about, "held_out": [clean]}), catalog)
    assert (found, notes) == ({}, [f"not one mistake in {N} held-out pictures"])


def test_pictures_the_head_never_saw_are_asked_about(
    catalog: EmbeddingSet, stored: StoredHead, embeddings_of: Make
) -> None:
    vectors, names = shown(12, seed=4)
    said = list(predict(stored, embeddings_of(vectors)).predictions())  # type: ignore[attr-defined]
    assert said == names
    names[7] = "a >> 2" if names[7] != "a >> 2" else "b >> 1"
    new = embeddings_of(
        vectors, [name[0] for name in names], names, ids=[f"new{i:02}" for i in range(12)]
    )
    found, notes = worst_of(stored, new)
    assert list(found) == [7]
    assert found[7].worst_label == said[7]
    assert notes[0].split(" held-out")[0].endswith(f"in {N + 12}")
    old = {key: value for key, value in stored.about.items() if key != "held_out"}
    found, notes = worst_of(replace(stored, about=old), new)
    assert (list(found), notes[0][:12]) == ([7], "1 mistake in")


def test_labels_that_were_mended_since_are_no_mistakes(
    catalog: EmbeddingSet, stored: StoredHead
) -> None:
    names = list(catalog.levels[1].values())
    names[PLANTED[0]] = shown(N)[1][PLANTED[0]]
    mended = replace(catalog.levels[1].from_values("class_2", names))
    found, notes = worst_of(stored, replace(catalog, levels=(catalog.levels[0], mended)))
    assert PLANTED[0] not in found
    assert PLANTED[1] in found
    assert notes[1].startswith("1 of them have other labels now")


def test_what_cannot_be_told_is_one_line(catalog: EmbeddingSet, stored: StoredHead) -> None:
    old = {key: value for key, value in stored.about.items() if key != "held_out"}
    with pytest.raises(UsageError, match="train it again with python -m analyze head"):
        worst_of(replace(stored, about=old), catalog)
    odd = {**stored.about, "held_out": [{"level": "class_2"}]}
    with pytest.raises(HeadFileError, match="cannot be read: train the head again"):
        worst_of(replace(stored, about=odd), catalog)


def test_each_level_of_a_tree_has_its_mistakes(catalog: EmbeddingSet) -> None:
    report = assess_head(catalog, plan=replace(PLAN, n_levels=2))
    assert isinstance(report, ClassReport)
    assert report.tree is not None
    stored = report.stored(catalog.provenance)
    leaves = report.tree.probabilities
    np.testing.assert_allclose(leaves.sum(axis=1), 1)
    path = likeliest_path(
        summed_upwards(leaves, report.tree.tree.parents), report.tree.tree.parents
    )
    for number, level in enumerate(report.tree.tree.levels):
        found, _ = worst_of(stored, catalog, number=number)
        assert set(found) == set(np.flatnonzero(path[number] != level.codes).tolist())
        assert all(each.labels == (level.value(row),) for row, each in found.items())
    assert set(worst_of(stored, catalog, 2, number=1)[0]) == set(PLANTED)


def test_sets_of_labels_come_by_their_loss(catalog: EmbeddingSet) -> None:
    report = assess_head(catalog, level="kinds", plan=PLAN)
    assert isinstance(report, SetReport)
    found, notes = worst_of(report.stored(catalog.provenance), catalog, 2)
    assert set(found) == set(PLANTED)
    answers = report.answers["head"]
    for row, mistake in found.items():
        own = answers.probabilities[:, row].astype(np.float64)
        of_truth = np.where(report.has[row], own, 1 - own)
        assert mistake.probability == pytest.approx(np.exp(np.log(of_truth).sum(axis=1).mean()))
        odd = set(mistake.labels) ^ set(mistake.predicted)
        losses = dict(zip(report.classes, -np.log(of_truth).mean(axis=0), strict=True))
        assert mistake.worst_label == max(odd, key=lambda name: losses[name])
    assert "held-out pictures" in notes[0]


def test_mistakes_are_counted_beyond_those_that_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("analyze.head.reporting.held_out_mistakes.MOST_KEPT", 1)
    given = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan], [0.6, 0.4], [0.7, 0.3]])
    labels = ["b", "a", "a", None, "c"]
    found = class_mistakes("kind", given, np.array([0, 1, 0, 0, 0]), labels, "vwxyz", "ab")
    assert (found.n_images, found.n_errors) == (3, 3)
    assert [each.id for each in found.mistakes] == ["z"]  # a class that is not known
    both = np.array([[[0.9, 0.9], [np.nan] * 2], [[0.8, 0.2], [np.nan] * 2]])
    has = np.array([[True, False], [True, True]])
    several = set_mistakes("kind", both, both >= 0.1, has, "vw", "ab")
    assert (several.n_images, several.n_errors) == (1, 1)
    assert several.mistakes[0].worst_label == "b"
    assert HeldOutMistakes.of_json(json.loads(json.dumps(several.to_json()))) == several
