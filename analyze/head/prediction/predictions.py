"""What a stored head says of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.prediction.head_file import StoredHead, check_abstaining, check_identity
from analyze.head.prediction.tree import likeliest_path, summed_upwards
from analyze.head.training.probabilities import sigmoid, softmax
from extract.storage.embeddings import EmbeddingSet

NOT_SAID = -1


@dataclass(frozen=True, eq=False)
class Predictions(ABC):
    """Calibrated answers; row i is about ``ids[i]``.

    Parameters
    ----------
    stored : StoredHead
    ids : tuple of str
    abstain_below : float
        Answers of a lower probability are not given.
    """

    stored: StoredHead
    ids: tuple[str, ...]
    abstain_below: float

    @property
    @abstractmethod
    def abstained(self) -> np.ndarray:
        """Say of which pictures nothing is said; ndarray of shape (n_images,), bool."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Count the answers given, by class."""

    @abstractmethod
    def table(self) -> Iterator[list[Any]]:
        """A header, then a row a picture."""


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
        given: np.ndarray = (self.sureness >= self.abstain_below).sum(axis=0) - 1
        return given

    @property
    def abstained(self) -> np.ndarray:
        """Say of which pictures nothing is said; ndarray of shape (n_images,), bool."""
        unsure: np.ndarray = self.depth == NOT_SAID
        return unsure

    def said(self) -> list[str | None]:
        """Give each picture the class of the last level that is answered."""
        classes = self.stored.classes
        return [
            None if level == NOT_SAID else classes[level][self.path[level][i]]
            for i, level in enumerate(self.depth.tolist())
        ]

    def counts(self) -> dict[str, int]:
        """Count the answers given, by class; those of the last level stand there with 0 too."""
        counted = dict.fromkeys(self.stored.classes[-1], 0)
        for name in self.said():
            if name is not None:
                counted[name] = counted.get(name, 0) + 1
        return counted

    def table(self) -> Iterator[list[Any]]:
        """A row a picture: the class and its probability, and the next likeliest of its level.

        Of several levels the class is that of the last one that is answered, and each has columns
        of its own.
        """
        levels, classes = self.stored.levels, self.stored.classes
        several = len(levels) > 1
        named = [f"{name}{end}" for name in levels for end in ("", "_probability")]
        yield [
            *("id", "class", "probability", "abstained", "next_class", "next_probability"),
            *(named if several else ()),
        ]
        for i, (row_id, name) in enumerate(zip(self.ids, self.said(), strict=True)):
            level = max(0, int(self.depth[i]))
            row = [row_id, name or "", float(self.sureness[level, i]), int(name is None)]
            row += self._next(i, level)
            for number in range(len(levels)) if several else ():
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
        Which classes reach their threshold.
    """

    probabilities: np.ndarray
    has: np.ndarray

    @cached_property
    def sureness(self) -> np.ndarray:
        """The probability that every class is told right; ndarray of shape (n_images,)."""
        return sureness(self.probabilities, self.has)

    @property
    def abstained(self) -> np.ndarray:
        """Say of which pictures nothing is said; ndarray of shape (n_images,), bool."""
        unsure: np.ndarray = self.sureness < self.abstain_below
        return unsure

    def said(self) -> list[tuple[str, ...] | None]:
        """Give each picture its labels, of which there may be none; None where nothing is said."""
        (classes,) = self.stored.classes
        return [
            None if unsure else tuple(classes[c] for c in np.flatnonzero(own).tolist())
            for own, unsure in zip(self.has, self.abstained.tolist(), strict=True)
        ]

    def counts(self) -> dict[str, int]:
        """Count the labels given, by class."""
        given = self.has[~self.abstained].sum(axis=0)
        return dict(zip(self.stored.classes[0], given.tolist(), strict=True))

    def table(self) -> Iterator[list[Any]]:
        """A row a picture: its labels, how many, how sure all of them are, and each class."""
        yield [
            *("id", "labels", "n_labels", "probability", "abstained"),
            *(f"probability_{name}" for name in self.stored.classes[0]),
        ]
        separator = self.stored.several.separator if self.stored.several else ""
        for i, (row_id, labels) in enumerate(zip(self.ids, self.said(), strict=True)):
            given = ["", ""] if labels is None else [separator.join(labels), len(labels)]
            sure = [float(self.sureness[i]), int(labels is None)]
            yield [row_id, *given, *sure, *self.probabilities[i].tolist()]


def sureness(probabilities: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Give the probability that a whole set is right, classes taken apart; ndarray (n_images,).

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
    said : ndarray of shape (n_images, n_classes), bool
    """
    of_all: np.ndarray = np.where(said, probabilities, 1 - probabilities).prod(axis=1)
    return of_all


def predict(
    stored: StoredHead, embeddings: EmbeddingSet, *, abstain_below: float = 0.0
) -> Predictions:
    """Ask a head about pictures.

    Parameters
    ----------
    stored : StoredHead
    embeddings : EmbeddingSet
        Of the identity that the head was taught.
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
    check_abstaining(abstain_below)
    check_identity(stored, embeddings.provenance)
    scaled = stored.head.logits(embeddings.vectors)[-1] / stored.temperatures[-1]
    about = (stored, embeddings.ids, abstain_below)
    if stored.several is not None:
        found = sigmoid(scaled)
        return SetPredictions(*about, found, found >= np.array(stored.several.thresholds))
    probabilities = summed_upwards(softmax(scaled), stored.parents)
    return ClassPredictions(*about, probabilities, likeliest_path(probabilities, stored.parents))
