"""How far the ARI of one file moves with the seed of reduction and clustering."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np

from analyze import analyze_embeddings
from extract import EmbeddingSet, read_embeddings

REDUCTIONS = ("none", "pca:0.99", "pca:0.99,tsne", "pca:0.99,tsne:30:random")


def measure(embeddings: Path, reductions: list[str] | None, seeds: int) -> None:
    """Print mean, standard deviation and extremes over seeds 0, 1, ... for each reduction."""
    vectors = read_embeddings(embeddings)
    print(f"{vectors.provenance.model}, {len(vectors)} pictures, seeds 0 to {seeds - 1}")
    for reduction in reductions or REDUCTIONS:
        found = joblib.Parallel(n_jobs=-1)(
            joblib.delayed(_ari)(vectors, reduction, seed) for seed in range(seeds)
        )
        scores = np.array([score for score, _ in found])
        print(
            f"{reduction:<26} ARI {scores.mean():.4f} ± {scores.std():.4f} "
            f"({scores.min():.3f} to {scores.max():.3f}), 1-NN {found[0][1]:.4f}",
            flush=True,
        )


def _ari(vectors: EmbeddingSet, reduction: str, seed: int) -> tuple[float, float]:
    scores = analyze_embeddings(vectors, reduction=reduction, seed=seed).scores
    assert scores["ari"] is not None
    assert scores["one_nn_accuracy"] is not None
    return scores["ari"], scores["one_nn_accuracy"]
