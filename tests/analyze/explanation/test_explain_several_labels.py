"""Heads of several labels are explained label by label, heads of levels at each level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import tiny_backbone

from analyze.explanation import sheets
from analyze.explanation.class_targets import head_target, level_of_head
from analyze.explanation.explanation import explain
from analyze.explanation.feature_taps import Tap
from analyze.explanation.questions import Question, Subject, ask, sampled_rows, subjects_of_rows
from analyze.explanation.saliency_maps import weigh
from analyze.explanation.targets import Target, in_numpy
from analyze.explanation.truth import truth_of_head
from analyze.head.assessment import assess_head
from analyze.head.prediction.head_file import MultilabelOutput, StoredHead
from analyze.head.prediction.predictions import SetPredictions, predict
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec, forward
from analyze.head.training.plan import Plan
from extract.backbones.registry import Backbone
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
NAMES = ("green", "plain", "red")
COLORS = {"green": (20, 210, 20), "red": (230, 20, 20)}
PATCH = 10
PLAN = Plan(
    n_seeds=1,
    head=HeadSpec(width=32, dropout=0),
    training=TrainingSpec(learning_rate=0.01, epochs=60, patience=10),
    n_resamples=100,
)


def draw(has: np.ndarray, rng: np.random.Generator) -> tuple[Image.Image, dict[str, int]]:
    """A gray ground with a patch of each color it has, in the upper and the lower half by chance.

    Its size is what the backbone sees. Gives the row on which each patch begins.
    """
    pixels = rng.integers(110, 146, (32, 32, 3)).astype(np.uint8)
    tops = dict(zip(COLORS, rng.permutation([3, 19]).tolist(), strict=True))
    left = int(rng.integers(3, 19))
    for name, top in tops.items():
        if has[NAMES.index(name)]:
            pixels[top : top + PATCH, left : left + PATCH] = COLORS[name]
    return Image.fromarray(pixels), tops


class Planted(NamedTuple):
    backbone: Backbone
    tap: Tap
    training_set: EmbeddingSet
    stored: StoredHead


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Pictures with patches, each of which alone decides a label; ``plain`` has neither."""
    rng = np.random.default_rng(0)
    backbone = tiny_backbone()
    backbone = replace(backbone, preprocessing=replace(backbone.preprocessing, crop_pct=1.0))
    has = rng.random((160, 3)) < 0.5
    has[:, 1] = ~has[:, 0] & ~has[:, 2]
    vectors = backbone.embed_pictures([draw(own, rng)[0] for own in has])
    listed = [tuple(NAMES[i] for i in np.flatnonzero(own)) for own in has]
    ids = tuple(f"{i:03}" for i in range(len(has)))
    labels = MultiLabel.from_values("patches", listed)
    training_set = EmbeddingSet(ids, vectors, backbone.provenance, multi_labels=(labels,))
    model = backbone.model
    tap = Tap(lambda pixels: (model[:2](pixels), model[2:]), 10, 10)  # type: ignore[index]
    stored = assess_head(training_set, plan=PLAN).stored(training_set.provenance)
    return Planted(backbone, tap, training_set, stored)


@pytest.fixture(scope="module")
def target(planted: Planted) -> Target:
    return head_target(planted.stored, 0, "logit")


def with_thresholds(stored: StoredHead, *thresholds: float) -> StoredHead:
    return replace(stored, multilabel=MultilabelOutput(thresholds, "|"))


def test_a_map_lies_on_the_patch_of_its_label_and_not_on_the_other(
    planted: Planted, target: Target
) -> None:
    rng = np.random.default_rng(7)
    drawn = [draw(np.array([True, False, True]), rng) for _ in range(12)]
    pictures = {str(i): picture for i, (picture, _) in enumerate(drawn)}
    vectors = planted.backbone.embed_pictures(list(pictures.values()))
    subjects = [Subject(name, own) for name, own in zip(pictures, vectors, strict=True)]
    for name in COLORS:
        found = explain(
            *(planted.backbone, planted.tap, target, ask(target, subjects, name)),
            lambda subject: pictures[subject.id],
        )
        own, other = [], []
        for each, (_, tops) in zip(found, drawn, strict=True):
            heat = each.maps["gradcam"].sum(axis=1)
            halves = {top: heat[:5].sum() if top < 16 else heat[5:].sum() for top in tops.values()}
            own.append(halves.pop(tops[name]))
            other.append(*halves.values())
        shares = np.array(own) / (np.array(own) + np.array(other))
        assert shares.min() > 0.7, name


def test_each_is_explained_for_the_likeliest_label_that_is_said(
    planted: Planted, target: Target
) -> None:
    stored, training_set = planted.stored, planted.training_set
    said = predict(stored, training_set)
    assert isinstance(said, SetPredictions)
    logits = stored.head.logits(training_set.vectors)[0]
    np.testing.assert_allclose(in_numpy(target.values, training_set.vectors), logits, atol=1e-4)
    probability = head_target(stored, 0, "probability")
    np.testing.assert_allclose(
        in_numpy(probability.values, training_set.vectors), said.probabilities, atol=1e-5
    )
    truth = training_set.multi_labels[0]
    subjects = subjects_of_rows(training_set, range(len(training_set)), truth)
    assert [subject.labels for subject in subjects] == list(truth.values())
    questions = ask(target, subjects, None)
    for i, (question, has) in enumerate(zip(questions, said.has, strict=True)):
        assert question.predictions == tuple(np.flatnonzero(has).tolist())
        allowed = has if has.any() else np.ones(3, bool)
        likeliest = max(np.flatnonzero(allowed), key=lambda c: logits[i, c])
        assert question.column == question.answer == likeliest
        assert question.probability == said.probabilities[i, likeliest]
    given = ask(target, subjects, "red")
    assert {question.column for question in given} == {NAMES.index("red")}
    assert [question.answer for question in given] == [question.answer for question in questions]


def test_thresholds_decide_what_is_said(planted: Planted) -> None:
    """A likely label below its threshold gives way to a less likely one that reaches its own."""
    both = planted.backbone.embed_pictures(
        [draw(np.array([True, False, True]), np.random.default_rng(3))[0]]
    )
    (given,) = predict(planted.stored, replace_rows(planted.training_set, both)).probabilities  # type: ignore[attr-defined]
    likeliest, next_one = np.argsort(-given)[:2].tolist()
    bars = [0.999] * 3
    bars[likeliest], bars[next_one] = (1 + given[likeliest]) / 2, given[next_one] / 2
    strict = head_target(with_thresholds(planted.stored, *bars), 0, "logit")
    (question,) = ask(strict, [Subject("new", both[0])], None)
    assert (question.column, question.predictions) == (next_one, (next_one,))
    spelled = question.to_json(strict)
    assert spelled["predicted"] == NAMES[next_one]
    assert spelled["predicted_labels"] == [NAMES[next_one]]
    assert spelled["threshold"] == bars[next_one]
    bars[next_one] = (1 + given[next_one]) / 2
    silent = head_target(with_thresholds(planted.stored, *bars), 0, "logit")
    (question,) = ask(silent, [Subject("new", both[0])], None)
    assert (question.column, question.predictions) == (likeliest, ())
    spelled = question.to_json(silent)
    assert (spelled["predicted"], spelled["predicted_probability"]) == (None, None)
    assert (spelled["asked"], spelled["predicted_labels"]) == (NAMES[likeliest], [])


def replace_rows(embeddings: EmbeddingSet, vectors: np.ndarray) -> EmbeddingSet:
    ids = tuple(f"n{i}" for i in range(len(vectors)))
    return EmbeddingSet(ids, vectors, embeddings.provenance)


def test_the_map_is_the_gradient_of_small_steps(planted: Planted, target: Target) -> None:
    """Grad-CAM from central differences of the label's logit, without automatic derivatives."""
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network, scaling = planted.stored.head.network().double(), planted.stored.head.scaling
    with torch.no_grad():
        maps = planted.backbone.model[:2](pixels).double()  # type: ignore[index]

    def logits(vectors: np.ndarray) -> np.ndarray:
        rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = (rows - scaling.mean.astype(np.float64)) * scaling.factor
        with torch.no_grad():
            found: np.ndarray = forward(network, torch.from_numpy(rows))[0].numpy()
        return found

    vectors, step = maps.mean(dim=(2, 3)).numpy(), 1e-5
    for column in range(3):
        slopes = np.stack(
            [
                (logits(vectors + step * unit) - logits(vectors - step * unit))[:, column]
                for unit in np.eye(8)
            ],
            axis=1,
        ) / (2 * step)
        # a cell counts for a hundredth of the mean
        expected = np.einsum("nk,nkhw->nhw", slopes / 100, maps.numpy())
        found = weigh(planted.tap, target.values, pixels, [column] * 3, ["gradcam"])
        signed = found.signed["gradcam"]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(signed / scale, expected / scale, atol=1e-4)
        np.testing.assert_allclose(found.values, logits(vectors)[:, column], atol=1e-4)


@pytest.mark.parametrize("of", ["logit", "probability"])
def test_labels_do_not_share_a_sum(planted: Planted, of: str) -> None:
    """Yes against no: what one label's weights become moves that label alone."""
    target = head_target(planted.stored, 0, of)
    some = torch.from_numpy(planted.training_set.vectors[:4].astype(np.float64))
    assert torch.autograd.gradcheck(target.values, some.clone().requires_grad_())
    head = planted.stored.head
    last = next(reversed([name for name, own in head.weights.items() if len(own) == 3]))
    weights = {**head.weights, last: head.weights[last] + np.array([0, 5, 0], np.float32)}
    moved = replace(planted.stored, head=replace(head, weights=weights))
    before, after = (
        in_numpy(head_target(stored, 0, of).values, planted.training_set.vectors)
        for stored in (planted.stored, moved)
    )
    np.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])
    assert (after[:, 1] > before[:, 1]).all()


def test_sheets_say_probability_and_threshold(target: Target) -> None:
    bars = replace(target, thresholds=(0.4, 0.5, 0.6))
    question = Question(Subject("a", np.ones(8, np.float32)), 2, 0, 0.55, 0.9, (0, 1))
    lines = sheets.question_lines(question, 1.0, bars)
    assert lines == [
        *(
            "why red?",
            "probability 0.55",
            "not predicted, threshold 0.60",
            "predicted: green, plain",
        ),
    ]
    said = sheets.question_lines(replace(question, column=0, probability=0.9), 1.0, bars)
    assert said[1:3] == ["probability 0.90", "predicted, threshold 0.40"]
    silent = sheets.question_lines(replace(question, predictions=()), 1.0, bars)
    assert silent[-1] == "predicted: no label"
    assert "what speaks for the label" in sheets.title_of(bars)


def test_each_label_has_its_sample(planted: Planted) -> None:
    (truth,) = planted.training_set.multi_labels
    rows = sampled_rows(truth, len(planted.training_set), 4, seed=0)
    has = truth.matrix()
    assert [bool(has[row, i // 4]) for i, row in enumerate(rows)] == [True] * 12


def test_what_is_not_there_is_one_line(planted: Planted, target: Target) -> None:
    assert [level_of_head(planted.stored, wanted) for wanted in (None, "1", "patches")] == [0] * 3
    with pytest.raises(UsageError, match="knows no level 'kind': it has 1 patches"):
        level_of_head(planted.stored, "kind")
    subject = Subject("a", planted.training_set.vectors[0])
    with pytest.raises(UsageError, match=r"no class 'blue' to explain: there are green, plain"):
        ask(target, [subject], "blue")


def test_the_truth_of_a_level_is_what_the_head_was_taught(embeddings_of: Make) -> None:
    """A picture whose labels end above a level has that end as its label there."""
    above, below = ["a", "a", "b", "b", None], ["a >> 1", "a >> 2", "b >> 1", None, None]
    rows = embeddings_of(np.random.default_rng(0).normal(size=(40, 6)), above * 8, below * 8)
    stored = assess_head(rows, plan=replace(PLAN, n_levels=2)).stored(rows.provenance)
    assert stored.classes == (("a", "b"), ("a >> 1", "a >> 2", "b", "b >> 1"))
    truths = [truth_of_head(stored, number, rows.levels, ()) for number in range(2)]
    assert [truth.values()[:5] for truth in truths if truth] == [
        ("a", "a", "b", "b", None),
        ("a >> 1", "a >> 2", "b >> 1", "b", None),
    ]
    assert truth_of_head(stored, 1, rows.levels[:1], ()) is None
