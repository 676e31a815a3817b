"""What backbones are ranked by: scores that can be taken of any resample of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from analyze.clustering.clustering import cluster
from analyze.clustering.runs import KeptResults, Run, cluster_all
from analyze.measures.contingency_metrics import JointTables, ari
from analyze.measures.probes import N_FOLDS, folds_of, linear_probe, nearest_vote
from analyze.threads import one_thread
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

VOTERS = {"knn_1": 1, "knn_5": 5, "knn_20": 20}
SPACES = {"silhouette": "l2", "silhouette_umap": "l2,umap"}
"""The steps before the k-means of the silhouette."""

WORDS = {
    "knn_1": "1-NN accuracy",
    "knn_5": "5-NN accuracy",
    "knn_20": "20-NN accuracy",
    "linear_probe": "linear probe accuracy",
    "ari": "ARI of k-means",
    "silhouette": "silhouette of k-means",
    "silhouette_umap": "silhouette of k-means in UMAP space",
}
N_SEEDS = 5
"""Of clusterings, with scores that are averaged."""


class Score(Protocol):
    """A score of one backbone that any resample of its pictures has."""

    def of(self, weights: np.ndarray) -> np.ndarray:
        """Take the score where pictures count so often.

        Parameters
        ----------
        weights : ndarray of shape (n_images, n_resamples), int

        Returns
        -------
        ndarray of shape (n_resamples,), float64
        """


@dataclass(frozen=True, eq=False)
class PictureMean:
    """A mean over pictures.

    Parameters
    ----------
    values : ndarray of shape (n_images,), float64
        NaN where a picture does not count.
    """

    values: np.ndarray

    def of(self, weights: np.ndarray) -> np.ndarray:
        """See :class:`Score`."""
        judged = np.isfinite(self.values)
        counts = weights[judged].astype(np.float64)
        means: np.ndarray = self.values[judged] @ counts / np.maximum(counts.sum(axis=0), 1)
        return means


@dataclass(frozen=True, eq=False)
class MeanARI:
    """Adjusted Rand index of classes with clusters, the mean over clusterings.

    Parameters
    ----------
    labels : ndarray of shape (n_images,), int
    clusterings : sequence of ndarray of shape (n_images,), int
    """

    labels: np.ndarray
    clusterings: Sequence[np.ndarray]

    def of(self, weights: np.ndarray) -> np.ndarray:
        """See :class:`Score`."""
        scores = [ari(JointTables.of(self.labels, found, weights)) for found in self.clusterings]
        mean: np.ndarray = np.mean(scores, axis=0)
        return mean


@dataclass(frozen=True, eq=False)
class Question:
    """What all backbones are scored on.

    Parameters
    ----------
    metric : str
        A name of :data:`WORDS`.
    labels : ndarray of shape (n_images,), int, or None
        Every picture has one, or none is known.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    n_clusters : tuple of int
    seed : int
    kept : KeptResults
    """

    metric: str
    labels: np.ndarray | None
    groups: np.ndarray
    n_clusters: tuple[int, ...]
    seed: int
    kept: KeptResults

    @cached_property
    def folds(self) -> np.ndarray:
        """Those of the linear probe, the same for all backbones; ndarray (n_images,), int.

        Raises
        ------
        UsageError
            When too few classes have pictures enough.
        """
        none = np.full(len(self.groups), -1)
        folds = none if self.labels is None else folds_of(self.labels, self.groups, seed=self.seed)
        if (folds < 0).all():
            raise UsageError(
                f"fewer than two classes of {N_FOLDS} different pictures, which a linear probe "
                "needs: rank by --metric knn_5"
            )
        return folds

    @property
    def voters(self) -> tuple[str, ...]:
        """The metrics by neighbors: they cost nothing once these are known."""
        n_others = len(np.unique(self.groups)) - 1
        if self.labels is None:
            return ()
        return tuple(m for m, k in VOTERS.items() if k <= n_others or m == self.metric)

    def scores(
        self, embeddings: EmbeddingSet, neighbors: np.ndarray
    ) -> tuple[dict[str, Score], tuple[str, ...]]:
        """Return the scores of one backbone, with notes.

        Parameters
        ----------
        neighbors : ndarray of shape (n_images, 20), int
        """
        scores: dict[str, Score] = {}
        notes: tuple[str, ...] = ()
        labels, metric = self.labels, self.metric
        if metric in SPACES:
            scores[metric], notes = self._silhouette(embeddings)
        elif labels is not None and metric == "ari":
            scores[metric], notes = self._ari(embeddings, labels)
        elif labels is not None and metric == "linear_probe":
            vectors = embeddings.vectors
            right = linear_probe(vectors, labels, self.groups, self.folds, self.seed)
            scores[metric] = PictureMean(right)
        if labels is not None:
            for name in self.voters:
                scores[name] = PictureMean(nearest_vote(neighbors, labels, VOTERS[name]))
        return scores, notes

    @property
    def _seeds(self) -> list[int]:
        return [(self.seed + i) % 2**32 for i in range(N_SEEDS)]

    def _ari(self, embeddings: EmbeddingSet, labels: np.ndarray) -> tuple[MeanARI, tuple[str, ...]]:
        runs = [Run(embeddings, "l2", self.n_clusters[0], seed) for seed in self._seeds]
        found = cluster_all(runs, self.kept)
        notes = tuple(dict.fromkeys(note for c in found for note in c.notes))
        return MeanARI(labels, [c.assignments for c in found]), notes

    def _silhouette(self, embeddings: EmbeddingSet) -> tuple[PictureMean, tuple[str, ...]]:
        """Average each picture's silhouette over seeds and numbers of clusters."""
        from sklearn.metrics import silhouette_samples

        found: list[np.ndarray] = []
        notes: list[str] = []
        steps = SPACES[self.metric]
        for seed in self._seeds:
            reduced = self.kept.reduce(Run(embeddings, steps, 1, seed))
            notes += reduced.notes
            for n_clusters in self.n_clusters:
                clustering = cluster(reduced, n_clusters, seed)
                notes += clustering.notes
                if 2 <= clustering.n_found < len(embeddings):
                    with one_thread():
                        rows = reduced.coordinates.astype(np.float64)
                        found.append(silhouette_samples(rows, clustering.assignments))
        values = np.mean(found, axis=0) if found else np.full(len(embeddings), np.nan)
        return PictureMean(values), tuple(dict.fromkeys(notes))
