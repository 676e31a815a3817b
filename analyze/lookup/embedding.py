"""Tasks of the process that holds the backbones: it sees pixels, never what was sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.decoders import DecodedPicture
from extract.embeddings import Provenance
from extract.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np

LOADING_SECONDS = 300.0
"""That a backbone may take to load."""

EMBEDDING_SECONDS = 60.0


@dataclass(frozen=True)
class BackboneSource:
    """Which backbone embeds what is sent.

    Parameters
    ----------
    provenance : Provenance
        Of the file that is asked.
    weights : Path, optional
        Where its weights came from a file.
    """

    provenance: Provenance
    weights: Path | None = None

    @property
    def key(self) -> str:
        """What tells it apart from others."""
        return self.provenance.identity_sha256

    def embedder(self, kept: dict[str, Any]) -> Any:
        """Load it, or give it as it was loaded before."""
        from analyze.query import embedder_for
        from extract.backbones import load_again

        if self.key not in kept:
            backbone = load_again(self.provenance, weights_file=self.weights)
            kept[self.key] = embedder_for(backbone, self.provenance.realisations)
        return kept[self.key]


@dataclass(frozen=True)
class Seeing:
    """How a backbone wants its pictures.

    Parameters
    ----------
    preprocessing : Preprocessing
    decoder : str
    """

    preprocessing: Preprocessing
    decoder: str


@dataclass(frozen=True)
class Load:
    """Load a backbone, before the first picture comes."""

    source: BackboneSource
    seconds: float = LOADING_SECONDS

    def do(self, kept: dict[str, Any]) -> Seeing:
        """Load it."""
        embedder = self.source.embedder(kept)
        return Seeing(embedder.preprocessing, embedder.decoder)


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

    def do(self, kept: dict[str, Any]) -> np.ndarray:
        """Embed it; ndarray of shape (n_dims,), float32."""
        vector: np.ndarray = self.source.embedder(kept).embed_decoded(self.decoded)
        return vector
