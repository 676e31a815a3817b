"""Embedding a catalogue into files: look, plan, lay out, compute in one pass, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog
from extract.errors import EmbeddingsFileError
from extract.files.file_lock import locked
from extract.inference.execution_config import (
    choose_execution_config,
    may_decode_on_gpu,
    usable_cores,
    variants,
    ways_of,
)
from extract.inference.fidelity import Fidelity
from extract.loading.gpu_process import GpuProcess
from extract.pipeline.loop import Tally, embed_in_one_pass
from extract.pipeline.monitor import Monitor
from extract.pipeline.options import Options
from extract.pipeline.output_job import FileRun
from extract.pipeline.plan import Plan, plan_run, refusal_counts
from extract.pipeline.record import run_record
from extract.pipeline.survey import ContentReader, read_by_header, stat_pictures
from extract.refusals import SOUND, TO_DO
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.failures import read_refusals
from extract.storage.labels_file import labels_path, refuse_later_labels, store_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter
from extract.transforms.preprocessing import Preprocessing
from extract.workspace import AnyPath

LEAST_TO_START_AHEAD = 2_000
"""Pictures: with fewer, cores are through before a GPU could decode one."""


@dataclass(frozen=True)
class CropSummary:
    """How many pictures of a file the model sees less than half of.

    Parameters
    ----------
    resize : str
        What makes them square.
    whole : bool
        Whether nothing is cut off any picture.
    n_known : int
        Sound rows with known dimensions of their picture; files of earlier versions hold none.
    n_mostly_cut_off : int
        Of those, pictures that lose more than half of their area.
    """

    resize: str
    whole: bool
    n_known: int
    n_mostly_cut_off: int


def crop_summary(preprocessing: Preprocessing, dimensions: np.ndarray) -> CropSummary:
    """Count the pictures that lose more than half; ndarray of shape (n, 2), 0 where not known."""
    known = dimensions[dimensions.all(axis=1)]
    cut_off = int((preprocessing.seen_share(known) < 0.5).sum())
    return CropSummary(preprocessing.resize, preprocessing.shows_whole, len(known), cut_off)


@dataclass(frozen=True)
class Report:
    """What a run did, and what the file holds after it.

    Parameters
    ----------
    file : Path
    n_images : int
    embedded : int
        Rows that this run made sound.
    copied : int
        Of those, rows that took the vector of a picture of the same bytes.
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
        Whether the run was stopped before its end.
    execution_config : mapping
    fidelity : Fidelity or None
        How near this run's rows, and those of earlier runs, are to the reference path; None where
        they took it, or nothing was computed.
    seen : CropSummary
    notes : tuple of str
    examples : mapping of str to (str, str)
        Of each reason that rows are refused for one picture: its id, and what is wrong with it.
    """

    file: Path
    n_images: int
    embedded: int
    copied: int
    reused: int
    refused: Mapping[str, int]
    to_do: int
    tried: int
    seconds: float
    stopped: bool
    execution_config: Mapping[str, Any]
    fidelity: Fidelity | None
    seen: CropSummary
    notes: tuple[str, ...]
    examples: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def holds_nothing(self) -> bool:
        """Whether every picture was tried and not one could be embedded."""
        return self.embedded + self.reused == 0 and self.to_do == 0

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
    path: AnyPath,
    *,
    options: Options | None = None,
    record: Mapping[str, Any] | None = None,
    monitor: Monitor | None = None,
) -> Report:
    """Embed a catalogue into one file; see :func:`extract_together`.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from extract import extract_embeddings, list_folder, load_backbone
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (8, 8), "red").save(f"{folder}/red.png")
    ...     backbone = load_backbone("efficientnet_lite0")
    ...     extract_embeddings(list_folder(folder), backbone, f"{folder}/vectors.h5").embedded
    1
    """
    targets = [Target(backbone, Path(path))]
    return extract_together(catalog, targets, options=options, record=record, monitor=monitor)[0]


def extract_together(
    catalog: Catalog,
    targets: Sequence[Target],
    *,
    options: Options | None = None,
    record: Mapping[str, Any] | None = None,
    monitor: Monitor | None = None,
    devices: Sequence[str] = (),
) -> list[Report]:
    """Embed a catalogue with several backbones, each picture read and decoded once.

    Every row of every file that still holds is reused. Batch k of a new file is the slice
    [kB, (k+1)B) of the catalogue, and a row keeps its place in its slice whatever its companions,
    so that a resumed file equals an uninterrupted one bit for bit, embedded alone or with others.
    A file that takes over rows of an older one has its new pictures forwarded in full batches.
    Equal bytes are embedded once.

    Parameters
    ----------
    record : mapping, optional
        Added to the files' records (``images_root``, ``command``).
    devices : sequence of str
        Of one kind, each of which forwards batches in a process of its own; all in this process
        without any.

    Raises
    ------
    EmbeddingsFileError
        When a file is another identity's, locked, unreadable, or cannot be written.
    PictureRefused
        At the first refused picture, with ``stop_at_refusal``.
    SurveyStopped
        When the monitor requests a stop before the first picture.
    """
    options, monitor = options or Options(), monitor or Monitor()
    workers = options.workers or usable_cores()
    with ExitStack() as held:
        for target in targets:
            held.enter_context(locked(target.path))
        gpu = _start_gpu(catalog, targets, options)
        if gpu is not None:
            held.enter_context(closing(gpu))
        runs = _prepare_all(catalog, targets, options, record or {}, monitor, workers)
        before = [run.table.now("status") for run in runs]
        passed = embed_in_one_pass(
            runs,
            monitor,
            workers=workers,
            gpu=gpu,
            devices=devices,
            stop_at_refusal=options.stop_at_refusal,
        )
        return [
            _report(run, status, tally, passed.seconds, stopped=passed.stopped)
            for run, status, tally in zip(runs, before, passed.tallies, strict=True)
        ]


def _start_gpu(catalog: Catalog, targets: Sequence[Target], options: Options) -> GpuProcess | None:
    """Start the process that decodes on a GPU while pictures are surveyed, where one may come to.

    It takes the device for ten seconds before it can; where nothing is left to it, it is ended.
    """
    if len(catalog) < LEAST_TO_START_AHEAD:
        return None
    backbones = [t.backbone for t in targets if may_decode_on_gpu(t.backbone, options)]
    if not backbones:
        return None
    return GpuProcess(backbones[0].device, [each.preprocessing for each in backbones])


def _table_there(target: Target, *, restart: bool) -> EmbeddingsTable | None:
    """Read a target's file, if there is one; another identity's or a later version's is refused."""
    refuse_later_labels(labels_path(target.path))
    if not target.path.exists():
        return None
    table = read_table(target.path)
    if table.provenance.identity_sha256 != target.backbone.provenance.identity_sha256:
        raise EmbeddingsFileError(
            f"{table.path} holds vectors of another identity ({table.provenance.model}): write "
            "this one elsewhere with --output FILE"
        )
    if table.n_dims != target.backbone.n_dims and not restart:
        raise EmbeddingsFileError(
            f"{table.path} holds rows of {table.n_dims} numbers, and {target.backbone.name} gives "
            f"{target.backbone.n_dims}: begin it again with --restart, or write this one elsewhere "
            "with --output FILE"
        )
    return table


def _prepare_all(
    catalog: Catalog,
    targets: Sequence[Target],
    options: Options,
    record: Mapping[str, Any],
    monitor: Monitor,
    workers: int,
) -> list[FileRun]:
    """Decide what every file needs before one is touched; then lay out those that need it."""
    tables = [_table_there(target, restart=options.restart) for target in targets]
    stats = stat_pictures(catalog, monitor)
    read_contents = ContentReader(catalog, monitor, workers=workers)

    def by_header(rows: np.ndarray) -> list[int]:
        return read_by_header(catalog, rows, monitor, workers)

    plans = [
        plan_run(
            catalog,
            stats,
            table,
            variants(
                choose_execution_config(
                    target.backbone, table, options, stats[:, 0], monitor.warned
                )
            ),
            read_contents,
            replace(options, retry_failed=options.retry_failed or options.stop_at_refusal),
            # files of this version name a way to read a picture by its header, used or not
            read_otherwise=None if table is None or table.provenance.names_readings else by_header,
        )
        for target, table in zip(targets, tables, strict=True)
    ]
    return [
        _prepare(catalog, target, table, plan, options, record)
        for target, table, plan in zip(targets, tables, plans, strict=True)
    ]


def _prepare(
    catalog: Catalog,
    target: Target,
    table: EmbeddingsTable | None,
    plan: Plan,
    options: Options,
    record: Mapping[str, Any],
) -> FileRun:
    """Lay a file out where it is not there, or not of these pictures."""
    path, backbone = target.path, target.backbone
    described = run_record(backbone, None if options.restart else table, record, dense=plan.dense)
    if table is None or plan.lay_out:
        provenance = Provenance(backbone.identity, plan.execution_configs, described)
        lay_out(path, catalog, provenance, backbone.n_dims, plan.carried)
        table = read_table(path, trusted=True)
        plan = replace(plan, carried=None)  # the older file is gone
    elif _is_listed_otherwise(table.provenance.record, record):
        with closing(RowWriter(table)) as writer:
            writer.write_record({**table.provenance.record, **described})
    relabelled = store_labels(labels_path(path), catalog)
    return FileRun(table, plan, catalog, backbone, described, options.limit, relabelled)


def _is_listed_otherwise(stored: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a record is damaged or of another listing: perhaps nothing is to do that mends it."""
    listing = record.get("listing")
    return not stored or (listing is not None and listing != stored.get("listing"))


def _report(
    run: FileRun, before: np.ndarray, tally: Tally, seconds: float, *, stopped: bool
) -> Report:
    plan, copied, status = run.plan, tally.copied, run.table.now("status")
    notes = [run.relabelled] if run.relabelled else []
    notes += [f"{count} {what}" for count, what in _counts(plan, copied) if count]
    to_do = int((status == TO_DO).sum())
    if to_do and run.limit is not None and not stopped:
        notes.append(
            f"{to_do} pictures are left to do: run again without --limit (it is rounded up to "
            f"whole batches of {plan.batch_size})"
        )
    ways = ways_of(run.table)
    if len(ways) > 1:
        notes.append(f"rows were computed in {len(ways)} ways: {'; '.join(ways)}")
    return Report(
        file=run.table.path,
        n_images=len(run.catalog),
        embedded=int(((status == SOUND) & plan.to_do).sum()),
        copied=copied,
        reused=int(((before == SOUND) & ~plan.to_do).sum()),
        refused=refusal_counts(status),
        to_do=to_do,
        tried=int(((status != TO_DO) & plan.to_do).sum()),
        seconds=seconds,
        stopped=stopped and to_do > 0,
        execution_config=run.execution_config,
        fidelity=tally.fidelity,
        seen=crop_summary(run.backbone.preprocessing, run.table.now("dimensions")[status == SOUND]),
        notes=tuple(notes),
        examples={
            each["code"]: (each["id"], each["message"])
            for each in reversed(read_refusals(run.table) if refusal_counts(status) else [])
        },
    )


def _counts(plan: Plan, copied: int) -> list[tuple[int, str]]:
    """Say what became of rows and pictures in ways that are worth a note."""
    return [
        (plan.damaged, "rows did not fit their check sum and were to be done again"),
        (
            plan.found_again,
            "pictures were renamed, moved or written again with the same bytes; their rows are "
            "kept",
        ),
        (
            plan.read_again,
            "pictures are read otherwise than when the file was made (color profiles, alpha, "
            "depth, canvas) and were to be done again; the other rows are kept",
        ),
        (copied, "pictures have the same bytes as others and share their vectors"),
        (plan.gone, "pictures are no longer there; their rows are kept"),
        (plan.dropped, "rows of pictures that are not listed any more are dropped"),
    ]
