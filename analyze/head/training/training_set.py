"""Training data of a split, and the test set that is kept until the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from analyze.head.splitting.splits import Split
from analyze.head.training.inputs import PLAIN, StageMaps
from analyze.head.training.objective import Goal, Targets
from analyze.neighbors.novelty import kept_directions
from analyze.similarity import nearest_distances
from analyze.unit_vectors import unit_rows

Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Data of a training: copies of the training rows, of nothing else.

    Parameters
    ----------
    features : ndarray of shape (n_views + 1, n_train, n_dims), float32
        The plain pictures first.
    train, validation : ndarray of int
        Rows of these arrays.
    maps : StageMaps, optional
        Of the same pictures, where the backbone's last stage may be trained too.
    """

    features: np.ndarray
    targets: Targets
    train: np.ndarray
    validation: np.ndarray
    maps: StageMaps | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 3:
            raise ValueError(
                f"features must have shape (n_views + 1, n_train, n_dims), got "
                f"{self.features.shape}"
            )
        if not np.isfinite(self.features).all():
            raise ValueError("features must be finite; leave other rows out and say so")
        self.targets.check(self.train, self.validation)
        if any(len(own) != self.n_rows for own in self.targets.arrays):
            raise ValueError(f"labels must be of {self.n_rows} rows, as the features are")

    @property
    def n_rows(self) -> int:
        """How many pictures are in the training set."""
        return int(self.features.shape[1])

    @property
    def plain(self) -> UnseenPictures:
        """The pictures as they are, without their views."""
        return UnseenPictures(self.features[PLAIN], self.maps)

    def goal(self) -> Goal:
        """Return the targets of the rows."""
        return self.targets.goal(self.train)

    @cached_property
    def directions(self) -> np.ndarray:
        """The features as rows of length 1, once for all trainings; ndarray of the same shape."""
        n_dims = self.features.shape[2]
        return unit_rows(self.features.reshape(-1, n_dims)).reshape(self.features.shape)

    @cached_property
    def validation_distances(self) -> np.ndarray:
        """Of each validation picture to the nearest train picture, once for all trainings."""
        plain = self.features[PLAIN]
        return nearest_distances(kept_directions(plain[self.train]), plain[self.validation])


class UnseenPictures(NamedTuple):
    """Pictures to answer about.

    Parameters
    ----------
    vectors : ndarray of shape (n_test, n_dims), float32
        Of the plain pictures.
    maps : StageMaps, optional
        What a last stage of its own reads.
    """

    vectors: np.ndarray
    maps: StageMaps | None = None

    def by(self, stage: Mapping[str, np.ndarray] | None) -> np.ndarray:
        """Give their vectors: as stored, or as a trained last stage makes them."""
        if stage is None:
            return self.vectors
        if self.maps is None:
            raise ValueError("what a last stage reads was not held out")
        return self.maps.embedded(stage)


class HeldOut:
    """The test set: predicted once, when everything has been trained."""

    def __init__(self, tested: UnseenPictures) -> None:
        self._tested: UnseenPictures | None = tested

    def ask(self, predictors: Sequence[Callable[[UnseenPictures], Answer]]) -> list[Answer]:
        """Let every predictor answer, then forget the pictures.

        Raises
        ------
        RuntimeError
            The second time: what was learned from a test is no longer tested by it.
        """
        if self._tested is None:
            raise RuntimeError("the test set has been predicted already")
        tested, self._tested = self._tested, None
        return [predict(tested) for predict in predictors]


def hold_out(
    features: np.ndarray, targets: Targets, split: Split, maps: StageMaps | None = None
) -> tuple[TrainingData, HeldOut]:
    """Part features into what training gets and what is kept from it.

    Parameters
    ----------
    features : ndarray of shape (n_images, n_dims) or (n_views + 1, n_images, n_dims), float32
    targets : Targets
        Of all pictures.
    maps : StageMaps, optional
        Of all pictures.
    """
    stacked = features[None] if features.ndim == 2 else features
    training_set = split.training_set
    train, validation = (
        np.searchsorted(training_set, rows) for rows in (split.train, split.validation)
    )
    kept = maps.take(training_set) if maps else None
    held = maps.take(split.test, plain=True) if maps else None
    return (
        TrainingData(stacked[:, training_set], targets.take(training_set), train, validation, kept),
        HeldOut(UnseenPictures(stacked[PLAIN, split.test], held)),
    )
