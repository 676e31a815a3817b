"""A target gives the numbers that the rest of the project gives, by a way that can be derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from analyze.explanation.class_targets import (
    cluster_target,
    head_target,
    level_of_head,
    pretrained_target,
)
from analyze.explanation.questions import (
    Subject,
    ask,
    ask_of_pairs,
    nearest_rows,
    sampled_rows,
    subjects_of_rows,
)
from analyze.explanation.targets import check_of, in_numpy, neighbor_target
from analyze.head.prediction.head_file import StoredHead
from analyze.head.prediction.predictions import predict
from analyze.head.training.inputs import Scaling
from analyze.head.training.network import Head, HeadSpec, build_network
from extract.backbones.pretrained_classifier import PretrainedClassifier
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]
N_DIMS = 10


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, N_DIMS)).astype(np.float32)


def head_of(*levels: tuple[str, ...], parents: Any = (), **how: Any) -> StoredHead:
    """A head with weights as they are drawn."""
    spec = HeadSpec(width=8)
    weights = build_network(N_DIMS, [len(names) for names in levels], spec, seed=1).state_dict()
    rng = np.random.default_rng(1)
    scaling = Scaling(rng.normal(scale=0.1, size=N_DIMS).astype(np.float32), 20.0)
    identity = {"backbone": "efficientnet_lite0", "weights": {"source": "random"}}
    head = Head(
        spec,
        scaling,
        tuple(np.arange(len(names)) for names in levels),
        {k: v.numpy() for k, v in weights.items()},
    )
    names = tuple(f"level_{i}" for i in range(1, len(levels) + 1))
    temperatures = how.get("temperatures", (1.7,) * len(levels))
    provenance = how.get("provenance", Provenance(identity, ()))
    return StoredHead(head, levels, names, temperatures, provenance, {}, tuple(parents))


@pytest.fixture
def tree() -> StoredHead:
    return head_of(("home", "wear"), ("cup", "vase", "watch"), parents=(np.array([0, 0, 1]),))


def test_head_gives_the_logits_and_probabilities_of_its_predictions(
    vectors: np.ndarray, embeddings_of: Make
) -> None:
    stored = head_of(("cup", "hat", "vase"))
    said = predict(stored, embeddings_of(vectors))
    logit, probability = (head_target(stored, 0, of) for of in ("logit", "probability"))
    np.testing.assert_allclose(
        in_numpy(logit.values, vectors), stored.head.logits(vectors)[0], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        in_numpy(probability.values, vectors), said.probabilities[0], atol=1e-5
    )
    assert logit.classes == ("cup", "hat", "vase")
    questions = ask(logit, subjects_of_rows(embeddings_of(vectors), range(40), None), None)
    assert [logit.columns[q.column] for q in questions] == said.predictions()
    np.testing.assert_allclose([q.probability for q in questions], said.sureness[0])


def test_a_level_above_answers_as_its_predictions_do(
    tree: StoredHead, vectors: np.ndarray, embeddings_of: Make
) -> None:
    said = predict(tree, embeddings_of(vectors))
    for level in range(2):
        target = head_target(tree, level, "probability")
        found = in_numpy(target.values, vectors)
        np.testing.assert_allclose(found, said.probabilities[level], atol=1e-5)
        assert target.answer(vectors).tolist() == said.path[level].tolist()
        assert target.probabilities is not None
        np.testing.assert_array_equal(target.probabilities(vectors), said.probabilities[level])
        logits = in_numpy(head_target(tree, level, "logit").values, vectors)
        # differences of logits are log odds, at the temperature
        odds = np.log(said.probabilities[level][:, :1] / said.probabilities[level][:, 1:])
        np.testing.assert_allclose((logits[:, :1] - logits[:, 1:]) / 1.7, odds, atol=1e-4)
    assert [level_of_head(tree, w) for w in (None, "level_1", "2")] == [1, 0, 1]
    with pytest.raises(UsageError, match="it has 1 level_1, 2 level_2; name one with --level"):
        level_of_head(tree, "class")


@pytest.mark.parametrize("of", ["logit", "probability"])
@pytest.mark.parametrize("level", [0, 1])
def test_values_have_the_slope_of_small_steps(
    tree: StoredHead, vectors: np.ndarray, of: str, level: int
) -> None:
    values = head_target(tree, level, of).values
    some = torch.from_numpy(vectors[:5].astype(np.float64))
    assert torch.autograd.gradcheck(values, some.clone().requires_grad_())


def test_a_sure_probability_still_has_a_slope(vectors: np.ndarray) -> None:
    stored = head_of(("cup", "hat"), temperatures=(0.005,))
    target = head_target(stored, 0, "probability")
    given = torch.from_numpy(vectors.astype(np.float64)).requires_grad_()
    found = target.values(given)
    sure = found[:, 0] > 1 - 1e-8  # 1 in single precision, where the slope is 0
    assert sure.any()
    found[:, 0].sum().backward()
    assert given.grad is not None
    assert bool(given.grad[sure].any(dim=1).all())


def test_head_on_two_backbones_is_refused() -> None:
    identity = {"joined": [{"backbone": "a"}, {"backbone": "b"}]}
    joined = head_of(("cup", "hat"), provenance=Provenance(identity, (), {"model": "a + b"}))
    with pytest.raises(UsageError, match=r"reads a \+ b side by side"):
        head_target(joined, 0, "logit")


def test_own_classifier(vectors: np.ndarray) -> None:
    layer = torch.nn.Linear(N_DIMS, 4)
    own = PretrainedClassifier(layer, ("tench, Tinca tinca", "crane", "crane", "digital watch"))
    with torch.no_grad():
        expected = layer(torch.from_numpy(vectors)).numpy()
    target = pretrained_target(own, "logit")
    np.testing.assert_allclose(in_numpy(target.values, vectors), expected, atol=1e-6)
    probability = pretrained_target(own, "probability")
    assert probability.probabilities is not None
    np.testing.assert_allclose(probability.probabilities(vectors).sum(axis=1), 1)
    names = {"tench": 0, "Tinca Tinca": 0, "digital_watch": 3, "2": 2, "tench, Tinca tinca": 0}
    assert {name: target.column_of(name) for name in names} == names
    with pytest.raises(UsageError, match="'crane' may be 1 crane, 2 crane: give the number"):
        target.column_of("crane")
    with pytest.raises(UsageError, match=r"no class 'digital clock'.*digital watch and others"):
        target.column_of("digital clock")


def test_cluster_is_the_cosine_with_its_middle(vectors: np.ndarray) -> None:
    assignments = np.arange(40) % 3 * 2  # 1 and 3 hold no rows
    target = cluster_target(vectors, assignments, {0: "cup", 4: "hat"})
    assert target.columns == ("cluster 0 (cup)", "cluster 2", "cluster 4 (hat)")
    assert target.classes == ("cup", None, "hat")
    assert [target.column_of(name) for name in ("hat", "2", "cluster 2", "4")] == [2, 1, 1, 2]
    middles = np.stack([vectors[assignments == n].mean(axis=0) for n in (0, 2, 4)])
    cosines = vectors @ middles.T
    cosines /= np.linalg.norm(vectors, axis=1)[:, None] * np.linalg.norm(middles, axis=1)
    np.testing.assert_allclose(in_numpy(target.values, vectors), cosines, atol=1e-6)
    distances = np.linalg.norm(vectors[:, None] - middles, axis=2)
    assert target.answer(vectors).tolist() == distances.argmin(axis=1).tolist()


def test_pairs_ask_of_each_other_once(vectors: np.ndarray, embeddings_of: Make) -> None:
    a, b, c = subjects_of_rows(embeddings_of(vectors), [3, 5, 8], None)
    target, questions = ask_of_pairs([(a, b), (b, a), (c, a)])
    asked = [(q.subject.id, target.columns[q.column]) for q in questions]
    assert asked == [(a.id, b.id), (b.id, a.id), (c.id, a.id), (a.id, c.id)]
    values = in_numpy(neighbor_target([a.id], a.vector[None]).values, vectors)
    assert values[3, 0] == pytest.approx(1)


def test_nearest_is_neither_itself_nor_a_copy(embeddings_of: Make) -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0.1], [0, 1]], np.float32)
    embeddings = embeddings_of(vectors)
    subjects = subjects_of_rows(embeddings, [0, 3], None)
    new = Subject("new.png", np.array([1, 0], np.float32))
    copies = np.array([0, 0, 2, 3])
    assert nearest_rows(embeddings, [*subjects, new], copies) == [2, 2, 0]


def test_sample_takes_each_class_and_repeats(embeddings_of: Make) -> None:
    level = Level.from_values("kind", [*"abc" * 5, None])
    rows = sampled_rows(level, 16, 2, seed=0)
    assert [level.value(row) for row in rows] == list("aabbcc")
    assert rows == sampled_rows(level, 16, 2, seed=0) != sampled_rows(level, 16, 2, seed=1)
    assert len(sampled_rows(None, 16, 5, seed=0)) == 5


def test_a_class_asked_for_is_not_the_answer(vectors: np.ndarray, embeddings_of: Make) -> None:
    target = head_target(head_of(("cup", "hat", "vase")), 0, "logit")
    subjects = subjects_of_rows(embeddings_of(vectors), range(6), None)
    given, free = ask(target, subjects, "hat"), ask(target, subjects, None)
    assert {q.column for q in given} == {1}
    assert [q.answer for q in given] == [q.column for q in free]
    assert all(q.probability <= q.answer_probability for q in given)
    assert ask(target, [], None) == []


def test_words_that_do_not_fit_are_refused(tree: StoredHead) -> None:
    assert (check_of("head", None), check_of("pretrained", "probability")) == (
        "logit",
        "probability",
    )
    assert check_of("cluster", None) == "similarity"
    for words, why in (
        (("saliency", None), "no --target 'saliency'"),
        (("cluster", "logit"), "explains a similarity"),
        (("head", "odds"), "no --of 'odds'"),
    ):
        with pytest.raises(UsageError, match=why):
            check_of(*words)
    target = head_target(tree, 1, "logit")
    with pytest.raises(ValueError, match="every column"):
        replace(target, classes=("cup",))
