"""What a run has to do: a pure decision over the list of pictures and the file that is there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from extract.catalog.catalog import Catalog
from extract.errors import EmbeddingsFileError
from extract.pipeline.options import Options
from extract.refusals import SOUND, TO_DO, Reason
from extract.storage.content_index import ContentIndex
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.layout import CarriedRows
from extract.storage.provenance_check import MOST_EXECUTION_CONFIGS

ReadContents = Callable[[np.ndarray], Mapping[int, bytes]]
"""Row numbers in, sha256 of the bytes of those pictures that can be read out."""

Among = Callable[[np.ndarray], Collection[int]]
"""Pictures in, some of them out."""


DENSE = "dense"
"""In a file's record under ``batches``: whatever is to do shares a batch."""


@dataclass(frozen=True, eq=False)
class Batches:
    """The rows that a run computes, and the batch in which each is forwarded.

    Parameters
    ----------
    rows : ndarray of shape (n_due,), int
        Ascending.
    numbers : ndarray of shape (n_due,), int
        Of the batch; never falls.
    places : ndarray of shape (n_due,), int
        Within its batch.
    """

    rows: np.ndarray
    numbers: np.ndarray
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """What is kept, what is computed, and where.

    Parameters
    ----------
    lay_out : bool
        Whether a new file has to be laid out (none yet, another list of pictures, pictures that
        changed, another way of computing, or ``--restart``); else the file there is filled.
    carried : CarriedRows or None
        Rows of the file there that go into the new one.
    execution_configs : tuple of mapping
        Those of the file, the one of this run among them.
    execution_config : int
        Index of this run's.
    to_do : ndarray of shape (n_images,), bool
    to_reset : ndarray of int
        Rows marked as finished that are to be done again: damaged, or refused and tried again.
    dense : bool
        Whether batches are filled with whatever is to do: a file that was begun with rows of an
        older one. Else every row is forwarded in its own place of its own slice, so that a resumed
        file equals an uninterrupted one bit for bit.
    damaged : int
        How many rows of the file did not fit their check sum.
    gone : int
        Sound rows of pictures that are not there any more; they are kept.
    dropped : int
        Rows of the file of pictures that are not listed any more.
    found_again : int
        Rows kept because their picture's bytes are those of a row: renamed, moved, written again.
    read_again : int
        Sound rows to be done again because their picture is read otherwise than it was.
    """

    lay_out: bool
    carried: CarriedRows | None
    execution_configs: tuple[Mapping[str, Any], ...]
    execution_config: int
    to_do: np.ndarray
    to_reset: np.ndarray
    dense: bool = False
    damaged: int = 0
    gone: int = 0
    dropped: int = 0
    found_again: int = 0
    read_again: int = 0

    @property
    def batch_size(self) -> int:
        """Pictures in one batch."""
        return int(self.execution_configs[self.execution_config]["batch_size"])

    def batches(self, limit: int | None = None) -> Batches:
        """Cut what is to do into batches.

        Parameters
        ----------
        limit : int, optional
            At most this many pictures, rounded up to whole batches.
        """
        rows = np.flatnonzero(self.to_do)
        numbers, places = np.divmod(np.arange(len(rows)) if self.dense else rows, self.batch_size)
        if limit is not None and limit < len(rows):
            last = np.searchsorted(numbers, numbers[limit - 1], side="right")
            rows, numbers, places = rows[:last], numbers[:last], places[:last]
        return Batches(rows, numbers, places)


def plan_run(
    catalog: Catalog,
    stats: np.ndarray,
    table: EmbeddingsTable | None,
    ways: Sequence[Mapping[str, Any]],
    read_contents: ReadContents,
    options: Options | None = None,
    *,
    read_otherwise: Among | None = None,
) -> Plan:
    """Decide what to reuse, resume or compute.

    A picture of unchanged size and mtime is unchanged. Where a row would be lost, the pictures that
    could be its own, of the same size, are read: equal bytes keep their vector under any name.

    Parameters
    ----------
    catalog : Catalog
    stats : ndarray of shape (n_images, 2), int64
        Size in bytes and mtime in ns of each picture as it is now; -1 where there is none.
    table : EmbeddingsTable or None
        The file of the same identity, if there is one.
    ways : sequence of mapping
        How this run would compute; first as requested, then what may become of single rows.
    read_contents : callable
        Gives the hashes of pictures, called only where they decide.
    options : Options, optional
        What is computed again though the file has it: ``restart``, ``retry_failed``, ``rehash``.
    read_otherwise : callable, optional
        Gives the pictures that this version reads otherwise than the one that made the file, of
        those that could keep a row, under whatever name; None where it was made by this one.
    """
    options, n_images = options or Options(), len(catalog)
    everything, none = np.ones(n_images, dtype=bool), np.array([], int)
    if table is None or options.restart:
        return Plan(True, None, tuple(ways), 0, everything, none)
    rows = _Rows.of(catalog, stats, table)
    known, row = rows.known, rows.row
    # a permission may have been given since, a server be up: neither changes size or mtime
    passing = np.isin(rows.status, [Reason.PERMISSION, Reason.UNREACHABLE])
    refused = rows.refused & ~passing & (not options.retry_failed)
    kept = (rows.sound & (rows.unchanged | rows.gone)) | (refused & rows.unchanged)
    otherwise = read_otherwise or (lambda _: ())
    reread = set(otherwise(known[kept & (rows.status == SOUND) & ~rows.gone]))
    kept &= ~np.isin(known, list(reread))
    source = np.full(n_images, -1)  # the row of the file that each picture takes
    source[known[kept]] = row[kept]
    contents = read_contents(_uncertain(rows, stats, source, rehash=options.rehash))
    found = _found_again(rows, source, contents)
    reread |= set(otherwise(np.array([new for new, old in found.items() if old >= 0], int)))
    found = {picture: row for picture, row in found.items() if picture not in reread}
    source[list(found)] = list(found.values())
    moved = [new for new, old in found.items() if old >= 0]
    to_do = source < 0
    execution_configs = _with(table.provenance.execution_configs, ways)
    replaced = to_do[known] & rows.sound  # a picture that was embedded and has other bytes now
    same_list = catalog.ids == table.ids and catalog.paths == table.paths
    new_way = len(execution_configs) > len(table.provenance.execution_configs)
    new_way &= bool(to_do.any()) or read_otherwise is not None
    decided = Plan(
        False,
        None,
        execution_configs,
        execution_configs.index(ways[0]),
        to_do,
        none,
        dense=table.provenance.record.get("batches") == DENSE,
        damaged=int(((rows.status != TO_DO) & ~rows.sound & ~rows.refused).sum()),
        gone=int(rows.gone.sum()),
        dropped=len(table) - len(np.union1d(row, source[moved])),
        found_again=len(moved),
        read_again=len(reread),
    )
    if same_list and not (new_way or moved or replaced.any()):
        return replace(decided, to_reset=known[(rows.status != TO_DO) & to_do[known]])
    new = np.flatnonzero(~to_do)
    recorded = np.stack([table.rows.size, table.rows.mtime_ns], axis=1)[source[new]]
    seen = np.where(stats[new, :1] < 0, recorded, stats[new])
    carried = CarriedRows(table, source[new], new, seen)
    return replace(decided, lay_out=True, carried=carried, dense=len(carried) > 0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the file there holds of the pictures that it knows by id.

    ``known`` are their numbers in the list, ``row`` those in the file, all else in step with them.
    """

    table: EmbeddingsTable
    proven: np.ndarray
    known: np.ndarray
    row: np.ndarray
    status: np.ndarray
    sound: np.ndarray
    refused: np.ndarray
    unchanged: np.ndarray
    gone: np.ndarray

    @classmethod
    def of(cls, catalog: Catalog, stats: np.ndarray, table: EmbeddingsTable) -> _Rows:
        old = _rows_of(catalog, table)
        known = np.flatnonzero(old >= 0)
        row = old[known]
        proven = table.sound()
        recorded = np.stack([table.rows.size[row], table.rows.mtime_ns[row]], axis=1)
        same_path = _same_paths(catalog, table, known, row)
        return cls(
            table=table,
            proven=proven,
            known=known,
            row=row,
            status=table.rows.status[row],
            sound=proven[row],
            refused=table.refused()[row],
            unchanged=(recorded == stats[known]).all(axis=1) & same_path,
            gone=proven[row] & (stats[known, 0] < 0) & same_path,
        )


def _uncertain(rows: _Rows, stats: np.ndarray, source: np.ndarray, *, rehash: bool) -> np.ndarray:
    """List the pictures of which the bytes decide."""
    there = stats[:, 0] >= 0
    if rehash:
        return np.flatnonzero(there)
    could_be = np.isin(stats[:, 0], np.unique(rows.table.rows.size[_lost(rows, source)]))
    return np.flatnonzero(there & (source < 0) & could_be)


def _lost(rows: _Rows, source: np.ndarray) -> np.ndarray:
    """Find the proven rows that no picture takes."""
    lost = rows.proven.copy()
    lost[source[source >= 0]] = False
    return lost


def _found_again(rows: _Rows, source: np.ndarray, contents: Mapping[int, bytes]) -> dict[int, int]:
    """Give pictures that were read the row they take, or -1; no entry: as it stood.

    First each its own, whatever its date; then rows that would be lost go to the same bytes under
    another name.
    """
    if not contents:
        return {}
    stored = rows.table.rows.content_sha256
    own = dict(zip(rows.known.tolist(), rows.row.tolist(), strict=True))
    found = {}
    for picture, content in contents.items():
        row = own.get(picture, -1)
        same = row >= 0 and stored[row].tobytes() == content
        if same and source[picture] < 0 and rows.proven[row]:
            found[picture] = row
        elif not same and source[picture] >= 0:
            found[picture] = -1
    taken = source.copy()
    taken[list(found)] = list(found.values())
    lost = ContentIndex(stored, np.flatnonzero(_lost(rows, taken)))
    for picture, content in contents.items():
        if taken[picture] < 0 and (row := lost.find(content)) >= 0:
            found[picture] = row
    return found


def _rows_of(catalog: Catalog, table: EmbeddingsTable) -> np.ndarray:
    """Find each picture's row in the file, by id; -1 where it has none."""
    if catalog.ids == table.ids:
        return np.arange(len(catalog))
    rows = {row_id: i for i, row_id in enumerate(table.ids)}
    return np.array([rows.get(row_id, -1) for row_id in catalog.ids])


def _same_paths(
    catalog: Catalog, table: EmbeddingsTable, known: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """Find the rows that still name the same file: an id may have been given another picture."""
    if catalog.paths == table.paths:
        return np.ones(len(known), dtype=bool)
    pairs = zip(known.tolist(), row.tolist(), strict=True)
    return np.array([catalog.paths[new] == table.paths[old] for new, old in pairs], dtype=bool)


def _with(
    execution_configs: tuple[Mapping[str, Any], ...], ways: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    found = (*execution_configs, *(way for way in ways if way not in execution_configs))
    if len(found) > MOST_EXECUTION_CONFIGS:
        raise EmbeddingsFileError(
            f"its rows were computed in ways of which it lists {len(execution_configs)}, and it "
            "has no room for more: compute them all in one way with --restart, or type no "
            "other batch size, threads, dtype, runtime and decoder than it has"
        )
    return found


def refusal_counts(status: np.ndarray) -> dict[str, int]:
    """Count refused rows by reason."""
    return {r.code: int(count) for r in Reason if (count := (status == r).sum())}
