"""Joint tables of classes and clusters, many at once, and the scores that are read off them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

NOISE = -1
"""The assignment of a row that is in no cluster."""


@dataclass(frozen=True, eq=False)
class JointTables:
    """How often each class meets each cluster: tables of one shape, by the cells that they fill.

    Parameters
    ----------
    classes, clusters : ndarray of shape (n_cells,), int
        Of each cell that is not empty in all tables; ascending by class, then cluster; each number
        from 0 to the greatest is there.
    counts : ndarray of shape (n_cells, n_tables), int64
        Pictures; every table holds at least one.
    has_noise : bool
        Whether number 0 of the clusters is none, but the rows that are in none.
    """

    classes: np.ndarray
    clusters: np.ndarray
    counts: np.ndarray
    has_noise: bool = False

    @classmethod
    def of(
        cls, labels: np.ndarray, assignments: np.ndarray, weights: np.ndarray | None = None
    ) -> JointTables:
        """Count pictures by class and cluster.

        Parameters
        ----------
        labels, assignments : ndarray of shape (n,), int
            An assignment of :data:`NOISE` is that of a row in no cluster.
        weights : ndarray of shape (n, n_tables), int, optional
            How often each picture counts in each table; once in one table without.
        """
        _, labels = np.unique(labels, return_inverse=True)
        numbers, assignments = np.unique(assignments, return_inverse=True)
        width = int(assignments.max()) + 1
        filled, cell = np.unique(labels * width + assignments, return_inverse=True)
        counts = sums_by(cell, len(filled), weights)
        return cls(*np.divmod(filled, width), counts, bool(numbers[0] == NOISE))

    @property
    def n_tables(self) -> int:
        """How many tables there are."""
        return int(self.counts.shape[1])

    @cached_property
    def totals(self) -> np.ndarray:
        """Pictures of each table; ndarray of shape (n_tables,), int64."""
        totals: np.ndarray = self.counts.sum(axis=0)
        return totals

    @cached_property
    def class_counts(self) -> np.ndarray:
        """Pictures by class; ndarray of shape (n_classes, n_tables), int64."""
        return sums_by(self.classes, int(self.classes.max()) + 1, self.counts)

    @cached_property
    def cluster_counts(self) -> np.ndarray:
        """Pictures by cluster; ndarray of shape (n_clusters, n_tables), int64."""
        return sums_by(self.clusters, int(self.clusters.max()) + 1, self.counts)

    def table(self, number: int) -> np.ndarray:
        """Spell one table out; ndarray of shape (n_classes, n_clusters), int64."""
        table = np.zeros((len(self.class_counts), len(self.cluster_counts)), np.int64)
        table[self.classes, self.clusters] = self.counts[:, number]
        return table

    @cached_property
    def entropies(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Entropy in nats of classes, of clusters and of both together; each (n_tables,)."""
        n = self.totals
        logs = np.arange(int(n.max()) + 1, dtype=np.float64)
        logs[1:] *= np.log(logs[1:])

        def entropy(counts: np.ndarray) -> np.ndarray:
            found: np.ndarray = np.log(n) - logs[counts].sum(axis=0) / n
            return np.where((counts > 0).sum(axis=0) > 1, found, 0.0)

        return entropy(self.class_counts), entropy(self.cluster_counts), entropy(self.counts)

    @cached_property
    def mutual_information(self) -> np.ndarray:
        """Of classes and clusters, in nats; ndarray of shape (n_tables,), not negative."""
        of_classes, of_clusters, of_both = self.entropies
        informed = (of_classes > 0) & (of_clusters > 0)
        return np.where(informed, np.maximum(of_classes + of_clusters - of_both, 0.0), 0.0)

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ordered pairs of pictures that are together in both, in classes, in clusters."""

        def squares(counts: np.ndarray) -> np.ndarray:
            found: np.ndarray = (counts * counts).sum(axis=0) - self.totals
            return found.astype(np.float64)

        return squares(self.counts), squares(self.class_counts), squares(self.cluster_counts)


def sums_by(places: np.ndarray, n_places: int, weights: np.ndarray | None) -> np.ndarray:
    """Add up rows that go to one place.

    Parameters
    ----------
    places : ndarray of shape (n,), int
    n_places : int
    weights : ndarray of shape (n, n_tables), int, or None
        Ones without.

    Returns
    -------
    ndarray of shape (n_places, n_tables), int64
    """
    if weights is None:
        return np.bincount(places, minlength=n_places)[:, None]
    from scipy.sparse import csr_array

    ones = np.ones(len(places), weights.dtype)
    chosen = csr_array((ones, (places, np.arange(len(places)))), (n_places, len(places)))
    sums: np.ndarray = chosen @ weights
    return sums.astype(np.int64, copy=False)


def ari(tables: JointTables) -> np.ndarray:
    """Adjusted Rand index (Hubert and Arabie 1985): 1 is equal, 0 is chance."""
    return ari_of_pairs(*tables.pairs, tables.totals)


def ari_of_pairs(
    both: np.ndarray, by_class: np.ndarray, by_cluster: np.ndarray, totals: np.ndarray
) -> np.ndarray:
    """Reckon the adjusted Rand index from ordered pairs of pictures that are together.

    Parameters
    ----------
    both, by_class, by_cluster : ndarray of float64
        In cells of the table, in classes, in clusters.
    totals : ndarray of int
        Pictures.
    """
    n = totals.astype(np.float64)
    expected = by_class * by_cluster / np.maximum(n * (n - 1), 1)
    most = (by_class + by_cluster) / 2
    equal = (both == by_class) & (both == by_cluster)
    return np.where(equal, 1.0, (both - expected) / np.where(equal, 1.0, most - expected))


def ami(tables: JointTables) -> np.ndarray:
    """Adjusted mutual information (Vinh, Epps and Bailey 2010), arithmetic mean."""
    from sklearn.metrics import adjusted_mutual_info_score

    found = []
    for counts in tables.counts.T:
        labels, assignments = (np.repeat(of, counts) for of in (tables.classes, tables.clusters))
        found.append(adjusted_mutual_info_score(labels, assignments))
    return np.array(found)


def nmi(tables: JointTables) -> np.ndarray:
    """Normalized mutual information, arithmetic mean; not corrected for chance."""
    of_classes, of_clusters, _ = tables.entropies
    mean = (of_classes + of_clusters) / 2
    return np.where(mean > 0, tables.mutual_information / np.where(mean > 0, mean, 1.0), 1.0)


def homogeneity(tables: JointTables) -> np.ndarray:
    """How far each cluster is of one class (Rosenberg and Hirschberg 2007)."""
    return _share(tables.mutual_information, tables.entropies[0])


def completeness(tables: JointTables) -> np.ndarray:
    """How far each class is in one cluster (Rosenberg and Hirschberg 2007)."""
    return _share(tables.mutual_information, tables.entropies[1])


def v_measure(tables: JointTables) -> np.ndarray:
    """Harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg 2007)."""
    one, other = homogeneity(tables), completeness(tables)
    both = one + other
    return np.where(both > 0, 2 * one * other / np.where(both > 0, both, 1.0), 0.0)


def purity(tables: JointTables) -> np.ndarray:
    """Share of rows that are of their cluster's most frequent class (Manning et al. 2008)."""
    most = np.zeros_like(tables.cluster_counts)
    np.maximum.at(most, tables.clusters, tables.counts)
    share: np.ndarray = most.sum(axis=0) / tables.totals
    return share


def fowlkes_mallows(tables: JointTables) -> np.ndarray:
    """Geometric mean of the pairs' precision and recall (Fowlkes and Mallows 1983)."""
    both, by_class, by_cluster = tables.pairs
    mean = np.sqrt(by_class) * np.sqrt(by_cluster)
    return np.where(both > 0, both / np.where(mean > 0, mean, 1.0), 0.0)


def matched_accuracy(tables: JointTables) -> np.ndarray:
    """Share of rows in the cluster matched to their class; unmatched ones and noise are wrong."""
    shares = []
    for number, total in enumerate(tables.totals):
        table = tables.table(number)[:, int(tables.has_noise) :]
        shares.append(table[match(table)].sum() / total)
    return np.array(shares)


def match(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match classes and clusters one to one so that most rows agree (Kuhn 1955).

    Returns
    -------
    classes, clusters : ndarray of shape (min(n_classes, n_clusters),), int
    """
    from scipy.optimize import linear_sum_assignment

    classes, clusters = linear_sum_assignment(confusion, maximize=True)
    return classes, clusters


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 1.0)


METRICS: dict[str, Callable[[JointTables], np.ndarray]] = {
    "ari": ari,
    "ami": ami,
    "nmi": nmi,
    "v_measure": v_measure,
    "homogeneity": homogeneity,
    "completeness": completeness,
    "purity": purity,
    "fowlkes_mallows": fowlkes_mallows,
    "matched_accuracy": matched_accuracy,
}
"""A score a table: joint tables in, ndarray of shape (n_tables,) out."""

SLOW_METRICS = frozenset({"ami", "matched_accuracy"})
"""Go from table to table, so they are not for thousands of them."""
