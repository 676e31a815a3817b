"""What a result came from: command, versions, input hashes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from extract.machine.packages import versions_of
from extract.storage.embeddings import EmbeddingSet, sha256_of

PACKAGES = (
    "sosie",
    "numpy",
    "scipy",
    "scikit-learn",
    "openTSNE",
    "umap-learn",
    "matplotlib",
    "seaborn",
    "h5py",
)


def run_record(command: str, embeddings: EmbeddingSet | Sequence[EmbeddingSet]) -> dict[str, Any]:
    """Describe a run for ``run.json``; ``inputs`` is a list where several were given."""
    return {
        "command": command,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **versions_of(PACKAGES)},
        "inputs": _input(embeddings)
        if isinstance(embeddings, EmbeddingSet)
        else [_input(e) for e in embeddings],
    }


def _input(embeddings: EmbeddingSet) -> dict[str, str]:
    labels: list[list[Any]] = [[v.name, v.values()] for v in embeddings.levels]
    labels += [[v.name, v.values()] for v in embeddings.multi_labels]
    return {
        "identity_sha256": embeddings.provenance.identity_sha256,
        "embeddings_sha256": embeddings.fingerprint,
        "labels_sha256": sha256_of(labels),
    }
