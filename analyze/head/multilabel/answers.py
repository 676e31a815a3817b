"""What head and baselines say of the classes of each tested picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analyze.head.multilabel.thresholds import EVEN


@dataclass(frozen=True, eq=False)
class Answers:
    """What one of those that were asked says, run by run.

    Parameters
    ----------
    probabilities : ndarray of shape (n_runs, n_images, n_classes), float32
        NaN where a run did not test a picture.
    said : ndarray of shape (n_runs, n_images, n_classes), bool
        By the thresholds.
    at_half : ndarray of shape (n_runs, n_images, n_classes), bool
        By a half for every class.
    thresholds : list of ndarray of shape (n_classes,)
        Of each training.
    """

    probabilities: np.ndarray
    said: np.ndarray
    at_half: np.ndarray
    thresholds: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def blank(cls, n_runs: int, has: np.ndarray) -> Answers:
        """Make room for the answers about some pictures."""
        shape = (n_runs, *has.shape)
        nothing = np.full(shape, np.nan, np.float32)
        return cls(nothing, np.zeros(shape, bool), np.zeros(shape, bool))

    def record(
        self, run: int, rows: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray
    ) -> None:
        """Write down what a run says of its tested rows."""
        self.probabilities[run, rows] = probabilities
        self.said[run, rows] = probabilities >= thresholds
        self.at_half[run, rows] = probabilities >= EVEN
        self.thresholds.append(thresholds)


def sureness(probabilities: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Give the probability that a whole set is right, classes taken apart; ndarray (n_images,).

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
    said : ndarray of shape (n_images, n_classes), bool
    """
    of_all: np.ndarray = np.where(said, probabilities, 1 - probabilities).prod(axis=1)
    return of_all
