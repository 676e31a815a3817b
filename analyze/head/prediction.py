"""What a stored head says of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.head.head_file import StoredHead, check_identity
from analyze.head.network import softmax
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError


@dataclass(frozen=True, eq=False)
class Predictions:
    """Calibrated answers for one level; row i is about ``ids[i]``.

    Parameters
    ----------
    level : str
    classes : tuple of str
    ids : tuple of str
    probabilities : ndarray of shape (n_images, n_classes), float64
    abstain_below : float
        Answers of a lower probability are not given.
    """

    level: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    probabilities: np.ndarray
    abstain_below: float

    @property
    def abstained(self) -> np.ndarray:
        """Say of which pictures nothing is said; ndarray of shape (n_images,), bool."""
        unsure: np.ndarray = self.probabilities.max(axis=1) < self.abstain_below
        return unsure

    def counts(self) -> dict[str, int]:
        """Count the answers given, by class."""
        said = self.probabilities.argmax(axis=1)[~self.abstained]
        counts = np.bincount(said, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counts, strict=True))

    def table(self) -> Iterator[list[Any]]:
        """A row a picture: the class and its probability, and the next likeliest."""
        yield ["id", "class", "probability", "abstained", "next_class", "next_probability"]
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :2]
        for i, row_id in enumerate(self.ids):
            first, *second = order[i].tolist()
            unsure = bool(self.abstained[i])
            after = [x for j in second for x in (self.classes[j], self.probabilities[i, j])]
            yield [
                row_id,
                "" if unsure else self.classes[first],
                float(self.probabilities[i, first]),
                int(unsure),
                *(after or ["", ""]),
            ]


def predict(
    stored: StoredHead, embeddings: EmbeddingSet, *, abstain_below: float = 0.0, level: int = 0
) -> Predictions:
    """Ask a head about pictures.

    Parameters
    ----------
    stored : StoredHead
    embeddings : EmbeddingSet
        Of the identity that the head was taught.
    abstain_below : float
        From 0, where every picture is answered, to 1.
    level : int
        Number of the level.

    Raises
    ------
    UsageError
        When the vectors are of another identity, or the threshold is no probability.
    """
    if not 0 <= abstain_below <= 1:
        raise UsageError(f"--abstain-below must be from 0 to 1, not {abstain_below:g}")
    check_identity(stored, embeddings.provenance)
    logits = stored.head.logits(embeddings.vectors)[level]
    probabilities = softmax(logits / stored.temperature)
    classes = stored.classes[level]
    return Predictions(stored.levels[level], classes, embeddings.ids, probabilities, abstain_below)
