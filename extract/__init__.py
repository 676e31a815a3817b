"""Pictures in, one embeddings file out.

Importing this package loads nothing heavy; its parts are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_PARTS = {
    "embed": "extract.pipeline.embedding",
    "Catalog": "extract.catalog.catalog",
    "list_folder": "extract.catalog.catalog",
    "list_imagefolder": "extract.catalog.imagefolder",
    "list_manifest": "extract.catalog.manifest",
    "ManifestColumns": "extract.catalog.manifest",
    "CatalogSource": "extract.catalog.source",
    "BackboneOptions": "extract.backbones.options",
    "load_backbone": "extract.backbones.registry",
    "extract_embeddings": "extract.pipeline.extraction",
    "Options": "extract.pipeline.options",
    "EmbeddingSet": "extract.storage.embeddings",
    "read_embeddings": "extract.storage.embeddings_file",
    "export_embeddings": "extract.storage.exchange.export",
    "Workspace": "extract.workspace",
}

__all__ = [*_PARTS, "__version__"]

if TYPE_CHECKING:  # what type checkers and editors see of the parts
    from extract.backbones.options import BackboneOptions as BackboneOptions
    from extract.backbones.registry import load_backbone as load_backbone
    from extract.catalog.catalog import Catalog as Catalog
    from extract.catalog.catalog import list_folder as list_folder
    from extract.catalog.imagefolder import list_imagefolder as list_imagefolder
    from extract.catalog.manifest import ManifestColumns as ManifestColumns
    from extract.catalog.manifest import list_manifest as list_manifest
    from extract.catalog.source import CatalogSource as CatalogSource
    from extract.pipeline.embedding import embed as embed
    from extract.pipeline.extraction import extract_embeddings as extract_embeddings
    from extract.pipeline.options import Options as Options
    from extract.storage.embeddings import EmbeddingSet as EmbeddingSet
    from extract.storage.embeddings_file import read_embeddings as read_embeddings
    from extract.storage.exchange.export import export_embeddings as export_embeddings
    from extract.workspace import Workspace as Workspace
else:

    def __getattr__(name: str) -> Any:
        """Load a public part on first use (PEP 562)."""
        if name not in _PARTS:
            raise AttributeError(f"module 'extract' has no attribute {name!r}")
        return getattr(import_module(_PARTS[name]), name)


def __dir__() -> list[str]:
    """List the parts too that are not loaded yet."""
    return sorted({*globals(), *__all__})
