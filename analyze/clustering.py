"""Clusterings of reduced rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analyze.reduction import Reduced, ordinary_scale
from analyze.threads import one_thread
from extract.errors import UsageError


@dataclass(frozen=True, eq=False)
class Clustering:
    """The cluster of each row, row i belonging to ``ids[i]``.

    Parameters
    ----------
    ids : tuple of str
    assignments : ndarray of shape (n_images,), int
        0 <= assignment < n_clusters.
    n_clusters : int
        As asked for; some may be empty.
    method : str
    seed : int
    notes : tuple of str
    """

    ids: tuple[str, ...]
    assignments: np.ndarray
    n_clusters: int
    method: str
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def n_found(self) -> int:
        """How many clusters hold at least one row."""
        return len(np.unique(self.assignments))

    def __post_init__(self) -> None:
        if len(self.assignments) != len(self.ids):
            raise ValueError(
                f"assignments must hold {len(self.ids)} rows, got {len(self.assignments)}"
            )
        if self.assignments.min() < 0 or self.assignments.max() >= self.n_clusters:
            raise ValueError(f"assignments must lie between 0 and {self.n_clusters - 1}")


def _kmeans(coordinates: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Assign rows by KMeans: Lloyd's iterations, k-means++, the best of 10 starts."""
    from sklearn.cluster import KMeans

    fitted = KMeans(n_clusters=n_clusters, n_init=10, random_state=seed).fit(coordinates)
    assignments: np.ndarray = fitted.labels_
    return assignments


CLUSTERINGS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {"kmeans": _kmeans}


def check_method(method: str) -> None:
    """Refuse a clustering that is not in the table.

    Raises
    ------
    UsageError
        Listing those that are.
    """
    if method not in CLUSTERINGS:
        raise UsageError(f"no clustering {method!r}: choose one of {', '.join(CLUSTERINGS)}")


def check_n_clusters(n_clusters: int, n_rows: int) -> None:
    """Refuse a number of clusters that so many rows cannot have.

    Raises
    ------
    UsageError
        With the numbers that can be given.
    """
    if not 1 <= n_clusters <= n_rows:
        raise UsageError(
            f"{n_clusters} clusters of {n_rows} pictures: give --clusters between 1 and {n_rows}"
        )


def cluster(reduced: Reduced, n_clusters: int, seed: int = 0, method: str = "kmeans") -> Clustering:
    """Cluster reduced rows, on one thread so that a seed gives one result.

    Parameters
    ----------
    n_clusters : int
        Where there are fewer different rows, the clusters beyond them stay empty; that is noted.

    Raises
    ------
    UsageError
        When the clustering is unknown or the number is not between 1 and the number of rows.
    """
    check_method(method)
    check_n_clusters(n_clusters, len(reduced.ids))
    coordinates = reduced.coordinates
    notes = []
    effective = min(n_clusters, _distinct_rows(coordinates, n_clusters))
    if effective < n_clusters:
        notes.append(
            f"{n_clusters} clusters lowered to {effective}: there are no more different rows"
        )
    coordinates, exponent = ordinary_scale(coordinates)
    if exponent:
        notes.append(f"clustered after division by 2^{exponent}, whose squares fit float32")
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assignments = CLUSTERINGS[method](coordinates, effective, seed)
    return Clustering(reduced.ids, assignments, n_clusters, method, seed, tuple(notes))


def _distinct_rows(coordinates: np.ndarray, enough: int) -> int:
    """Count different rows, but no further than is asked about."""
    head = coordinates[: 10 * enough]
    if len(np.unique(head, axis=0)) >= enough:
        return enough
    return len(np.unique(coordinates, axis=0))
