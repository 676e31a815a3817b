"""What training sees of a split where pictures have several labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.head.multilabel.objective import SeveralClasses
from analyze.head.objective import Goal
from analyze.head.splits import Split
from analyze.head.taught import HeldOut, Taught


@dataclass(frozen=True, eq=False)
class TaughtSeveral(Taught):
    """What training sees, as :class:`Taught`, but for the labels.

    Parameters
    ----------
    labels : ndarray of shape (n_taught, n_classes), bool
        Which classes a picture has.
    """

    def __post_init__(self) -> None:
        n_taught = self.features.shape[1] if self.features.ndim == 3 else -1
        if self.labels.ndim != 2 or len(self.labels) != n_taught or self.labels.dtype != bool:
            raise ValueError(
                f"labels must be bool of shape ({n_taught}, n_classes), got {self.labels.dtype} "
                f"of {self.labels.shape}"
            )
        if not np.isfinite(self.features).all():
            raise ValueError("features must be finite; leave other rows out and say so")
        if not self.labels[self.train].any():
            raise ValueError("train rows must have a class")

    def goal(self) -> Goal:
        """Say what is wanted of the rows: each class yes or no."""
        return SeveralClasses.of_labels(self.labels, self.train)


def hold_out_several(
    features: np.ndarray, has: np.ndarray, split: Split
) -> tuple[TaughtSeveral, HeldOut]:
    """Part features into what training gets and what is kept from it.

    Parameters
    ----------
    features : ndarray of shape (n_views + 1, n_images, n_dims), float32
        The plain pictures first.
    has : ndarray of shape (n_images, n_classes), bool
    split : Split
    """
    taught = split.taught
    train, validation = (np.searchsorted(taught, rows) for rows in (split.train, split.validation))
    return (
        TaughtSeveral(features[:, taught], has[taught], train, validation),
        HeldOut(features[0, split.test], has[split.test]),
    )
