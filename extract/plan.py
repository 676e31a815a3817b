"""What a run has to do: a pure decision over the list of pictures and the file that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from extract.catalog import Catalog
from extract.embeddings_file import EmbeddingsTable
from extract.layout import CarriedRows
from extract.refusals import SOUND, TO_DO, Reason


@dataclass(frozen=True, eq=False)
class Plan:
    """What is kept, what is computed, and where.

    Parameters
    ----------
    lay_out : bool
        Whether a new file has to be laid out (none yet, another list of pictures, another way of
        computing, or ``--restart``); else the file there is filled in place.
    carried : CarriedRows or None
        Rows of the file there that go into the new one.
    realisations : tuple of mapping
        Those of the file, the one of this run among them.
    realisation : int
        Index of this run's.
    to_do : ndarray of shape (n_images,), bool
    to_reset : ndarray of int
        Rows marked as finished whose picture has changed, or whose bytes do not fit their check
        sum.
    damaged : int
        How many rows of the file did not fit their check sum.
    gone : int
        Sound rows whose picture is not there any more; they are kept.
    dropped : int
        Rows of the file that the list of pictures does not name any more.
    """

    lay_out: bool
    carried: CarriedRows | None
    realisations: tuple[Mapping[str, Any], ...]
    realisation: int
    to_do: np.ndarray
    to_reset: np.ndarray
    damaged: int = 0
    gone: int = 0
    dropped: int = 0

    @property
    def batch_size(self) -> int:
        """Pictures in one slice."""
        return int(self.realisations[self.realisation]["batch_size"])

    def slices(self, limit: int | None = None) -> np.ndarray:
        """List the slices with something to do, of the frozen list cut into batches.

        Parameters
        ----------
        limit : int, optional
            At most so many pictures to do, rounded up to whole slices.
        """
        numbers, counts = np.unique(
            np.flatnonzero(self.to_do) // self.batch_size, return_counts=True
        )
        if limit is None:
            return numbers
        enough = np.cumsum(counts) - counts < limit
        return numbers[enough]


def plan_run(
    catalog: Catalog,
    seen: np.ndarray,
    table: EmbeddingsTable | None,
    realisation: Mapping[str, Any],
    *,
    restart: bool = False,
    retry_failed: bool = False,
) -> Plan:
    """Decide what to reuse, resume or compute.

    Parameters
    ----------
    catalog : Catalog
    seen : ndarray of shape (n_images, 2), int64
        Size in bytes and mtime in ns of each picture as it is now; -1 where there is none.
    table : EmbeddingsTable or None
        The file of the same identity, if there is one.
    realisation : mapping
        How this run would compute.
    restart : bool
        Compute every row again.
    retry_failed : bool
        Try refused pictures again though they have not changed.
    """
    n_images = len(catalog)
    everything = np.ones(n_images, dtype=bool)
    if table is None or restart:
        return Plan(True, None, (realisation,), 0, everything, np.array([], int))
    old = _rows_of(catalog, table)
    known = np.flatnonzero(old >= 0)
    row = old[known]
    status = table.rows.status[row]
    sound = table.sound()[row]
    refused = (status != SOUND) & (status != TO_DO)
    recorded = np.stack([table.rows.size[row], table.rows.mtime_ns[row]], axis=1)
    same_path = _same_paths(catalog, table, known, row)
    unchanged = (recorded == seen[known]).all(axis=1) & same_path
    gone = sound & (seen[known, 0] < 0) & same_path
    # a permission may have been given since, which changes neither size nor mtime
    refused &= status != Reason.PERMISSION
    kept = (sound & (unchanged | gone)) | (refused & unchanged & (not retry_failed))
    to_do = everything.copy()
    to_do[known[kept]] = False
    realisations, index = _with(table.provenance.realisations, realisation)
    damaged = int(((status == SOUND) & ~sound).sum())
    same_list = catalog.ids == table.ids and catalog.paths == table.paths
    new_way = len(realisations) > len(table.provenance.realisations) and bool(to_do.any())
    counts = {
        "damaged": damaged,
        "gone": int(gone.sum()),
        "dropped": len(table) - len(known),
    }
    if same_list and not new_way:
        stale = known[(status != TO_DO) & ~kept]
        return Plan(False, None, realisations, index, to_do, stale, **counts)
    carried = CarriedRows(table, row[kept], known[kept])
    none = np.array([], int)
    return Plan(True, carried, realisations, index, to_do, none, **counts)


def _rows_of(catalog: Catalog, table: EmbeddingsTable) -> np.ndarray:
    """Find each picture's row in the file, by id; -1 where it has none."""
    if catalog.ids == table.ids:
        return np.arange(len(catalog))
    rows = {row_id: i for i, row_id in enumerate(table.ids)}
    return np.array([rows.get(row_id, -1) for row_id in catalog.ids])


def _same_paths(
    catalog: Catalog, table: EmbeddingsTable, known: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """Say which rows still name the same file: an id may have been given another picture."""
    if catalog.paths == table.paths:
        return np.ones(len(known), dtype=bool)
    pairs = zip(known.tolist(), row.tolist(), strict=True)
    return np.array([catalog.paths[new] == table.paths[old] for new, old in pairs], dtype=bool)


def _with(
    realisations: tuple[Mapping[str, Any], ...], wanted: Mapping[str, Any]
) -> tuple[tuple[Mapping[str, Any], ...], int]:
    for i, realisation in enumerate(realisations):
        if realisation == wanted:
            return realisations, i
    return (*realisations, wanted), len(realisations)


def refusal_counts(status: np.ndarray) -> dict[str, int]:
    """Count refused rows by reason."""
    return {r.code: int(count) for r in Reason if (count := (status == r).sum())}
