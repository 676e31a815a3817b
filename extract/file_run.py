"""One file's part of a run: which of its rows are due, and its batches as pictures come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from extract.backbones import Backbone
from extract.catalog import Catalog
from extract.content_index import ContentIndex
from extract.embeddings_table import EmbeddingsTable, Rows, blank_fields
from extract.loading import LoadedPicture
from extract.plan import Batches, Plan
from extract.refusals import SOUND, Reason, Refused
from extract.runtimes import apply_realisation
from extract.writing import ComputedSlice


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
        At most so many new pictures, rounded up to whole batches.
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
    def batches(self) -> Batches:
        """The rows to compute in this run, and where each is forwarded."""
        return self.plan.batches(self.limit)

    @cached_property
    def due(self) -> np.ndarray:
        """Rows to compute in this run; ndarray of shape (n_images,), bool."""
        due = np.zeros(len(self.catalog), dtype=bool)
        due[self.batches.rows] = True
        return due

    @cached_property
    def _closing(self) -> np.ndarray:
        """Rows that are the last of their batch; ndarray of shape (n_images,), bool."""
        closing = np.zeros(len(self.catalog), dtype=bool)
        numbers = self.batches.numbers
        closing[self.batches.rows[np.append(numbers[1:] != numbers[:-1], True)]] = True
        return closing

    @cached_property
    def finished(self) -> ContentIndex:
        """The rows that need not be computed, by content: equal bytes are embedded once."""
        rows = np.flatnonzero((self.table.rows.status == SOUND) & ~self.plan.to_do)
        return ContentIndex(self.table.rows.content_sha256, rows)

    def needs(self, row: int, sha256: bytes) -> bool:
        """Say whether a row needs the pixels of its picture, or only its bytes."""
        return bool(self.due[row]) and self.finished.find(sha256) < 0

    def take(self, row: int, picture: LoadedPicture) -> ComputedSlice | None:
        """Keep a picture that is due; give the batch when this one completes it.

        Rows come in ascending order.
        """
        if not self.due[row]:
            return None
        self._waiting.append((row, picture))
        if not self._closing[row]:
            return None
        rows = np.array([number for number, _ in self._waiting])
        loaded = [each for _, each in self._waiting]
        self._waiting.clear()
        return self._embed(rows, loaded)

    def _embed(self, rows: np.ndarray, loaded: list[LoadedPicture]) -> ComputedSlice:
        """Compute one batch: forward what is new by content, take the vector of what is not."""
        computed = Rows(
            vectors=np.full((len(rows), self.backbone.n_dims), np.nan, np.float32),
            **blank_fields(len(rows)),
        )
        computed.realisation[:] = self.plan.realisation
        sources = np.full(len(rows), -1)
        first: dict[bytes, int] = {}  # of each content that this batch brings
        for i, picture in enumerate(loaded):
            if picture.refused is None:
                sources[i] = self.finished.find(picture.sha256)
                if sources[i] < 0:
                    first.setdefault(picture.sha256, i)
        self._forward(computed, list(first.values()), rows, loaded)
        refusals = []
        for i, (row, picture) in enumerate(zip(rows.tolist(), loaded, strict=True)):
            if sources[i] >= 0:
                computed.realisation[i] = self._realisation_of(int(sources[i]))
            elif picture.refused is None:
                computed.vectors[i] = computed.vectors[first[picture.sha256]]
            refusal = self._fill(computed, i, row, picture, copied=bool(sources[i] >= 0))
            refusals += [refusal] if refusal else []
        for sha256, i in first.items():
            if computed.status[i] == SOUND:
                self.finished.add(sha256, int(rows[i]))
        copied = np.ones(len(rows), bool)
        copied[list(first.values())] = False
        return ComputedSlice(rows, computed, sources, copied, refusals)

    def _forward(
        self, computed: Rows, new: list[int], rows: np.ndarray, loaded: list[LoadedPicture]
    ) -> None:
        """Forward the new pictures of a batch, each in its own place, the other places zero."""
        import torch

        if not new:
            return
        apply_realisation(self.realisation)
        preprocessing = self.backbone.preprocessing
        pixels = torch.zeros(self.plan.batch_size, 3, preprocessing.size, preprocessing.size)
        places = self.batches.places[np.searchsorted(self.batches.rows, rows[new])]
        for place, i in zip(places.tolist(), new, strict=True):
            pixels[place] = loaded[i].pixels[preprocessing]
        computed.vectors[new] = self.backbone.embed(pixels)[places]

    def _realisation_of(self, row: int) -> int:
        """Say how a finished row was computed."""
        return self.plan.realisation if self.due[row] else int(self.table.rows.realisation[row])

    def _fill(
        self, computed: Rows, i: int, row: int, picture: LoadedPicture, *, copied: bool
    ) -> dict[str, Any] | None:
        """Fill what stands beside one vector; give its line if the picture is refused."""
        computed.size[i], computed.mtime_ns[i] = picture.size, picture.mtime_ns
        computed.content_sha256[i] = np.frombuffer(picture.sha256, np.uint8)
        refused = picture.refused
        if refused is None and not copied and not np.isfinite(computed.vectors[i]).all():
            refused = Refused(Reason.NOT_FINITE, "the backbone gave numbers that are not finite")
        if refused is None:
            computed.status[i] = SOUND
            return None
        computed.vectors[i] = np.nan
        computed.status[i] = refused.reason
        return {
            "id": self.catalog.ids[row],
            "code": refused.reason.code,
            "status": int(refused.reason),
            "message": refused.message,
            "bytes": picture.size if picture.size >= 0 else None,
            "content_sha256": picture.sha256.hex() if any(picture.sha256) else None,
        }
