"""Reduced coordinates kept between runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.array_cache import ArrayCache, check_texts, keyed_versions
from analyze.reduction.reduction import Progress, Reduced, parse_steps, reduce, uses_chance
from extract.storage.embeddings import EmbeddingSet


def reduction_key(embeddings: EmbeddingSet, reduction: str, seed: int) -> dict[str, Any]:
    """Name all that reduced coordinates depend on.

    The seed is null where the result does not depend on it, so that all seeds share one entry.
    """
    steps = parse_steps(reduction)
    return {
        "embeddings": embeddings.fingerprint,
        "steps": [[step.method, dict(step.parameters)] for step in steps],
        "seed": seed if uses_chance(steps) else None,
        "versions": keyed_versions(),
    }


@dataclass(frozen=True)
class ReductionCache:
    """Reduces, or gives back what the same vectors, steps, seed and versions gave before.

    Parameters
    ----------
    folder : Path
        Deleting it costs time, never truth.
    """

    folder: Path

    def __call__(
        self, embeddings: EmbeddingSet, reduction: str, seed: int, progress: Progress | None
    ) -> Reduced:
        """Reduce, or read; ``none`` costs nothing and is not kept.

        What is read cannot place new vectors: its ``place`` is None.
        """
        if not parse_steps(reduction):
            return reduce(embeddings, reduction, seed, progress)
        store = ArrayCache(self.folder, "the reduction is")
        key = reduction_key(embeddings, reduction, seed)

        def build(coordinates: np.ndarray, record: Mapping[str, Any]) -> Reduced:
            parameters, notes = tuple(map(dict, record["parameters"])), check_texts(record["notes"])
            if coordinates.dtype != np.float32 or not coordinates.size:
                raise ValueError(f"coordinates must be float32, got {coordinates.dtype}")
            return Reduced(embeddings.ids, coordinates, reduction, parameters, seed, notes)

        kept = store.read(key, build)
        if kept is not None:
            return kept
        reduced = reduce(embeddings, reduction, seed, progress)
        store.write(
            key,
            reduced.coordinates,
            parameters=[dict(p) for p in reduced.parameters],
            notes=list(reduced.notes),
        )
        return reduced
