"""The steps that reductions are made of: how each is typed, what it computes."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from analyze.unit_vectors import unit_rows
from extract.errors import UsageError

log = logging.getLogger("sosie")

EXACT_TSNE_ROWS = 5_000
"""Below, Barnes-Hut is faster than the interpolation of FIt-SNE; above, the reverse."""

EXAGGERATED_ITERATIONS = 250
FEW_ROWS_ITERATIONS, MANY_ROWS_ITERATIONS = 500, 750
"""Of t-SNE after the exaggerated ones. 500 is openTSNE's own number; of 12,000 rows it leaves the
KL divergence 1 % above scikit-learn's, 750 reach 1.5 % below it."""

PCA_ROWS_A_DIM = 10
WIDEST_COVARIANCE = 5000
"""100 MB of float32, and some seconds for its eigenvectors."""

DOUBLES_BYTES = 1 << 28
MEAN_ROWS = 4096
FAR_OFF = 10
"""Times the variance: of less, products in float32 lose a digit."""

GRID_BITS = 24

FEWEST_TSNE_ROWS = 4
FEWEST_UMAP_ROWS = 10
UMAP_MIN_DIST = 0.1

Progress = Callable[[int, int], None]
"""Called with the iterations done and their total."""

Place = Callable[[np.ndarray], np.ndarray]
"""Where new vectors lie among those reduced: (m, n_dims) float32 -> (m, n_out) float32."""


@dataclass(frozen=True)
class StepResult:
    """Coordinates after one step, the parameters used, notes, and the placement of new vectors.

    Parameters
    ----------
    coordinates : ndarray of shape (n_images, n_out), float32
    used : mapping
    notes : tuple of str
    place : callable, optional
        None where the step was left out: others stay where they are too.
    """

    coordinates: np.ndarray
    used: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    place: Place | None = None


def ordinary_scale(vectors: np.ndarray) -> tuple[np.ndarray, int]:
    """Divide by a power of two where squares would leave float32; exact, and often by 1.

    Returns
    -------
    scaled : ndarray
    exponent : int
        ``vectors`` is ``scaled`` times two to this power.
    """
    largest = max(float(vectors.max()), -float(vectors.min()))
    if largest == 0 or 1e-12 < largest < 1e15:
        return vectors, 0
    exponent = math.frexp(largest)[1]
    return np.ldexp(vectors, -exponent), exponent


def parse_nothing(words: Sequence[str]) -> dict[str, Any]:
    """Read a step that takes no parameters."""
    if words:
        raise ValueError("it takes nothing after a colon")
    return {}


def l2(
    vectors: np.ndarray, _parameters: Mapping[str, Any], _seed: int, _progress: Progress | None
) -> StepResult:
    """Scale each row to length 1; rows of zeros have no direction and stay zero."""
    zero = int((~vectors.any(axis=1)).sum())
    notes = (f"l2: {zero} rows of zeros have no direction and stay zero",) if zero else ()
    return StepResult(unit_rows(vectors), {}, notes, unit_rows)


def parse_pca(words: Sequence[str]) -> dict[str, Any]:
    """Read a number of components or a share of the variance."""
    expected = "say pca:50 for 50 components or pca:0.99 for that share of the variance"
    if len(words) != 1:
        raise ValueError(expected)
    try:
        number = float(words[0])
    except ValueError:
        raise ValueError(expected) from None
    if number >= 1 and "." in words[0]:
        raise ValueError(f"{words[0]} could be a share or a number: {expected}")
    if 0 < number < 1:
        return {"n_components": number}
    if number >= 1 and number.is_integer():
        return {"n_components": int(number)}
    raise ValueError(expected)


def pca(
    vectors: np.ndarray, parameters: Mapping[str, Any], seed: int, _progress: Progress | None
) -> StepResult:
    """Project on the principal components, scikit-learn's."""
    from sklearn.decomposition import PCA

    wanted, most = parameters["n_components"], min(vectors.shape)
    notes = []
    if wanted > most:
        notes.append(f"pca: {wanted} components lowered to {most}, as many as the rows allow")
        wanted = most
    scaled, exponent = ordinary_scale(vectors)
    scaled, middle = centered(scaled)
    fitted = PCA(n_components=wanted, random_state=seed, svd_solver=_pca_solver(scaled.shape))
    scores = fitted.fit_transform(scaled)
    grid = grid_of(scores)
    coordinates = _in_float32(on_grid(scores, grid), exponent)
    share = float(fitted.explained_variance_ratio_.sum())
    used = {"n_components": int(fitted.n_components_), "explained_variance": round(share, 6)}
    place = partial(_place_pca, fitted, exponent, middle, grid)
    return StepResult(coordinates, used, tuple(notes), partial(_one_by_one, place))


def centered(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the mean of some rows, thousands of all; what was subtracted, of shape (n_dims,).

    In float64 where that costs little: last digits differ by processor, and grow in t-SNE. In
    float32 scikit-learn takes the mean off the products, and an offset far beyond the spread is all
    they hold; a smaller one is left to it, for a copy takes longer than the products.
    """
    some = vectors[:: 1 + len(vectors) // MEAN_ROWS].astype(np.float64)
    middle = some.mean(axis=0).astype(vectors.dtype)
    if 8 * vectors.size <= DOUBLES_BYTES:
        return np.subtract(vectors, middle, dtype=np.float64), middle
    if np.square(middle, dtype=np.float64).sum() <= FAR_OFF * some.var(axis=0).sum():
        return vectors, np.zeros_like(middle)
    return vectors - middle, middle


def grid_of(coordinates: np.ndarray) -> int:
    """Give a power of two, 2^-24 of the largest: float64 differs by far less between processors."""
    return math.frexp(float(np.abs(coordinates).max()))[1] - GRID_BITS


def on_grid(coordinates: np.ndarray, exponent: int) -> np.ndarray:
    """Round to multiples of a power of two."""
    rounded: np.ndarray = np.ldexp(np.rint(np.ldexp(coordinates, -exponent)), exponent)
    return rounded


def _pca_solver(shape: tuple[int, ...]) -> str:
    """Take the covariance's eigenvectors where there are many rows; scikit-learn until 1,000 wide.

    Exact, where scikit-learn would draw (a number of components) or take hours (a share).
    """
    n_rows, n_dims = shape
    tall = n_rows >= PCA_ROWS_A_DIM * n_dims and n_dims <= WIDEST_COVARIANCE
    return "covariance_eigh" if tall else "auto"


def _one_by_one(place: Place, vectors: np.ndarray) -> np.ndarray:
    """Place each row alone: where it lies must not depend on which others came along."""
    return np.concatenate([place(row) for row in np.split(vectors, len(vectors))])


def _place_pca(
    fitted: Any, exponent: int, middle: np.ndarray, grid: int, vectors: np.ndarray
) -> np.ndarray:
    rows = np.subtract(np.ldexp(vectors, -exponent), middle, dtype=np.float64)
    scores = on_grid(fitted.transform(rows), grid)
    return _in_float32(scores, exponent)


def _in_float32(scores: np.ndarray, exponent: int) -> np.ndarray:
    """Give coordinates their scale again.

    Raises
    ------
    UsageError
        When float32 does not hold them.
    """
    with np.errstate(over="ignore"):
        coordinates: np.ndarray = np.ldexp(scores, exponent).astype(np.float32)
    if not np.isfinite(coordinates).all():
        raise UsageError(
            f"the vectors' numbers go up to about 2^{exponent}, and their principal components "
            "beyond what float32 holds: make every row of length 1 first, as in --reduce l2,pca:50"
        )
    return coordinates


def parse_tsne(words: Sequence[str]) -> dict[str, Any]:
    """Read perplexity and initialization."""
    expected = "say tsne, tsne:30 (perplexity) or tsne:30:random (initialization: pca or random)"
    parameters: dict[str, Any] = {"perplexity": 30.0, "initialization": "pca"}
    if len(words) > 2:
        raise ValueError(expected)
    if words:
        try:
            parameters["perplexity"] = float(words[0])
        except ValueError:
            raise ValueError(expected) from None
        if not (math.isfinite(parameters["perplexity"]) and parameters["perplexity"] >= 1):
            raise ValueError("the perplexity must be 1 or more")
    if len(words) == 2:
        if words[1] not in ("pca", "random"):
            raise ValueError(expected)
        parameters["initialization"] = words[1]
    return parameters


def tsne(
    vectors: np.ndarray, parameters: Mapping[str, Any], seed: int, progress: Progress | None
) -> StepResult:
    """Embed in two dimensions by t-SNE (van der Maaten and Hinton 2008), openTSNE's.

    Neighbors are exact; Barnes-Hut below 5,000 rows, FIt-SNE (Linderman et al. 2019) from there on.
    """
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.initialization import pca as principal_components

    from analyze.reduction.tsne_neighbors import Float64Neighbors

    n_rows = len(vectors)
    if n_rows < FEWEST_TSNE_ROWS:
        return StepResult(vectors, {}, (f"tsne: {n_rows} rows are too few, it is left out",))
    perplexity, initialization, notes = _fitting_tsne(vectors, parameters)
    vectors, exponent = ordinary_scale(vectors)
    few = n_rows < EXACT_TSNE_ROWS
    iterations = FEW_ROWS_ITERATIONS if few else MANY_ROWS_ITERATIONS
    done, total = 0, EXAGGERATED_ITERATIONS + iterations

    def report(_iteration: int, _error: float, _embedding: np.ndarray) -> None:
        nonlocal done
        done += 50
        if progress:
            progress(min(done, total), total)

    start: Any = initialization
    if initialization == "pca":
        start = principal_components(centered(vectors)[0], random_state=seed)
        start = on_grid(start, grid_of(start))
    k = min(n_rows - 1, int(3 * perplexity))
    neighbors = Float64Neighbors(vectors, k, metric="euclidean", n_jobs=1, random_state=seed)
    affinities = PerplexityBasedNN(perplexity=perplexity, n_jobs=1, knn_index=neighbors)
    fitted = TSNE(
        n_components=2,
        initialization=start,
        negative_gradient_method="bh" if few else "fft",
        early_exaggeration_iter=EXAGGERATED_ITERATIONS,
        n_iter=iterations,
        random_state=seed,
        n_jobs=1,
        callbacks=report,
        callbacks_every_iters=50,
    ).fit(affinities=affinities)
    used = {"perplexity": perplexity, "initialization": initialization}
    used["kl_divergence"] = round(float(fitted.kl_divergence), 4)
    fitted.gradient_descent_params.update(callbacks=None)  # placing others is no progress
    place = partial(_place_tsne, fitted, np.array(fitted), exponent)
    return StepResult(np.asarray(fitted, dtype=np.float32), used, tuple(notes), place)


def _fitting_tsne(
    vectors: np.ndarray, parameters: Mapping[str, Any]
) -> tuple[float, str, list[str]]:
    """Give perplexity and initialization that the rows allow, and what was changed."""
    n_rows = len(vectors)
    perplexity, initialization = parameters["perplexity"], parameters["initialization"]
    notes, most = [], (n_rows - 1) / 3
    if perplexity > most:
        notes.append(f"tsne: perplexity {perplexity:g} lowered to {most:.4g} for {n_rows} rows")
        perplexity = most
    if initialization == "pca" and vectors.shape[1] < 2:
        initialization = "random"
        notes.append("tsne: one column has no second component, started at random")
    return perplexity, initialization, notes


def _place_tsne(
    fitted: Any, coordinates: np.ndarray, exponent: int, vectors: np.ndarray
) -> np.ndarray:
    """Optimize each new row among the fixed ones (Poličar, Stražar and Zupan 2021)."""
    fitted[:] = coordinates  # openTSNE moves them to the middle of their box before it places
    middle = (coordinates.max(axis=0) + coordinates.min(axis=0)) / 2
    perplexity = min(5, (len(coordinates) - 1) / 3)
    placed = fitted.transform(np.ldexp(vectors, -exponent), perplexity=perplexity)
    return np.asarray(placed + middle, dtype=np.float32)


def parse_umap(words: Sequence[str]) -> dict[str, Any]:
    """Read the number of neighbors."""
    expected = "say umap or umap:15 (neighbors, a whole number from 2)"
    if len(words) > 1:
        raise ValueError(expected)
    if not words:
        return {"n_neighbors": 15}
    if not (words[0].isascii() and words[0].isdigit() and int(words[0]) >= 2):
        raise ValueError(expected)
    return {"n_neighbors": int(words[0])}


_noted: list[str] = []


def say_umap_compiles() -> None:
    """Log once what takes this long: UMAP is compiled where it is first used in a process."""
    if "umap" not in sys.modules and not _noted:
        _noted.append("umap")
        log.info("UMAP: compiling once, about half a minute at first use")


def umap(
    vectors: np.ndarray, parameters: Mapping[str, Any], seed: int, _progress: Progress | None
) -> StepResult:
    """Embed in two dimensions by UMAP (McInnes, Healy and Melville 2018), umap-learn's."""
    n_rows, n_neighbors, notes = len(vectors), parameters["n_neighbors"], []
    if n_rows < FEWEST_UMAP_ROWS:
        return StepResult(vectors, {}, (f"umap: {n_rows} rows are too few, it is left out",))
    if n_neighbors >= n_rows:
        notes.append(f"umap: {n_neighbors} neighbors lowered to {n_rows - 1} for {n_rows} rows")
        n_neighbors = n_rows - 1
    say_umap_compiles()
    vectors, exponent = ordinary_scale(vectors)
    if not vectors.flags.writeable:
        vectors = np.array(vectors)  # compiled for arrays that can be written
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        from umap import UMAP

        fitted = UMAP(
            n_neighbors=n_neighbors,
            n_components=2,
            min_dist=UMAP_MIN_DIST,
            metric="euclidean",
            random_state=seed,
            n_jobs=1,
        )
        coordinates = np.array(fitted.fit_transform(vectors), dtype=np.float32)
    initialization = "spectral"
    if any("Spectral initialisation failed" in str(w.message) for w in warned):
        initialization = "random"
        notes.append("umap: no spectral start can be found, started at random")
    used = {"n_neighbors": n_neighbors, "min_dist": UMAP_MIN_DIST, "initialization": initialization}
    place = partial(_place_umap, fitted, exponent)
    return StepResult(coordinates, used, tuple(notes), partial(_one_by_one, place))


def _place_umap(fitted: Any, exponent: int, vectors: np.ndarray) -> np.ndarray:
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)  # waking the others takes twenty times as long as placing a row
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            placed = fitted.transform(np.ldexp(vectors, -exponent))
    finally:
        numba.set_num_threads(before)
    return np.array(placed, dtype=np.float32)
