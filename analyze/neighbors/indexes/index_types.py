"""The types of index: how each is built, its bytes a row, and its search efforts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.neighbors.indexes.exact_search import load_faiss
from analyze.unit_vectors import unit_rows
from extract.errors import one_of

Knobs = Mapping[str, int]
"""How hard to search: ``refined`` rows are compared in full, along with the index's own knobs."""

ADDED_AT_ONCE = 16_384
PCA_ROWS = 50_000
LINKS = 32
"""Of a row in the graph, each way; twice as many on its lowest layer."""

CONSTRUCTION = 80
"""Candidates looked at for a row's links."""

ROWS_A_CELL = 64
"""That k-means of the cells is trained on: more moves the centers by little."""

LEAST_A_CELL = 39
"""Below which FAISS warns that cells are poorly trained."""

CODE_BITS = 4
NUMBERS_A_CODE = 4


@dataclass(frozen=True)
class IndexKind:
    """One type of index.

    Parameters
    ----------
    name : str
        As typed.
    description : str
        For people.
    least_rows : int
        Fewer are too few to train it.
    n_training_rows : callable
        n_rows -> rows that its cells or codes are trained on; 0 where it has none.
    bytes_a_row : callable
        n_dims -> what a row takes, in addition to the embeddings themselves.
    empty : callable
        (n_rows, n_dims) -> an index of FAISS, not yet trained.
    steps : callable
        n_rows -> how hard it can search, from the cheapest on.
    parameters : callable
        Knobs -> FAISS's own of one search, or None.
    is_graph : bool
        Whether a row that is in it is found more easily than one that is not.
    """

    name: str
    description: str
    least_rows: int
    n_training_rows: Callable[[int], int]
    bytes_a_row: Callable[[int], float]
    empty: Callable[[int, int], Any]
    steps: Callable[[int], Sequence[Knobs]]
    parameters: Callable[[Knobs], Any]
    is_graph: bool = False


def _scalars(width: str) -> Callable[[int, int], Any]:
    def empty(_n_rows: int, n_dims: int) -> Any:
        faiss = load_faiss()
        codes = getattr(faiss.ScalarQuantizer, f"QT_{width}")
        return faiss.IndexScalarQuantizer(n_dims, codes, faiss.METRIC_INNER_PRODUCT)

    return empty


def _graph(_n_rows: int, n_dims: int) -> Any:
    """Link rows held in a byte a number: refining makes up for what that loses."""
    faiss = load_faiss()
    codes = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexHNSWSQ(n_dims, codes, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = CONSTRUCTION
    return index


def n_cells(n_rows: int) -> int:
    """Return the number of cells: about four times the root of the rows, each with enough rows."""
    return max(1, min(int(4 * math.sqrt(n_rows)), n_rows // LEAST_A_CELL))


def _cells(n_rows: int, n_dims: int) -> Any:
    faiss = load_faiss()
    metric = faiss.METRIC_INNER_PRODUCT
    centers = faiss.IndexFlatIP(n_dims)
    return _trained_on_few(faiss.IndexIVFFlat(centers, n_dims, n_cells(n_rows), metric), centers)


def _codes(n_rows: int, n_dims: int) -> Any:
    faiss = load_faiss()
    n_codes = max(m for m in range(1, max(1, n_dims // NUMBERS_A_CODE) + 1) if n_dims % m == 0)
    metric = faiss.METRIC_INNER_PRODUCT
    centers = faiss.IndexFlatIP(n_dims)
    cells = n_cells(n_rows)
    index = faiss.IndexIVFPQFastScan(centers, n_dims, cells, n_codes, CODE_BITS, metric)
    return _trained_on_few(index, centers)


def _trained_on_few(index: Any, centers: Any) -> Any:
    """Let the index own its centers, and bound the rows that its k-means is trained on."""
    centers.this.disown()
    index.own_fields = True
    index.cp.max_points_per_centroid = ROWS_A_CELL
    index.cp.min_points_per_centroid = 1
    return index


def _doubled(name: str, first: int, most: int, refined: Sequence[int]) -> tuple[Knobs, ...]:
    """Double a knob up to its most, and try each number of refined rows at each of its values."""
    values = [first * 2**i for i in range(64) if first * 2**i < most]
    return tuple({name: v, "refined": r} for v in [*values, most] for r in refined)


def _probing(knobs: Knobs) -> Any:
    return load_faiss().SearchParametersIVF(nprobe=knobs["nprobe"])


def _walking(knobs: Knobs) -> Any:
    return load_faiss().SearchParametersHNSW(efSearch=knobs["efSearch"])


REFINED = ({"refined": 32}, {"refined": 128}, {"refined": 512})

INDEX_KINDS = (
    IndexKind(
        "sqfp16",
        "all rows, two bytes a number",
        1,
        lambda n: 0,
        lambda d: 2.0 * d,
        _scalars("fp16"),
        lambda n: REFINED,
        lambda knobs: None,
    ),
    IndexKind(
        "sq8",
        "all rows, one byte a number",
        1,
        lambda n: min(n, PCA_ROWS),
        lambda d: 1.0 * d,
        _scalars("8bit"),
        lambda n: REFINED,
        lambda knobs: None,
    ),
    IndexKind(
        "hnsw",
        "a graph of near rows, one byte a number (Malkov and Yashunin 2020)",
        1,
        lambda n: min(n, PCA_ROWS),
        lambda d: d + 8.0 * LINKS + 16,
        _graph,
        lambda n: _doubled("efSearch", 16, 1024, (32, 128)),
        _walking,
        is_graph=True,
    ),
    IndexKind(
        "ivf",
        "rows sorted into cells, of which the nearest are searched",
        4 * LEAST_A_CELL,
        lambda n: ROWS_A_CELL * n_cells(n),
        lambda d: 4.0 * d + 8,
        _cells,
        lambda n: _doubled("nprobe", 4, n_cells(n), (32, 128)),
        _probing,
    ),
    IndexKind(
        "ivfpq",
        "cells of rows held in half a byte for four numbers (Jegou et al. 2011), refined",
        LEAST_A_CELL * 2**CODE_BITS,
        lambda n: max(ROWS_A_CELL * n_cells(n), 256 * 2**CODE_BITS),
        lambda d: d / 8 + 8,
        _codes,
        lambda n: _doubled("nprobe", 8, n_cells(n), (64, 256, 1024)),
        _probing,
    ),
)
FLAT = "flat"
NAMES = (FLAT, *(kind.name for kind in INDEX_KINDS))


def find_kind(name: str) -> IndexKind:
    """Return the type of index of a name; ``flat`` is none, it needs no building.

    Raises
    ------
    UsageError
        Listing the names there are.
    """
    by_name = {kind.name: kind for kind in INDEX_KINDS}
    return by_name[one_of(name, by_name, "index", f"give --index auto, or one of {FLAT},")]


def build(
    kind: IndexKind,
    vectors: np.ndarray,
    known: np.ndarray,
    reduced_dims: int | None,
    trained: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """Build an index of FAISS over the directions of rows, by inner product, which is the cosine.

    Parameters
    ----------
    kind : IndexKind
    vectors : ndarray of shape (n_images, n_dims), float32
        May lie on disk: it is read some rows at a time.
    known : ndarray of int
        Rows that have a direction.
    reduced_dims : int, optional
        Principal axes, about the origin, that rows are turned onto first.
    trained : index of FAISS, optional
        One built before: its cells, codes and axes are kept, its rows are not.
    progress : callable, optional
        (rows added, rows) after some of them.
    """
    index = trained
    if index is None:
        n_dims = vectors.shape[1]
        index = kind.empty(len(known), reduced_dims or n_dims)
        n_training = min(
            len(known), max(kind.n_training_rows(len(known)), PCA_ROWS if reduced_dims else 0)
        )
        some = unit_rows(vectors[_drawn(known, n_training)])
        if reduced_dims:
            faiss = load_faiss()
            index.this.disown()
            index = faiss.IndexPreTransform(_principal_axes(some, reduced_dims), index)
            index.own_fields = True
        if n_training:
            index.train(some)
    else:
        index.reset()
    add_rows(index, vectors, known, progress)
    return index


def add_rows(
    index: Any,
    vectors: np.ndarray,
    rows: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Add the directions of some rows to an index of FAISS, behind those that it has."""
    for first in range(0, len(rows), ADDED_AT_ONCE):
        index.add(unit_rows(vectors[rows[first : first + ADDED_AT_ONCE]]))
        if progress is not None:
            progress(min(first + ADDED_AT_ONCE, len(rows)), len(rows))


def _drawn(known: np.ndarray, n: int) -> np.ndarray:
    """Draw rows to train an index on, the same each time."""
    if n >= len(known):
        return known
    drawn: np.ndarray = np.sort(np.random.default_rng(0).choice(known, n, replace=False))
    return drawn


def _principal_axes(directions: np.ndarray, n: int) -> Any:
    """Turn rows onto the axes of their second moments about the origin.

    About the origin, not the mean: inner products of rows are what must be kept.
    """
    faiss = load_faiss()
    some = directions[:PCA_ROWS]
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))
    onto = np.ascontiguousarray(axes[:, ::-1][:, :n].T, dtype=np.float32)
    turn = faiss.LinearTransform(directions.shape[1], n, False)
    faiss.copy_array_to_vector(onto.ravel(), turn.A)
    turn.is_trained = True
    turn.this.disown()
    return turn
