"""Tasks of the process that holds the backbones: it sees pixels, never what was sent."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.images.decoders import DecodedPicture
from extract.storage.embeddings import Provenance
from extract.transforms.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np

LOADING_SECONDS = 300.0
"""That a backbone may take to load, in the first process and in each that replaces it."""

EMBEDDING_SECONDS = 60.0


@dataclass(frozen=True)
class BackboneSource:
    """Which backbone embeds what is sent.

    Parameters
    ----------
    provenance : Provenance
        Of the file that is searched.
    weights : Path, optional
        Where its weights came from a file.
    kept_in : Path, optional
        Where what is known of backbones is kept.
    """

    provenance: Provenance
    weights: Path | None = None
    kept_in: Path | None = None

    @property
    def key(self) -> str:
        """Distinguishes it from other backbones."""
        return self.provenance.identity_sha256

    def load(self) -> Any:
        """Load it; gives what embeds as the rows of the file were."""
        from analyze.neighbors.query import embedder_for
        from extract.backbones.kept_backbones import load_from_provenance

        backbone = load_from_provenance(
            self.provenance, weights_file=self.weights, kept_in=self.kept_in
        )
        return embedder_for(backbone, self.provenance.execution_configs)


@dataclass(frozen=True)
class Loaded:
    """A backbone that is loaded, how it wants its pictures, and where it is.

    Parameters
    ----------
    preprocessing : Preprocessing
    decoder : str
    pid : int
        Of the process that holds it.
    """

    preprocessing: Preprocessing
    decoder: str
    pid: int


@dataclass(frozen=True)
class Load:
    """Load a backbone, before a picture comes."""

    source: BackboneSource
    seconds: float = LOADING_SECONDS
    processor_seconds: None = None

    def do(self, kept: dict[str, Any]) -> Loaded:
        """Load it, if it is not loaded here."""
        if self.source.key not in kept:
            kept[self.source.key] = self.source.load()
        embedder = kept[self.source.key]
        return Loaded(embedder.preprocessing, embedder.decoder, os.getpid())


@dataclass(frozen=True)
class Embed:
    """Embed a decoded picture as the rows of a file were.

    Parameters
    ----------
    source : BackboneSource
    decoded : DecodedPicture
        For its preprocessing.
    """

    source: BackboneSource
    decoded: DecodedPicture = field(repr=False)
    seconds: float = EMBEDDING_SECONDS
    processor_seconds: None = None

    def do(self, kept: dict[str, Any]) -> np.ndarray | None:
        """Embed it; ndarray of shape (n_dims,), float32.

        None in a process that has not loaded the backbone: that takes a time of its own.
        """
        if self.source.key not in kept:
            return None
        vector: np.ndarray = kept[self.source.key].embed_decoded(self.decoded)
        return vector
