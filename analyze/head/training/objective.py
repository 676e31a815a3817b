"""What training wants of pictures: one class a level, or any of some classes; and its loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from analyze.head.training.probabilities import SIGMOID, SOFTMAX, UNKNOWN, Activation

if TYPE_CHECKING:
    import torch

EVEN = 0.5
"""What smoothed targets of several labels move towards: no word on a class, yes or no."""


class Objective(Protocol):
    """Targets of the rows of one training; rows are numbers of the training set."""

    n_classes: tuple[int, ...]
    """Of each output."""

    def training_loss(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """Give what is made smaller: a mean over the rows, smoothed and weighted as wanted."""

    def judged(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> tuple[float, float]:
        """Give the mean loss, neither smoothed nor weighted, and the accuracy."""

    def n_right(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> int:
        """Count the rows with a right first output."""


@dataclass(frozen=True, eq=False)
class Goal:
    """Targets of the whole training set; an objective is of some of its rows.

    Parameters
    ----------
    classes : tuple of ndarray of int
        Of each output the codes that its logits stand for, ascending: those of train rows.
    wanted : tuple of ndarray
        Of each output: int of shape (n_train,), places among the classes, ``UNKNOWN`` where no
        train row is of that class; or bool of shape (n_train, n_classes).
    loss : callable
        (wanted, rows, label_smoothing, class_weights) -> the objective where rows are trained on.
    """

    classes: tuple[np.ndarray, ...]
    wanted: tuple[np.ndarray, ...]
    activation: Activation
    loss: Callable[[tuple[np.ndarray, ...], np.ndarray, float, bool], Objective]

    def labels_of(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Give what each output should say of some rows."""
        return tuple(own[rows] for own in self.wanted)


class Targets(Protocol):
    """Labels of some pictures, as training is given them."""

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that they hold."""

    def take(self, rows: np.ndarray) -> Targets:
        """Keep some pictures."""

    def check(self, train: np.ndarray, validation: np.ndarray) -> None:
        """Refuse what cannot be trained on.

        Raises
        ------
        ValueError
        """

    def goal(self, train: np.ndarray) -> Goal:
        """Say what is wanted where these rows are trained on."""


@dataclass(frozen=True, eq=False)
class LevelTargets:
    """One class a picture and level.

    Parameters
    ----------
    codes : ndarray of shape (n_levels, n_images), int
        None missing; validation rows may be of classes of further levels that train rows do not
        have.
    """

    codes: np.ndarray

    @classmethod
    def of_one(cls, labels: np.ndarray) -> LevelTargets:
        """Take codes of one level, of shape (n_images,)."""
        return cls(labels[None])

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """Codes of each level."""
        return tuple(self.codes)

    def take(self, rows: np.ndarray) -> LevelTargets:
        """Keep some pictures."""
        return LevelTargets(self.codes[:, rows])

    def check(self, train: np.ndarray, validation: np.ndarray) -> None:
        """Refuse missing labels, and a first level that cannot be trained."""
        first = self.codes[0]
        if self.codes.size and self.codes.min() < 0:
            raise ValueError("every training row must have a label at every level")
        if len(np.unique(first[train])) < 2:
            raise ValueError("train rows must be of two classes or more")
        if not np.isin(first[validation], first[train]).all():
            raise ValueError("validation rows must be of classes that train rows have")

    def goal(self, train: np.ndarray) -> Goal:
        """Number the codes of each level by their place among those of the train rows."""
        classes = tuple(np.unique(own[train]) for own in self.codes)
        wanted = tuple(_places(own, of) for own, of in zip(self.codes, classes, strict=True))
        return Goal(classes, wanted, SOFTMAX, CrossEntropy)


@dataclass(frozen=True, eq=False)
class ClassSets:
    """Any of some classes for each picture.

    Parameters
    ----------
    has : ndarray of shape (n_images, n_classes), bool
    """

    has: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """Which classes pictures have."""
        return (self.has,)

    def take(self, rows: np.ndarray) -> ClassSets:
        """Keep some pictures."""
        return ClassSets(self.has[rows])

    def check(self, train: np.ndarray, validation: np.ndarray) -> None:
        """Refuse what is no table of yes and no, and train rows without any class."""
        if self.has.ndim != 2 or self.has.dtype != bool:
            raise ValueError(
                f"labels must be bool of shape (n_train, n_classes), got {self.has.dtype} of "
                f"{self.has.shape}"
            )
        if not self.has[train].any():
            raise ValueError("train rows must have a class")

    def goal(self, train: np.ndarray) -> Goal:
        """Keep the classes that any train row has."""
        seen = np.flatnonzero(self.has[train].any(axis=0))
        return Goal((seen,), (self.has[:, seen],), SIGMOID, BinaryCrossEntropy)


class CrossEntropy:
    """One class a row and output; the loss is the mean of the outputs' cross-entropies.

    Parameters
    ----------
    codes : sequence of ndarray of shape (n_train,), int
        Places among each output's classes; ``UNKNOWN`` where it has no such class.
    trained : ndarray of int
        Rows with classes that are counted for the weights.
    class_weights : bool
        Whether every class counts as much.
    """

    def __init__(
        self,
        codes: Sequence[np.ndarray],
        trained: np.ndarray,
        label_smoothing: float,
        class_weights: bool,
    ) -> None:
        import torch

        self.n_classes = tuple(int(own.max()) + 1 for own in codes)
        self._codes = [torch.from_numpy(own) for own in codes]
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
        """Count the rows with the right likeliest class of the first output."""
        return int((logits[0].argmax(dim=1) == self._codes[0][rows]).sum())


class BinaryCrossEntropy:
    """Each class yes or no, apart from the others; the mean over rows and classes.

    Parameters
    ----------
    labels : sequence of ndarray of shape (n_train, n_classes), bool
        One output's.
    trained : ndarray of int
        Rows with classes that are counted for the weights.
    label_smoothing : float
        How far targets move from 0 and 1 towards a half.
    class_weights : bool
        Whether the pictures that have a class count as much as those that do not.
    """

    def __init__(
        self,
        labels: Sequence[np.ndarray],
        trained: np.ndarray,
        label_smoothing: float,
        class_weights: bool,
    ) -> None:
        import torch

        (has,) = labels
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
        """Give the mean binary cross-entropy, and the share of rows with all classes right."""
        import torch

        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits[0], self._has[rows].float()
        )
        return float(loss), self.n_right(logits, rows) / len(rows)

    def n_right(self, logits: Sequence[torch.Tensor], rows: torch.Tensor) -> int:
        """Count the rows with every class right, yes from a half on."""
        return int(((logits[0] >= 0) == self._has[rows]).all(dim=1).sum())


def balanced_weights(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Weigh classes so that each counts as much; the mean over the rows is 1, float32."""
    counts = np.maximum(np.bincount(codes, minlength=n_classes), 1)
    return (len(codes) / (n_classes * counts)).astype(np.float32)


def positive_weights(has: np.ndarray) -> np.ndarray:
    """Weigh yes against no, class by class, so that both count as much; float32."""
    n_yes = np.maximum(has.sum(axis=0), 1)
    n_no = np.maximum((~has).sum(axis=0), 1)
    found: np.ndarray = (n_no / n_yes).astype(np.float32)
    return found


def _places(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Number codes by their place among some classes."""
    places = np.minimum(np.searchsorted(classes, codes), len(classes) - 1)
    return np.where(classes[places] == codes, places, UNKNOWN)
