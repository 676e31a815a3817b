"""What a head is trained for: its outputs, and the loss of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

UNKNOWN = -100
"""The class of a row that an output is not asked about: torch's own mark, which no loss counts."""


class Objective(Protocol):
    """What is wanted of the rows of one training; rows are numbers of all that is taught."""

    n_classes: tuple[int, ...]
    """Of each output."""

    def training_loss(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """Give what is made smaller: a mean over the rows, smoothed and weighted as wanted."""

    def judged(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> tuple[float, float]:
        """Give the mean loss, neither smoothed nor weighted, and the accuracy."""

    def n_right(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> int:
        """Count the rows whose first output is right."""


class Goal(Protocol):
    """What all that is taught is wanted to answer; an objective is of some of its rows."""

    @property
    def classes(self) -> tuple[np.ndarray, ...]:
        """Of each output the codes that its logits stand for, ascending."""

    def objective(
        self, rows: np.ndarray, *, label_smoothing: float, class_weights: bool
    ) -> Objective:
        """Give what is wanted where these rows are trained on."""

    def labels_of(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Give what each output should say of some rows."""


@dataclass(frozen=True, eq=False)
class OneClass:
    """One class of each level is wanted; classes are those that train rows have.

    Parameters
    ----------
    classes : tuple of ndarray of int
        Codes of each level, ascending.
    codes : ndarray of shape (n_levels, n_taught), int
        Places among the classes; ``UNKNOWN`` where no train row is of that class.
    """

    classes: tuple[np.ndarray, ...]
    codes: np.ndarray

    @classmethod
    def of_levels(cls, levels: Sequence[np.ndarray], train: np.ndarray) -> OneClass:
        """Number the codes of each level by their place among those of the train rows."""
        classes = tuple(np.unique(own[train]) for own in levels)
        places = [_places(own, of) for own, of in zip(levels, classes, strict=True)]
        return cls(classes, np.stack(places))

    def objective(
        self, rows: np.ndarray, *, label_smoothing: float, class_weights: bool
    ) -> Objective:
        """Give the mean cross-entropy of the levels."""
        return ClassPerLevel(
            self.codes, rows, label_smoothing=label_smoothing, class_weights=class_weights
        )

    def labels_of(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Give the places of some rows' classes, level by level."""
        return tuple(self.codes[:, rows])


class ClassPerLevel:
    """One class a row and output; the loss is the mean of the outputs' cross-entropies.

    Parameters
    ----------
    codes : ndarray of shape (n_levels, n_taught), int
        Places among an output's classes; ``UNKNOWN`` where it has no such class.
    trained : ndarray of int
        Rows whose classes are counted for the weights.
    label_smoothing : float
    class_weights : bool
        Whether every class counts as much.
    """

    def __init__(
        self, codes: np.ndarray, trained: np.ndarray, *, label_smoothing: float, class_weights: bool
    ) -> None:
        import torch

        self.n_classes = tuple(int(own.max()) + 1 for own in codes)
        self._codes = torch.from_numpy(codes)
        weights: list[torch.Tensor | None] = [None] * len(codes)
        if class_weights:
            counted = [own[trained][own[trained] != UNKNOWN] for own in codes]
            weights = [
                torch.from_numpy(balanced_weights(own, n))
                for own, n in zip(counted, self.n_classes, strict=True)
            ]
        self._losses = [
            torch.nn.CrossEntropyLoss(
                weight=weight, label_smoothing=label_smoothing, ignore_index=UNKNOWN
            )
            for weight in weights
        ]

    def training_loss(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """Average the outputs' cross-entropies; an output that knows none of the rows is 0."""
        import torch

        losses = [
            loss(own, codes[rows]) if bool((codes[rows] != UNKNOWN).any()) else own.sum() * 0
            for loss, own, codes in zip(self._losses, logits, self._codes, strict=True)
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def judged(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> tuple[float, float]:
        """Give the mean over outputs of the plain cross-entropy, and the first one's accuracy."""
        import torch

        losses = []
        for own, codes in zip(logits, self._codes, strict=True):
            known = codes[rows] != UNKNOWN
            if bool(known.any()):
                loss = torch.nn.functional.cross_entropy(own[known], codes[rows][known])
                losses.append(float(loss))
        return float(np.mean(losses)), self.n_right(logits, rows) / len(rows)

    def n_right(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> int:
        """Count the rows whose likeliest class of the first output is theirs."""
        return int((logits[0].argmax(dim=1) == self._codes[0, rows]).sum())


def _places(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Number codes by their place among some classes."""
    places = np.minimum(np.searchsorted(classes, codes), len(classes) - 1)
    found: np.ndarray = np.where(classes[places] == codes, places, UNKNOWN)
    return found


def balanced_weights(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Weigh classes so that each counts as much; the mean over the rows is 1, float32."""
    counts = np.maximum(np.bincount(codes, minlength=n_classes), 1)
    weights: np.ndarray = (len(codes) / (n_classes * counts)).astype(np.float32)
    return weights
