"""Backbones compared: every embedding by every reduction, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analyze.agreement import score_clusters
from analyze.alignment import Alignment, align
from analyze.clustering import Clustering, check_n_clusters
from analyze.clustering_runs import Keeping, Run, cluster_all
from analyze.comparison_result import ComparedModel, Comparison, ComparisonCell, ComparisonRow
from analyze.joint_tables import METRICS
from analyze.neighbors import one_nn_accuracy
from analyze.reduction import Progress, parse_steps
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError

REDUCTIONS_COMPARED = ("none", "pca:0.99", "pca:0.99,tsne")
N_SEEDS = 20
CELL_KEYS = ("model", "reduction", "clustering", "level")


def compare(
    embedding_sets: Sequence[EmbeddingSet],
    *,
    reductions: Sequence[str] = REDUCTIONS_COMPARED,
    seeds: Sequence[int] = range(N_SEEDS),
    n_clusters: int | None = None,
    level: str | None = None,
    reduction_cache: Path | None = None,
    clustering_cache: Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Reduce, cluster and score each embedding by each reduction and seed, on the same pictures.

    Parameters
    ----------
    embedding_sets : sequence of EmbeddingSet
    reductions : sequence of str
        Steps as typed.
    seeds : sequence of int
        Each for the reduction and the clustering alike.
    n_clusters : int, optional
        As many as the pictures compared on have classes.
    level : str, optional
        Name or number of a level of labels.
    reduction_cache, clustering_cache : Path, optional
        Folders that keep results between runs; nothing is kept without.
    n_jobs : int, optional
        Processes; as many as there are cores. The numbers do not depend on it.
    progress : callable, optional
        Told of clusterings done and of how many are to do.

    Raises
    ------
    UsageError
        When there is nothing to compare, by or on, or the number of clusters does not fit.
    """
    reductions, seeds = tuple(dict.fromkeys(reductions)), tuple(dict.fromkeys(seeds))
    for reduction in reductions:
        parse_steps(reduction)
    if not reductions or not seeds:
        raise UsageError("nothing to compare: give at least one --reduce and one of --seeds")
    aligned = align(embedding_sets, level)
    codes = aligned.level.codes
    n_clusters = len(np.unique(codes[codes >= 0])) if n_clusters is None else n_clusters
    check_n_clusters(n_clusters, len(codes))
    runs = [
        Run(embeddings, reduction, n_clusters, seed)
        for embeddings in map(_bare, aligned.embedding_sets)
        for reduction in reductions
        for seed in seeds
    ]
    keeping = Keeping(reduction_cache, clustering_cache)
    clusterings = cluster_all(runs, keeping, n_jobs=n_jobs, progress=progress)
    scores, said = zip(*(score_clusters(codes, c.assignments) for c in clusterings), strict=True)
    models, notes = _models(aligned, seeds[0], informative=None not in scores[0].values())
    owners = [model for model in models for _ in range(len(reductions) * len(seeds))]
    rows = tuple(
        ComparisonRow(
            model, run.reduction, c.method, c.n_found, run.seed, c.seed, aligned.level.name, found
        )
        for model, run, c, found in zip(owners, runs, clusterings, scores, strict=True)
    )
    notes += [*_noted(owners, clusterings, len(models)), *said[0]]
    return Comparison(
        models=models,
        reductions=reductions,
        seeds=seeds,
        ids=aligned.embedding_sets[0].ids,
        level=aligned.level,
        n_clusters=n_clusters,
        rows=rows,
        cells=_cells(rows, len(seeds)),
        notes=tuple(dict.fromkeys([*aligned.notes, *notes])),
    )


def _bare(embeddings: EmbeddingSet) -> EmbeddingSet:
    """Leave what no clustering depends on, since runs are sent to other processes."""
    return EmbeddingSet(embeddings.ids, embeddings.vectors, embeddings.provenance)


def _models(
    aligned: Alignment, seed: int, *, informative: bool
) -> tuple[tuple[ComparedModel, ...], list[str]]:
    """Describe what is compared, with the accuracy of the nearest neighbor, and what to say."""
    models, notes = [], []
    for name, embeddings in zip(aligned.names, aligned.embedding_sets, strict=True):
        found = one_nn_accuracy(embeddings.vectors, aligned.level.codes, seed=seed)
        made, n_dims = embeddings.provenance, embeddings.vectors.shape[1]
        accuracy = found.accuracy if informative else None
        models.append(
            ComparedModel(name, made.model, made.short_identity, made.weights, n_dims, accuracy)
        )
        if made.weights == "random":
            notes.append(f"{name}: nothing in these weights was learned")
        if found.n_left_out:
            notes.append(f"{name}: 1-NN accuracy leaves out {found.n_left_out} rows of zeros")
        if found.n_queries < found.n_rows:
            notes.append(
                f"1-NN accuracy asks {found.n_queries} of {found.n_rows} rows, drawn by seed"
            )
    return tuple(models), notes


def _noted(
    owners: Sequence[ComparedModel], clusterings: Sequence[Clustering], n_models: int
) -> list[str]:
    """Gather what was said of clusterings: once, by model unless it holds for all of them."""
    said: dict[str, dict[str, None]] = {}
    for owner, clustering in zip(owners, clusterings, strict=True):
        for note in clustering.notes:
            said.setdefault(note, {})[owner.name] = None
    return [
        note if len(names) == n_models else f"{', '.join(names)}: {note}"
        for note, names in said.items()
    ]


def _cells(rows: Sequence[ComparisonRow], n_seeds: int) -> tuple[ComparisonCell, ...]:
    """Sum up the rows of each model and reduction."""
    cells = []
    for first in range(0, len(rows), n_seeds):
        head, group = rows[first], rows[first : first + n_seeds]
        for metric in METRICS:
            scores = [v for v in (row.scores[metric] for row in group) if v is not None]
            mean = std = low = high = None
            if scores:
                mean, std = float(np.mean(scores)), None
                low, high = (float(v) for v in np.percentile(scores, [2.5, 97.5]))
            if len(scores) > 1:
                std = float(np.std(scores, ddof=1))
            cells.append(
                ComparisonCell(
                    **{name: getattr(head, name) for name in CELL_KEYS},
                    metric=metric,
                    mean=mean,
                    std=std,
                    low=low,
                    high=high,
                    n_seeds=n_seeds,
                )
            )
    return tuple(cells)
