"""Scores without labels: how well a clustering parts the rows, and whether it repeats."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from analyze.clustering.clustering import Clustering, cluster
from analyze.measures.contingency_metrics import NOISE, JointTables, ari
from analyze.pictures.duplicates import groups_of_equal_bytes
from analyze.reduction.reduction import Progress, Reduced, ordinary_scale
from analyze.threads import one_thread
from extract.errors import one_of
from extract.storage.embeddings import EmbeddingSet

SILHOUETTE_ROWS = 5_000
"""Above, the silhouette is that of as many rows, drawn by seed: it compares all pairs."""

N_SUBSAMPLES = 10
SUBSAMPLE = 0.8
NOT_DRAWN = NOISE - 1

Reducer = Callable[[EmbeddingSet, str, int, Progress | None], Reduced]


@dataclass(frozen=True, eq=False)
class Clustered:
    """A clustering with all that a score may ask about it.

    Parameters
    ----------
    embeddings : EmbeddingSet
        What was reduced.
    reduced : Reduced
        What was clustered.
    clustering : Clustering
    reducer : callable
        What reduces, such as a cache.
    """

    embeddings: EmbeddingSet
    reduced: Reduced
    clustering: Clustering
    reducer: Reducer

    @property
    def informative(self) -> bool:
        """Whether there are several clusters, not each row one, and rows that differ."""
        coordinates = self.reduced.coordinates[self.clustering.in_a_cluster]
        scorable = 1 < self.clustering.n_found < len(coordinates)
        return scorable and bool((coordinates != coordinates[0]).any())


@dataclass(frozen=True)
class Scored:
    """A score, None where it would not be informative, and its notes."""

    value: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class InternalScoreSpec:
    """One entry of the table of scores without labels.

    Parameters
    ----------
    description : str
        One line, with the range and which end is good.
    score : callable
        Clustered -> Scored; only called where the clustering is informative.
    by_default : bool
        Whether it is computed by default: it takes no longer than the clustering.
    """

    description: str
    score: Callable[[Clustered], Scored]
    by_default: bool = True


def silhouette(clustered: Clustered) -> Scored:
    """Mean silhouette (Rousseeuw 1987), euclidean, of at most 5,000 rows."""
    return _silhouette(clustered.reduced.coordinates, clustered.clustering)


def davies_bouldin(clustered: Clustered) -> Scored:
    """Mean similarity of each cluster to the one most like it (Davies and Bouldin 1979)."""
    from sklearn.metrics import davies_bouldin_score

    return Scored(_of_rows(davies_bouldin_score, clustered))


def calinski_harabasz(clustered: Clustered) -> Scored:
    """Variance between clusters by variance within (Caliński and Harabasz 1974).

    None where each cluster is of equal rows: nothing lies within, and the ratio has no bound.
    """
    from sklearn.metrics import calinski_harabasz_score

    assignments, coordinates = _rows_in_clusters(clustered)
    _, first = np.unique(assignments, return_index=True)
    _, places = np.unique(assignments, return_inverse=True)
    if (coordinates == coordinates[first[places]]).all():
        return Scored(None)
    return Scored(_of_rows(calinski_harabasz_score, clustered))


def umap_silhouette(clustered: Clustered) -> Scored:
    """Silhouette of the clusters where UMAP puts the vectors, whatever was clustered.

    Lowe et al. 2024 (arXiv 2406.02465) found that it goes with the agreement with labels.
    """
    clustering = clustered.clustering
    embeddings = clustered.embeddings
    if not (embeddings.vectors != embeddings.vectors[0]).any():
        return Scored(None)
    placed = clustered.reducer(embeddings, "umap", clustering.seed, None)
    if not any("n_neighbors" in used for used in placed.parameters):
        return Scored(None, tuple(f"umap_silhouette: {note}" for note in placed.notes))
    scored = _silhouette(placed.coordinates, clustering, "umap_silhouette")
    notes = tuple(f"umap_silhouette: {note}" for note in placed.notes)
    return Scored(scored.value, (*notes, *scored.notes))


def stability(clustered: Clustered) -> Scored:
    """Mean pairwise ARI of clusterings of ten subsamples, on the rows that two of them share.

    Ben-Hur, Elisseeff and Guyon 2002. Each holds 80 % of the rows, without replacement, copies
    together, and is clustered by a seed of its own; the reduction is that of all rows.
    """
    reduced, clustering = clustered.reduced, clustered.clustering
    n_rows = len(reduced.ids)
    units = groups_of_equal_bytes(clustered.embeddings.content_sha256, n_rows)
    found = []
    for number, rows in enumerate(subsamples(units, clustering.seed)):
        part = replace(
            reduced,
            ids=tuple(reduced.ids[i] for i in rows.tolist()),
            coordinates=reduced.coordinates[rows],
            place=None,
        )
        n_clusters = min(clustering.n_clusters, len(rows))
        again = cluster(part, n_clusters, clustering.seed + number, clustering.method)
        assignments = np.full(n_rows, NOT_DRAWN)
        assignments[rows] = again.assignments
        found.append(assignments)
    agreed = [_ari_of_shared(one, other) for one, other in itertools.combinations(found, 2)]
    known = [value for value in agreed if value is not None]
    return Scored(float(np.mean(known)) if known else None)


def subsamples(units: np.ndarray, seed: int) -> list[np.ndarray]:
    """Draw the rows of ten subsamples, ascending; none where four fifths are not two units.

    Parameters
    ----------
    units : ndarray of shape (n,), int
        Rows of one number, copies for example, are drawn together.
    seed : int
    """
    _, units = np.unique(units, return_inverse=True)
    n_units = int(units.max()) + 1
    n_drawn = int(SUBSAMPLE * n_units)
    if n_drawn < 2:
        return []
    random = np.random.default_rng(seed)
    drawn = (random.permutation(n_units)[:n_drawn] for _ in range(N_SUBSAMPLES))
    return [np.flatnonzero(np.isin(units, some)) for some in drawn]


def _ari_of_shared(one: np.ndarray, other: np.ndarray) -> float | None:
    """Compare where both were drawn; None where both put all rows together or all apart."""
    shared = (one != NOT_DRAWN) & (other != NOT_DRAWN)
    if shared.sum() < 2:
        return None
    tables = JointTables.of(one[shared], other[shared])
    n_rows, found = int(shared.sum()), {len(tables.class_counts), len(tables.cluster_counts)}
    if found in ({1}, {n_rows}):
        return None
    return float(ari(tables)[0])


def _silhouette(
    coordinates: np.ndarray, clustering: Clustering, name: str = "silhouette"
) -> Scored:
    from sklearn.metrics import silhouette_score

    rows, notes = np.flatnonzero(clustering.in_a_cluster), tuple[str, ...]()
    if len(rows) > SILHOUETTE_ROWS:
        random = np.random.default_rng(clustering.seed)
        rows = np.sort(random.choice(rows, SILHOUETTE_ROWS, replace=False))
        notes = (f"{name} is of {SILHOUETTE_ROWS} of {len(coordinates)} rows, drawn by seed",)
    assignments = clustering.assignments[rows]
    if not 1 < len(np.unique(assignments)) < len(rows):
        return Scored(None, notes)
    return Scored(_score(silhouette_score, coordinates[rows], assignments), notes)


def _of_rows(score: Callable[..., float], clustered: Clustered) -> float:
    assignments, coordinates = _rows_in_clusters(clustered)
    return _score(score, coordinates, assignments)


def _rows_in_clusters(clustered: Clustered) -> tuple[np.ndarray, np.ndarray]:
    """Give assignments and coordinates of the rows that are not noise."""
    inside = clustered.clustering.in_a_cluster
    return clustered.clustering.assignments[inside], clustered.reduced.coordinates[inside]


def _score(score: Callable[..., float], rows: np.ndarray, assignments: np.ndarray) -> float:
    """Score in float64, on one thread; none of these scores changes with the scale."""
    scaled, _ = ordinary_scale(rows)
    with one_thread():
        return float(score(scaled.astype(np.float64), assignments))


INTERNAL_SCORES: dict[str, InternalScoreSpec] = {
    "silhouette": InternalScoreSpec("-1 to 1, the more the better", silhouette),
    "davies_bouldin": InternalScoreSpec("from 0, the less the better", davies_bouldin),
    "calinski_harabasz": InternalScoreSpec("from 0, the more the better", calinski_harabasz),
    "umap_silhouette": InternalScoreSpec(
        "silhouette in UMAP space, -1 to 1, the more the better", umap_silhouette, False
    ),
    "stability": InternalScoreSpec(
        "ARI of clusterings of subsamples, 1 repeats and 0 is chance", stability, False
    ),
}
DEFAULT_SCORES = tuple(name for name, spec in INTERNAL_SCORES.items() if spec.by_default)


def internal_scores(
    clustered: Clustered, names: Iterable[str] = DEFAULT_SCORES
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Score a clustering without labels.

    Parameters
    ----------
    clustered : Clustered
    names : iterable of str
        Of :data:`INTERNAL_SCORES`.

    Returns
    -------
    scores : dict of str to float or None
        None where a score would not be informative.
    notes : tuple of str

    Raises
    ------
    UsageError
        When a score is unknown.
    """
    specs = {name: internal_score_spec(name) for name in names}
    if not clustered.informative:
        return dict.fromkeys(specs), ()
    scored = {name: spec.score(clustered) for name, spec in specs.items()}
    notes = [note for one in scored.values() for note in one.notes]
    of_clusters = [name for name in specs if name != "stability"]
    if clustered.clustering.n_noise and of_clusters:
        notes.append(f"{', '.join(of_clusters)}: on the rows that are in a cluster, without noise")
    return {name: one.value for name, one in scored.items()}, tuple(notes)


def internal_score_spec(name: str) -> InternalScoreSpec:
    """Look a score up.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    return INTERNAL_SCORES[one_of(name, INTERNAL_SCORES, "score")]
