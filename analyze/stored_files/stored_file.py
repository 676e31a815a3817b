"""A stored embeddings file by its head: what made its vectors, and whether that is requested."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from extract.errors import EmbeddingsFileError, SosieError
from extract.refusals import TO_DO
from extract.storage.embeddings import Provenance, canonical_json
from extract.storage.embeddings_file import read_list_of_pictures, read_provenance, read_table
from extract.transforms.preprocessing import AUTO, RESIZES

POOLINGS_TYPED = ("cls", "mean")
"""What ``python -m extract --pooling`` takes by name: any other is a model's own."""


@dataclass(frozen=True)
class StoredFile:
    """One embeddings file of the workspace.

    Parameters
    ----------
    path : Path
    made : Provenance or None
        None for a file that cannot be read.
    """

    path: Path
    made: Provenance | None

    @classmethod
    def at(cls, path: Path) -> StoredFile:
        """Read the head of a file."""
        try:
            return cls(path, read_provenance(path))
        except EmbeddingsFileError:
            return cls(path, None)

    @property
    def catalog(self) -> str:
        """The folder of its catalogue."""
        return self.path.parent.name

    @property
    def model(self) -> str:
        """The backbone's name."""
        return self.made.model if self.made else "an unreadable file"

    @property
    def words(self) -> str:
        """What tells it from others of its backbone, as in ``pretrained, crop, mean``."""
        return self.made.words if self.made else "unreadable"

    @property
    def updated(self) -> str:
        """When a run last filled it, in a spelling that sorts; empty where it does not say."""
        return str(self.made.record.get("updated") or "") if self.made else ""

    @cached_property
    def pictures(self) -> tuple[str, int]:
        """The fingerprint of its list of pictures, and how many those are; 0 if unreadable."""
        try:
            return read_list_of_pictures(self.path)
        except EmbeddingsFileError:
            return "", 0

    @property
    def geometry(self) -> str:
        """Everything of the geometry, to be compared."""
        return canonical_json(self.made.identity.get("geometry") if self.made else None)

    @property
    def but_for_geometry_and_pooling(self) -> tuple[str, ...]:
        """What files have in common that differ in these two alone."""
        if self.made is None:
            return (str(self.path),)
        rest = {k: v for k, v in self.made.identity.items() if k not in ("geometry", "pooling")}
        return self.catalog, self.model, canonical_json(rest)

    def is_as_made_by(self, resize: str | None, pooling: str | None) -> bool:
        """Say whether ``extract`` makes this very geometry of ``--resize``, not only its word."""
        return self._is_resized(resize, exactly=True) and self._is_pooled(pooling)

    def fits(self, resize: str | None, pooling: str | None) -> bool:
        """Return whether it is what ``--resize`` and ``--pooling`` request; None is any."""
        return self._is_resized(resize) and self._is_pooled(pooling)

    def is_complete(self) -> bool:
        """Say whether no row is to do."""
        try:
            return not (read_table(self.path).now("status") == TO_DO).any()
        except EmbeddingsFileError:
            return False

    def _is_resized(self, wanted: str | None, *, exactly: bool = False) -> bool:
        if wanted is None or self.made is None:
            return wanted is None
        word = AUTO if wanted == "auto" else wanted
        if wanted in RESIZES and not exactly:
            return self.made.resize == word
        meant = _geometry_of(self.model, wanted)
        return self.made.resize == word if meant is None else self.geometry == meant

    def _is_pooled(self, wanted: str | None) -> bool:
        if wanted is None or self.made is None:
            return wanted is None
        if wanted != "auto":
            return self.made.pooling == wanted
        own = self.made.pooling not in POOLINGS_TYPED
        return own or self.made.pooling == _pooling_of(self.model)


@cache
def _geometry_of(model: str, resize: str) -> str | None:
    """Spell what ``--resize`` makes of a backbone's pictures; None if unknown here."""
    from extract.backbones.registry import find_model

    try:
        found = find_model(model)[0]
        known = found.has_known_preprocessing()
        return canonical_json(found.preprocessing(resize).geometry) if known else None
    except SosieError:
        return None


@cache
def _pooling_of(model: str) -> str | None:
    """Name what a backbone's own classifier reads; None, or ``auto``, if unknown here."""
    from extract.backbones.registry import find_model

    try:
        return find_model(model)[0].pooling
    except SosieError:
        return None
