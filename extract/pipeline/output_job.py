"""One file's part of a run: which of its rows are due, where each is forwarded, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog
from extract.inference.execution_config import requested_decoder
from extract.loading.picture import LoadedPicture, Way
from extract.pipeline.plan import Batches, Plan
from extract.refusals import SOUND, Refused
from extract.storage.content_index import ContentIndex
from extract.storage.embeddings_table import EmbeddingsTable


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
        At most this many new pictures, rounded up to whole batches.
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

    @property
    def execution_config(self) -> Mapping[str, Any]:
        """How this run computes."""
        return self.plan.execution_configs[self.plan.execution_config]

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
    def closing(self) -> np.ndarray:
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
        """Whether a row needs the pixels of its picture, or only its bytes."""
        return bool(self.due[row]) and self.finished.find(sha256) < 0

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Give the place in its batch where each of some due rows is forwarded; ndarray of int."""
        places: np.ndarray = self.batches.places[np.searchsorted(self.batches.rows, rows)]
        return places

    def execution_config_by(self, ways: tuple[tuple[str, Way], ...]) -> int:
        """Give a row's execution config in this run, by what made its picture ready."""
        found = self._known_ways.get(ways)
        if found is None:
            way = dict(ways).get(requested_decoder(self.execution_config))
            found = self._execution_configs[way] if way else self.plan.execution_config
            self._known_ways[ways] = found
        return found

    @cached_property
    def _known_ways(self) -> dict[tuple[tuple[str, Way], ...], int]:
        return {}

    @cached_property
    def _execution_configs(self) -> dict[Way, int]:
        """The execution configs that differ from this run's only in what makes pictures ready."""
        same = [
            {**r, "decoder": "", "resize": "", "reading": ""} for r in self.plan.execution_configs
        ]
        mine = same[self.plan.execution_config]
        return {
            tuple(str(r[part]) for part in ("decoder", "resize", "reading") if part in r): i
            for i, r in enumerate(self.plan.execution_configs)
            if same[i] == mine
        }

    @cached_property
    def execution_config_of(self) -> np.ndarray:
        """Each finished row's execution config, this run's as they come; (n_images,), uint8."""
        return np.array(self.table.rows.execution_config)

    @cached_property
    def dimensions_of(self) -> np.ndarray:
        """Height and width of each finished row's picture; (n_images, 2), uint32."""
        return np.array(self.table.rows.dimensions)

    def line_of(self, row: int, picture: LoadedPicture, refused: Refused) -> dict[str, Any]:
        """Spell a refused picture for the list of refused pictures."""
        return {
            "id": self.catalog.ids[row],
            "code": refused.reason.code,
            "status": int(refused.reason),
            "message": refused.message,
            "bytes": picture.size if picture.size >= 0 else None,
            "content_sha256": picture.sha256.hex() if any(picture.sha256) else None,
        }
