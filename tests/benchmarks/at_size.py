"""Reductions and clusterings of many rows, beside scikit-learn's defaults: seconds and quality."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from analyze.clustering import cluster
from analyze.reduction import Reduced, reduce
from analyze.threads import one_thread

CLASSES, WITHIN = 60, 40


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

    ours, seconds = _timed(lambda: reduce(ids, vectors, "pca:50", 0))
    theirs, other = _timed(lambda: PCA(50, random_state=0).fit_transform(vectors))
    kept, their = (float(x.var(axis=0, dtype=np.float64).sum()) for x in (ours.coordinates, theirs))
    _said("pca:50", seconds, other, f"variance {kept / their - 1:+.4%} of theirs")


def _kmeans(ids: tuple[str, ...], vectors: np.ndarray) -> None:
    from sklearn.cluster import KMeans

    reduced = Reduced(ids, vectors, "none", (), 0)
    ours, seconds = _timed(lambda: cluster(reduced, 20, 0).assignments)
    wide = vectors.astype(np.float64)
    model = KMeans(20, n_init=10, random_state=0)
    theirs, other = _timed(lambda: model.fit_predict(wide))
    own, their = (_inertia(vectors, each) for each in (ours, theirs))
    _said("kmeans 20, 10 starts", seconds, other, f"inertia {own / their - 1:+.4%} of theirs")


def _inertia(vectors: np.ndarray, assignments: np.ndarray) -> float:
    total = 0.0
    for each in np.unique(assignments):
        rows = vectors[assignments == each].astype(np.float64)
        total += float(((rows - rows.mean(axis=0)) ** 2).sum())
    return total


def _tsne(ids: tuple[str, ...], vectors: np.ndarray) -> None:
    from sklearn.manifold import TSNE, trustworthiness

    points = reduce(ids, vectors, "pca:50", 0).coordinates
    ours, seconds = _timed(lambda: reduce(ids, points, "tsne", 0))
    theirs, other = _timed(lambda: TSNE(random_state=0, n_jobs=1).fit(points))
    some = np.random.default_rng(0).choice(len(ids), min(len(ids), 2000), replace=False)
    own, their = (
        trustworthiness(points[some], each[some]) for each in (ours.coordinates, theirs.embedding_)
    )
    kl = ours.parameters[0]["kl_divergence"]
    _said(
        "tsne of pca:50",
        seconds,
        other,
        f"KL {kl:.3f} and {theirs.kl_divergence_:.3f}, trustworthiness {own:.4f} and {their:.4f}",
    )
