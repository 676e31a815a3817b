"""Backbones ranked: which one knows the classes of a catalogue, or is likely to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, count, pairwise

import numpy as np

from analyze.clustering.clustering import check_n_clusters
from analyze.clustering.runs import PLAIN, Execution
from analyze.comparison.ranking.criteria import SPACES, VOTERS, WORDS, Question, Score
from analyze.comparison.ranking.ranked_pictures import choose_pictures
from analyze.comparison.ranking.result import Ranking
from analyze.comparison.ranking.scores import ALPHA, ModelSimilarity, RankedModel, RankPair, RankRow
from analyze.comparison.resampling import LEAST_IN_A_CLASS
from analyze.inputs import LevelOrLabels, Sets, as_sets
from analyze.measures.alignment import groups_of_copies
from analyze.measures.bootstrap import adjusted_by_holm, interval, p_value, resampled_weights
from analyze.measures.levels import no_labels
from analyze.measures.probes import N_FOLDS
from analyze.measures.representation_similarity import (
    N_NEAREST,
    CenteredRows,
    linear_cka,
    neighbor_overlap,
)
from analyze.neighbors.indexes.exact_search import nearest_others
from analyze.reduction.reduction import Progress
from analyze.threads import one_thread
from extract.errors import UsageError, one_of
from extract.storage.embeddings import EmbeddingSet

N_RESAMPLES = 2000
CLUSTERS_GUESSED = (5, 10, 20)
MOST_ALIGNED = 2_000
"""Pictures with vectors that are compared by CKA."""


def rank(
    embedding_sets: Sets,
    *,
    metric: str | None = None,
    level: LevelOrLabels = None,
    n_clusters: int | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    execution: Execution = PLAIN,
) -> Ranking:
    """Rank embeddings of the same pictures, with intervals, tests of neighbors and CKA.

    Intervals and tests are over the pictures that are scored; the neighbors, clusters or models
    that answer are held fixed. So they are a little narrow: of two planted backbones that are
    equally good, 5-NN tells 3 to 15 % apart, by chance, where 5 % are meant.

    Parameters
    ----------
    embedding_sets : sequence or mapping of EmbeddingSet or array, or one of them
        Keys name arrays; more than one are compared on the same pictures.
    metric : str, optional
        ``knn_1``, ``knn_5`` (the default with labels), ``knn_20``, ``linear_probe``, ``ari``,
        ``silhouette`` or ``silhouette_umap`` (the default without).
    level : str, or labels, optional
        Name or number of a level of labels. Labels are as of
        :meth:`EmbeddingSet.from_arrays`.
    n_clusters : int, optional
        As many as classes; without labels the mean over 5, 10 and 20.
    n_resamples : int
        Of the pictures, copies drawn together.
    seed : int
        Of samples, resamples, folds and of the first clustering.
    execution : Execution
        Caches and progress.

    Raises
    ------
    UsageError
        When there is nothing to rank, by or on.

    Examples
    --------
    >>> import numpy as np
    >>> from analyze import rank
    >>> y = np.repeat(["cup", "hat"], 10)
    >>> X = np.random.default_rng(0).normal(size=(20, 9)) + 9 * np.eye(2, 9)[np.repeat([0, 1], 10)]
    >>> found = rank({"noise": X[:, 5:], "first": X}, level=y, metric="knn_1", n_resamples=300)
    >>> [model.name for model in found.models]
    ['first', 'noise']
    """
    embedding_sets, level = as_sets(embedding_sets, level)
    labelled = level is not None or any(
        (found.codes >= 0).any() for s in embedding_sets for found in s.levels
    )
    multi_labels = next((s.multi_labels for s in embedding_sets if s.multi_labels), ())
    none = "" if labelled else no_labels(multi_labels)
    metric = _metric(metric, none)
    same, known, notes = choose_pictures(embedding_sets, level, seed, labelled=labelled)
    sets, labels = same.embedding_sets, known.codes if known else None
    groups = groups_of_copies(sets)
    numbers = _numbers_of_clusters(n_clusters, labels, len(groups), metric)
    question = Question(metric, labels, groups, numbers, seed, execution.kept)
    models = tuple(RankedModel.of(*about_model) for about_model in zip(count(), same.names, sets))
    neighbors, scores, of_scores = _answers(question, models, sets, execution.progress)
    why_none = _why_no_interval(labels, groups)
    resample_by = None if why_none else (groups, n_resamples, seed)
    rows, pairs = _ranked(models, scores, metric, resample_by, len(groups))
    ranked = tuple(row.model for row in rows if row.metric == metric)
    model_similarity, of_similarity = _model_similarities(ranked, sets, neighbors, seed)
    notes += [f"{none}: none is used"] if none and multi_labels else []
    notes += [*_note_of(question), *of_scores, *([why_none] if why_none else []), *of_similarity]
    if resample_by and metric not in SPACES:
        notes.append(
            "intervals and tests are over the pictures scored; what scores them is held fixed, "
            "so a difference that is only just significant may still be chance"
        )
    if resample_by and 2 * len(pairs) > ALPHA * (1 + n_resamples):
        notes.append(
            f"{n_resamples} resamples cannot tell {len(models)} backbones apart: "
            f"give --resamples {100 * len(pairs)}"
        )
    return Ranking(
        metric=metric,
        surrogate=metric in SPACES,
        models=ranked,
        rows=rows,
        pairs=pairs,
        model_similarity=model_similarity,
        ids=sets[0].ids,
        level=known,
        n_clusters=numbers,
        n_resamples=n_resamples,
        seed=seed,
        notes=tuple(dict.fromkeys([*notes, *_models_note(models)])),
    )


def _answers(
    question: Question,
    models: Sequence[RankedModel],
    sets: Sequence[EmbeddingSet],
    progress: Progress | None,
) -> tuple[list[np.ndarray], list[dict[str, Score]], list[str]]:
    """Return the neighbors and the scores of each backbone, and notes on them."""
    neighbors, scores = [], []
    noted: dict[str, list[str]] = {}
    for i, (model, embeddings) in enumerate(zip(models, sets, strict=True), start=1):
        nearest = nearest_others(embeddings.vectors, max(VOTERS.values()), question.groups)
        found, notes = question.scores(embeddings, nearest)
        neighbors.append(nearest)
        scores.append(found)
        for note in notes:
            noted.setdefault(note, []).append(model.name)
        if progress:
            progress(i, len(models))
    prefixes = {
        note: "" if len(n) == len(models) else f"{', '.join(n)}: " for note, n in noted.items()
    }
    return neighbors, scores, [f"{names}{note}" for note, names in prefixes.items()]


def check_metric(metric: str | None) -> None:
    """Refuse a metric that there is not.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    if metric is not None:
        one_of(metric, WORDS, "metric", end=" with --metric")


def _metric(metric: str | None, none: str) -> str:
    """Settle the metric; ``none`` is why there are no labels, empty where there are."""
    check_metric(metric)
    if metric is None:
        return "silhouette_umap" if none else "knn_5"
    if none and metric not in SPACES:
        raise UsageError(f"{none}, so there is no {metric}: rank by --metric {' or '.join(SPACES)}")
    return metric


def _numbers_of_clusters(
    wanted: int | None, labels: np.ndarray | None, n_images: int, metric: str
) -> tuple[int, ...]:
    if metric not in SPACES and metric != "ari":
        return ()
    if wanted is not None:
        check_n_clusters(wanted, n_images)
        return (wanted,)
    if labels is not None:
        return (len(np.unique(labels)),)
    return tuple(k for k in CLUSTERS_GUESSED if 2 * k <= n_images) or (2,)


def _note_of(question: Question) -> list[str]:
    """Say what the metric leaves out, and how far it can be believed."""
    notes = []
    if question.metric in SPACES:
        notes.append(
            f"{question.metric} knows no labels: a surrogate, which often rises with agreement "
            "with classes (Lowe et al. 2024) and does not measure it"
        )
        if question.metric == "silhouette":
            # 210 drawn pictures: convnext_base 0.262 at random, efficientnet_lite2 0.165 trained
            notes.append(
                "silhouette without UMAP can put random weights above trained ones: "
                "--metric silhouette_umap is surer"
            )
        if len(question.n_clusters) > 1:
            numbers = ", ".join(map(str, question.n_clusters))
            notes.append(f"the mean over {numbers} clusters: give --clusters K if you know better")
    if question.metric == "linear_probe":
        out = question.folds < 0
        if out.any() and question.labels is not None:
            n_classes = len(np.unique(question.labels[out]))
            notes.append(
                f"linear_probe leaves out {int(out.sum())} pictures of {n_classes} classes "
                f"with fewer than {N_FOLDS} different pictures"
            )
    return notes


def _why_no_interval(labels: np.ndarray | None, groups: np.ndarray) -> str | None:
    """Say why a resample of the pictures tells nothing; None where it does."""
    of_all = np.zeros(len(groups), int) if labels is None else labels
    distinct = np.unique(np.stack([of_all, groups]), axis=1)[0]
    median = float(np.median(np.unique(distinct, return_counts=True)[1]))
    if median >= LEAST_IN_A_CLASS:
        return None
    return (
        f"no intervals and no tests: different pictures in the median class: {median:g}, and "
        f"resamples of fewer than {LEAST_IN_A_CLASS} say little"
    )


def _models_note(models: Sequence[RankedModel]) -> list[str]:
    notes = []
    random = [model.name for model in models if model.weights == "random"]
    if random:
        notes.append(f"{', '.join(random)}: nothing in these weights was learned")
    if any(model.images_per_second and model.models_in_pass > 1 for model in models):
        notes.append(
            "pictures/s with a * are of all backbones that were embedded in one pass together"
        )
    return notes


def _ranked(
    models: Sequence[RankedModel],
    scores: Sequence[Mapping[str, Score]],
    metric: str,
    resample_by: tuple[np.ndarray, int, int] | None,
    n_images: int,
) -> tuple[tuple[RankRow, ...], tuple[RankPair, ...]]:
    """Order by each metric; the same resamples serve all, so that differences are paired."""
    metrics = sorted(scores[0], key=lambda name: name != metric)
    once = np.ones((n_images, 1), int)
    values = _of_all(scores, metrics, once)[:, :, 0]
    if np.isnan(values).any():
        raise UsageError(f"no picture has a {metric}: rank by another with --metric")
    resampled = None
    if resample_by:
        blocks = [_of_all(scores, metrics, weights) for weights in resampled_weights(*resample_by)]
        resampled = np.concatenate(blocks, axis=2)
    rows: list[RankRow] = []
    pairs: list[RankPair] = []
    for m, name in enumerate(metrics):
        order = np.argsort(-values[m], kind="stable")
        for i in order:
            low = high = None
            if resampled is not None:
                low, high = interval(values[m, i], resampled[m, i])
            rows.append(RankRow(models[i], name, float(values[m, i]), low, high))
        if name == metric:
            drawn = None if resampled is None else resampled[m]
            pairs = _pairs(models, order, name, values[m], drawn, n_images)
    return tuple(rows), tuple(pairs)


def _of_all(
    scores: Sequence[Mapping[str, Score]], metrics: Sequence[str], weights: np.ndarray
) -> np.ndarray:
    """Take every metric of every backbone; ndarray (n_metrics, n_models, n_resamples)."""
    with one_thread():
        return np.array([[of_model[name].of(weights) for of_model in scores] for name in metrics])


def _pairs(
    models: Sequence[RankedModel],
    order: np.ndarray,
    metric: str,
    values: np.ndarray,
    resampled: np.ndarray | None,
    n_images: int,
) -> list[RankPair]:
    found = []
    for a, b in pairwise(order):
        difference = float(values[a] - values[b])
        low = high = p = None
        if resampled is not None:
            drawn = resampled[a] - resampled[b]
            low, high = interval(difference, drawn)
            p = p_value(difference, drawn)
        found.append(
            RankPair(
                a=models[a],
                b=models[b],
                metric=metric,
                difference=difference,
                low=low,
                high=high,
                p_adjusted=p,
                n_images=n_images,
                surrogate=metric in SPACES,
            )
        )
    if resampled is None:
        return found
    adjusted = adjusted_by_holm([pair.p_adjusted for pair in found if pair.p_adjusted is not None])
    return [replace(pair, p_adjusted=p) for pair, p in zip(found, adjusted, strict=True)]


def _model_similarities(
    models: Sequence[RankedModel],
    sets: Sequence[EmbeddingSet],
    neighbors: Sequence[np.ndarray],
    seed: int,
) -> tuple[tuple[ModelSimilarity, ...], list[str]]:
    rows, notes = np.arange(len(sets[0])), []
    if len(rows) > MOST_ALIGNED and len(sets) > 1:
        notes.append(f"CKA is on {MOST_ALIGNED} of {len(rows)} pictures, drawn by seed")
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ALIGNED, replace=False))
    found = []
    with one_thread():
        centered = {m: CenteredRows.of(sets[m.number].vectors[rows]) for m in models}
        for a, b in combinations(models, 2):
            shared = neighbor_overlap(
                neighbors[a.number][:, :N_NEAREST], neighbors[b.number][:, :N_NEAREST]
            )
            found.append(ModelSimilarity(a, b, *linear_cka(centered[a], centered[b]), shared))
    return tuple(found), notes
