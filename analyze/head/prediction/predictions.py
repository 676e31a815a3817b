"""Predictions of a stored head."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.prediction.head_file import StoredHead, check_identity
from analyze.head.prediction.tree import likeliest_path, summed_upwards
from analyze.head.training.probabilities import sigmoid, softmax
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

UNDECIDED = -1


@dataclass(frozen=True, eq=False)
class Predictions(ABC):
    """Calibrated answers; row i is about ``ids[i]``.

    Parameters
    ----------
    abstain_below : float
        Answers of a lower probability are not given.
    distances : ndarray of shape (n_images,), float64, or None
        1 - cosine to the nearest vector that the head was trained on; None where it holds none.
    """

    stored: StoredHead
    ids: tuple[str, ...]
    abstain_below: float
    distances: np.ndarray | None

    @property
    @abstractmethod
    def abstained(self) -> np.ndarray:
        """Return which pictures have no prediction; ndarray of shape (n_images,), bool."""

    @property
    def unlike(self) -> np.ndarray | None:
        """Say which pictures are unlike all that the head was trained on; None where unknown."""
        if self.distances is None or self.stored.vectors is None:
            return None
        return self.distances > self.stored.vectors.unlike_above

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that may be predicted; of a tree those of the last level."""
        return self.stored.classes[-1]

    @abstractmethod
    def by_class(self) -> dict[str, list[int]]:
        """Return the rows that each class is predicted of, the most probable first."""

    def counts(self) -> dict[str, int]:
        """Count the answers given, by class; those of the last level stand there with 0 too."""
        return {name: len(rows) for name, rows in self.by_class().items()}

    @abstractmethod
    def answers(self) -> Iterator[list[Any]]:
        """A header, then a row a picture."""

    def table(self) -> Iterator[list[Any]]:
        """A header, then a row a picture: its answer, how far it is from training, if unlike it."""
        answers = self.answers()
        yield [*next(answers), "distance", "unlike"]
        blank = [""] * len(self.ids)
        distances = blank if self.distances is None else self.distances.tolist()
        unlike = blank if self.unlike is None else self.unlike.astype(int).tolist()
        for answer, *more in zip(answers, distances, unlike, strict=True):
            yield [*answer, *more]


@dataclass(frozen=True, eq=False)
class ClassPredictions(Predictions):
    """One class a picture, or a path down the levels of a tree.

    Parameters
    ----------
    As of :class:`Predictions`, and:
    probabilities : tuple of ndarray of shape (n_images, n_classes), float64
        Of each level; those of a class are the sum of those below it.
    path : tuple of ndarray of shape (n_images,), int
        The answer at each level, which stands below the answer above.
    """

    probabilities: tuple[np.ndarray, ...]
    path: tuple[np.ndarray, ...]

    @cached_property
    def sureness(self) -> np.ndarray:
        """The probability of the answer at each level; ndarray of shape (n_levels, n_images)."""
        rows = np.arange(len(self.ids))
        both = zip(self.probabilities, self.path, strict=True)
        return np.stack([own[rows, answer] for own, answer in both])

    @cached_property
    def depth(self) -> np.ndarray:
        """The last level that is answered, -1 for none; ndarray of shape (n_images,), int."""
        found: np.ndarray = (self.sureness >= self.abstain_below).sum(axis=0) - 1
        return found

    @property
    def abstained(self) -> np.ndarray:
        """Return which pictures have no prediction; ndarray of shape (n_images,), bool."""
        found: np.ndarray = self.depth == UNDECIDED
        return found

    def predictions(self) -> list[str | None]:
        """Give each picture the class of the last level that is answered."""
        classes = self.stored.classes
        return [
            None if level == UNDECIDED else classes[level][self.path[level][i]]
            for i, level in enumerate(self.depth.tolist())
        ]

    def by_class(self) -> dict[str, list[int]]:
        """Give the rows of each class, the most probable first; of the last level, none too."""
        found: dict[str, list[int]] = {name: [] for name in self.stored.classes[-1]}
        predictions = self.predictions()
        sure = self.sureness[np.maximum(self.depth, 0), np.arange(len(predictions))]
        for row in np.argsort(-sure, kind="stable").tolist():
            name = predictions[row]
            if name is not None:
                found.setdefault(name, []).append(row)
        return found

    def answers(self) -> Iterator[list[Any]]:
        """A row a picture: the class and its probability, and the next likeliest of its level.

        Of several levels the class is that of the last one that is answered, and each has columns
        of its own.
        """
        levels, classes = self.stored.levels, self.stored.classes
        many_levels = len(levels) > 1
        named = [f"{name}{end}" for name in levels for end in ("", "_probability")]
        yield [
            *("id", "class", "probability", "abstained", "next_class", "next_probability"),
            *(named if many_levels else ()),
        ]
        for i, (row_id, name) in enumerate(zip(self.ids, self.predictions(), strict=True)):
            level = max(0, int(self.depth[i]))
            row = [row_id, name or "", float(self.sureness[level, i]), int(name is None)]
            row += self._next(i, level)
            for number in range(len(levels)) if many_levels else ():
                answered = number <= self.depth[i]
                row.append(classes[number][self.path[number][i]] if answered else "")
                row.append(float(self.sureness[number, i]))
            yield row

    def _next(self, i: int, level: int) -> list[Any]:
        """Give the likeliest other class of a level, of which there may be none."""
        probabilities = self.probabilities[level][i].copy()
        if len(probabilities) == 1:
            return ["", ""]
        probabilities[self.path[level][i]] = -1
        after = int(probabilities.argmax())
        return [self.stored.classes[level][after], float(probabilities[after])]


@dataclass(frozen=True, eq=False)
class SetPredictions(Predictions):
    """Any of some classes a picture; ``abstain_below`` is of the whole set.

    Parameters
    ----------
    As of :class:`Predictions`, and:
    probabilities : ndarray of shape (n_images, n_classes), float64
    has : ndarray of shape (n_images, n_classes), bool
        Which classes reach their threshold, or stand above one that does.
    """

    probabilities: np.ndarray
    has: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, of several levels with theirs."""
        return self.stored.set_tree.spelled

    @cached_property
    def sureness(self) -> np.ndarray:
        """The probability that every class is right; ndarray of shape (n_images,)."""
        return sureness(self.probabilities, self.has)

    @property
    def abstained(self) -> np.ndarray:
        """Return which pictures have no prediction; ndarray of shape (n_images,), bool."""
        return self.sureness < self.abstain_below

    def predictions(self) -> list[tuple[str, ...] | None]:
        """Return the labels of each picture, maybe none; None where nothing is predicted."""
        classes = self.classes
        return [
            None if unsure else tuple(classes[c] for c in np.flatnonzero(own).tolist())
            for own, unsure in zip(self.has, self.abstained.tolist(), strict=True)
        ]

    def by_class(self) -> dict[str, list[int]]:
        """Give the rows that each label is given to, the most probable first."""
        given = self.has & ~self.abstained[:, None]
        orders = np.argsort(-self.probabilities, axis=0, kind="stable").T
        columns = zip(self.classes, orders, given.T, strict=True)
        return {name: order[own[order]].tolist() for name, order, own in columns}

    def answers(self) -> Iterator[list[Any]]:
        """A row a picture: its labels, how many, how sure all of them are, and each class.

        Each of several levels has such columns of its own, too.
        """
        tree = self.stored.set_tree
        levels = tree.levels if len(tree.levels) > 1 else ()
        yield [
            *("id", "labels", "n_labels", "probability", "abstained"),
            *(f"{name}{end}" for name in levels for end in ("", "_n_labels", "_probability")),
            *(f"probability_{name}" for name in self.classes),
        ]
        whole = self._spelled(self.classes, slice(None))
        parts = map(self._spelled, tree.classes, tree.parts) if levels else ()
        each = zip(self.ids, whole, self.abstained, self.probabilities, *parts, strict=True)
        for row_id, cells, silent, probabilities, *of_levels in each:
            more = itertools.chain(*of_levels)
            yield [row_id, *cells, int(silent), *more, *probabilities.tolist()]

    def _spelled(self, classes: tuple[str, ...], part: slice) -> Iterator[list[Any]]:
        """Spell the labels among some classes, how many they are, and how sure all of them are."""
        joined = self.stored.multilabel.separator.join if self.stored.multilabel else "".join
        sure = sureness(self.probabilities[:, part], self.has[:, part]).tolist()
        for own, silent, probability in zip(self.has[:, part], self.abstained, sure, strict=True):
            names = [classes[c] for c in np.flatnonzero(own).tolist()]
            yield [*(["", ""] if silent else [joined(names), len(names)]), probability]


def sureness(probabilities: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Give the probability that a whole set is right, classes taken apart; ndarray (n_images,).

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
    predictions : ndarray of shape (n_images, n_classes), bool
    """
    found: np.ndarray = np.where(predictions, probabilities, 1 - probabilities).prod(axis=1)
    return found


def predict(
    stored: StoredHead, embeddings: EmbeddingSet, *, abstain_below: float = 0.0
) -> Predictions:
    """Ask a head about pictures.

    Parameters
    ----------
    embeddings : EmbeddingSet
        Of the identity that the head was trained on.
    abstain_below : float
        From 0, where every picture is answered, to 1.

    Returns
    -------
    ClassPredictions, or SetPredictions of a head that gives several labels a picture

    Raises
    ------
    UsageError
        When the vectors are of another identity, or the threshold is no probability.
    """
    if not 0 <= abstain_below <= 1:
        raise UsageError(f"--abstain-below must be from 0 to 1, not {abstain_below:g}")
    check_identity(stored, embeddings.provenance)
    scaled = stored.head.logits(embeddings.vectors)[-1] / stored.temperatures[-1]
    far = None if stored.vectors is None else stored.vectors.distances(embeddings.vectors)
    about = (stored, embeddings.ids, abstain_below, far)
    if stored.multilabel is not None:
        raised = stored.set_tree.raised
        found = raised(sigmoid(scaled))
        return SetPredictions(
            *about, found, raised(found >= np.array(stored.multilabel.thresholds))
        )
    probabilities = summed_upwards(softmax(scaled), stored.parents)
    return ClassPredictions(*about, probabilities, likeliest_path(probabilities, stored.parents))
