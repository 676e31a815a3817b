"""The maps of a catalogue that were reduced before: where its rows lie in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.array_cache import ArrayCache
from analyze.reduction.reduction import AXIS_NAMES, parse_steps
from extract.storage.embeddings import EmbeddingSet

METHODS = ("tsne", "umap")
MOST_POINTS = 5_000
"""That are drawn; of more rows a sample is, with all that are highlighted."""

FLATTEST = 0.5


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
        """The usual name of the last step, such as t-SNE."""
        return AXIS_NAMES[self.name.rpartition(",")[2].partition(":")[0]]

    def rows_drawn(self, lit: np.ndarray) -> np.ndarray:
        """Choose the rows to draw: all, or a sample of many with all that are highlighted."""
        n = len(self.points)
        if n <= MOST_POINTS:
            return np.arange(n)
        drawn = np.random.default_rng(0).choice(n, MOST_POINTS, replace=False)
        return np.union1d(drawn, lit)

    def within(self, width: float, margin: float) -> tuple[np.ndarray, float]:
        """Scale the points onto a sheet, y down, both axes alike.

        Parameters
        ----------
        width, margin : float
            Of the sheet, in the units of the drawing.

        Returns
        -------
        places : ndarray of shape (n_images, 2)
        height : float
            Of the sheet: as the points need, from ``FLATTEST`` of its width to all of it.
        """
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        across, down = np.maximum(high - low, 1e-12).astype(float)
        height = width * min(1.0, max(FLATTEST, down / across))
        scale = min((width - 2 * margin) / across, (height - 2 * margin) / down)
        centered = (self.points - (low + high) / 2) * scale
        return np.array([width, height]) / 2 + centered * np.array([1, -1]), height


def stored_maps(folder: Path, embeddings: EmbeddingSet) -> tuple[StoredMap, ...]:
    """Find the maps of these very vectors: of each reduction the one of the lowest seed.

    Parameters
    ----------
    folder : Path
        Of :class:`analyze.reduction.cache.ReductionCache`.
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
            points = store.read(key, lambda array, _record: array)
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


def _spelled(steps: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Spell steps as they are typed, without the values that are defaults."""
    words = []
    for method, parameters in steps:
        usual = parse_steps(method)[0].parameters if method in METHODS else {}
        given = sorted(parameters.items(), key=lambda each: [*usual, each[0]].index(each[0]))
        while given and given[-1] in usual.items():
            given.pop()
        values = (f"{v:g}" if isinstance(v, float) else str(v) for _, v in given)
        words.append(":".join([method, *values]))
    return ",".join(words)


def _last(name: str) -> str:
    return name.rpartition(",")[2].partition(":")[0]
