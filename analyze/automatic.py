"""The reduction chosen, and the seeds joined, without a look at the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from analyze.clustering import Clustering
from analyze.clustering_runs import Keeping, Run, cluster_all
from analyze.consensus import consensus
from analyze.joint_tables import JointTables, ari
from analyze.reduction import Progress
from extract.embeddings import EmbeddingSet

AUTO = "auto"
CANDIDATES = ("l2,pca:50", "l2,pca:50,tsne:30", "l2,pca:50,umap:15")
FOR_NUMBER = CANDIDATES[1]
"""Where the number of clusters is chosen, before the reduction is."""

N_SEEDS = 8
METHOD = "consensus"


@dataclass(frozen=True)
class Candidate:
    """A reduction that was tried.

    Parameters
    ----------
    reduction : str
    stability : float
        Mean ARI of the clusterings of two seeds.
    """

    reduction: str
    stability: float


@dataclass(frozen=True, eq=False)
class Automatic:
    """What was chosen among some reductions, and why.

    Parameters
    ----------
    candidates : tuple of Candidate
    reduction : str
        The one chosen.
    clustering : Clustering
        The consensus of its seeds.
    """

    candidates: tuple[Candidate, ...]
    reduction: str
    clustering: Clustering

    @property
    def why(self) -> str:
        """Say it in words."""
        said = ", ".join(f"{each.reduction} {each.stability:.2f}" for each in self.candidates)
        return (
            f"{self.reduction}: {N_SEEDS} seeds agree most with each other (mean ARI of two: "
            f"{said}); their consensus is taken"
        )

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "candidates": [
                {"reduction": each.reduction, "criterion": "stability", "value": each.stability}
                for each in self.candidates
            ],
            "chosen": self.reduction,
            "n_seeds": N_SEEDS,
            "why": self.why,
        }


def cluster_automatically(
    embeddings: EmbeddingSet,
    n_clusters: int,
    seed: int = 0,
    *,
    candidates: Sequence[str] = CANDIDATES,
    keeping: Keeping | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Automatic:
    """Cluster by each reduction and seed, take the steadiest reduction, and join its seeds.

    Where groups are real, chance in the computation does not move them (von Luxburg 2010, for
    subsamples; here seeds of reduction and clustering alike). Labels are not looked at.

    Parameters
    ----------
    embeddings : EmbeddingSet
    n_clusters : int
    seed : int
        The first of eight.
    candidates : sequence of str
    keeping : Keeping
        Where clusterings are kept between runs.
    n_jobs : int, optional
        Processes; as many as there are cores. The answer does not depend on it.
    progress : callable, optional
        Told of clusterings done and of how many are to do.
    """
    seeds = [(seed + i) % 2**32 for i in range(N_SEEDS)]
    bare = EmbeddingSet(embeddings.ids, embeddings.vectors, embeddings.provenance)
    runs = [Run(bare, reduction, n_clusters, each) for reduction in candidates for each in seeds]
    found = cluster_all(runs, keeping or Keeping(), n_jobs=n_jobs, progress=progress)
    by_reduction = {
        reduction: found[i * N_SEEDS : (i + 1) * N_SEEDS] for i, reduction in enumerate(candidates)
    }
    tried = tuple(
        Candidate(reduction, _stability([c.assignments for c in clusterings]))
        for reduction, clusterings in by_reduction.items()
    )
    chosen = max(tried, key=lambda each: each.stability).reduction
    joined = consensus([c.assignments for c in by_reduction[chosen]], n_clusters, seed)
    notes = dict.fromkeys(note for c in by_reduction[chosen] for note in c.notes)
    clustering = Clustering(embeddings.ids, joined, n_clusters, METHOD, seed, tuple(notes))
    return Automatic(tried, chosen, clustering)


def _stability(assignments: Sequence[np.ndarray]) -> float:
    pairs = combinations(assignments, 2)
    return float(np.mean([ari(JointTables.of(one, other))[0] for one, other in pairs]))
