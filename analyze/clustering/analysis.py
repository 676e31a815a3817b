"""One analysis: vectors reduced, clustered, and held against the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from analyze.clustering.automatic import (
    AUTO,
    Automatic,
    cluster_automatically,
    reduction_for_number,
)
from analyze.clustering.choosing_k import ChosenK, choose_k
from analyze.clustering.clustering import Clustering, cluster, clustering_spec
from analyze.clustering.internal_scores import (
    DEFAULT_SCORES,
    Clustered,
    internal_score_spec,
    internal_scores,
)
from analyze.clustering.result import Analysis
from analyze.clustering.runs import PLAIN, Execution
from analyze.inputs import LevelOrLabels, as_sets
from analyze.measures.agreement import agree
from analyze.measures.levels import choose_level, no_labels, score_levels
from analyze.neighbors.indexes.exact_search import one_nn_accuracy
from analyze.reduction.reduction import Reduced, parse_steps
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.arrays import Vectors
from extract.storage.embeddings import EmbeddingSet


def analyze_embeddings(
    embeddings: EmbeddingSet | Vectors,
    level: LevelOrLabels = None,
    *,
    reduction: str = "none",
    n_clusters: int | Literal["auto"] | None = None,
    seed: int = 0,
    method: str = "kmeans",
    without_labels: Sequence[str] = DEFAULT_SCORES,
    execution: Execution = PLAIN,
) -> Analysis:
    """Reduce, cluster and compare.

    Parameters
    ----------
    embeddings : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
    level : str, or labels, optional
        Name or number of a level of labels; or labels as of :meth:`EmbeddingSet.from_arrays`.
    reduction : str
        Steps as typed, such as ``pca:0.99,tsne``; ``auto`` takes of some the one with seeds that
        agree most, and joins them.
    n_clusters : int or "auto", optional
        As many as the level has classes; ``auto`` is chosen on the reduced rows, without labels.
    seed : int
        For the reduction and the clustering alike.
    method : str
        A name of :data:`analyze.clustering.clustering.CLUSTERINGS`.
    without_labels : sequence of str
        Names of :data:`analyze.clustering.internal_scores.INTERNAL_SCORES`.
    execution : Execution
        Caches and progress.

    Raises
    ------
    UsageError
        When a name is unknown, when there are neither labels nor a number of clusters, or when the
        number does not fit.

    Examples
    --------
    >>> from analyze import analyze_embeddings
    >>> X, y = [[0, 0], [0, 1], [9, 8], [9, 9]], ["cup", "cup", "hat", "hat"]
    >>> found = analyze_embeddings(X, level=y)
    >>> found.scores["ari"]
    1.0
    >>> found.to_frame()[["id", "cluster", "true_class"]]
      id  cluster true_class
    0  0        1        cup
    1  1        1        cup
    2  2        0        hat
    3  3        0        hat
    """
    (embeddings,), level = as_sets(embeddings, level)
    if not len(embeddings):
        raise UsageError("no pictures to analyze: run python -m extract first")
    check_reduction(reduction, method)
    chosen = choose_level(embeddings.levels, level, embeddings.multi_labels)
    present = set(chosen.codes[chosen.codes >= 0].tolist()) if chosen else set()
    none = no_labels(embeddings.multi_labels)
    wanted = _n_clusters(method, n_clusters, len(present), none)
    found = _cluster(embeddings, reduction, wanted, method, seed, execution)
    reduced, clustering = found.reduced, found.clustering
    clustered = Clustered(embeddings, reduced, clustering, execution.reduce)
    internal, noted = internal_scores(clustered, without_labels)
    notes = [*found.notes, *dict.fromkeys([*reduced.notes, *clustering.notes, *noted])]
    agreement, accuracy = None, None
    if chosen and present:
        agreement = agree(chosen, clustering)
        notes += agreement.notes
        informative = None not in agreement.scores.values()
        accuracy, noted = _one_nn(embeddings, chosen, seed, informative=informative)
        notes += noted
    else:
        notes.append(f"{none}: scores against classes are left out")
    levels = score_levels(embeddings.levels, clustering.assignments)
    notes += alike_labels([*embeddings.levels, *embeddings.multi_labels])
    return Analysis(
        embeddings=embeddings,
        level=chosen,
        reduced=reduced,
        clustering=clustering,
        agreement=agreement,
        one_nn_accuracy=accuracy,
        notes=tuple(notes),
        internal=internal,
        levels=levels,
        chosen_k=found.chosen_k,
        automatic=found.automatic,
    )


class _Found(NamedTuple):
    """A clustering, what it is of, and how its number and its reduction were chosen."""

    reduced: Reduced
    clustering: Clustering
    chosen_k: ChosenK | None = None
    automatic: Automatic | None = None
    notes: Sequence[str] = ()


def _cluster(
    embeddings: EmbeddingSet,
    reduction: str,
    wanted: int | Literal["auto"],
    method: str,
    seed: int,
    execution: Execution,
) -> _Found:
    """Reduce and cluster, choosing first what is left to choose."""
    if len(embeddings) == 1:
        reduced = Reduced(embeddings.ids, embeddings.vectors, "none", (), seed)
        note = "1 image: nothing to compare it with; reductions and scores are left out"
        return _Found(reduced, cluster(reduced, 1, seed), notes=[note])
    steps = reduction_for_number(len(embeddings)) if reduction == AUTO else reduction
    progress, chosen_k, automatic = execution.progress, None, None
    if wanted == "auto":
        before = execution.reduce(embeddings, steps, seed, progress)
        chosen_k = choose_k(before, embeddings.content_sha256, seed=seed, progress=progress)
    k = chosen_k.k if chosen_k else int(wanted)
    if reduction == AUTO:
        automatic = cluster_automatically(
            embeddings, k, seed, kept=execution.kept, progress=progress
        )
        steps = automatic.chosen.reduction
    reduced = execution.reduce(embeddings, steps, seed, progress)
    clustering = automatic.clustering if automatic else cluster(reduced, k, seed, method)
    return _Found(reduced, clustering, chosen_k, automatic, chosen_k.notes if chosen_k else ())


def check_names(reduction: str, method: str, scores: Sequence[str]) -> None:
    """Refuse words that nothing is called, before anything is read.

    Raises
    ------
    UsageError
    """
    for name in scores:
        internal_score_spec(name)
    clustering_spec(method)
    check_reduction(reduction, method)


def check_reduction(reduction: str, method: str) -> None:
    """Refuse steps that cannot be read, and a clustering that nothing is chosen for.

    Raises
    ------
    UsageError
    """
    if reduction != AUTO:
        parse_steps(reduction)
    elif method != "kmeans":
        raise UsageError(f"--reduce auto chooses the clustering too: leave --cluster {method} out")


def _n_clusters(
    method: str, wanted: int | Literal["auto"] | None, n_classes: int, none: str
) -> int | Literal["auto"]:
    """Settle how many clusters to ask for, before anything is computed."""
    if not clustering_spec(method).takes_k:
        if wanted is not None:
            raise UsageError(f"{method} finds the number of clusters: leave --clusters out")
        return 1
    if wanted is None and not n_classes:
        raise UsageError(f"{none}, so say how many clusters: --clusters N, or --clusters auto")
    return n_classes if wanted is None else wanted


def _one_nn(
    embeddings: EmbeddingSet, level: Level, seed: int, *, informative: bool
) -> tuple[float | None, tuple[str, ...]]:
    """Give the 1-NN accuracy, None where scores against the level are not informative."""
    nearest = one_nn_accuracy(embeddings, level, seed=seed)
    notes = []
    if nearest.n_left_out:
        notes.append(f"1-NN accuracy leaves out {nearest.n_left_out} rows of zeros")
    if nearest.n_queries < nearest.n_rows:
        notes.append(
            f"1-NN accuracy tests {nearest.n_queries} of {nearest.n_rows} rows, drawn by seed"
        )
    return nearest.accuracy if informative else None, tuple(notes)
