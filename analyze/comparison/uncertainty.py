"""Uncertainty of a comparison: what other pictures would give, and what chance gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyze.comparison.pairwise_tests import compare_pairs
from analyze.comparison.resampling import permuted_means, resampled_means
from analyze.comparison.scores import ComparedPair, ComparisonRow, Setting
from analyze.measures.bootstrap import Interval, interval, permutation_p_value
from analyze.reduction.reduction import Progress

N_RESAMPLES_OF_PAIRS = 10_000
"""At least: an adjusted p-value is made of the rarest resamples."""

N_PERMUTATIONS = 999


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What resamples and shuffled labels give of each setting.

    Parameters
    ----------
    settings : tuple of Setting
    n_images : int
        With a label.
    n_resamples : int
        Of a cell's interval; pairs take all that were drawn.
    resampled : mapping of str to ndarray of shape (n_settings, n_drawn)
        By metric; empty where no interval can be had.
    permuted : ndarray of shape (n_settings, n_permutations)
        ARI with shuffled labels.
    """

    settings: tuple[Setting, ...]
    n_images: int
    n_resamples: int
    resampled: Mapping[str, np.ndarray]
    permuted: np.ndarray

    @classmethod
    def of(
        cls,
        clustered: Mapping[Setting, Sequence[np.ndarray]],
        codes: np.ndarray,
        units: np.ndarray,
        n_resamples: int,
        progress: Progress | None = None,
    ) -> Uncertainty:
        """Resample and shuffle the pictures that have a label.

        Parameters
        ----------
        clustered : mapping of Setting to sequence of ndarray of shape (n_images,), int
            Assignments, a seed each.
        codes : ndarray of shape (n_images,), int
            Labels; -1 where there is none.
        units : ndarray of shape (n_images,), int
            Copies have one number.
        n_resamples : int
            0 for none.
        progress : callable, optional
        """
        labelled = codes >= 0
        codes, units = codes[labelled], units[labelled]
        cells = [[each[labelled] for each in seeds] for seeds in clustered.values()]
        n_drawn = max(n_resamples, N_RESAMPLES_OF_PAIRS) if len(cells) > 1 else n_resamples
        resampled = (
            resampled_means(codes, cells, units, n_drawn, progress=progress) if n_resamples else {}
        )
        permuted = permuted_means(codes, cells, units, N_PERMUTATIONS)
        return cls(tuple(clustered), len(codes), n_resamples, resampled, permuted)

    def interval(self, setting: Setting, metric: str, mean: float) -> Interval | None:
        """Give the interval of a mean over seeds, or None where there is none."""
        if metric not in self.resampled:
            return None
        drawn = self.resampled[metric][self.settings.index(setting), : self.n_resamples]
        low, high = interval(mean, drawn)
        return Interval(low, min(high, 1.0))  # which no score exceeds

    def p_chance(self, setting: Setting, metric: str, mean: float) -> float | None:
        """Say how rarely shuffled labels score as high; None for other scores than the ARI."""
        if metric != "ari":
            return None
        return permutation_p_value(mean, self.permuted[self.settings.index(setting)])

    def pairs(self, rows: Sequence[ComparisonRow], differing: str) -> tuple[ComparedPair, ...]:
        """Hold settings against each other that differ in one field, by every metric resampled.

        Parameters
        ----------
        rows : sequence of ComparisonRow
            By setting, then seed.
        differing : str
            Field of Setting.
        """
        by_setting = np.array_split(np.arange(len(rows)), len(self.settings))
        found: list[ComparedPair] = []
        for metric, resampled in self.resampled.items():
            scores = {
                setting: np.array([rows[i].scores[metric] for i in own], dtype=np.float64)
                for setting, own in zip(self.settings, by_setting, strict=True)
            }
            found += compare_pairs(
                self.settings,
                scores,
                dict(zip(self.settings, resampled, strict=True)),
                level=rows[0].level,
                metric=metric,
                n_images=self.n_images,
                differing=differing,
            )
        return tuple(found)
