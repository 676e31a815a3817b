"""What a head of several labels is trained for: each class yes or no, apart from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyze.head.objective import Objective

if TYPE_CHECKING:
    import torch

EVEN = 0.5
"""What smoothed targets move towards: no word on a class, yes or no."""


@dataclass(frozen=True, eq=False)
class SeveralClasses:
    """Any of some classes are wanted; they are those that train rows have.

    Parameters
    ----------
    classes : tuple of ndarray of int
        One output; its columns of the labels, ascending.
    has : ndarray of shape (n_taught, n_classes), bool
        Of those columns.
    """

    classes: tuple[np.ndarray, ...]
    has: np.ndarray

    @classmethod
    def of_labels(cls, labels: np.ndarray, train: np.ndarray) -> SeveralClasses:
        """Keep the columns that any train row has."""
        seen = np.flatnonzero(labels[train].any(axis=0))
        return cls((seen,), labels[:, seen])

    def objective(
        self, rows: np.ndarray, *, label_smoothing: float, class_weights: bool
    ) -> Objective:
        """Give the mean binary cross-entropy over rows and classes."""
        return YesOrNo(self.has, rows, label_smoothing=label_smoothing, class_weights=class_weights)

    def labels_of(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Say which classes some rows have."""
        return (self.has[rows],)


class YesOrNo:
    """Binary cross-entropy, its mean over rows and classes.

    Parameters
    ----------
    has : ndarray of shape (n_taught, n_classes), bool
    trained : ndarray of int
        Rows whose classes are counted for the weights.
    label_smoothing : float
        How far targets move from 0 and 1 towards a half.
    class_weights : bool
        Whether the pictures that have a class count as much as those that do not.
    """

    def __init__(
        self, has: np.ndarray, trained: np.ndarray, *, label_smoothing: float, class_weights: bool
    ) -> None:
        import torch

        self.n_classes: tuple[int, ...] = (has.shape[1],)
        self._has = torch.from_numpy(has)
        self._targets = self._has.float() * (1 - label_smoothing) + EVEN * label_smoothing
        weights = torch.from_numpy(positive_weights(has[trained])) if class_weights else None
        self._loss = torch.nn.BCEWithLogitsLoss(pos_weight=weights)

    def training_loss(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """Average the binary cross-entropies over rows and classes."""
        loss: torch.Tensor = self._loss(logits[0], self._targets[rows])
        return loss

    def judged(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> tuple[float, float]:
        """Give the mean binary cross-entropy, and the share of rows whose classes are all right."""
        import torch

        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits[0], self._has[rows].float()
        )
        return float(loss), self.n_right(logits, rows) / len(rows)

    def n_right(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> int:
        """Count the rows of which every class is told right, yes from a half on."""
        return int(((logits[0] >= 0) == self._has[rows]).all(dim=1).sum())


def positive_weights(has: np.ndarray) -> np.ndarray:
    """Weigh yes against no, class by class, so that both count as much; float32."""
    n_yes = np.maximum(has.sum(axis=0), 1)
    n_no = np.maximum((~has).sum(axis=0), 1)
    weights: np.ndarray = (n_no / n_yes).astype(np.float32)
    return weights
