"""One analysis: vectors reduced, clustered, and held against the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from analyze.clustering.automatic import (
    AUTO,
    Automatic,
    cluster_automatically,
    reduction_for_number,
)
from analyze.clustering.choosing_k import ChosenK, choose_k
from analyze.clustering.clustering import Clustering, cluster, clustering_spec
from analyze.clustering.internal_scores import DEFAULT_SCORES, Clustered, Reducer, internal_scores
from analyze.clustering.runs import Keeping
from analyze.measures.agreement import Agreement, agree
from analyze.measures.contingency_metrics import METRICS
from analyze.measures.levels import LevelScores, choose_level, no_labels, score_levels
from analyze.neighbors.indexes.exact_search import one_nn_accuracy
from analyze.reduction.reduction import Progress, Reduced, parse_steps, reduce
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True, eq=False)
class Analysis:
    """The answer of one reduction and one clustering.

    Parameters
    ----------
    embeddings : EmbeddingSet
    level : Level or None
        The labels compared with; None when the catalogue has none.
    reduced : Reduced
    clustering : Clustering
    agreement : Agreement or None
    one_nn_accuracy : float or None
        Of the vectors as they are, whatever the reduction.
    notes : tuple of str
        What was lowered, left out or not informative.
    internal : mapping of str to float or None
        Scores that need no labels.
    levels : tuple of LevelScores
        The same clustering against each level; empty where there are fewer than two.
    chosen_k : ChosenK, optional
        Where the number of clusters was not given.
    automatic : Automatic, optional
        Where the reduction was not given; ``reduced`` is then that of the first seed.
    """

    embeddings: EmbeddingSet
    level: Level | None
    reduced: Reduced
    clustering: Clustering
    agreement: Agreement | None
    one_nn_accuracy: float | None
    notes: tuple[str, ...]
    internal: Mapping[str, float | None] = field(default_factory=dict)
    levels: tuple[LevelScores, ...] = ()
    chosen_k: ChosenK | None = None
    automatic: Automatic | None = None

    @property
    def scores(self) -> dict[str, float | None]:
        """All scores by name; None where one cannot be had or would not be informative."""
        of_clusters = self.agreement.scores if self.agreement else dict.fromkeys(METRICS)
        return {**of_clusters, "one_nn_accuracy": self.one_nn_accuracy, **self.internal}

    def to_json(self) -> dict[str, Any]:
        """Spell the answer with the keys that programs read."""
        provenance, agreement = self.embeddings.provenance, self.agreement
        return {
            **provenance.to_json(),
            "n_images": len(self.embeddings),
            "left_out": sum(self.embeddings.left_out.values()),
            "left_out_by_reason": dict(self.embeddings.left_out),
            "level": self.level.name if self.level else None,
            "n_labelled": agreement.n_labelled if agreement else 0,
            "reduction": AUTO if self.automatic else self.reduced.reduction,
            "reduction_parameters": [dict(p) for p in self.reduced.parameters],
            "clustering": self.clustering.method,
            "n_clusters": self.clustering.n_found,
            "n_noise": self.clustering.n_noise,
            "seed": self.clustering.seed,
            "scores": self.scores,
            "levels": [scores.to_json() for scores in self.levels],
            "classes": [vars(score) for score in agreement.class_scores()] if agreement else [],
            "confusion": {
                "classes": list(agreement.classes),
                "clusters": list(agreement.clusters),
                "counts": agreement.confusion.tolist(),
                "matched": {str(k): v for k, v in agreement.cluster_to_class.items()},
            }
            if agreement
            else None,
            "chosen_k": self.chosen_k.to_json() if self.chosen_k else None,
            "automatic": self.automatic.to_json() if self.automatic else None,
            "notes": list(self.notes),
        }


def analyze_embeddings(
    embeddings: EmbeddingSet,
    *,
    reduction: str = "none",
    n_clusters: int | Literal["auto"] | None = None,
    level: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    reducer: Reducer | None = None,
    method: str = "kmeans",
    keeping: Keeping | None = None,
    without_labels: Sequence[str] = DEFAULT_SCORES,
) -> Analysis:
    """Reduce, cluster and compare.

    Parameters
    ----------
    reduction : str
        Steps as typed, such as ``pca:0.99,tsne``; ``auto`` tries some, takes the one whose seeds
        agree most, and joins them.
    n_clusters : int or "auto", optional
        As many as the level has classes; ``auto`` is chosen on the reduced rows, without labels.
    level : str, optional
        Name or number of a level of labels.
    seed : int
        For the reduction and the clustering alike.
    reducer : callable, optional
        What reduces, such as a cache; :func:`analyze.reduction.reduction.reduce` without one.
    method : str
        A name of :data:`analyze.clustering.clustering.CLUSTERINGS`.
    keeping : Keeping, optional
        Where clusterings of many seeds are kept between runs.
    without_labels : sequence of str
        Names of :data:`analyze.clustering.internal_scores.INTERNAL_SCORES`.

    Raises
    ------
    UsageError
        When a name is unknown, when there are neither labels nor a number of clusters, or when the
        number does not fit.
    """
    if not len(embeddings):
        raise UsageError("no pictures to analyze: run python -m extract first")
    check_reduction(reduction, method)
    reducer = reducer or _reduce
    chosen = choose_level(embeddings.levels, level, embeddings.multi_labels)
    present = set(chosen.codes[chosen.codes >= 0].tolist()) if chosen else set()
    none = no_labels(embeddings.multi_labels)
    wanted = _n_clusters(method, n_clusters, len(present), none)
    notes: list[str] = []
    chosen_k, automatic = None, None
    if len(embeddings) == 1:
        notes.append("1 image: nothing to compare it with; reductions and scores are left out")
        reduced = Reduced(embeddings.ids, embeddings.vectors, "none", (), seed)
        clustering = cluster(reduced, 1, seed)
    else:
        steps = reduction_for_number(len(embeddings)) if reduction == AUTO else reduction
        if wanted == "auto":
            before = reducer(embeddings, steps, seed, progress)
            chosen_k = choose_k(before, embeddings.content_sha256, seed=seed, progress=progress)
            notes += chosen_k.notes
        k = chosen_k.k if chosen_k else int(wanted)
        if reduction == AUTO:
            automatic = cluster_automatically(
                embeddings, k, seed, keeping=keeping, progress=progress
            )
            steps = automatic.chosen.reduction
        reduced = reducer(embeddings, steps, seed, progress)
        clustering = automatic.clustering if automatic else cluster(reduced, k, seed, method)
    clustered = Clustered(embeddings, reduced, clustering, reducer)
    internal, said = internal_scores(clustered, without_labels)
    notes += dict.fromkeys([*reduced.notes, *clustering.notes, *said])
    agreement, accuracy = None, None
    if chosen and present:
        agreement = agree(chosen, clustering)
        notes += agreement.notes
        informative = None not in agreement.scores.values()
        accuracy, said = _one_nn(embeddings, chosen, seed, informative=informative)
        notes += said
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
        chosen_k=chosen_k,
        automatic=automatic,
    )


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
        raise UsageError(f"{none}, so say how many clusters: --clusters 7, or --clusters auto")
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
            f"1-NN accuracy asks {nearest.n_queries} of {nearest.n_rows} rows, drawn by seed"
        )
    return nearest.accuracy if informative else None, tuple(notes)


def _reduce(
    embeddings: EmbeddingSet, reduction: str, seed: int, progress: Progress | None
) -> Reduced:
    return reduce(embeddings, reduction, seed, progress)
