"""The only loop: read and decode in threads, forward, write; every row in its place."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.backbones import Backbone
from extract.catalog import Catalog, shown
from extract.decoding import picture_stat
from extract.embeddings import Provenance, row_crc32
from extract.embeddings_file import EmbeddingsTable, Rows, blank_fields, read_table
from extract.errors import EmbeddingsFileError, PictureRefused
from extract.failures import failures_path
from extract.file_lock import locked
from extract.labels_file import labels_path, store_labels
from extract.layout import lay_out
from extract.loading import LoadedPicture, loaded_slices
from extract.monitor import Monitor
from extract.plan import Plan, plan_run, refusal_counts
from extract.realisation import apply_realisation, choose_realisation, run_record
from extract.refusals import SOUND, TO_DO, Reason, Refused
from extract.row_writer import RowWriter
from extract.writing import WritingThread

if TYPE_CHECKING:
    pass


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


def extract_embeddings(
    catalog: Catalog,
    backbone: Backbone,
    path: Path,
    *,
    options: Options | None = None,
    record: Mapping[str, Any] | None = None,
    monitor: Monitor | None = None,
) -> Report:
    """Embed a catalogue into one file, reusing every row that still holds.

    Batch k is the slice [kB, (k+1)B) of the catalogue, and a row keeps its place in its slice
    whatever its companions, so that a resumed file equals an uninterrupted one bit for bit.

    Parameters
    ----------
    record : mapping, optional
        Added to the file's record (``images_root``, ``command``).

    Raises
    ------
    EmbeddingsFileError
        When the file is another identity's, locked, unreadable, or cannot be written.
    PictureRefused
        At the first refused picture, with ``stop_at_refusal``.
    """
    options, monitor = options or Options(), monitor or Monitor()
    with locked(path):
        table = read_table(path) if path.exists() else None
        _check_identity(table, backbone)
        realisation = choose_realisation(
            backbone, table, batch_size=options.batch_size, threads=options.threads
        )
        apply_realisation(realisation)
        seen = [picture_stat(catalog.images_root, p) for p in catalog.paths]
        plan = plan_run(
            catalog,
            np.array(seen, dtype=np.int64),
            table,
            realisation,
            restart=options.restart,
            retry_failed=options.retry_failed or options.stop_at_refusal,
        )
        described = run_record(backbone, None if options.restart else table, record or {})
        if table is None or plan.lay_out:
            provenance = Provenance(backbone.identity, plan.realisations, described)
            lay_out(path, catalog, provenance, backbone.n_dims, plan.carried)
            table = read_table(path)
        relabelled = store_labels(labels_path(path), catalog)
        run = _Run(table, plan, catalog, backbone, options, described, monitor)
        before = _status_now(table)
        began = time.monotonic()
        stopped = _fill(run)
        return _report(
            run, before, time.monotonic() - began, stopped=stopped, relabelled=relabelled
        )


@dataclass(frozen=True, eq=False)
class _Run:
    """What the steps of one run share."""

    table: EmbeddingsTable
    plan: Plan
    catalog: Catalog
    backbone: Backbone
    options: Options
    record: Mapping[str, Any]
    monitor: Monitor


def _check_identity(table: EmbeddingsTable | None, backbone: Backbone) -> None:
    wanted = backbone.provenance.identity_sha256
    if table is not None and table.provenance.identity_sha256 != wanted:
        raise EmbeddingsFileError(
            f"{table.path} holds vectors of another identity ({table.provenance.model}): write "
            "this one elsewhere with --output FILE"
        )


def _status_now(table: EmbeddingsTable) -> np.ndarray:
    """Read the status of all rows as it stands in the file now."""
    return np.fromfile(table.path, np.uint8, len(table), offset=table.offsets["status"])


def _fill(run: _Run) -> bool:
    """Compute what is to do and write it; say whether it was asked to stop before the end."""
    slices = run.plan.slices(run.options.limit)
    if not len(slices):
        return False
    n_to_do = int(run.plan.to_do[: (slices[-1] + 1) * run.plan.batch_size].sum())
    n_kept = int((~run.plan.to_do).sum())
    realisation = run.plan.realisations[run.plan.realisation]
    run.monitor.start(n_to_do, n_kept, len(run.catalog), realisation)
    transform = run.backbone.preprocessing.transform()
    began, n_sound, stopped = time.monotonic(), 0, False
    writer = RowWriter(run.table)
    try:
        writer.reset(run.plan.to_reset)
        failures = failures_path(run.table.path)
        with WritingThread(writer, failures, run.monitor.finished) as writing:
            for rows, loaded in loaded_slices(
                run.catalog, run.plan, slices, transform, run.options.workers
            ):
                computed, refusals = _embed_slice(run, rows, loaded)
                writing.put(rows, computed, refusals)
                n_sound += int((computed.status == SOUND).sum())
                if refusals and run.options.stop_at_refusal:
                    raise _refused(refusals[0])
                stopped = run.monitor.should_stop()
                if stopped:
                    break
        rate = n_sound / max(time.monotonic() - began, 1e-9)
        writer.write_record({**run.record, "images_per_second": round(rate, 2)})
    finally:
        writer.close()
    return stopped


def _refused(refusal: Mapping[str, Any]) -> PictureRefused:
    return PictureRefused(
        f"refused {shown(refusal['id'])}: {refusal['code']} ({shown(refusal['message'])}); mend or "
        "remove it, or let the run go on with --on-bad-image skip"
    )


def _embed_slice(
    run: _Run, rows: np.ndarray, loaded: list[LoadedPicture]
) -> tuple[Rows, list[dict[str, Any]]]:
    """Forward one slice, each row in its own place, the other places zero."""
    import torch

    size = run.backbone.preprocessing.size
    pixels = torch.zeros(run.plan.batch_size, 3, size, size)
    places = rows % run.plan.batch_size
    for place, picture in zip(places, loaded, strict=True):
        if picture.pixels is not None:
            pixels[place] = picture.pixels
    vectors = np.full((len(rows), run.backbone.n_dims), np.nan, np.float32)
    if any(picture.pixels is not None for picture in loaded):
        vectors = run.backbone.embed(pixels)[places]
    computed = Rows(vectors=vectors, **blank_fields(len(rows)))
    computed.realisation[:] = run.plan.realisation
    refusals = []
    for i, (row, picture) in enumerate(zip(rows, loaded, strict=True)):
        row_id = run.catalog.ids[row]
        computed.size[i], computed.mtime_ns[i] = picture.size, picture.mtime_ns
        computed.content_sha256[i] = np.frombuffer(picture.sha256, np.uint8)
        refused = picture.refused
        if refused is None and not np.isfinite(vectors[i]).all():
            refused = Refused(Reason.NOT_FINITE, "the backbone gave numbers that are not finite")
        if refused is None:
            computed.status[i] = SOUND
            computed.row_crc32[i] = row_crc32(row_id, picture.sha256, vectors[i])
        else:
            vectors[i] = np.nan
            computed.status[i] = refused.reason
            refusals.append(_failure(row_id, picture, refused))
    return computed, refusals


def _failure(row_id: str, picture: LoadedPicture, refused: Refused) -> dict[str, Any]:
    return {
        "id": row_id,
        "code": refused.reason.code,
        "status": int(refused.reason),
        "message": refused.message,
        "bytes": picture.size if picture.size >= 0 else None,
        "content_sha256": picture.sha256.hex() if any(picture.sha256) else None,
    }


def _report(
    run: _Run, before: np.ndarray, seconds: float, *, stopped: bool, relabelled: str | None
) -> Report:
    plan, status = run.plan, _status_now(run.table)
    notes = [relabelled] if relabelled else []
    if plan.damaged:
        notes.append(f"{plan.damaged} rows did not fit their check sum and were to be done again")
    if plan.gone:
        notes.append(f"{plan.gone} pictures are no longer there; their rows are kept")
    if plan.dropped:
        notes.append(f"{plan.dropped} rows of pictures that are not listed any more are dropped")
    to_do = int((status == TO_DO).sum())
    if to_do and run.options.limit is not None and not stopped:
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
