"""Estimates: a mean over pictures, and the interval it would lie in with other pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.measures.bootstrap import interval, resampled_weights

LEAST_UNITS = 10
"""Groups of copies below which no interval is given: resamples of fewer say nothing."""


@dataclass(frozen=True)
class Estimate:
    """A mean over pictures, with its 95 % interval.

    Parameters
    ----------
    mean : float
    low, high : float or None
        None where too few pictures were tested.
    """

    mean: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """Spell it with the keys that programs read."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def mean_over_pictures(
    values: np.ndarray,
    groups: np.ndarray,
    *,
    least: float = -1.0,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Average each picture over the runs, then all pictures; pictures are resampled.

    What is estimated: the mean over pictures like these, and over splits and seeds like these, for
    heads trained on as many pictures. Runs share pictures, so they are no units of their own: the
    interval is over pictures, copies drawn together.

    Parameters
    ----------
    values : ndarray of shape (n_runs, n_images), float
        Right or wrong, or a difference of two; NaN where a run did not test a picture.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    least : float
        That a value can be: 0 of an accuracy, -1 of a difference. No interval goes below it, nor
        above 1.
    """
    tested = ~np.isnan(values)
    times = tested.sum(axis=0)
    rows = np.flatnonzero(times)
    of_each = np.where(tested, values, 0.0).sum(axis=0)[rows] / times[rows]
    mean = float(of_each.mean())
    if len(np.unique(groups[rows])) < LEAST_UNITS:
        return Estimate(mean, None, None)
    resampled = [
        (of_each @ weights) / weights.sum(axis=0)
        for weights in resampled_weights(groups[rows], n_resamples, seed)
    ]
    low, high = interval(mean, np.concatenate(resampled))
    return Estimate(mean, max(low, least), min(high, 1.0))
