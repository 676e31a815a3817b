"""What a stored head of several labels says of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.head_file import StoredHead, check_abstaining, check_identity
from analyze.head.multilabel.answers import sureness
from analyze.head.multilabel.thresholds import sigmoid
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True, eq=False)
class SeveralPredictions:
    """Calibrated answers; row i is about ``ids[i]``.

    Parameters
    ----------
    levels : tuple of str
        One: the column of labels that was taught.
    classes : tuple of str
    separator : str
    ids : tuple of str
    probabilities : ndarray of shape (n_images, n_classes), float64
    thresholds : ndarray of shape (n_classes,)
        From which on a class is said.
    abstain_below : float
        Nothing is said of a picture whose whole set of labels is right with a lower probability.
    """

    levels: tuple[str, ...]
    classes: tuple[str, ...]
    separator: str
    ids: tuple[str, ...]
    probabilities: np.ndarray
    thresholds: np.ndarray
    abstain_below: float

    @cached_property
    def has(self) -> np.ndarray:
        """Say which classes reach their threshold; ndarray of shape (n_images, n_classes), bool."""
        reached: np.ndarray = self.probabilities >= self.thresholds
        return reached

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
        return [
            None if unsure else tuple(self.classes[c] for c in np.flatnonzero(own).tolist())
            for own, unsure in zip(self.has, self.abstained.tolist(), strict=True)
        ]

    def counts(self) -> dict[str, int]:
        """Count the labels given, by class."""
        given = self.has[~self.abstained].sum(axis=0)
        return dict(zip(self.classes, given.tolist(), strict=True))

    def table(self) -> Iterator[list[Any]]:
        """A row a picture: its labels, how many, how sure all of them are, and each class."""
        yield [
            *("id", "labels", "n_labels", "probability", "abstained"),
            *(f"probability_{name}" for name in self.classes),
        ]
        for i, (row_id, labels) in enumerate(zip(self.ids, self.said(), strict=True)):
            given = ["", ""] if labels is None else [self.separator.join(labels), len(labels)]
            sure = [float(self.sureness[i]), int(labels is None)]
            yield [row_id, *given, *sure, *self.probabilities[i].tolist()]


def predict_several(
    stored: StoredHead, embeddings: EmbeddingSet, *, abstain_below: float = 0.0
) -> SeveralPredictions:
    """Ask a head of several labels about pictures.

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
    if stored.several is None:
        raise ValueError("this head gives one label a picture")
    check_abstaining(abstain_below)
    check_identity(stored, embeddings.provenance)
    logits = stored.head.logits(embeddings.vectors)[0]
    return SeveralPredictions(
        levels=stored.levels,
        classes=stored.classes[0],
        separator=stored.several.separator,
        ids=embeddings.ids,
        probabilities=sigmoid(logits / stored.temperatures[0]),
        thresholds=np.array(stored.several.thresholds),
        abstain_below=abstain_below,
    )
