"""Indexes kept between runs: built once, bound to their embeddings, read whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyze.neighbors.indexes.approximate_index import (
    ApproximateIndex,
    choose_effort,
    hold_out,
    measure_efforts,
    recall_of_rows,
)
from analyze.neighbors.indexes.exact_search import Index, load_faiss
from analyze.neighbors.indexes.index_choice import Choice
from analyze.neighbors.indexes.index_files import (
    FORMAT,
    FORMAT_VERSION,
    IndexFile,
    efforts_of,
    locked_index,
    of_later_version,
    read_stored,
    write_built,
    write_record,
)
from analyze.neighbors.indexes.index_types import FLAT, add_rows, build, find_kind
from analyze.unit_vectors import rows_with_direction
from extract.storage.embeddings import EmbeddingSet

log = logging.getLogger("sosie")

REPORTED = ("reduced_dims", "n_indexed", "taught_on", "knobs", "seconds", "bytes")
ENOUGH = 0.995
"""Recall beyond which no harder search is measured, unless it is requested."""

MOST_GROWTH = 2
"""Times the rows that cells and codes were trained on; beyond they are trained again."""


@dataclass(frozen=True, eq=False)
class OpenedIndex:
    """An index ready for searches, and what is known of it.

    Parameters
    ----------
    index : Index or None
        None for exact search, which needs none.
    why : str
        Why this one.
    recall, recall_of_rows : float
        At 10, against exact search: for what is not in the index, as a new picture is not, and for
        its own rows.
    n_queries : int
        Held-out rows that the first was measured on; 0 where the search is exact by itself.
    about : dict
        JSON values.
    notes : tuple of str
    """

    index: Index | None
    why: str
    recall: float = 1.0
    recall_of_rows: float = 1.0
    n_queries: int = 0
    about: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


Progress = Callable[[int, int], None]


def open_index(
    embeddings: EmbeddingSet,
    path: Path,
    folder: Path,
    choice: Choice,
    wanted: float,
    progress: Progress | None = None,
) -> OpenedIndex:
    """Open a stored index, or build it where there is none that fits.

    Parameters
    ----------
    embeddings : EmbeddingSet
    path : Path
        Their file.
    folder : Path
        Where indexes are kept.
    choice : Choice
    wanted : float
        Target recall at 10, 0 to 1.
    progress : callable, optional
        (rows added, rows) while it is built.
    """
    if choice.name == FLAT:
        return OpenedIndex(None, choice.why)
    kind = find_kind(choice.name)
    known = rows_with_direction(embeddings.vectors)
    if len(known) < kind.least_rows:
        why = f"{len(known)} rows are too few to train {kind.name}: all are compared"
        return OpenedIndex(None, why)
    reduced = choice.reduced_dims
    if reduced and reduced >= min(embeddings.vectors.shape[1], len(known)):
        reduced = None  # nothing would be saved
    file = IndexFile(folder, path, kind, reduced)
    with locked_index(file) as may_write:
        opening = _Opening(embeddings, file, known, wanted, may_write, of_later_version(file))
        opened = opening.opened(choice.why, progress)
    missed = f"a recall of {wanted:g} is out of reach of {kind.name}: {opened.recall:.4f}"
    notes = opened.notes if opened.recall >= wanted else (*opened.notes, missed)
    return replace(opened, notes=notes)


@dataclass(frozen=True, eq=False)
class _Opening:
    """One index being opened, while no other run builds it."""

    embeddings: EmbeddingSet
    file: IndexFile
    known: np.ndarray
    wanted: float
    may_write: bool
    later: str | None

    def opened(self, why: str, progress: Progress | None) -> OpenedIndex:
        if self.later is not None:
            note = f"{self.later}, and another index is built for this run alone"
            return replace(self._set(why, *self._built(None, None, progress)), notes=(note,))
        stored, why_not = read_stored(self.file)
        if stored is not None and stored.record["fingerprint"] == self.embeddings.fingerprint:
            built = stored.to_search()
            if built.ntotal != len(self.known):
                why_not = "the stored index is damaged (it holds other rows)"
            elif not _is_measured(stored.record, self.wanted):
                why_not = f"a recall of {self.wanted:g} was not measured when it was built"
            else:
                return self._set(why, stored.record, built)
        elif stored is not None:
            why_not = "the embeddings have changed since the index was built"
        trained = n_trained_on = None
        if stored is not None and self._still_fits(stored.record):
            trained, n_trained_on = stored.to_fill(), stored.record["taught_on"]
            why_not = (
                f"the catalogue grew from {stored.record['n_indexed']} to {len(self.known)} rows: "
                "all were added to the index again, and its training is kept"
            )
        elif why_not:
            why_not = f"{why_not}: built again"
        opened = self._set(why, *self._built(trained, n_trained_on, progress))
        return replace(opened, notes=(why_not,) if why_not else ())

    def _still_fits(self, record: dict[str, Any]) -> bool:
        """Return whether an index with fewer rows was trained on rows that still fit."""
        same = record["identity"] == self.embeddings.provenance.identity_sha256
        grew = record["n_indexed"] < len(self.known) <= MOST_GROWTH * record["taught_on"]
        return bool(same and grew)

    def _built(
        self, trained: Any, n_trained_on: int | None, progress: Progress | None
    ) -> tuple[dict[str, Any], Any]:
        """Build and keep an index; returns its record, and the index."""
        file, vectors = self.file, self.embeddings.vectors
        began = time.monotonic()
        indexed, held = hold_out(self.known)
        built = build(file.kind, vectors, indexed, file.reduced_dims, trained, progress)
        if not file.kind.is_graph:
            add_rows(built, vectors, held)
            indexed = np.concatenate([indexed, held])
        index = ApproximateIndex(vectors, indexed, built, file.kind, {})
        efforts = measure_efforts(index, vectors, held, max(self.wanted, ENOUGH))
        if file.kind.is_graph:
            add_rows(built, vectors, held)  # not before: the walk would find them, and their links
        record = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "index": file.kind.name,
            "reduced_dims": file.reduced_dims,
            "n_indexed": len(self.known),
            "n_dims": int(vectors.shape[1]),
            "identity": self.embeddings.provenance.identity_sha256,
            "fingerprint": self.embeddings.fingerprint,
            "taught_on": n_trained_on or len(self.known),
            "efforts": [[dict(e.knobs), e.choosing, e.recall] for e in efforts],
            "all_measured": len(efforts) == len(file.kind.steps(len(indexed))),
            "n_queries": len(held) // 2,
            "seconds": time.monotonic() - began,
            "faiss": load_faiss().__version__,
        }
        if self.later is not None:
            return record, built
        if self.may_write:
            record |= write_built(file, built)
        else:
            log.warning("index not kept for the next run: %s cannot be written", file.folder)
        return record, built

    def _set(self, why: str, record: dict[str, Any], built: Any) -> OpenedIndex:
        """Set the search effort, and measure the recall of it for the index's own rows, too."""
        kind, vectors = self.file.kind, self.embeddings.vectors
        effort = choose_effort(efforts_of(record), self.wanted)
        index = ApproximateIndex(
            vectors, np.concatenate(hold_out(self.known)), built, kind, effort.knobs
        )
        if record.get("knobs") != dict(effort.knobs):
            recall = recall_of_rows(index, vectors)
            record = {**record, "knobs": dict(effort.knobs), "recall_of_rows": recall}
            if self.may_write and self.later is None:
                write_record(self.file, record)
        about = {name: record[name] for name in REPORTED if name in record}
        return OpenedIndex(
            index, why, effort.recall, record["recall_of_rows"], record["n_queries"], about
        )


def _is_measured(record: dict[str, Any], wanted: float) -> bool:
    """Return whether a step that reaches a recall was measured, or all steps were."""
    return record["all_measured"] or any(effort.reaches(wanted) for effort in efforts_of(record))
