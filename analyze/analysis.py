"""One analysis: vectors reduced, clustered, and held against the labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analyze.agreement import Agreement, agree
from analyze.clustering import Clustering, cluster
from analyze.joint_tables import METRICS
from analyze.neighbors import one_nn_accuracy
from analyze.reduction import Progress, Reduced, parse_steps, reduce
from extract.catalog import Level
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError

Reducer = Callable[[EmbeddingSet, str, int, Progress | None], Reduced]


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
    """

    embeddings: EmbeddingSet
    level: Level | None
    reduced: Reduced
    clustering: Clustering
    agreement: Agreement | None
    one_nn_accuracy: float | None
    notes: tuple[str, ...]

    @property
    def scores(self) -> dict[str, float | None]:
        """All scores by name; None where one cannot be had or would not be informative."""
        of_clusters = self.agreement.scores if self.agreement else dict.fromkeys(METRICS)
        return {**of_clusters, "one_nn_accuracy": self.one_nn_accuracy}

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

    Raises
    ------
    UsageError
        When there are neither labels nor a number of clusters, or the number does not fit.
    """
    if not len(embeddings):
        raise UsageError("no pictures to analyze: run python -m extract first")
    parse_steps(reduction)
    chosen = choose_level(embeddings.levels, level)
    present = set(chosen.codes[chosen.codes >= 0].tolist()) if chosen else set()
    if n_clusters is None and not present:
        raise UsageError("no labels, so say how many clusters: --clusters 7")
    notes = []
    if len(embeddings) == 1:
        notes.append("1 image: nothing to compare it with; reductions and scores are left out")
        reduced = Reduced(embeddings.ids, embeddings.vectors, reduction, (), seed)
    else:
        reduced = (reducer or _reduce)(embeddings, reduction, seed, progress)
    clustering = cluster(reduced, len(present) if n_clusters is None else n_clusters, seed)
    notes += [*reduced.notes, *clustering.notes]
    agreement, accuracy = None, None
    if chosen and present:
        agreement = agree(
            chosen.codes, chosen.categories, clustering.assignments, clustering.n_clusters
        )
        notes += agreement.notes
        nearest = one_nn_accuracy(embeddings.vectors, chosen.codes, seed=seed)
        accuracy = nearest.accuracy
        if None in agreement.scores.values():
            accuracy = None  # not informative either
        if nearest.n_left_out:
            notes.append(f"1-NN accuracy leaves out {nearest.n_left_out} rows of zeros")
        if nearest.n_queries < nearest.n_rows:
            notes.append(
                f"1-NN accuracy asks {nearest.n_queries} of {nearest.n_rows} rows, drawn by seed"
            )
    else:
        notes.append("no labels: scores against classes are left out")
    return Analysis(embeddings, chosen, reduced, clustering, agreement, accuracy, tuple(notes))


def _reduce(
    embeddings: EmbeddingSet, reduction: str, seed: int, progress: Progress | None
) -> Reduced:
    return reduce(embeddings.ids, embeddings.vectors, reduction, seed, progress)
