"""One analysis: vectors reduced, clustered, and held against the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyze.agreement import Agreement, agree
from analyze.clustering import Clustering, cluster, clustering_spec
from analyze.internal_scores import DEFAULT_SCORES, Clustered, Reducer, internal_scores
from analyze.joint_tables import METRICS
from analyze.levels import LevelScores, score_levels
from analyze.neighbors import one_nn_accuracy
from analyze.reduction import Progress, Reduced, parse_steps, reduce
from extract.catalog import Level
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError


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

    @property
    def scores(self) -> dict[str, float | None]:
        """All scores by name; None where one cannot be had or would not be informative."""
        of_clusters = self.agreement.scores if self.agreement else dict.fromkeys(METRICS)
        return {**of_clusters, "one_nn_accuracy": self.one_nn_accuracy, **self.internal}

    def to_json(self) -> dict[str, Any]:
        """Spell the answer with the keys that programs read."""
        provenance, agreement = self.embeddings.provenance, self.agreement
        return {
            "model": provenance.model,
            "weights": provenance.weights,
            "identity": provenance.short_identity,
            "n_images": len(self.embeddings),
            "left_out": sum(self.embeddings.left_out.values()),
            "left_out_by_reason": dict(self.embeddings.left_out),
            "level": self.level.name if self.level else None,
            "n_labelled": agreement.n_labelled if agreement else 0,
            "reduction": self.reduced.reduction,
            "reduction_parameters": [dict(p) for p in self.reduced.parameters],
            "clustering": self.clustering.method,
            "n_clusters": self.clustering.n_found,
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
            "notes": list(self.notes),
        }


def choose_level(levels: tuple[Level, ...], wanted: str | None) -> Level | None:
    """Find a level by name or by number from 1; the first without a wish, None without labels.

    Raises
    ------
    UsageError
        Listing the levels there are.
    """
    if wanted is None:
        return levels[0] if levels else None
    by_name = {level.name: level for level in levels}
    by_name |= {str(i): level for i, level in enumerate(levels, start=1) if str(i) not in by_name}
    if wanted not in by_name:
        have = ", ".join(f"{i} {level.name}" for i, level in enumerate(levels, start=1))
        raise UsageError(
            f"no level {wanted!r}: this catalogue has {have or 'no labels'}; name one with --level"
        )
    return by_name[wanted]


def analyze_embeddings(
    embeddings: EmbeddingSet,
    *,
    reduction: str = "none",
    n_clusters: int | None = None,
    level: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    reducer: Reducer | None = None,
    method: str = "kmeans",
    without_labels: Sequence[str] = DEFAULT_SCORES,
) -> Analysis:
    """Reduce, cluster and compare.

    Parameters
    ----------
    reduction : str
        Steps as typed, such as ``pca:0.99,tsne``.
    n_clusters : int, optional
        As many as the level has classes.
    level : str, optional
        Name or number of a level of labels.
    seed : int
        For the reduction and the clustering alike.
    reducer : callable, optional
        What reduces, such as a cache; :func:`analyze.reduction.reduce` without one.
    method : str
        A name of :data:`analyze.clustering.CLUSTERINGS`.
    without_labels : sequence of str
        Names of :data:`analyze.internal_scores.INTERNAL_SCORES`.

    Raises
    ------
    UsageError
        When a name is unknown, when there are neither labels nor a number of clusters, or when the
        number does not fit.
    """
    if not len(embeddings):
        raise UsageError("no pictures to analyze: run python -m extract first")
    parse_steps(reduction)
    reducer = reducer or _reduce
    chosen = choose_level(embeddings.levels, level)
    present = set(chosen.codes[chosen.codes >= 0].tolist()) if chosen else set()
    n_clusters = _n_clusters(method, n_clusters, len(present))
    notes = []
    if len(embeddings) == 1:
        notes.append("1 image: nothing to compare it with; reductions and scores are left out")
        reduced = Reduced(embeddings.ids, embeddings.vectors, reduction, (), seed)
    else:
        reduced = reducer(embeddings, reduction, seed, progress)
    clustering = cluster(reduced, n_clusters, seed, method)
    clustered = Clustered(embeddings, reduced, clustering, reducer)
    internal, said = internal_scores(clustered, without_labels)
    notes += [*reduced.notes, *clustering.notes, *said]
    agreement, accuracy = None, None
    if chosen and present:
        agreement = agree(
            chosen.codes, chosen.categories, clustering.assignments, clustering.n_clusters
        )
        notes += agreement.notes
        informative = None not in agreement.scores.values()
        accuracy, said = _one_nn(embeddings, chosen, seed, informative=informative)
        notes += said
    else:
        notes.append("no labels: scores against classes are left out")
    levels = score_levels(embeddings.levels, clustering.assignments)
    return Analysis(
        embeddings, chosen, reduced, clustering, agreement, accuracy, tuple(notes), internal, levels
    )


def _n_clusters(method: str, wanted: int | None, n_classes: int) -> int:
    """Settle how many clusters to ask for, before anything is computed."""
    if not clustering_spec(method).takes_k:
        if wanted is not None:
            raise UsageError(f"{method} finds the number of clusters: leave --clusters out")
        return 1
    if wanted is None and not n_classes:
        raise UsageError("no labels, so say how many clusters: --clusters 7")
    return n_classes if wanted is None else wanted


def _one_nn(
    embeddings: EmbeddingSet, level: Level, seed: int, *, informative: bool
) -> tuple[float | None, tuple[str, ...]]:
    """Give the 1-NN accuracy, None where scores against the level are not informative."""
    nearest = one_nn_accuracy(embeddings.vectors, level.codes, seed=seed)
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
    return reduce(embeddings.ids, embeddings.vectors, reduction, seed, progress)
