"""Pictures in, one embeddings file out.

Importing this package loads nothing heavy; its parts are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PARTS = {
    "Catalog": "extract.catalog.catalog",
    "list_folder": "extract.catalog.catalog",
    "list_imagefolder": "extract.catalog.imagefolder",
    "list_manifest": "extract.catalog.manifest",
    "ManifestColumns": "extract.catalog.manifest",
    "load_backbone": "extract.backbones.registry",
    "extract_embeddings": "extract.pipeline.extraction",
    "Options": "extract.pipeline.extraction",
    "EmbeddingSet": "extract.storage.embeddings",
    "read_embeddings": "extract.storage.embeddings_file",
    "export_embeddings": "extract.storage.export",
    "Workspace": "extract.workspace",
}

__all__ = [*_PARTS, "__version__"]


def __getattr__(name: str) -> Any:
    """Load a public part on first use (PEP 562)."""
    if name not in _PARTS:
        raise AttributeError(f"module 'extract' has no attribute {name!r}")
    return getattr(import_module(_PARTS[name]), name)
