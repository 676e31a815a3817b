"""The clusterings: what each computes, and what it has to say about how."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from analyze.measures.contingency_metrics import NOISE
from analyze.ties import first_occurrence, first_of_greatest
from analyze.unit_vectors import unit_rows
from extract.errors import UsageError

N_STARTS = 10
MOST_ITERATIONS = 300

SAMPLED_STARTS = 30
STARTING_ROWS = 10_000
STARTING_ROWS_A_CLUSTER = 100
MANY_TIMES = 5
"""From this factor of rows on, k-means starts on a sample: thirty starts there cost a third
of ten over all rows, and find a least sum of squares as small (tests/benchmarks, ``at_size``)."""

FULL_MOST_DIMS = 100
FULL_ROWS_A_DIM = 5
"""A full covariance is taken where every component has this many rows a dimension on average."""

MIXTURE_STARTS = 3
MIXTURE_FLOOR = 1e-3
"""Added to variances, as a share of the mean variance: one row, or copies, would else be a peak
without width, with an unbounded likelihood."""

MOST_WARD_ROWS = 20_000
"""All pairs in float64 take 1.6 GB there, and twice that while they are merged."""

SPECTRAL_NEIGHBORS = 10
SUM_DIGITS = 6
DENSE_BYTES = 1 << 29
"""Of all distances at once; above, HDBSCAN computes them as it goes."""


@dataclass(frozen=True, eq=False)
class Assigned:
    """The cluster of each row, and notes.

    Parameters
    ----------
    assignments : ndarray of shape (n_images,), int
        From 0 on; -1 is noise.
    notes : tuple of str
    """

    assignments: np.ndarray
    notes: tuple[str, ...] = ()


DENSITY_ROWS = 2
"""A row's density is that at its nearest neighbor. On 525 photographs (four spaces) and on
scikit-learn's digits fewer rows are noise than by scikit-learn's default, and the classes are found
better: ARI 0.21 to 0.65, not 0.09 to 0.32."""


def distinct_rows(coordinates: np.ndarray, enough: int) -> int:
    """Count different rows, but no further than a bound."""
    head = coordinates[: 10 * enough]
    if len(np.unique(head, axis=0)) >= enough:
        return enough
    return len(np.unique(coordinates, axis=0))


def kmeans(coordinates: np.ndarray, n_clusters: int, seed: int) -> Assigned:
    """Assign rows by KMeans: Lloyd's iterations, k-means++, the best of 10 starts.

    Of very many rows the starts are made on a sample, and only the best goes on over all of them.
    """
    from sklearn.cluster import KMeans

    n_starting = max(STARTING_ROWS, STARTING_ROWS_A_CLUSTER * n_clusters)
    if len(coordinates) < MANY_TIMES * n_starting:
        fitted = KMeans(n_clusters, n_init=N_STARTS, random_state=seed).fit(coordinates)
        return Assigned(fitted.labels_)
    drawn, weights = _coreset(coordinates, n_starting, seed)
    model = KMeans(n_clusters, n_init=SAMPLED_STARTS, random_state=seed)
    started = model.fit(coordinates[drawn], sample_weight=weights).cluster_centers_
    fitted = KMeans(n_clusters, n_init=1, init=started).fit(coordinates)
    note = f"kmeans: {SAMPLED_STARTS} starts on {n_starting} rows, the best goes on over all"
    return Assigned(fitted.labels_, (note,))


def _coreset(rows: np.ndarray, n_drawn: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows with weighted sums of squares near those of all (Bachem et al. 2018).

    Half by chance alone, half by the square of their distance from the mean, so that a few rows far
    from all others are not missed; ndarrays of shape (n_drawn,), int ascending and float64.
    """
    middle = rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
    squares = np.concatenate(
        [
            np.square(part - middle).sum(axis=1, dtype=np.float64)
            for part in np.array_split(rows, 1 + len(rows) // STARTING_ROWS)
        ]
    )
    chances = 0.5 / len(rows) + 0.5 * squares / squares.sum()
    chances /= chances.sum()
    drawn = np.random.default_rng(seed).choice(len(rows), n_drawn, p=chances)
    drawn.sort()
    return drawn, 1 / (len(rows) * chances[drawn])


def spherical(coordinates: np.ndarray, n_clusters: int, seed: int) -> Assigned:
    """Assign rows by spherical k-means (Dhillon and Modha 2001): centers have length 1 too.

    k-means++, the best of 10 starts by the sum of cosines. Rows of zeros have no direction: they
    count for no center and go to the first cluster.
    """
    unit = unit_rows(coordinates)
    directed = unit.any(axis=1)
    notes = []
    if not directed.all():
        n_zero = int((~directed).sum())
        notes.append(f"spherical: {n_zero} rows of zeros have no direction, put into cluster 0")
    rows = unit[directed]
    n_directions = distinct_rows(np.round(rows, 6), n_clusters)  # float32 knows no finer
    if n_directions < n_clusters:
        notes.append(f"{n_clusters} clusters lowered to {n_directions}: no more directions differ")
        n_clusters = n_directions
    random = np.random.RandomState(seed)
    firsts, of_row = np.unique(first_occurrence(rows), return_inverse=True)
    starts = [_spherical_start(rows, firsts, of_row, n_clusters, random) for _ in range(N_STARTS)]
    assignments = np.zeros(len(unit), np.int32)
    # starts that end alike differ by rounding, which must not number the clusters
    assignments[directed] = max(starts, key=lambda start: round(start[0], SUM_DIGITS))[1]
    return Assigned(assignments, tuple(notes))


def _spherical_start(
    rows: np.ndarray,
    firsts: np.ndarray,
    of_row: np.ndarray,
    n_clusters: int,
    random: np.random.RandomState,
) -> tuple[float, np.ndarray]:
    """Start once and iterate until no row changes; the sum of cosines, and the clusters.

    Rows that are equal, each about the same one of ``firsts``, are in one cluster.
    """
    from sklearn.cluster import kmeans_plusplus

    centers, _ = kmeans_plusplus(rows, n_clusters, random_state=random)
    assigned = np.full(len(firsts), -1)
    for _ in range(MOST_ITERATIONS):
        cosines = _cosines(rows, firsts, centers)
        before, assigned = assigned, first_of_greatest(cosines)
        own = cosines[np.arange(len(firsts)), assigned]
        _fill_empty(assigned, own, n_clusters)
        if (assigned == before).all():
            break
        centers = _mean_directions(rows, assigned[of_row], centers)
    return float(own[of_row].sum()), assigned[of_row]


def _cosines(rows: np.ndarray, some: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Compare some rows with centers in float64; ndarray of shape (n_some, n_centers)."""
    turned = centers.T.astype(np.float64)
    parts = np.array_split(some, 1 + len(some) // STARTING_ROWS)
    return np.concatenate([rows[part].astype(np.float64) @ turned for part in parts])


def _fill_empty(assignments: np.ndarray, cosines: np.ndarray, n_clusters: int) -> None:
    """Give each empty cluster the row that lies worst, of those that do not lie alone."""
    counts = np.bincount(assignments, minlength=n_clusters)
    if counts.all():
        return
    worst = iter(np.argsort(cosines, kind="stable"))
    for empty in np.flatnonzero(counts == 0):
        row = next(row for row in worst if counts[assignments[row]] > 1)
        counts[assignments[row]] -= 1
        assignments[row], counts[empty] = empty, 1


def _mean_directions(rows: np.ndarray, assignments: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Turn the sum of each cluster's rows to length 1; where it is zero the center stays."""
    from scipy.sparse import csr_array

    ones = np.ones(len(rows), rows.dtype)
    shape = (len(centers), len(rows))
    sums = csr_array((ones, (assignments, np.arange(len(rows)))), shape) @ rows
    turned = unit_rows(sums)
    return np.where(turned.any(axis=1, keepdims=True), turned, centers)


def gmm(coordinates: np.ndarray, n_clusters: int, seed: int) -> Assigned:
    """Assign rows to the likeliest component of a Gaussian mixture, in float64.

    Covariances are full in few dimensions and diagonal where there are too few rows for that.
    """
    from sklearn.mixture import GaussianMixture

    rows = coordinates.astype(np.float64)
    rows -= rows.mean(axis=0)
    rows /= math.sqrt(float((rows**2).mean()))
    n_rows, n_dims = rows.shape
    enough = n_rows >= FULL_ROWS_A_DIM * n_clusters * n_dims
    kind = "full" if n_dims <= FULL_MOST_DIMS and enough else "diag"
    fitted = GaussianMixture(
        n_clusters,
        covariance_type=kind,
        reg_covar=MIXTURE_FLOOR,
        n_init=MIXTURE_STARTS,
        max_iter=MOST_ITERATIONS,
        random_state=seed,
    )
    assignments = fitted.fit_predict(rows)
    notes = [
        f"gmm: {'full' if kind == 'full' else 'diagonal'} covariances ({n_rows} rows, "
        f"{n_dims} dimensions, {n_clusters} components), {MIXTURE_FLOOR:g} of the mean variance "
        "added"
    ]
    if not fitted.converged_:
        notes.append(f"gmm: not settled after {MOST_ITERATIONS} iterations")
    return Assigned(assignments, tuple(notes))


def agglomerative(coordinates: np.ndarray, n_clusters: int, _seed: int) -> Assigned:
    """Merge the two clusters that raise the squared error least (Ward 1963), in float64.

    Raises
    ------
    UsageError
        When all pairs of rows would not fit into memory.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(coordinates) > MOST_WARD_ROWS:
        raise UsageError(
            f"agglomerative holds all pairs of rows, so it takes {MOST_WARD_ROWS} at most, "
            f"not {len(coordinates)}: use --cluster kmeans"
        )
    fitted = AgglomerativeClustering(n_clusters, linkage="ward")
    return Assigned(fitted.fit(coordinates.astype(np.float64)).labels_)


def spectral(coordinates: np.ndarray, n_clusters: int, seed: int) -> Assigned:
    """Cut the graph of the 10 nearest neighbors (Ng, Jordan and Weiss 2001), scikit-learn's."""
    from sklearn.cluster import SpectralClustering

    n_rows, notes = len(coordinates), []
    if n_clusters >= n_rows - 1:
        return Assigned(*_few_rows(coordinates, n_clusters))
    n_neighbors = SPECTRAL_NEIGHBORS
    if n_rows <= 2 * n_neighbors:  # nearly every row would be a neighbor of every other
        n_neighbors = min(n_neighbors, max(2, n_rows // n_clusters))
    if n_neighbors < SPECTRAL_NEIGHBORS:
        notes.append(
            f"spectral: {SPECTRAL_NEIGHBORS} neighbors lowered to {n_neighbors} for {n_rows} rows "
            f"in {n_clusters} clusters"
        )
    fitted = SpectralClustering(
        n_clusters,
        affinity="nearest_neighbors",
        n_neighbors=n_neighbors,
        # dense and exact where ARPACK's subspace would nearly be the whole
        eigen_solver="lobpcg" if n_rows < 5 * n_clusters + 1 else "arpack",
        random_state=seed,
    )
    with warnings.catch_warnings(record=True) as warned:
        warnings.filterwarnings("always", "ARPACK has failed", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)  # a graph in parts: noted
        fitted.fit(coordinates)
    if warned:
        notes.append("spectral: ARPACK finds no eigenvectors, LOBPCG is used")
    n_parts = _parts(fitted.affinity_matrix_)
    if n_parts > 1:
        notes.append(f"spectral: the graph of neighbors falls into {n_parts} parts")
    return Assigned(fitted.labels_, tuple(notes))


def _few_rows(coordinates: np.ndarray, n_clusters: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Merge nothing, or the nearest two: eigenvectors say nothing there."""
    merged = agglomerative(coordinates, n_clusters, 0).assignments
    return merged, ("spectral: nearly as many clusters as rows, merged by Ward instead",)


def _parts(graph: object) -> int:
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(graph, directed=False, return_labels=False))


def hdbscan(coordinates: np.ndarray, _n_clusters: int, _seed: int) -> Assigned:
    """Find clusters by density (Campello, Moulavi and Sander 2013), scikit-learn's, in float64.

    Their number is found, not given. Noise is in no cluster.
    """
    from sklearn.cluster import HDBSCAN

    n_rows = len(coordinates)
    smallest = smallest_cluster(n_rows)
    fitted = HDBSCAN(
        min_cluster_size=smallest,
        min_samples=DENSITY_ROWS,
        algorithm="brute" if 8 * n_rows**2 <= DENSE_BYTES else "kd_tree",
        copy=True,
    )
    found = fitted.fit(coordinates.astype(np.float64)).labels_
    noise = found < 0
    n_found, n_noise = int(found.max()) + 1, int(noise.sum())
    notes = [f"hdbscan: {n_found} clusters of {smallest} rows or more"]
    if n_noise:
        notes.append(
            f"hdbscan: {n_noise} of {n_rows} rows are noise: in no cluster ({NOISE} in tables) and "
            "matched to no class; scores against classes take them for one group more"
        )
    return Assigned(np.where(noise, NOISE, found), tuple(notes))


def smallest_cluster(n_rows: int) -> int:
    """Give the fewest rows that HDBSCAN calls a cluster: half the root of their number, from 5."""
    return min(max(5, round(math.sqrt(n_rows) / 2)), max(2, n_rows // 2))
