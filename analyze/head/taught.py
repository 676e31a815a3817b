"""What training sees of a split, and what is kept from it until the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.inputs import PLAIN, StageMaps
from analyze.head.objective import Goal, OneClass
from analyze.head.splits import Split
from analyze.unit_vectors import unit_rows


@dataclass(frozen=True, eq=False)
class Taught:
    """What training sees: copies of the taught rows, of nothing else.

    Parameters
    ----------
    features : ndarray of shape (n_views + 1, n_taught, n_dims), float32
        The plain pictures first.
    labels : ndarray of shape (n_taught,), int
        Codes, none missing.
    train, validation : ndarray of int
        Rows of these arrays.
    deeper : ndarray of shape (n_deeper, n_taught), int, optional
        Codes of further levels, trained together with the first; none missing, but validation
        rows may be of classes that train rows do not have.
    maps : StageMaps, optional
        Of the same pictures, where the backbone's last stage may be trained too.
    """

    features: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    deeper: np.ndarray | None = None
    maps: StageMaps | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 3 or self.features.shape[1] != len(self.labels):
            raise ValueError(
                f"features must have shape (n_views + 1, {len(self.labels)}, n_dims), "
                f"got {self.features.shape}"
            )
        if not np.isfinite(self.features).all():
            raise ValueError("features must be finite; leave other rows out and say so")
        if len(self.labels) and self.labels.min() < 0:
            raise ValueError("every taught row must have a label")
        if len(np.unique(self.labels[self.train])) < 2:
            raise ValueError("train rows must be of two classes or more")
        if not np.isin(self.labels[self.validation], self.labels[self.train]).all():
            raise ValueError("validation rows must be of classes that train rows have")
        if any(own.shape != self.labels.shape or own.min() < 0 for own in self.levels[1:]):
            raise ValueError("every taught row must have a label at every level")

    @property
    def levels(self) -> tuple[np.ndarray, ...]:
        """Codes of every level, the first level's first."""
        return (self.labels, *(() if self.deeper is None else self.deeper))

    def goal(self) -> Goal:
        """Say what is wanted of the rows: one class a level."""
        return OneClass.of_levels(self.levels, self.train)

    @cached_property
    def directions(self) -> np.ndarray:
        """The features as rows of length 1, once for all trainings; ndarray of the same shape."""
        n_dims = self.features.shape[2]
        return unit_rows(self.features.reshape(-1, n_dims)).reshape(self.features.shape)


class HeldOut:
    """The tested rows, which are asked about once, when all that is asked has been trained."""

    def __init__(
        self, features: np.ndarray, labels: np.ndarray, maps: StageMaps | None = None
    ) -> None:
        self._rows: tuple[np.ndarray, StageMaps | None, np.ndarray] | None
        self._rows = (features, maps, labels)

    def ask(
        self,
        predictors: Mapping[str, Callable[[np.ndarray], Any]],
        with_stages: Mapping[str, Callable[[StageMaps], Any]] | None = None,
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Let every predictor answer for the plain pictures, then forget them.

        Parameters
        ----------
        predictors : mapping of str to callable
            From vectors of shape (n_test, n_dims) to an answer for each row.
        with_stages : mapping of str to callable, optional
            The same of predictors that have a last stage of their own.

        Returns
        -------
        answers : dict of str to what a predictor gives
        labels : ndarray of shape (n_test,), int

        Raises
        ------
        RuntimeError
            The second time: what was learned from a test is no longer tested by it.
        """
        if self._rows is None:
            raise RuntimeError("the test rows have been asked about already")
        (vectors, maps, labels), self._rows = self._rows, None
        answers = {name: predict(vectors) for name, predict in predictors.items()}
        if with_stages:
            if maps is None:
                raise ValueError("what a last stage reads was not held out")
            answers |= {name: predict(maps) for name, predict in with_stages.items()}
        return answers, labels


def hold_out(
    features: np.ndarray,
    labels: np.ndarray,
    split: Split,
    deeper: np.ndarray | None = None,
    maps: StageMaps | None = None,
) -> tuple[Taught, HeldOut]:
    """Part features into what training gets and what is kept from it.

    Parameters
    ----------
    features : ndarray of shape (n_images, n_dims) or (n_views + 1, n_images, n_dims), float32
    labels : ndarray of shape (n_images,), int
    split : Split
    deeper : ndarray of shape (n_deeper, n_images), int, optional
        Codes of further levels.
    maps : StageMaps, optional
        Of all pictures.
    """
    stacked = features[None] if features.ndim == 2 else features
    taught = split.taught
    train, validation = (np.searchsorted(taught, rows) for rows in (split.train, split.validation))
    return (
        Taught(
            stacked[:, taught],
            labels[taught],
            train,
            validation,
            None if deeper is None else deeper[:, taught],
            maps.take(taught) if maps else None,
        ),
        HeldOut(
            stacked[PLAIN, split.test],
            labels[split.test],
            maps.take(split.test, plain=True) if maps else None,
        ),
    )
