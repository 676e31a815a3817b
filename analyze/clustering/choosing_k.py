"""How many clusters, by default: three criteria over k, and one answer with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from analyze.measures.contingency_metrics import JointTables, ari
from analyze.pictures.duplicates import groups_of_equal_bytes
from analyze.reduction.reduction import Progress, Reduced, ordinary_scale
from analyze.threads import one_thread

MOST_ROWS = 2000
"""Of the pictures looked at; more are drawn by seed."""

MOST_CLUSTERS = 60
ALL_UP_TO = 20
ROWS_A_CLUSTER = 5
N_STARTS = 3
N_SUBSAMPLES = 6
SHARE = 0.8
N_REFERENCES = 6
CRITERIA = ("silhouette", "stability", "gap")
LEAST_SILHOUETTE = 0.25
"""Below it Kaufman and Rousseeuw (1990) find no substantial structure."""


@dataclass(frozen=True, eq=False)
class Criterion:
    """One criterion over the numbers of clusters tried.

    Parameters
    ----------
    name : str
    values, spreads : ndarray of shape (n_ks,), float64
        Higher is better; the spread is its standard error over starts, subsamples or references.
    k : int
        What it would choose alone.
    """

    name: str
    values: np.ndarray
    spreads: np.ndarray
    k: int


@dataclass(frozen=True, eq=False)
class ChosenK:
    """A number of clusters, and why.

    Parameters
    ----------
    ks : tuple of int
        Numbers tried, ascending.
    criteria : tuple of Criterion
    k : int
    why : str
    notes : tuple of str
    """

    ks: tuple[int, ...]
    criteria: tuple[Criterion, ...]
    k: int
    why: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "k": self.k,
            "why": self.why,
            "criteria": {
                each.name: {
                    "k": each.k,
                    "curve": [
                        [k, value, spread]
                        for k, value, spread in zip(
                            self.ks, each.values.tolist(), each.spreads.tolist(), strict=True
                        )
                    ],
                }
                for each in self.criteria
            },
        }


def numbers_to_try(n_rows: int) -> tuple[int, ...]:
    """List the numbers of clusters that this many different rows can have.

    Each from 2 to 20, then a fifth more each time to 60; five rows a cluster at least.
    """
    ks = list(range(2, ALL_UP_TO + 1))
    while ks[-1] < MOST_CLUSTERS:
        ks.append(min(MOST_CLUSTERS, round(ks[-1] * 1.2)))
    return tuple(k for k in ks if k * ROWS_A_CLUSTER <= n_rows)


def choose_k(
    reduced: Reduced,
    content_sha256: np.ndarray | None = None,
    *,
    seed: int = 0,
    ks: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> ChosenK:
    """Choose the number of clusters of reduced rows by silhouette, stability and gap.

    The silhouette (Rousseeuw 1987), the stability (Ben-Hur, Elisseeff and Guyon 2002, less what
    rows without structure give, as Lange et al. 2004 ask) and the gap statistic (Tibshirani,
    Walther and Hastie 2001) each choose, and the middle one of the three is taken: each errs in its
    own way, the silhouette towards few where groups lie in groups, the gap in many dimensions,
    stability where groups are of unequal size.

    Parameters
    ----------
    reduced : Reduced
    content_sha256 : ndarray of shape (n_images, 32), uint8, optional
        Copies are looked at once: they would make any number of small clusters perfect.
    seed : int
    ks : sequence of int, optional
        Numbers to try.
    progress : callable, optional
        Called with the numbers tried and their total.
    """
    points, notes = _looked_at(reduced, content_sha256, seed)
    ks = tuple(ks or numbers_to_try(len(points)))
    if len(points) < 2 * ROWS_A_CLUSTER or not ks:
        notes.append(f"{len(points)} different pictures are too few to choose a number of clusters")
        return ChosenK((1,), (), 1, "too few different pictures", tuple(notes))
    with one_thread():
        references = _references(points, seed)
        found = []
        for done, k in enumerate(ks, start=1):
            both = _stability_and_gap(points, references, k, seed)
            found.append((_silhouette(points, k, seed), *both))
            if progress:
                progress(done, len(ks))
    by_name = zip(CRITERIA, np.array(found).transpose(1, 2, 0), strict=True)
    criteria = tuple(
        Criterion(name, values, spreads, ks[_best(name, values, spreads)])
        for name, (values, spreads) in by_name
    )
    return _chosen(ks, criteria, notes)


def _looked_at(
    reduced: Reduced, content: np.ndarray | None, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Take each different picture once, and not too many."""
    coordinates, _ = ordinary_scale(reduced.coordinates)
    _, first = np.unique(groups_of_equal_bytes(content, len(coordinates)), return_index=True)
    points = np.unique(coordinates[np.sort(first)].astype(np.float64), axis=0)
    notes = []
    if len(points) > MOST_ROWS:
        drawn = np.random.default_rng(seed).choice(len(points), MOST_ROWS, replace=False)
        notes.append(f"the number of clusters is chosen on {MOST_ROWS} of {len(points)} pictures")
        points = points[np.sort(drawn)]
    return points, notes


def _kmeans(points: np.ndarray, k: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, n_init=1, random_state=seed).fit(points)


def _silhouette(points: np.ndarray, k: int, seed: int) -> tuple[float, float]:
    """Average the silhouette over starts."""
    from sklearn.metrics import silhouette_score

    found = []
    for start in range(N_STARTS):
        labels = _kmeans(points, k, seed + start).labels_
        found.append(float(silhouette_score(points, labels)) if len(set(labels)) > 1 else 0.0)
    return float(np.mean(found)), float(np.std(found, ddof=1) / N_STARTS**0.5)


def _references(points: np.ndarray, seed: int) -> list[np.ndarray]:
    """Draw rows without structure in the box of the principal axes (Tibshirani et al. 2001)."""
    center = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - center, full_matrices=False)
    turned = (points - center) @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    random = np.random.default_rng(seed)
    return [random.uniform(low, high, turned.shape) for _ in range(N_REFERENCES)]


def _stability_and_gap(
    points: np.ndarray, references: Sequence[np.ndarray], k: int, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    own, without = _stability(points, k, seed), _stability(references[0], k, seed)
    stability = float(own.mean() - without.mean())
    error = float(np.hypot(own.std(ddof=1), without.std(ddof=1)) / len(own) ** 0.5)
    logs = np.array([np.log(max(_kmeans(each, k, seed).inertia_, 1e-300)) for each in references])
    within = min(_kmeans(points, k, seed + start).inertia_ for start in range(N_STARTS))
    gap = float(logs.mean() - np.log(max(within, 1e-300)))
    spread = float(logs.std() * (1 + 1 / len(logs)) ** 0.5)
    return (stability, error), (gap, spread)


def _stability(points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Give the ARI of clusterings of two subsamples, on the rows they share, for many of them."""
    random = np.random.default_rng([seed, k])
    clustered = []
    for _ in range(N_SUBSAMPLES):
        rows = np.sort(random.choice(len(points), int(SHARE * len(points)), replace=False))
        labels = np.full(len(points), -1)
        labels[rows] = _kmeans(points[rows], k, int(random.integers(2**31))).labels_
        clustered.append(labels)
    found = []
    for one, other in combinations(clustered, 2):
        both = (one >= 0) & (other >= 0)
        found.append(float(ari(JointTables.of(one[both], other[both]))[0]))
    return np.array(found)


def _best(name: str, values: np.ndarray, spreads: np.ndarray) -> int:
    """Find what a criterion would choose; the gap takes the first that the next does not beat."""
    if name != "gap":
        return int(np.argmax(values))
    enough = values[:-1] >= values[1:] - spreads[1:]
    return int(np.argmax(enough)) if enough.any() else len(values) - 1


def _chosen(ks: tuple[int, ...], criteria: tuple[Criterion, ...], notes: list[str]) -> ChosenK:
    k = sorted(each.k for each in criteria)[len(criteria) // 2]
    at, silhouette = ks.index(k), criteria[0]
    named = ", ".join(f"{each.name} {each.k}" for each in criteria)
    mean = f"silhouette {silhouette.values[at]:.2f}, mean of {N_STARTS} seeds"
    why = f"{k} clusters: the middle of {named}; {mean}"
    if silhouette.values[at] < LEAST_SILHOUETTE:
        notes.append(
            f"no clear structure: a silhouette of {silhouette.values[at]:.2f}, and below "
            f"{LEAST_SILHOUETTE} clusters may be slices of one cloud"
        )
    return ChosenK(ks, criteria, k, why, tuple(notes))
