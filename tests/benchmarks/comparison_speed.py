"""How long a comparison takes, cold and again, on vectors that are drawn."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from analyze.clustering.runs import Execution
from analyze.comparison.comparison import compare
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet, Provenance

REDUCTIONS = ("none", "pca:0.99", "pca:0.99,tsne", "pca:50,umap")
N_DIMS = 1280


def measure(n_images: int, n_models: int, n_seeds: int, n_resamples: int) -> None:
    """Print the seconds of a comparison, and of the same again."""
    sets = [drawn(n_images, f"backbone-{i}", spread=1.5 + 0.1 * i) for i in range(n_models)]
    with tempfile.TemporaryDirectory() as folder:
        for times in ("first", "again"):
            began = time.monotonic()
            found = compare(
                sets,
                reductions=REDUCTIONS,
                seeds=range(n_seeds),
                n_resamples=n_resamples,
                execution=Execution(
                    Path(folder) / "reductions",
                    Path(folder) / "clusterings",
                    progress=_progress,
                    resampling_progress=_progress,
                ),
            )
            seconds = time.monotonic() - began
            print(
                f"\r{times}: {n_models} backbones x {len(REDUCTIONS)} reductions x {n_seeds} seeds "
                f"x {n_resamples} resamples, {n_images} pictures of {N_DIMS}: {seconds:.1f} s"
            )
    for cell in found.cells:
        if cell.metric == "ari":
            spelled = f"{cell.mean:.3f} ({cell.low:.3f} to {cell.high:.3f})"
            print(f"{cell.model.name} {cell.reduction}: {spelled}")


def _progress(done: int, total: int) -> None:
    print(f"\r{done}/{total} ", end="", file=sys.stderr, flush=True)


def drawn(n_images: int, name: str, spread: float) -> EmbeddingSet:
    """Draw seven classes in 40 directions that say something, and noise in all."""
    rng = np.random.default_rng(len(name) + n_images)
    labels = np.arange(n_images) % 7
    within = rng.normal(size=(n_images, 40)) + spread * rng.normal(size=(7, 40))[labels] / 2
    vectors = within @ rng.normal(size=(40, N_DIMS)) / 40**0.5
    vectors += 0.3 * rng.normal(size=vectors.shape)
    level = Level.from_values("class", [f"class {label}" for label in labels])
    ids = tuple(f"{i:06}" for i in range(n_images))
    provenance = Provenance({"backbone": name}, ())
    return EmbeddingSet(ids, vectors.astype(np.float32), provenance, levels=(level,))
