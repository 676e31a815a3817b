"""Reductions of vectors: ``none``, or steps such as ``l2,pca:50,tsne:30``, left to right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.measures.agreement import Clustered
from analyze.reduction import steps as reduction_steps
from analyze.reduction.map_figure import Plane, class_panel, cluster_panel, map_chart
from analyze.reduction.steps import Place, Progress, StepResult, ordinary_scale
from analyze.threads import one_thread
from analyze.ties import first_occurrence
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.arrays import Labels, Vectors, frame_index
from extract.storage.embeddings import EmbeddingSet, as_embeddings, first_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

AXIS_NAMES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PC"}

__all__ = [
    "AXIS_NAMES",
    "REDUCTIONS",
    "Place",
    "Progress",
    "Reduced",
    "ReductionSpec",
    "Step",
    "StepResult",
    "ordinary_scale",
    "parse_steps",
    "reduce",
    "uses_chance",
]


@dataclass(frozen=True)
class Step:
    """One step of a reduction, as typed.

    Parameters
    ----------
    method : str
        A name of :data:`REDUCTIONS`.
    parameters : mapping
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Reduced:
    """Coordinates of the rows, row i belonging to ``ids[i]``.

    Parameters
    ----------
    ids : tuple of str
    coordinates : ndarray of shape (n_images, n_dims), float32
    reduction : str
        The steps as typed.
    parameters : tuple of mapping
        What was used in each step, also where it differs from what was typed.
    seed : int
    notes : tuple of str
        What had to be lowered or left out, for people.
    place : callable, optional
        New vectors (m, n_dims) -> their coordinates (m, n_out) among these, float32; None where
        the coordinates were read from a cache, which keeps no fitted steps.
    """

    ids: tuple[str, ...]
    coordinates: np.ndarray
    reduction: str
    parameters: tuple[Mapping[str, Any], ...]
    seed: int
    notes: tuple[str, ...] = ()
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.coordinates.ndim != 2 or len(self.coordinates) != len(self.ids):
            raise ValueError(
                f"coordinates must have shape ({len(self.ids)}, n_dims), "
                f"got {self.coordinates.shape}"
            )
        if not np.isfinite(self.coordinates).all():
            raise ValueError(f"coordinates of {self.reduction!r} must be finite")

    def __repr__(self) -> str:
        """How many rows of how many dimensions, by which steps."""
        rows, n_dims = self.coordinates.shape
        return f"{type(self).__name__}({rows} x {n_dims}, {self.reduction}, seed {self.seed})"

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame of the coordinates ``x0``, ``x1``, ... of each row, by id."""
        import pandas as pd

        names = [f"x{i}" for i in range(self.coordinates.shape[1])]
        return pd.DataFrame(self.coordinates, index=frame_index(self.ids), columns=names)

    @cached_property
    def plane(self) -> Plane | None:
        """Two coordinates a row: its own if it has two, else principal components.

        None when the rows do not span a plane: one row, or all equal.
        """
        coordinates = self.coordinates
        different = len(coordinates) > 2 and (coordinates != coordinates[0]).any()
        if not different or coordinates.shape[1] < 2:
            return None
        steps = parse_steps(self.reduction)
        if coordinates.shape[1] == 2:
            name = AXIS_NAMES.get(steps[-1].method if steps else "", "axis")
            return Plane(coordinates, (f"{name} 1", f"{name} 2"))
        flat = reduce(self, "pca:2", self.seed)
        return Plane(flat.coordinates, ("first principal component", "second principal component"))

    def plot_map(
        self, by: EmbeddingSet | Level | Labels | Clustered | None = None, ax: Axes | None = None
    ) -> Axes:
        """Axes with the rows in the plane, of more than two dimensions by principal components.

        Parameters
        ----------
        by : EmbeddingSet, Level, labels or Clustering, optional
            What gives the colors: labels as of :meth:`EmbeddingSet.from_arrays`, or clusters.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When the rows do not span a plane, or labels are of other rows.

        Examples
        --------
        >>> from analyze import cluster, reduce
        >>> r = reduce([[0, 0], [1, 9], [2, 0], [9, 1]], "none")
        >>> r.plot_map(["cup", "cup", "hat", "hat"]).get_legend_handles_labels()[1]
        ['cup', 'hat']
        >>> r.plot_map(cluster(r, 2)).get_legend_handles_labels()[1]
        ['cluster 0', 'cluster 1']
        """
        if self.plane is None:
            raise UsageError("no map: the rows do not span a plane")
        if by is None:
            panel = class_panel(np.zeros(len(self.ids), int), ["rows"])
        elif isinstance(by, Clustered):
            if tuple(by.ids) != self.ids:
                raise UsageError("the clusters are of other rows than the map")
            panel = cluster_panel(by.assignments)
        else:
            level = first_level(by, self.ids)
            panel = class_panel(level.codes, level.categories)
        about = f"{len(self.ids)} rows · seed {self.seed}"
        return map_chart(self.plane, panel, title=self.reduction, subtitle=about).plot(ax)


@dataclass(frozen=True)
class ReductionSpec:
    """One entry of the table of reductions.

    Parameters
    ----------
    form : str
        How it is typed.
    parse : callable
        Words after the colons -> parameters; raises ValueError with what was expected.
    apply : callable
        (vectors, parameters, seed, progress) -> StepResult.
    seeded : callable
        Parameters -> whether the result depends on the random seed.
    """

    form: str
    parse: Callable[[Sequence[str]], dict[str, Any]]
    apply: Callable[[np.ndarray, Mapping[str, Any], int, Progress | None], StepResult]
    seeded: Callable[[Mapping[str, Any]], bool]


def _never(_parameters: Mapping[str, Any]) -> bool:
    return False


def _always(_parameters: Mapping[str, Any]) -> bool:
    return True


def _counts_components(parameters: Mapping[str, Any]) -> bool:
    """Say whether scikit-learn may take its randomized solver: never for a share of variance."""
    return isinstance(parameters["n_components"], int)


REDUCTIONS: dict[str, ReductionSpec] = {
    "l2": ReductionSpec("l2", reduction_steps.parse_nothing, reduction_steps.l2, _never),
    "pca": ReductionSpec(
        "pca:50 or pca:0.99", reduction_steps.parse_pca, reduction_steps.pca, _counts_components
    ),
    "tsne": ReductionSpec(
        "tsne[:PERPLEXITY[:pca|random]]", reduction_steps.parse_tsne, reduction_steps.tsne, _always
    ),
    "umap": ReductionSpec(
        "umap[:NEIGHBORS]", reduction_steps.parse_umap, reduction_steps.umap, _always
    ),
}


def parse_steps(text: str) -> tuple[Step, ...]:
    """Read steps such as ``l2,pca:50,tsne``; ``none`` is no step.

    Raises
    ------
    UsageError
        With the step that cannot be read and how it is written.

    Examples
    --------
    >>> from analyze import parse_steps
    >>> parse_steps("l2,pca:50")
    (Step(method='l2', parameters={}), Step(method='pca', parameters={'n_components': 50}))
    """
    if text.strip() == "none":
        return ()
    if "none" in text.split(","):
        raise UsageError(f"none stands alone, not in {text!r}")
    steps = []
    for part in text.split(","):
        method, *words = part.strip().split(":")
        if method not in REDUCTIONS:
            known = ", ".join(spec.form for spec in REDUCTIONS.values())
            raise UsageError(f"no reduction {method!r} in {text!r}: choose none, {known}")
        try:
            steps.append(Step(method, REDUCTIONS[method].parse(words)))
        except ValueError as error:
            raise UsageError(f"cannot read {part.strip()!r}: {error}") from error
    return tuple(steps)


def uses_chance(steps: Sequence[Step]) -> bool:
    """Say whether coordinates may change with the seed."""
    return any(REDUCTIONS[step.method].seeded(step.parameters) for step in steps)


def as_reduced(vectors: Reduced | EmbeddingSet | Vectors) -> Reduced:
    """Coordinates as they are; of vectors that are not reduced, the vectors themselves."""
    if isinstance(vectors, Reduced):
        return vectors
    embeddings = as_embeddings(vectors)
    return Reduced(embeddings.ids, embeddings.vectors, "none", (), 0)


def reduce(
    vectors: EmbeddingSet | Vectors | Reduced,
    reduction: str,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reduced:
    """Coordinates of vectors after steps, left to right; one seed gives one result.

    Equal rows lie in one place. It runs on one thread.

    Parameters
    ----------
    vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims), or Reduced
        At least two different rows unless the reduction is ``none`` or ``l2``.
    reduction : str
        ``none``, or steps joined by commas, such as ``pca:0.99,tsne``.

    Raises
    ------
    UsageError
        When the steps cannot be read, or the rows are all equal and so span no space.

    Examples
    --------
    >>> from analyze import reduce
    >>> reduce([[3, 0], [0, 2], [1, 1]], "l2").to_frame().round(2)
          x0    x1
    id
    0   1.00  0.00
    1   0.00  1.00
    2   0.71  0.71
    """
    steps = parse_steps(reduction)
    before = as_reduced(vectors)
    coordinates = before.coordinates
    used: list[Mapping[str, Any]] = []
    notes: list[str] = []
    places: list[Place] = []
    with one_thread():
        for step in steps:
            if step.method != "l2" and not _varies(coordinates):
                raise UsageError(
                    f"all {len(coordinates)} rows are equal, {step.method} finds no direction "
                    "in them: use --reduce none"
                )
            same = first_occurrence(coordinates)
            result = REDUCTIONS[step.method].apply(coordinates, step.parameters, seed, progress)
            coordinates = result.coordinates[same]  # products would part equal rows
            used.append({"method": step.method, **result.used})
            notes += result.notes
            if result.place:
                places.append(result.place)
    place = partial(_place_through, tuple(places), before.coordinates.shape[1])
    return Reduced(before.ids, coordinates, reduction, tuple(used), seed, tuple(notes), place)


def _place_through(places: tuple[Place, ...], n_dims: int, vectors: np.ndarray) -> np.ndarray:
    """Take different new vectors through the fitted steps, on one thread as the rows were."""
    if vectors.ndim != 2 or vectors.shape[1] != n_dims:
        raise ValueError(f"vectors to place must have shape (m, {n_dims}), got {vectors.shape}")
    if not len(vectors):
        raise ValueError("no vectors to place")
    firsts, of_row = np.unique(first_occurrence(vectors), return_inverse=True)
    placed = vectors[firsts].astype(np.float32)
    with one_thread():
        for place in places:
            placed = place(placed)
    found: np.ndarray = placed[of_row]
    return found


def _varies(coordinates: np.ndarray) -> bool:
    """Say whether any two rows differ: t-SNE crashes and PCA divides by zero where none do."""
    return bool((coordinates != coordinates[0]).any())
