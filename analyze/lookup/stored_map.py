"""The maps of a catalogue that were reduced before: where its rows lie in the plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.array_cache import ArrayCache
from analyze.plane import AXIS_NAMES
from extract.embeddings import EmbeddingSet

METHODS = ("tsne", "umap")
USUAL: dict[str, dict[str, Any]] = {
    "tsne": {"initialization": "pca", "perplexity": 30},
    "umap": {"n_neighbors": 15},
}
MOST_POINTS = 5_000
"""That are drawn; of more rows a sample is, and all that are lit."""


@dataclass(frozen=True, eq=False)
class StoredMap:
    """Two coordinates a row, as a reduction left them in the cache.

    Parameters
    ----------
    name : str
        Its steps, as typed.
    seed : int or None
    points : ndarray of shape (n_images, 2), float32
    """

    name: str
    seed: int | None
    points: np.ndarray

    @property
    def method(self) -> str:
        """What it is called in the field."""
        return AXIS_NAMES[self.name.rpartition(",")[2].partition(":")[0]]

    def rows_drawn(self, lit: np.ndarray) -> np.ndarray:
        """Choose the rows that are drawn: all, or a sample of many and all that are lit."""
        n = len(self.points)
        if n <= MOST_POINTS:
            return np.arange(n)
        drawn = np.random.default_rng(0).choice(n, MOST_POINTS, replace=False)
        return np.union1d(drawn, lit)

    def within(self, side: float, margin: float) -> np.ndarray:
        """Scale the points into a square, y down; ndarray of shape (n_images, 2)."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        scale = (side - 2 * margin) / max(float((high - low).max()), 1e-12)
        centered = (self.points - (low + high) / 2) * scale
        placed: np.ndarray = side / 2 + centered * np.array([1, -1])
        return placed


def stored_maps(folder: Path, embeddings: EmbeddingSet) -> tuple[StoredMap, ...]:
    """Find the maps of these very vectors: of each reduction the one of the lowest seed.

    Parameters
    ----------
    folder : Path
        Of :class:`analyze.reduction_cache.ReductionCache`.
    embeddings : EmbeddingSet
    """
    store = ArrayCache(folder, "the reduction is")
    fitting = [
        key
        for key in store.stored_keys()
        if _is_map(key) and key["embeddings"] == embeddings.fingerprint
    ]
    found: dict[str, StoredMap] = {}
    for key in sorted(fitting, key=lambda key: (key["seed"] is not None, key["seed"] or 0)):
        name = _spelled(key["steps"])
        if name not in found:
            points = store.read(key, lambda array, _said: array)
            if points is not None and _fits(points, len(embeddings)):
                found[name] = StoredMap(name, key["seed"], points)
    order = {method: place for place, method in enumerate(METHODS)}
    return tuple(sorted(found.values(), key=lambda m: (order[_last(m.name)], len(m.name))))


def _is_map(key: Mapping[str, Any]) -> bool:
    steps, seed = key.get("steps"), key.get("seed")
    return (
        isinstance(steps, list)
        and bool(steps)
        and all(isinstance(s, list) and len(s) == 2 and isinstance(s[1], dict) for s in steps)
        and steps[-1][0] in METHODS
        and (seed is None or isinstance(seed, int))
    )


def _fits(points: np.ndarray, n_images: int) -> bool:
    plain = points.dtype == np.float32 and points.shape == (n_images, 2)
    return plain and bool(np.isfinite(points).all()) and n_images > 0


def _spelled(steps: Any) -> str:
    """Spell steps as they are typed; what a step does of itself is not said."""
    words = []
    for method, said in steps:
        usual = USUAL.get(method, {})
        given = [f"{v:g}" if isinstance(v, float) else str(v) for v in said.values()]
        words.append(":".join([method, *([] if dict(said) == usual else given)]))
    return ",".join(words)


def _last(name: str) -> str:
    return name.rpartition(",")[2].partition(":")[0]
