"""Clusterings of reduced rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from analyze.clustering import methods as clustering_methods
from analyze.clustering.methods import Assigned, distinct_rows
from analyze.measures.contingency_metrics import NOISE
from analyze.reduction.reduction import Reduced, as_reduced, ordinary_scale
from analyze.threads import one_thread
from analyze.ties import first_occurrence
from extract.errors import UsageError, one_of
from extract.storage.arrays import Vectors, frame_index
from extract.storage.embeddings import EmbeddingSet

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Clustering:
    """The cluster of each row, row i belonging to ``ids[i]``.

    Parameters
    ----------
    ids : tuple of str
    assignments : ndarray of shape (n_images,), int
        0 <= assignment < n_clusters; -1 is noise, where a clustering finds it.
    n_clusters : int
        As requested, when some may be empty; else as found.
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

    def __repr__(self) -> str:
        """How many clusters of how many rows, by what."""
        words = f"{self.n_found} clusters of {len(self.ids)} rows, {self.method}, seed {self.seed}"
        return f"{type(self).__name__}({words})"

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with the cluster of each row, by id."""
        import pandas as pd

        return pd.DataFrame({"cluster": self.assignments}, index=frame_index(self.ids))

    @property
    def n_found(self) -> int:
        """How many clusters hold at least one row; noise is none."""
        return len(np.unique(self.assignments[self.in_a_cluster]))

    @property
    def in_a_cluster(self) -> np.ndarray:
        """Say which rows are not noise; ndarray of shape (n_images,), bool."""
        inside: np.ndarray = self.assignments != NOISE
        return inside

    @property
    def n_noise(self) -> int:
        """How many rows are in no cluster."""
        return int((~self.in_a_cluster).sum())

    def __post_init__(self) -> None:
        if len(self.assignments) != len(self.ids):
            raise ValueError(
                f"assignments must hold {len(self.ids)} rows, got {len(self.assignments)}"
            )
        low = NOISE if finds_number(self.method) else 0
        if self.assignments.min() < low or self.assignments.max() >= self.n_clusters:
            raise ValueError(f"assignments must lie between {low} and {self.n_clusters - 1}")


@dataclass(frozen=True)
class ClusteringSpec:
    """One entry of the table of clusterings.

    Parameters
    ----------
    title : str
        For headings.
    description : str
        One line.
    assign : callable
        (coordinates, n_clusters, seed) -> Assigned; given two different rows at least, and no more
        clusters than there are different rows.
    uses_chance : bool
        Whether the answer depends on the seed.
    takes_k : bool
        Whether the number of clusters is given; without, it is found, and some rows may be noise.
    """

    title: str
    description: str
    assign: Callable[[np.ndarray, int, int], Assigned]
    uses_chance: bool = True
    takes_k: bool = True


CLUSTERINGS: dict[str, ClusteringSpec] = {
    "kmeans": ClusteringSpec(
        "k-means", "nearest center, the best of ten starts", clustering_methods.kmeans
    ),
    "spherical": ClusteringSpec(
        "spherical k-means", "k-means by cosine, centers too", clustering_methods.spherical
    ),
    "gmm": ClusteringSpec(
        "Gaussian mixture", "likeliest of k normal distributions", clustering_methods.gmm
    ),
    "agglomerative": ClusteringSpec(
        "Ward", "nearest clusters merged, no chance", clustering_methods.agglomerative, False
    ),
    "spectral": ClusteringSpec(
        "spectral", "cuts of the graph of nearest neighbors", clustering_methods.spectral
    ),
    "hdbscan": ClusteringSpec(
        "HDBSCAN", "dense regions, their number found", clustering_methods.hdbscan, False, False
    ),
}


def clustering_spec(method: str) -> ClusteringSpec:
    """Look a clustering up.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    return CLUSTERINGS[one_of(method, CLUSTERINGS, "clustering")]


def finds_number(method: str) -> bool:
    """Say whether a clustering finds the number of clusters, and calls some rows noise."""
    return method in CLUSTERINGS and not CLUSTERINGS[method].takes_k


def number_of_clusters(method: str, wanted: int, assignments: np.ndarray) -> int:
    """Return the number as requested, or as found where it cannot be requested."""
    if finds_number(method):
        return int(assignments.max()) + 1
    return wanted


def check_n_clusters(n_clusters: int, n_rows: int) -> None:
    """Refuse a number of clusters that this many rows cannot have.

    Raises
    ------
    UsageError
        With the numbers that can be given.
    """
    if not isinstance(n_clusters, Integral):
        raise UsageError(
            f"{n_clusters!r} is no number of clusters: give a whole one between 1 and {n_rows}, or "
            'analyze_embeddings(X, n_clusters="auto"), which chooses it'
        )
    if not 1 <= n_clusters <= n_rows:
        raise UsageError(
            f"{n_clusters} clusters of {n_rows} rows: give a number between 1 and {n_rows}"
        )


def cluster(
    vectors: Reduced | EmbeddingSet | Vectors,
    n_clusters: int,
    seed: int = 0,
    method: str = "kmeans",
) -> Clustering:
    """Clusters of rows, reduced or not; one seed gives one result.

    Equal rows are in one cluster. It runs on one thread.

    Parameters
    ----------
    vectors : Reduced, EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
    n_clusters : int
        Where there are fewer different rows, the clusters beyond them stay empty; that is noted.
        Passed over by a clustering that finds their number.
    method : str
        A name of :data:`CLUSTERINGS`.

    Raises
    ------
    UsageError
        When the clustering is unknown or the number is not between 1 and the number of rows.

    Examples
    --------
    >>> from analyze import cluster
    >>> cluster([[0, 0], [0, 1], [9, 9]], 2)
    Clustering(2 clusters of 3 rows, kmeans, seed 0)
    """
    reduced = as_reduced(vectors)
    spec = clustering_spec(method)
    notes = []
    if spec.takes_k:
        check_n_clusters(n_clusters, len(reduced.ids))
    wanted = n_clusters if spec.takes_k else 2
    effective = min(wanted, distinct_rows(reduced.coordinates, wanted))
    if effective < wanted:
        notes.append(
            f"{n_clusters} clusters lowered to {effective}: there are no more different rows"
            if spec.takes_k
            else "one cluster: no two rows differ"
        )
    assigned = Assigned(np.zeros(len(reduced.ids), np.int32))
    if effective > 1:
        coordinates, exponent = ordinary_scale(reduced.coordinates)
        if exponent:
            notes.append(f"clustered after division by 2^{exponent}: its squares fit float32")
        with one_thread(), warnings.catch_warnings():
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)  # noted
            assigned = spec.assign(coordinates, effective, seed)
            # products by which a center is nearest differ by the place of a row
            same = first_occurrence(coordinates)
            assigned = replace(assigned, assignments=assigned.assignments[same])
    number = number_of_clusters(method, n_clusters, assigned.assignments)
    notes += assigned.notes
    clustering = Clustering(reduced.ids, assigned.assignments, number, method, seed, tuple(notes))
    if spec.takes_k and clustering.n_found < effective:
        note = f"{clustering.n_found} of {effective} clusters hold rows"
        clustering = replace(clustering, notes=(*clustering.notes, note))
    return clustering
