"""The only loop: read and decode in threads, forward, write; every row in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from extract.catalog import shown
from extract.errors import PictureRefused
from extract.failures import failures_path
from extract.file_run import FileRun
from extract.loading import loaded_pictures
from extract.monitor import Monitor
from extract.preprocessing import Preprocessing
from extract.refusals import SOUND
from extract.row_writer import RowWriter
from extract.writing import ComputedSlice, WritingThread

SLICES_AHEAD = 3


@dataclass
class Tally:
    """What was computed of one file: its sound rows, and how many of them are copies."""

    sound: int = 0
    copied: int = 0

    def add(self, computed: ComputedSlice) -> None:
        """Count a slice."""
        sound = computed.rows.status == SOUND
        self.sound += int(sound.sum())
        self.copied += int((sound & computed.copied).sum())


@dataclass
class Pass:
    """What a pass did: a tally a file, and whether it was asked to stop before its end."""

    tallies: list[Tally]
    stopped: bool = False


def embed_in_one_pass(
    runs: Sequence[FileRun], monitor: Monitor, *, workers: int, stop_at_refusal: bool = False
) -> Pass:
    """Compute what is due in some files and write it, each picture read and decoded once.

    Raises
    ------
    EmbeddingsFileError
        When a file cannot be written any more; what was finished is kept.
    PictureRefused
        At the first refused picture, with ``stop_at_refusal``.
    """
    passed = Pass([Tally() for _ in runs])
    due = [(run, tally) for run, tally in zip(runs, passed.tallies, strict=True) if run.due.any()]
    if not due:
        return passed
    monitor.start(
        n_to_do=sum(int(run.due.sum()) for run, _ in due),
        n_done=sum(int((~run.plan.to_do).sum()) for run, _ in due),
        n_rows=sum(len(run.catalog) for run, _ in due),
        realisations=[run.realisation for run, _ in due],
    )
    files = [_OpenFile(run, tally, RowWriter(run.table)) for run, tally in due]
    try:
        for file in files:
            file.writer.reset(file.run.plan.to_reset)
        began = time.monotonic()
        passed.stopped = _compute(files, monitor, workers, stop_at_refusal=stop_at_refusal)
        seconds = max(time.monotonic() - began, 1e-9)
        for file in files:
            rate = round(file.tally.sound / seconds, 2)
            described = {"images_per_second": rate, "models_in_pass": len(files)}
            file.writer.write_record({**file.run.record, **described})
    finally:
        for file in files:
            file.writer.close()
    return passed


@dataclass(frozen=True, eq=False)
class _OpenFile:
    run: FileRun
    tally: Tally
    writer: RowWriter


def _compute(
    files: Sequence[_OpenFile], monitor: Monitor, workers: int, *, stop_at_refusal: bool
) -> bool:
    """Run the loop; say whether it was asked to stop before the end."""
    runs = [file.run for file in files]
    for run in runs:
        _ = run.finished  # made before the threads that load pictures ask it

    def wanted(row: int, sha256: bytes) -> tuple[Preprocessing, ...]:
        needing = (run.backbone.preprocessing for run in runs if run.needs(row, sha256))
        return tuple(dict.fromkeys(needing))

    loaded = loaded_pictures(
        runs[0].catalog,
        np.flatnonzero(np.any([run.due for run in runs], axis=0)).tolist(),
        {run.backbone.preprocessing for run in runs},
        wanted,
        workers=workers,
        ahead=SLICES_AHEAD * max(run.plan.batch_size for run in runs),
    )
    with ExitStack() as threads:
        writing = [
            threads.enter_context(
                WritingThread(file.writer, failures_path(file.run.table.path), monitor.finished)
            )
            for file in files
        ]
        with closing(loaded):
            for row, picture in loaded:
                for file, thread in zip(files, writing, strict=True):
                    computed = file.run.take(row, picture)
                    if computed is None:
                        continue
                    file.tally.add(computed)
                    thread.put(computed)
                    if computed.refusals and stop_at_refusal:
                        raise _refused(computed.refusals[0])
                    if monitor.should_stop():
                        return True
    return False


def _refused(refusal: Mapping[str, Any]) -> PictureRefused:
    return PictureRefused(
        f"refused {shown(refusal['id'])}: {refusal['code']} ({shown(refusal['message'])}); mend or "
        "remove it, or let the run go on with --on-bad-image skip"
    )
