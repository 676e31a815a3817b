"""The reduction chosen, and the seeds joined, without a look at the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from analyze.clustering.clustering import Clustering
from analyze.clustering.consensus import consensus
from analyze.clustering.runs import KeptResults, Run, cluster_all
from analyze.measures.contingency_metrics import JointTables, ari
from analyze.reduction.reduction import Progress
from extract.storage.embeddings import EmbeddingSet

AUTO = "auto"
CANDIDATES = (("l2,pca:50", "spherical"), ("l2,pca:50,tsne:30", "kmeans"))
"""Reductions, each with the clustering that suits it: directions of what is left of unit rows
after their mean, and places on a map."""

MOST_TSNE_ROWS = 20_000
"""Beyond, eight runs of t-SNE take longer than what is known of their answer is worth."""

N_SEEDS = 8
METHOD = "consensus"


@dataclass(frozen=True)
class Candidate:
    """A reduction and a clustering that were tried.

    Parameters
    ----------
    reduction, clustering : str
    stability : float
        Mean ARI of the clusterings of two seeds.
    """

    reduction: str
    clustering: str
    stability: float


@dataclass(frozen=True, eq=False)
class Automatic:
    """What was chosen among some reductions with their clusterings, and why.

    Parameters
    ----------
    candidates : tuple of Candidate
    chosen : Candidate
    clustering : Clustering
        The consensus of its seeds.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    clustering: Clustering

    @property
    def why(self) -> str:
        """Say it in words."""
        listed_scores = ", ".join(
            f"{each.reduction} {each.clustering} {each.stability:.2f}" for each in self.candidates
        )
        return (
            f"{self.chosen.reduction}, {self.chosen.clustering}: {N_SEEDS} seeds agree most with "
            f"each other (mean ARI of two: {listed_scores}); their consensus is taken"
        )

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "candidates": [
                {
                    "reduction": each.reduction,
                    "clustering": each.clustering,
                    "criterion": "stability",
                    "value": each.stability,
                }
                for each in self.candidates
            ],
            "chosen": self.chosen.reduction,
            "chosen_clustering": self.chosen.clustering,
            "n_seeds": N_SEEDS,
            "why": self.why,
        }


def reduction_for_number(n_rows: int) -> str:
    """Say where the number of clusters is chosen, before the reduction is."""
    quick, mapped = (reduction for reduction, _ in CANDIDATES)
    return mapped if n_rows <= MOST_TSNE_ROWS else quick


def seeds_of(seed: int) -> tuple[int, ...]:
    """Return the seeds with clusterings to be joined; two seeds share none, so that they differ."""
    return tuple((seed * N_SEEDS + i) % 2**32 for i in range(N_SEEDS))


def cluster_automatically(
    embeddings: EmbeddingSet,
    n_clusters: int,
    seed: int = 0,
    *,
    candidates: Sequence[tuple[str, str]] = CANDIDATES,
    kept: KeptResults | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Automatic:
    """Cluster by each candidate and seed, take the steadiest, and join its seeds.

    Where groups are real, chance in the computation does not move them (von Luxburg 2010, for
    subsamples; here seeds of reduction and clustering alike). Labels are not looked at. By cosine
    a group about the mean of all rows has no direction of its own: of a catalogue that is half of
    one class no more is found so than by plain k-means.

    Parameters
    ----------
    embeddings : EmbeddingSet
    n_clusters : int
    seed : int
        Eight others follow from it.
    candidates : sequence of (str, str)
        Reductions with their clusterings; the first of equally steady ones is taken. t-SNE is left
        out, and that noted, where there are more than 20,000 rows.
    kept : KeptResults
        Where clusterings are kept between runs.
    n_jobs : int, optional
        Processes; as many as there are cores. The answer does not depend on it.
    progress : callable, optional
        Called with the clusterings done and their total.
    """
    candidates, left_out = _affordable(candidates, len(embeddings))
    seeds = seeds_of(seed)
    bare = EmbeddingSet(embeddings.ids, embeddings.vectors, embeddings.provenance)
    runs = [
        Run(bare, reduction, n_clusters, each, method)
        for reduction, method in candidates
        for each in seeds
    ]
    found = cluster_all(runs, kept or KeptResults(), n_jobs=n_jobs, progress=progress)
    of_each = [found[i : i + N_SEEDS] for i in range(0, len(found), N_SEEDS)]
    tried = tuple(
        Candidate(*candidate, _stability([c.assignments for c in clusterings]))
        for candidate, clusterings in zip(candidates, of_each, strict=True)
    )
    chosen = max(tried, key=lambda each: each.stability)
    own = of_each[tried.index(chosen)]
    joined = consensus([c.assignments for c in own], n_clusters, seed)
    notes = dict.fromkeys([*left_out, *(note for c in own for note in c.notes)])
    clustering = Clustering(embeddings.ids, joined, n_clusters, METHOD, seed, tuple(notes))
    return Automatic(tried, chosen, clustering)


def _affordable(
    candidates: Sequence[tuple[str, str]], n_rows: int
) -> tuple[Sequence[tuple[str, str]], tuple[str, ...]]:
    """Leave t-SNE out where rows are many, and say so."""
    quick = [candidate for candidate in candidates if "tsne" not in candidate[0]]
    if n_rows <= MOST_TSNE_ROWS or not quick or len(quick) == len(candidates):
        return candidates, ()
    return quick, (f"t-SNE is not tried on more than {MOST_TSNE_ROWS:,} pictures",)


def _stability(assignments: Sequence[np.ndarray]) -> float:
    pairs = combinations(assignments, 2)
    return float(np.mean([ari(JointTables.of(one, other))[0] for one, other in pairs]))
