"""Reductions and clusterings of many rows, beside scikit-learn's defaults: seconds and quality."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from analyze.clustering.clustering import cluster
from analyze.reduction.reduction import Reduced, reduce
from analyze.threads import one_thread

CLASSES, WITHIN = 60, 40
KMEANS_SEEDS = 4


def measure(n_rows: int, n_dims: int, only: list[str] | None, rounds: int) -> None:
    """Print CPU seconds of one thread, ours and scikit-learn's in turn, and their quality."""
    vectors = drawn(n_rows, n_dims)
    ids = tuple(f"{i:07}" for i in range(n_rows))
    for name, compare in (("pca", _pca), ("kmeans", _kmeans), ("tsne", _tsne)):
        if not only or name in only:
            with one_thread():
                for _ in range(rounds):
                    compare(ids, vectors)


def drawn(n_rows: int, n_dims: int) -> np.ndarray:
    """Draw rows of classes in few directions, with noise in all; float32."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, n_rows)
    within = rng.normal(size=(n_rows, WITHIN)) + 2 * rng.normal(size=(CLASSES, WITHIN))[labels]
    turned = rng.normal(size=(WITHIN, n_dims)) / WITHIN**0.5
    rows = within.astype(np.float32) @ turned.astype(np.float32)
    rows += 0.2 * rng.standard_normal(rows.shape, dtype=np.float32)
    return rows


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


def _said(name: str, ours: float, theirs: float, quality: str) -> None:
    print(
        f"{name}: ours {ours:.1f} s, scikit-learn {theirs:.1f} s, {theirs / ours:.2f} x; {quality}",
        flush=True,
    )


def _pca(ids: tuple[str, ...], vectors: np.ndarray) -> None:
    from sklearn.decomposition import PCA

    ours, seconds = _timed(lambda: reduce(vectors, "pca:50", 0))
    theirs, other = _timed(lambda: PCA(50, random_state=0).fit_transform(vectors))
    kept, their = (float(x.var(axis=0, dtype=np.float64).sum()) for x in (ours.coordinates, theirs))
    _said("pca:50", seconds, other, f"variance {kept / their - 1:+.4%} of theirs")


def _kmeans(ids: tuple[str, ...], vectors: np.ndarray) -> None:
    """Compare means over seeds: two runs of scikit-learn differ by half a percent themselves."""
    from sklearn.cluster import KMeans

    reduced = Reduced(ids, vectors, "none", (), 0)
    own, their, times = [], [], np.zeros(2)
    for seed in range(KMEANS_SEEDS):
        found, seconds = _timed(partial(cluster, reduced, 20, seed))
        fitted, other = _timed(partial(KMeans(20, n_init=10, random_state=seed).fit, vectors))
        own.append(_inertia(vectors, found.assignments))
        their.append(_inertia(vectors, fitted.labels_))
        times += seconds, other
    apart = np.mean(own) / np.mean(their) - 1
    spread = np.std(their, ddof=1) / np.mean(their)
    quality = f"inertia {apart:+.3%} of theirs, whose seeds differ by {spread:.3%}"
    ours, theirs = times / KMEANS_SEEDS
    _said("kmeans 20, 10 starts", ours, theirs, quality)


def _inertia(vectors: np.ndarray, assignments: np.ndarray) -> float:
    total = 0.0
    for each in np.unique(assignments):
        rows = vectors[assignments == each].astype(np.float64)
        total += float(((rows - rows.mean(axis=0)) ** 2).sum())
    return total


def _tsne(ids: tuple[str, ...], vectors: np.ndarray) -> None:
    """Compare after PCA; both run at once, each in a process of its own."""
    from sklearn.manifold import trustworthiness

    points = reduce(vectors, "pca:50", 0).coordinates
    with ProcessPoolExecutor(2, get_context("spawn")) as both:
        own, their = both.submit(_our_map, points), both.submit(_their_map, points)
        (ours, seconds), (theirs, other) = own.result(), their.result()
    some = np.random.default_rng(0).choice(len(ids), min(len(ids), 2000), replace=False)
    trusted = [trustworthiness(points[some], each[some]) for each in (ours, theirs)]
    divergences = _divergences(points, [ours, theirs])
    quality = "KL {:.4f} and {:.4f}, trustworthiness {:.4f} and {:.4f}"
    _said("tsne of pca:50", seconds, other, quality.format(*divergences, *trusted))


def _our_map(points: np.ndarray) -> tuple[np.ndarray, float]:
    with one_thread():
        found, seconds = _timed(partial(reduce, points, "tsne", 0))
    return found.coordinates, seconds


def _their_map(points: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.manifold import TSNE

    with one_thread():
        found, seconds = _timed(partial(TSNE(random_state=0, n_jobs=1).fit_transform, points))
    return found, seconds


def _divergences(points: np.ndarray, maps: list[np.ndarray]) -> list[float]:
    """Reckon both maps' divergence from the same affinities, the same way."""
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    same = PerplexityBasedNN(points, perplexity=30, method="exact", n_jobs=1, random_state=0)
    found = []
    for each in maps:
        embedding = TSNEEmbedding(each.astype(np.float64), same, n_jobs=1, random_state=0)
        # no step moves anything: the gradient's error alone is wanted
        embedding.optimize(1, learning_rate=1e-9, momentum=0.0, inplace=True)
        found.append(float(embedding.kl_divergence))
    return found
