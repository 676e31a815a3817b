"""Similarity of the representations of two backbones on the same pictures, such as CKA."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

N_NEAREST = 10
LEAST_PICTURES = 4
"""Below, no unbiased estimate is to be had."""


@dataclass(frozen=True, eq=False)
class CenteredRows:
    """Vectors about their mean, and the products of rows that are used again and again.

    Parameters
    ----------
    features : ndarray of shape (n_images, n_dims), float64
    """

    features: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> CenteredRows:
        """Center vectors; equal rows become zeros to the last digit."""
        features = vectors.astype(np.float64) - vectors[0].astype(np.float64)
        return cls(features - features.mean(axis=0))

    @cached_property
    def gram(self) -> np.ndarray:
        """Products of rows with rows; ndarray of shape (n_images, n_images)."""
        gram: np.ndarray = self.features @ self.features.T
        return gram

    @cached_property
    def squared_lengths(self) -> np.ndarray:
        """Of each row; ndarray of shape (n_images,)."""
        squares: np.ndarray = (self.features**2).sum(axis=1)
        return squares

    @cached_property
    def dependence_on_itself(self) -> tuple[float, float]:
        """Biased and unbiased, for the denominators."""
        return dependence(self, self)


def dependence(one: CenteredRows, other: CenteredRows) -> tuple[float, float]:
    """Measure how far rows that are alike in one are alike in the other (HSIC), linear kernels.

    By products of columns where pictures are more than numbers, else by products of rows.

    Returns
    -------
    biased, unbiased : float
        Both times (n - 1)^2, the second by Song et al. 2012; that one NaN below four pictures.
    """
    n = len(one.features)
    if n > max(one.features.shape[1], other.features.shape[1]):
        biased = float(np.square(one.features.T @ other.features).sum())
    else:
        biased = float(np.vdot(one.gram, other.gram))
    if n < LEAST_PICTURES:
        return biased, np.nan
    # rows are centered, so sums of products without the diagonal are minus the squared lengths
    diagonal = float(one.squared_lengths @ other.squared_lengths)
    totals = float(one.squared_lengths.sum() * other.squared_lengths.sum())
    summed = biased - diagonal * n / (n - 2) + totals / ((n - 1) * (n - 2))
    return biased, summed * (n - 1) ** 2 / (n * (n - 3))


def linear_cka(one: CenteredRows, other: CenteredRows) -> tuple[float | None, float | None]:
    """Compare two sets of vectors by centered kernel alignment (Kornblith et al. 2019).

    Parameters
    ----------
    one, other : CenteredRows
        Row i of both about the same picture.

    Returns
    -------
    cka : float or None
        1 for vectors that differ by a rotation and a scale; far above 0 for unrelated ones where
        numbers are more than pictures. None where all rows of one set are equal.
    debiased : float or None
        About 0 for unrelated vectors, however few. None below four pictures, too.
    """
    parts = zip(
        dependence(one, other), one.dependence_on_itself, other.dependence_on_itself, strict=True
    )
    cka, debiased = (
        float(both / np.sqrt(a * b)) if a > 0 and b > 0 else None for both, a, b in parts
    )
    return cka, debiased


def neighbor_overlap(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return the mean share of their nearest neighbors that pictures have in common.

    Parameters
    ----------
    one, other : ndarray of shape (n_images, k), int
        Of :func:`analyze.neighbors.indexes.exact_search.nearest_others`; -1 where there are fewer.

    Returns
    -------
    float or None
        About k / (n_images - 1) for unrelated vectors; None where no picture has neighbors.
    """
    shared = ((one[:, :, None] == other[:, None, :]) & (one[:, :, None] >= 0)).sum(axis=(1, 2))
    there = np.minimum((one >= 0).sum(axis=1), (other >= 0).sum(axis=1))
    judged = there > 0
    return float((shared[judged] / there[judged]).mean()) if judged.any() else None
