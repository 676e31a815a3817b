"""Backbones compared: every embedding by every reduction, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyze.clustering.clustering import Clustering, check_n_clusters, clustering_spec
from analyze.clustering.runs import PLAIN, Execution, Run, cluster_all
from analyze.comparison.resampling import why_no_interval
from analyze.comparison.result import Comparison
from analyze.comparison.scores import ComparedModel, ComparisonCell, ComparisonRow, Setting
from analyze.comparison.uncertainty import Uncertainty
from analyze.inputs import LevelOrLabels, Sets, as_sets
from analyze.measures.agreement import score_clusters
from analyze.measures.alignment import Alignment, align, groups_of_copies
from analyze.measures.contingency_metrics import METRICS
from analyze.neighbors.indexes.exact_search import one_nn_accuracy
from analyze.reduction.reduction import parse_steps
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

REDUCTIONS_COMPARED = ("none", "pca:0.99", "pca:0.99,tsne")
N_SEEDS = 20
N_RESAMPLES = 2000


def compare(
    embedding_sets: Sets,
    *,
    reductions: Sequence[str] = REDUCTIONS_COMPARED,
    clusterings: Sequence[str] = ("kmeans",),
    seeds: Sequence[int] = range(N_SEEDS),
    n_clusters: int | None = None,
    level: LevelOrLabels = None,
    n_resamples: int = N_RESAMPLES,
    execution: Execution = PLAIN,
) -> Comparison:
    """Reduce, cluster and score each embedding by each reduction and seed, on the same pictures.

    Parameters
    ----------
    embedding_sets : sequence or mapping of EmbeddingSet or array, or one of them
        Keys name arrays; more than one are compared on the same pictures.
    reductions : sequence of str
        Steps as typed.
    clusterings : sequence of str
        Names of :data:`analyze.clustering.clustering.CLUSTERINGS`.
    seeds : sequence of int
        Each for the reduction and the clustering alike.
    n_clusters : int, optional
        As many as the pictures compared on have classes.
    level : str, or labels, optional
        Name or number of a level of labels. Labels are as of
        :meth:`EmbeddingSet.from_arrays`.
    n_resamples : int
        Of pictures, for the intervals; pairs take at least 10,000.
    execution : Execution
        Caches, processes and progress.

    Raises
    ------
    UsageError
        When there is nothing to compare, by or on, or the number of clusters does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from analyze import compare
    >>> y = np.repeat(["cup", "hat"], 10)
    >>> X = np.random.default_rng(0).normal(size=(20, 9)) + 9 * np.eye(2, 9)[np.repeat([0, 1], 10)]
    >>> both = {"first": X, "noise": X[:, 5:]}
    >>> found = compare(both, level=y, reductions=["none"], seeds=range(2), n_resamples=50)
    >>> found.to_frame().groupby("model")["ari"].mean() > 0.9
    model
    first     True
    noise    False
    Name: ari, dtype: bool
    """
    embedding_sets, level = as_sets(embedding_sets, level)
    design = _Design.of(reductions, clusterings, seeds)
    aligned = align(embedding_sets, level)
    codes = aligned.level.codes
    n_clusters = len(np.unique(codes[codes >= 0])) if n_clusters is None else n_clusters
    check_n_clusters(n_clusters, len(codes))
    runs = design.runs(aligned.embedding_sets, n_clusters)
    found = cluster_all(runs, execution.kept, n_jobs=execution.n_jobs, progress=execution.progress)
    scores, noted = zip(*(score_clusters(codes, c.assignments) for c in found), strict=True)
    informative = None not in scores[0].values()
    models, notes = _models(aligned, design.seeds[0], informative=informative)
    settings = design.settings(models)
    rows = _rows(settings, runs, found, scores, aligned.level.name)
    notes += [*_noted([row.model for row in rows], found, len(models)), *noted[0]]
    uncertainty, why = None, None
    if informative:
        why, uncertainty = _uncertainty(
            aligned, design.by_setting(settings, found), n_resamples, execution
        )
        notes += [why] if why else []
        if len(design.seeds) == 1:
            notes.append("one seed: what differs may be its chance; give more --seeds")
    else:
        notes.append("no figure: there are no scores to draw")
    return Comparison(
        models=models,
        reductions=design.reductions,
        clusterings=design.clusterings,
        seeds=design.seeds,
        ids=aligned.embedding_sets[0].ids,
        level=aligned.level,
        n_clusters=n_clusters,
        rows=rows,
        cells=_cells(rows, len(design.seeds), uncertainty),
        pairs=uncertainty.pairs(rows, "model") if uncertainty else (),
        reduction_pairs=uncertainty.pairs(rows, "reduction") if uncertainty else (),
        clustering_pairs=uncertainty.pairs(rows, "clustering") if uncertainty else (),
        n_resamples=0 if why or not informative else n_resamples,
        notes=tuple(dict.fromkeys([*aligned.notes, *notes])),
    )


@dataclass(frozen=True)
class _Design:
    """What each embedding goes through: all reductions, by all clusterings, by all seeds."""

    reductions: tuple[str, ...]
    clusterings: tuple[str, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(
        cls, reductions: Sequence[str], clusterings: Sequence[str], seeds: Sequence[int]
    ) -> _Design:
        """Check names, and take each once."""
        for reduction in reductions:
            parse_steps(reduction)
        for method in clusterings:
            clustering_spec(method)
        if not reductions or not seeds or not clusterings:
            raise UsageError("nothing to compare: give at least one --reduce and one of --seeds")
        return cls(
            tuple(dict.fromkeys(reductions)),
            tuple(dict.fromkeys(clusterings)),
            tuple(dict.fromkeys(seeds)),
        )

    def runs(self, embedding_sets: Sequence[EmbeddingSet], n_clusters: int) -> list[Run]:
        """List what is to be clustered, seeds innermost."""
        return [
            Run(embeddings, reduction, n_clusters, seed, method)
            for embeddings in map(_bare, embedding_sets)
            for reduction in self.reductions
            for method in self.clusterings
            for seed in self.seeds
        ]

    def settings(self, models: Sequence[ComparedModel]) -> list[Setting]:
        """List what is compared, in the order of the runs."""
        columns = [(r, c) for r in self.reductions for c in self.clusterings]
        return [Setting(model, *column) for model in models for column in columns]

    def by_setting(
        self, settings: Sequence[Setting], found: Sequence[Clustering]
    ) -> dict[Setting, list[np.ndarray]]:
        """Give the assignments of each setting, a seed each."""
        starts = range(0, len(found), len(self.seeds))
        return {
            setting: [each.assignments for each in found[start : start + len(self.seeds)]]
            for start, setting in zip(starts, settings, strict=True)
        }


def _rows(
    settings: Sequence[Setting],
    runs: Sequence[Run],
    found: Sequence[Clustering],
    scores: Sequence[Mapping[str, float | None]],
    level: str,
) -> tuple[ComparisonRow, ...]:
    n_seeds = len(runs) // len(settings)
    of_runs = [setting for setting in settings for _ in range(n_seeds)]
    return tuple(
        ComparisonRow(*setting, c.n_found, c.n_noise, run.seed, c.seed, level, dict(each))
        for setting, run, c, each in zip(of_runs, runs, found, scores, strict=True)
    )


def _uncertainty(
    aligned: Alignment,
    clustered: Mapping[Setting, list[np.ndarray]],
    n_resamples: int,
    execution: Execution,
) -> tuple[str | None, Uncertainty]:
    """Resample the pictures; say why that gives no intervals, None where it does."""
    units, codes = groups_of_copies(aligned.embedding_sets), aligned.level.codes
    why = why_no_interval(codes[codes >= 0], units[codes >= 0], aligned.level.name)
    n_resamples = 0 if why else n_resamples
    return why, Uncertainty.of(clustered, codes, units, n_resamples, execution.resampling_progress)


def _bare(embeddings: EmbeddingSet) -> EmbeddingSet:
    """Leave what no clustering depends on, since runs are sent to other processes."""
    return EmbeddingSet(embeddings.ids, embeddings.vectors, embeddings.provenance)


def _models(
    aligned: Alignment, seed: int, *, informative: bool
) -> tuple[tuple[ComparedModel, ...], list[str]]:
    """Describe what is compared, with the accuracy of the nearest neighbor, and what to say."""
    models, notes = [], []
    for name, embeddings in zip(aligned.names, aligned.embedding_sets, strict=True):
        found = one_nn_accuracy(embeddings, aligned.level, seed=seed)
        made, n_dims = embeddings.provenance, embeddings.vectors.shape[1]
        accuracy = found.accuracy if informative else None
        models.append(
            ComparedModel(
                name,
                made.model,
                made.short_identity,
                made.weights,
                n_dims,
                accuracy,
                made.resize,
                made.pooling,
            )
        )
        if made.weights == "random":
            notes.append(f"{name}: nothing in these weights was learned")
        if found.n_left_out:
            notes.append(f"{name}: 1-NN accuracy leaves out {found.n_left_out} rows of zeros")
        if found.n_queries < found.n_rows:
            notes.append(
                f"1-NN accuracy tests {found.n_queries} of {found.n_rows} rows, drawn by seed"
            )
    return tuple(models), notes


def _noted(
    owners: Sequence[ComparedModel], clusterings: Sequence[Clustering], n_models: int
) -> list[str]:
    """Return the notes of clusterings: once, by model unless they hold for all of them."""
    noted: dict[str, dict[str, None]] = {}
    for owner, clustering in zip(owners, clusterings, strict=True):
        for note in clustering.notes:
            noted.setdefault(note, {})[owner.name] = None
    return [
        note if len(names) == n_models else f"{', '.join(names)}: {note}"
        for note, names in noted.items()
    ]


def _cells(
    rows: Sequence[ComparisonRow], n_seeds: int, uncertainty: Uncertainty | None
) -> tuple[ComparisonCell, ...]:
    """Sum up the rows of each setting."""
    cells = []
    for first in range(0, len(rows), n_seeds):
        head, group = rows[first], rows[first : first + n_seeds]
        setting = Setting(head.model, head.reduction, head.clustering)
        for metric in METRICS:
            scores = np.array([row.scores[metric] for row in group], dtype=np.float64)
            mean = low = high = p_chance = None
            spread: list[float | None] = [None, None]
            if uncertainty is not None:
                mean = float(scores.mean())
                spread = np.percentile(scores, [2.5, 97.5]).tolist()
                low, high = uncertainty.interval(setting, metric, mean) or (None, None)
                p_chance = uncertainty.p_chance(setting, metric, mean)
            cells.append(
                ComparisonCell(
                    *setting,
                    level=head.level,
                    metric=metric,
                    mean=mean,
                    low=low,
                    high=high,
                    std=float(scores.std(ddof=1)) if uncertainty and n_seeds > 1 else None,
                    seed_low=spread[0],
                    seed_high=spread[1],
                    p_chance=p_chance,
                    n_seeds=n_seeds,
                )
            )
    return tuple(cells)
