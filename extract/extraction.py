"""The only loop: read and decode in threads, forward, write; every row in its place."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from extract.backbones import Backbone
from extract.catalog import Catalog, shown
from extract.decoding import picture_stat
from extract.embeddings import Provenance
from extract.embeddings_file import EmbeddingsTable, read_table
from extract.errors import EmbeddingsFileError, PictureRefused
from extract.failures import failures_path
from extract.file_lock import locked
from extract.file_run import FileRun
from extract.labels_file import labels_path, store_labels
from extract.layout import lay_out
from extract.loading import loaded_pictures
from extract.monitor import Monitor
from extract.plan import plan_run, refusal_counts
from extract.realisation import choose_realisation, run_record
from extract.refusals import SOUND, TO_DO
from extract.row_writer import RowWriter
from extract.writing import WritingThread

SLICES_AHEAD = 3


@dataclass(frozen=True)
class Options:
    """How a run goes about its work.

    Parameters
    ----------
    batch_size, threads : int, optional
        Those of the file when it is there, else 8 and what torch chooses.
    workers : int
        Threads that read and decode.
    limit : int, optional
        At most so many new pictures in this run, rounded up to whole slices.
    restart, retry_failed, stop_at_refusal : bool
    """

    batch_size: int | None = None
    threads: int | None = None
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    limit: int | None = None
    restart: bool = False
    retry_failed: bool = False
    stop_at_refusal: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads", "workers", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")


@dataclass(frozen=True)
class Report:
    """What a run did, and what the file holds after it.

    Parameters
    ----------
    file : Path
    n_images : int
    embedded : int
        Rows that this run made sound.
    reused : int
        Rows that were sound before.
    refused : mapping of str to int
        Rows of the file, by reason.
    to_do : int
        Rows still to do.
    tried : int
        Pictures that this run read, refused ones among them.
    seconds : float
        Of the loop, without loading the model.
    stopped : bool
        Whether the run was asked to stop before its end.
    realisation : mapping
    notes : tuple of str
    """

    file: Path
    n_images: int
    embedded: int
    reused: int
    refused: Mapping[str, int]
    to_do: int
    tried: int
    seconds: float
    stopped: bool
    realisation: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def images_per_second(self) -> float | None:
        """Pictures embedded a second; None when there was nothing to do."""
        return self.embedded / self.seconds if self.embedded and self.seconds else None


@dataclass(frozen=True, eq=False)
class Target:
    """A backbone and the file that its vectors go to."""

    backbone: Backbone
    path: Path


def extract_embeddings(
    catalog: Catalog,
    backbone: Backbone,
    path: Path,
    *,
    options: Options | None = None,
    record: Mapping[str, Any] | None = None,
    monitor: Monitor | None = None,
) -> Report:
    """Embed a catalogue into one file; see :func:`extract_together`."""
    targets = [Target(backbone, path)]
    return extract_together(catalog, targets, options=options, record=record, monitor=monitor)[0]


def extract_together(
    catalog: Catalog,
    targets: Sequence[Target],
    *,
    options: Options | None = None,
    record: Mapping[str, Any] | None = None,
    monitor: Monitor | None = None,
) -> list[Report]:
    """Embed a catalogue with several backbones, each picture read and decoded once.

    Every row of every file that still holds is reused. Batch k of a file is the slice
    [kB, (k+1)B) of the catalogue, and a row keeps its place in its slice whatever its companions,
    so that a resumed file equals an uninterrupted one bit for bit, embedded alone or beside others.

    Parameters
    ----------
    record : mapping, optional
        Added to the files' records (``images_root``, ``command``).

    Raises
    ------
    EmbeddingsFileError
        When a file is another identity's, locked, unreadable, or cannot be written.
    PictureRefused
        At the first refused picture, with ``stop_at_refusal``.
    """
    options, monitor = options or Options(), monitor or Monitor()
    with ExitStack() as locks:
        for target in targets:
            locks.enter_context(locked(target.path))
        tables = [_table_there(target) for target in targets]  # of all, before one is touched
        seen = np.array([picture_stat(catalog.images_root, p) for p in catalog.paths], np.int64)
        runs = [
            _prepare(catalog, target, table, seen, options, record or {})
            for target, table in zip(targets, tables, strict=True)
        ]
        before = [_status_now(run.table) for run in runs]
        began = time.monotonic()
        stopped = _fill(runs, options, monitor)
        seconds = time.monotonic() - began
        return [
            _report(run, status, seconds, stopped=stopped)
            for run, status in zip(runs, before, strict=True)
        ]


def _table_there(target: Target) -> EmbeddingsTable | None:
    """Read a target's file, if there is one; that of another identity is refused."""
    if not target.path.exists():
        return None
    table = read_table(target.path)
    if table.provenance.identity_sha256 != target.backbone.provenance.identity_sha256:
        raise EmbeddingsFileError(
            f"{table.path} holds vectors of another identity ({table.provenance.model}): write "
            "this one elsewhere with --output FILE"
        )
    return table


def _prepare(
    catalog: Catalog,
    target: Target,
    table: EmbeddingsTable | None,
    seen: np.ndarray,
    options: Options,
    record: Mapping[str, Any],
) -> FileRun:
    """Decide what a file needs, and lay it out where it is not there or not of this list."""
    path, backbone = target.path, target.backbone
    realisation = choose_realisation(
        backbone, table, batch_size=options.batch_size, threads=options.threads
    )
    plan = plan_run(
        catalog,
        seen,
        table,
        realisation,
        restart=options.restart,
        retry_failed=options.retry_failed or options.stop_at_refusal,
    )
    described = run_record(backbone, None if options.restart else table, record)
    if table is None or plan.lay_out:
        provenance = Provenance(backbone.identity, plan.realisations, described)
        lay_out(path, catalog, provenance, backbone.n_dims, plan.carried)
        table = read_table(path)
    relabelled = store_labels(labels_path(path), catalog)
    return FileRun(table, plan, catalog, backbone, described, options.limit, relabelled)


def _status_now(table: EmbeddingsTable) -> np.ndarray:
    """Read the status of all rows as it stands in the file now."""
    return np.fromfile(table.path, np.uint8, len(table), offset=table.offsets["status"])


def _fill(runs: Sequence[FileRun], options: Options, monitor: Monitor) -> bool:
    """Compute what is due and write it; say whether it was asked to stop before the end."""
    due = [run for run in runs if run.due.any()]
    if not due:
        return False
    monitor.start(
        n_to_do=sum(int(run.due.sum()) for run in due),
        n_done=sum(int((~run.plan.to_do).sum()) for run in due),
        n_rows=sum(len(run.catalog) for run in due),
        realisations=[run.realisation for run in due],
    )
    writers = [RowWriter(run.table) for run in due]
    try:
        for run, writer in zip(due, writers, strict=True):
            writer.reset(run.plan.to_reset)
        began = time.monotonic()
        n_sound, stopped = _compute(due, writers, options, monitor)
        seconds = max(time.monotonic() - began, 1e-9)
        for run, writer, count in zip(due, writers, n_sound, strict=True):
            rate = {"images_per_second": round(count / seconds, 2), "models_in_pass": len(due)}
            writer.write_record({**run.record, **rate})
    finally:
        for writer in writers:
            writer.close()
    return stopped


def _compute(
    runs: Sequence[FileRun], writers: Sequence[RowWriter], options: Options, monitor: Monitor
) -> tuple[list[int], bool]:
    """Run the loop; count each file's sound rows, and say whether it was asked to stop."""
    rows = np.flatnonzero(np.any([run.due for run in runs], axis=0))
    wanted = (
        (row, tuple(dict.fromkeys(r.backbone.preprocessing for r in runs if r.due[row])))
        for row in rows.tolist()
    )
    ahead = SLICES_AHEAD * max(run.plan.batch_size for run in runs)
    n_sound = [0] * len(runs)
    catalog = runs[0].catalog
    with ExitStack() as threads:
        writing = [
            threads.enter_context(
                WritingThread(writer, failures_path(run.table.path), monitor.finished)
            )
            for run, writer in zip(runs, writers, strict=True)
        ]
        loaded = loaded_pictures(catalog, wanted, workers=options.workers, ahead=ahead)
        with closing(loaded):
            for row, picture in loaded:
                for i, run in enumerate(runs):
                    computed = run.take(row, picture)
                    if computed is None:
                        continue
                    writing[i].put(computed.numbers, computed.rows, computed.refusals)
                    n_sound[i] += int((computed.rows.status == SOUND).sum())
                    if computed.refusals and options.stop_at_refusal:
                        raise _refused(computed.refusals[0])
                    if monitor.should_stop():
                        return n_sound, True
    return n_sound, False


def _refused(refusal: Mapping[str, Any]) -> PictureRefused:
    return PictureRefused(
        f"refused {shown(refusal['id'])}: {refusal['code']} ({shown(refusal['message'])}); mend or "
        "remove it, or let the run go on with --on-bad-image skip"
    )


def _report(run: FileRun, before: np.ndarray, seconds: float, *, stopped: bool) -> Report:
    plan, status = run.plan, _status_now(run.table)
    notes = [run.relabelled] if run.relabelled else []
    if plan.damaged:
        notes.append(f"{plan.damaged} rows did not fit their check sum and were to be done again")
    if plan.gone:
        notes.append(f"{plan.gone} pictures are no longer there; their rows are kept")
    if plan.dropped:
        notes.append(f"{plan.dropped} rows of pictures that are not listed any more are dropped")
    to_do = int((status == TO_DO).sum())
    if to_do and run.limit is not None and not stopped:
        notes.append(
            f"{to_do} pictures are left to do: run again without --limit (it is rounded up to "
            f"whole batches of {plan.batch_size})"
        )
    return Report(
        file=run.table.path,
        n_images=len(run.catalog),
        embedded=int(((status == SOUND) & plan.to_do).sum()),
        reused=int(((before == SOUND) & ~plan.to_do).sum()),
        refused=refusal_counts(status),
        to_do=to_do,
        tried=int(((status != TO_DO) & plan.to_do).sum()),
        seconds=seconds,
        stopped=stopped and to_do > 0,
        realisation=plan.realisations[plan.realisation],
        notes=tuple(notes),
    )
