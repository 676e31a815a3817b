"""What a stored head says of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.head_file import StoredHead, check_abstaining, check_identity
from analyze.head.network import softmax
from analyze.head.tree import likeliest_path, summed_upwards
from extract.storage.embeddings import EmbeddingSet

NOT_SAID = -1


@dataclass(frozen=True, eq=False)
class Predictions:
    """Calibrated answers; row i is about ``ids[i]``.

    Parameters
    ----------
    levels : tuple of str
        From the top down; most heads have one.
    classes : tuple of tuple of str
        Of each level.
    ids : tuple of str
    probabilities : tuple of ndarray of shape (n_images, n_classes), float64
        Of each level; those of a class are the sum of those below it.
    path : tuple of ndarray of shape (n_images,), int
        The answer at each level, which stands below the answer above.
    abstain_below : float
        Answers of a lower probability are not given.
    """

    levels: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...]
    probabilities: tuple[np.ndarray, ...]
    path: tuple[np.ndarray, ...]
    abstain_below: float

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
        return [
            None if level == NOT_SAID else self.classes[level][self.path[level][i]]
            for i, level in enumerate(self.depth.tolist())
        ]

    def counts(self) -> dict[str, int]:
        """Count the answers given, by class; those of the last level stand there with 0 too."""
        counted = dict.fromkeys(self.classes[-1], 0)
        for name in self.said():
            if name is not None:
                counted[name] = counted.get(name, 0) + 1
        return counted

    def table(self) -> Iterator[list[Any]]:
        """A row a picture: the class and its probability, and the next likeliest of its level.

        Of several levels the class is that of the last one that is answered, and each has columns
        of its own.
        """
        several = len(self.levels) > 1
        named = [f"{name}{end}" for name in self.levels for end in ("", "_probability")]
        yield [
            *("id", "class", "probability", "abstained", "next_class", "next_probability"),
            *(named if several else ()),
        ]
        for i, (row_id, name) in enumerate(zip(self.ids, self.said(), strict=True)):
            level = max(0, int(self.depth[i]))
            row = [row_id, name or "", float(self.sureness[level, i]), int(name is None)]
            row += self._next(i, level)
            for number in range(len(self.levels)) if several else ():
                answered = number <= self.depth[i]
                row.append(self.classes[number][self.path[number][i]] if answered else "")
                row.append(float(self.sureness[number, i]))
            yield row

    def _next(self, i: int, level: int) -> list[Any]:
        """Give the likeliest other class of a level, of which there may be none."""
        probabilities = self.probabilities[level][i].copy()
        if len(probabilities) == 1:
            return ["", ""]
        probabilities[self.path[level][i]] = -1
        after = int(probabilities.argmax())
        return [self.classes[level][after], float(probabilities[after])]


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

    Raises
    ------
    UsageError
        When the vectors are of another identity, or the threshold is no probability.
    """
    if stored.several is not None:
        raise ValueError("this head gives several labels a picture: ask it by predict_several")
    check_abstaining(abstain_below)
    check_identity(stored, embeddings.provenance)
    logits = stored.head.logits(embeddings.vectors)[-1]
    last = softmax(logits / stored.temperatures[-1])
    probabilities = summed_upwards(last, stored.parents)
    path = likeliest_path(probabilities, stored.parents)
    levels, classes = stored.levels, stored.classes
    return Predictions(levels, classes, embeddings.ids, probabilities, path, abstain_below)
