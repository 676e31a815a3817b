"""One file's part of a run: which of its rows are due, and its slices as their pictures come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from extract.backbones import Backbone
from extract.catalog import Catalog
from extract.embeddings import row_crc32
from extract.embeddings_file import EmbeddingsTable, Rows, blank_fields
from extract.loading import LoadedPicture
from extract.plan import Plan
from extract.realisation import apply_realisation
from extract.refusals import SOUND, Reason, Refused


@dataclass(frozen=True, eq=False)
class ComputedSlice:
    """The rows of one slice that were due, computed.

    Parameters
    ----------
    numbers : ndarray of int
        Row numbers.
    rows : Rows
    refusals : list of mapping
        A line each for the list of refused pictures.
    """

    numbers: np.ndarray
    rows: Rows
    refusals: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class FileRun:
    """One file that a run fills.

    Parameters
    ----------
    table : EmbeddingsTable
    plan : Plan
    catalog : Catalog
    backbone : Backbone
    record : mapping
        Of this run, as it is written when it ends.
    limit : int, optional
        At most so many new pictures, rounded up to whole slices.
    relabelled : str, optional
        What changed in the labels, for people.
    """

    table: EmbeddingsTable
    plan: Plan
    catalog: Catalog
    backbone: Backbone
    record: Mapping[str, Any]
    limit: int | None = None
    relabelled: str | None = None
    _waiting: list[tuple[int, LoadedPicture]] = field(default_factory=list)

    @property
    def realisation(self) -> Mapping[str, Any]:
        """How this run computes."""
        return self.plan.realisations[self.plan.realisation]

    @cached_property
    def due(self) -> np.ndarray:
        """Rows to compute in this run; ndarray of shape (n_images,), bool."""
        slices = np.arange(len(self.catalog)) // self.plan.batch_size
        due: np.ndarray = self.plan.to_do & np.isin(slices, self.plan.slices(self.limit))
        return due

    @cached_property
    def _closing(self) -> frozenset[int]:
        """Rows that are the last due of their slice."""
        rows = np.flatnonzero(self.due)
        slices = rows // self.plan.batch_size
        return frozenset(rows[np.append(slices[1:] != slices[:-1], True)].tolist())

    def take(self, row: int, picture: LoadedPicture) -> ComputedSlice | None:
        """Keep a picture that is due; give the slice when this one completes it.

        Rows come in ascending order.
        """
        if not self.due[row]:
            return None
        self._waiting.append((row, picture))
        if row not in self._closing:
            return None
        rows = np.array([number for number, _ in self._waiting])
        loaded = [each for _, each in self._waiting]
        self._waiting.clear()
        return self._embed(rows, loaded)

    def _embed(self, rows: np.ndarray, loaded: list[LoadedPicture]) -> ComputedSlice:
        """Forward one slice, each row in its own place, the other places zero."""
        import torch

        apply_realisation(self.realisation)
        preprocessing = self.backbone.preprocessing
        pixels = torch.zeros(self.plan.batch_size, 3, preprocessing.size, preprocessing.size)
        places = rows % self.plan.batch_size
        for place, picture in zip(places, loaded, strict=True):
            if picture.refused is None:
                pixels[place] = picture.pixels[preprocessing]
        vectors = np.full((len(rows), self.backbone.n_dims), np.nan, np.float32)
        if any(picture.refused is None for picture in loaded):
            vectors = self.backbone.embed(pixels)[places]
        computed = Rows(vectors=vectors, **blank_fields(len(rows)))
        computed.realisation[:] = self.plan.realisation
        refusals = []
        for i, (row, picture) in enumerate(zip(rows, loaded, strict=True)):
            refusal = self._fill(computed, i, self.catalog.ids[row], picture)
            refusals += [refusal] if refusal else []
        return ComputedSlice(rows, computed, refusals)

    def _fill(
        self, computed: Rows, i: int, row_id: str, picture: LoadedPicture
    ) -> dict[str, Any] | None:
        """Fill what stands beside one vector; give its line if the picture is refused."""
        computed.size[i], computed.mtime_ns[i] = picture.size, picture.mtime_ns
        computed.content_sha256[i] = np.frombuffer(picture.sha256, np.uint8)
        refused = picture.refused
        if refused is None and not np.isfinite(computed.vectors[i]).all():
            refused = Refused(Reason.NOT_FINITE, "the backbone gave numbers that are not finite")
        if refused is None:
            computed.status[i] = SOUND
            computed.row_crc32[i] = row_crc32(row_id, picture.sha256, computed.vectors[i])
            return None
        computed.vectors[i] = np.nan
        computed.status[i] = refused.reason
        return {
            "id": row_id,
            "code": refused.reason.code,
            "status": int(refused.reason),
            "message": refused.message,
            "bytes": picture.size if picture.size >= 0 else None,
            "content_sha256": picture.sha256.hex() if any(picture.sha256) else None,
        }
