"""Reduced coordinates kept between runs: ``.npy`` beside the JSON key that they depend on."""

from __future__ import annotations

import json
import logging
import os
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from analyze.reduction import Progress, Reduced, parse_steps, reduce
from extract.embeddings import EmbeddingSet, canonical_json, sha256_of

log = logging.getLogger("sosie")

KEYED_PACKAGES = ("numpy", "scikit-learn", "openTSNE")


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
        """Reduce, or read; ``none`` costs nothing and is not kept."""
        steps = parse_steps(reduction)
        if not steps:
            return reduce(embeddings.ids, embeddings.vectors, reduction, seed, progress)
        key = {
            "embeddings": embeddings.fingerprint,
            "steps": [[step.method, dict(step.parameters)] for step in steps],
            "seed": seed,
            "versions": {package: version(package) for package in KEYED_PACKAGES},
        }
        stem = self.folder / sha256_of(key)[:32]
        kept = self._read(stem, key, embeddings, reduction, seed)
        if kept is not None:
            return kept
        reduced = reduce(embeddings.ids, embeddings.vectors, reduction, seed, progress)
        try:
            self._write(stem, key, reduced)
        except OSError as error:  # the answer is had all the same
            log.warning("the reduction is not kept for the next run: %s", error)
        return reduced

    def _read(
        self,
        stem: Path,
        key: dict[str, Any],
        embeddings: EmbeddingSet,
        reduction: str,
        seed: int,
    ) -> Reduced | None:
        """Read what was kept; anything damaged counts as not there."""
        try:
            said = json.loads(stem.with_suffix(".json").read_text())
            array = stem.with_suffix(".npy")
            if said["key"] != key or said["crc32"] != zlib.crc32(array.read_bytes()):
                return None
            with array.open("rb") as file:
                coordinates = np.lib.format.read_array(file, allow_pickle=False)
            return Reduced(
                embeddings.ids,
                coordinates,
                reduction,
                tuple(said["parameters"]),
                seed,
                tuple(said["notes"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, stem: Path, key: dict[str, Any], reduced: Reduced) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{stem.name}.{os.getpid()}.npy"
        np.save(temporary, reduced.coordinates, allow_pickle=False)
        said = {
            "key": key,
            "crc32": zlib.crc32(temporary.read_bytes()),
            "parameters": [dict(p) for p in reduced.parameters],
            "notes": list(reduced.notes),
        }
        temporary.replace(stem.with_suffix(".npy"))
        temporary = temporary.with_suffix(".json")
        temporary.write_text(canonical_json(said))
        temporary.replace(stem.with_suffix(".json"))
