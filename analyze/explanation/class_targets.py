"""Targets that are classes: of a trained head, of a backbone's own classifier, of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analyze.explanation.targets import Target, in_numpy, towards, unit
from analyze.head.joined import is_joined
from analyze.head.prediction.head_file import MultilabelOutput, StoredHead
from analyze.head.prediction.tree import likeliest_path, summed_upwards
from analyze.head.training.network import forward
from analyze.head.training.probabilities import sigmoid, softmax
from analyze.measures.contingency_metrics import NOISE
from analyze.ties import first_of_greatest
from extract.backbones.pretrained_classifier import PretrainedClassifier
from extract.errors import UsageError

if TYPE_CHECKING:
    import torch

    from analyze.explanation.targets import Values


def level_of_head(stored: StoredHead, wanted: str | None) -> int:
    """Return a level of a head by name or by number from 1; the last by default.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    if wanted is None:
        return len(stored.levels) - 1
    numbers = {str(i): i - 1 for i in range(1, len(stored.levels) + 1)}
    by_name = {**numbers, **{name: i for i, name in enumerate(stored.levels)}}
    if wanted not in by_name:
        have = ", ".join(f"{i} {name}" for i, name in enumerate(stored.levels, start=1))
        raise UsageError(
            f"the head knows no level {wanted!r}: it has {have}; name one with --level"
        )
    return by_name[wanted]


def head_target(stored: StoredHead, level: int, of: str) -> Target:
    """Ask a trained head, in the way that its predictions are made.

    Of several labels a picture each is a binary decision: its own logit, its own sigmoid; above
    other levels the greatest of its own and of those below it, as it is predicted. Of a
    tree only the last level has logits that its predictions use; that of a class above is the
    logarithm of the sum over the classes below it, so that it rises and falls with the prediction.

    Raises
    ------
    UsageError
        When the head reads the vectors of several backbones.
    """
    if is_joined(stored.provenance):
        raise UsageError(
            f"the head reads {stored.provenance.model} side by side, and a map is one backbone's: "
            "explain a head that was trained on the vectors of one"
        )
    last_logits = _last_logits(stored)
    if stored.multilabel is not None:
        return _multilabel_target(stored, level, stored.multilabel, last_logits, of)
    return _level_target(stored, level, last_logits, of)


def _last_logits(stored: StoredHead) -> Values:
    """Give what leads from vectors to the logits of the last level, by a way to derive."""
    import torch

    network = stored.head.network().double().requires_grad_(False)
    mean = torch.from_numpy(stored.head.scaling.mean).double()

    def logits(vectors: torch.Tensor) -> torch.Tensor:
        return forward(network, (unit(vectors) - mean) * stored.head.scaling.factor)[-1]

    return logits


def _multilabel_target(
    stored: StoredHead, level: int, multilabel: MultilabelOutput, last_logits: Values, of: str
) -> Target:
    """Return the target of a multi-label head at a level: each label by its own threshold."""
    import torch

    temperature, thresholds = stored.temperatures[-1], np.array(multilabel.thresholds)
    tree = stored.set_tree
    part, names = tree.parts[level], stored.classes[level]
    # each class of the level with itself, and with all that stand below it
    pairs = np.argwhere(tree.raised(np.eye(len(thresholds), dtype=bool))[:, part])
    places, columns = torch.from_numpy(pairs).T

    def values(vectors: torch.Tensor) -> torch.Tensor:
        logits = last_logits(vectors)
        lowest = logits.new_full((len(logits), len(names)), -np.inf)
        where = columns.expand(len(logits), -1)
        return lowest.scatter_reduce(1, where, logits[:, places], "amax")

    def probability(vectors: torch.Tensor) -> torch.Tensor:
        return (values(vectors) / temperature).sigmoid()

    def scaled(vectors: np.ndarray) -> np.ndarray:
        found: np.ndarray = stored.head.logits(vectors)[-1] / temperature
        return tree.raised(found)

    def predicted(vectors: np.ndarray) -> np.ndarray:
        return tree.raised(sigmoid(scaled(vectors)) >= thresholds)[:, part]

    def answer(vectors: np.ndarray) -> np.ndarray:
        logits, labels = scaled(vectors)[:, part], predicted(vectors)
        # logits distinguish what rounds to a probability of 1
        open_to_all = labels | ~labels.any(axis=1, keepdims=True)
        found: np.ndarray = np.where(open_to_all, logits, -np.inf).argmax(axis=1)
        return found

    return Target(
        "head",
        of,
        names,
        names,
        probability if of == "probability" else values,
        answer,
        lambda vectors: sigmoid(scaled(vectors))[:, part],
        thresholds=multilabel.thresholds[part],
        predictions=predicted,
    )


def _level_target(stored: StoredHead, level: int, last_logits: Values, of: str) -> Target:
    """Ask a head of one label a picture, or of levels of a tree."""
    import torch

    temperature = stored.temperatures[-1]
    above = torch.from_numpy(_membership(stored, level))

    def values(vectors: torch.Tensor) -> torch.Tensor:
        logits = last_logits(vectors)
        if of == "probability":
            return (logits / temperature).softmax(dim=1) @ above
        if level == len(stored.levels) - 1:
            return logits
        below = (logits / temperature)[:, :, None].masked_fill(above[None] == 0, -np.inf)
        return below.logsumexp(dim=1) * temperature

    def probabilities(vectors: np.ndarray) -> tuple[np.ndarray, ...]:
        last = softmax(stored.head.logits(vectors)[-1] / temperature)
        return summed_upwards(last, stored.parents)

    def answer(vectors: np.ndarray) -> np.ndarray:
        return likeliest_path(probabilities(vectors), stored.parents)[level]

    names = stored.classes[level]
    return Target(
        "head", of, names, names, values, answer, lambda vectors: probabilities(vectors)[level]
    )


def _membership(stored: StoredHead, level: int) -> np.ndarray:
    """Say which classes of the last level stand below which of a level; ndarray of 0 and 1."""
    places = np.arange(len(stored.classes[-1]))
    for parents in reversed(stored.parents[level:]):
        places = parents[places]
    return np.eye(len(stored.classes[level]))[places]


def pretrained_target(own: PretrainedClassifier, of: str) -> Target:
    """Ask the classifier that the backbone came with."""
    module = own.module.cpu().double()

    def logits(vectors: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = module(vectors)
        return found

    def probability(vectors: torch.Tensor) -> torch.Tensor:
        return logits(vectors).softmax(dim=1)

    def answer(vectors: np.ndarray) -> np.ndarray:
        return first_of_greatest(in_numpy(logits, vectors))

    values: Values = probability if of == "probability" else logits
    return Target(
        "pretrained",
        of,
        own.classes,
        own.classes,
        values,
        answer,
        lambda vectors: in_numpy(probability, vectors),
    )


def cluster_target(
    vectors: np.ndarray, assignments: np.ndarray, matched: Mapping[int, str]
) -> Target:
    """Ask how similar pictures are to the centers of clusters; the nearest is the answer.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
        That were clustered.
    assignments : ndarray of shape (n_images,), int
        A cluster without rows is no column of its own: its center is nowhere; nor is noise (-1).
    matched : mapping of int to str
        The classes of those clusters that have one.
    """
    numbers = np.unique(assignments[assignments != NOISE]).tolist()
    centers = np.stack(
        [vectors[assignments == number].mean(axis=0, dtype=np.float64) for number in numbers]
    )
    squares = np.square(centers).sum(axis=1)

    def answer(vectors: np.ndarray) -> np.ndarray:
        return first_of_greatest(2 * vectors.astype(np.float64) @ centers.T - squares)

    classes = tuple(matched.get(number) for number in numbers)
    words = tuple(
        f"cluster {number}" if name is None else f"cluster {number} ({name})"
        for number, name in zip(numbers, classes, strict=True)
    )
    return Target(
        "cluster", "similarity", words, classes, towards(centers), answer, numbers=tuple(numbers)
    )
