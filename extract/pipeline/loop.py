"""The only loop: load, forward and write, all at the same time; every row in its place."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from extract.engines.device_processes import BATCHES_EACH, DeviceProcesses, SharedForward
from extract.errors import PictureRefused
from extract.ids import shown
from extract.images.gpu_decoding import ENGINE, gpu_decoder
from extract.inference.execution_config import requested_decoder
from extract.inference.fidelity import MOST_RECOMPUTED, Fidelity, is_reference, measure_fidelity
from extract.inference.forward_pass import ForwardPass
from extract.inference.runtimes import apply_execution_config
from extract.loading.batch_ring import BatchRing
from extract.loading.gpu_process import GpuProcess
from extract.loading.picture import Destination, PictureLoader
from extract.loading.processes import LoadingProcesses
from extract.loading.threads import LoadingThreads
from extract.pipeline.batching import Forwarding
from extract.pipeline.monitor import Monitor
from extract.pipeline.output_job import FileRun
from extract.pipeline.prefetch import LoadingWorkers, loaded_pictures
from extract.pipeline.writing import ComputedSlice, WritingThread
from extract.refusals import SOUND
from extract.storage.embeddings import canonical_json
from extract.storage.failures import failures_path
from extract.storage.row_writer import RowWriter

FEW_WORKERS = 4
"""As many decode in threads; more are processes."""

LEAST_BATCHES = 4
"""Of a ring: one being read by the device, one filled, two that a task may reach into."""

ENGINE_THREADS = 2
"""With an engine for JPEGs: while one waits for the device, the other prepares."""

PICTURES_AHEAD = 96
"""Of each worker, so that it finds work whenever the forward pass takes long."""


@dataclass
class Tally:
    """What was computed of one file: its sound rows, copies among them, and how near they are."""

    sound: int = 0
    copied: int = 0
    fidelity: Fidelity | None = None

    def add(self, computed: ComputedSlice) -> None:
        """Count a slice."""
        sound = computed.rows.status == SOUND
        self.sound += int(sound.sum())
        self.copied += int((sound & computed.copied).sum())


@dataclass
class Pass:
    """What a pass did: a tally a file, whether it was stopped, and its loop's seconds."""

    tallies: list[Tally]
    stopped: bool = False
    seconds: float = 0.0


def embed_in_one_pass(
    runs: Sequence[FileRun],
    monitor: Monitor,
    *,
    workers: int,
    gpu: GpuProcess | None = None,
    devices: Sequence[str] = (),
    stop_at_refusal: bool = False,
) -> Pass:
    """Compute what is due in some files and write it, each picture read and decoded once.

    Parameters
    ----------
    gpu : GpuProcess, optional
        Started before, should a GPU come to decode; else it is started here where one does.
    devices : sequence of str
        Where batches are forwarded, in a process for each; in this one without any.

    Raises
    ------
    EmbeddingsFileError
        When a file cannot be written any more; what was finished is kept.
    PictureRefused
        At the first refused picture, with ``stop_at_refusal``.
    DecodingError
        When processes that decode die again and again.
    """
    passed = Pass([Tally() for _ in runs])
    due = [(run, tally) for run, tally in zip(runs, passed.tallies, strict=True) if run.due.any()]
    if not due:
        return passed
    monitor.start(
        n_to_do=sum(int(run.due.sum()) for run, _ in due),
        n_done=sum(int((~run.plan.to_do).sum()) for run, _ in due),
        n_rows=sum(len(run.catalog) for run, _ in due),
        execution_configs=[run.execution_config for run, _ in due],
        decoding=_decoded_by([run for run, _ in due], workers),
    )
    files = [_OpenFile(run, tally, RowWriter(run.table)) for run, tally in due]
    try:
        for file in files:
            file.writer.reset(file.run.plan.to_reset)
        _compute(
            files,
            monitor,
            workers,
            passed,
            gpu=gpu,
            devices=devices,
            stop_at_refusal=stop_at_refusal,
        )
        for file in files:
            rate = round(file.tally.sound / max(passed.seconds, 1e-9), 2)
            described: dict[str, Any] = {"images_per_second": rate, "models_in_pass": len(files)}
            if not passed.stopped:
                file.tally.fidelity = _fidelity(file.run)
            if file.tally.fidelity:
                described["fidelity"] = file.tally.fidelity.described()
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
    files: Sequence[_OpenFile],
    monitor: Monitor,
    workers: int,
    passed: Pass,
    *,
    gpu: GpuProcess | None,
    devices: Sequence[str],
    stop_at_refusal: bool,
) -> None:
    """Run the loop until its end, or until a stop is requested."""
    runs = [file.run for file in files]
    for run in runs:
        _ = run.finished  # made before threads and processes that load pictures need it
    apply_execution_config(runs[0].execution_config)
    with ExitStack() as stages:
        rings = [stages.enter_context(closing(_ring(run, workers, len(devices)))) for run in runs]
        loaders: LoadingWorkers = stages.enter_context(
            closing(_start_loading(runs, rings, workers, monitor, gpu))
        )
        on_their_way = (
            _in_processes_of_devices(runs, rings, devices, monitor, stages)
            if devices
            else _on_their_way(runs, rings)
        )
        writing = [
            stages.enter_context(
                WritingThread(file.writer, failures_path(file.run.table.path), monitor.finished)
            )
            for file in files
        ]
        monitor.ready()
        began = time.monotonic()

        def hand_over(number: int, slices: Iterable[ComputedSlice]) -> bool:
            stopping = False
            for computed in slices:
                files[number].tally.add(computed)
                writing[number].put(computed)
                if computed.refusals and stop_at_refusal:
                    raise _refused(computed.refusals[0])
                stopping |= monitor.should_stop()
            return stopping

        with closing(loaded_pictures(runs, rings, loaders, monitor.should_stop)) as loaded:
            for row, picture in loaded:
                for number, forwarding in enumerate(on_their_way):
                    passed.stopped |= hand_over(number, forwarding.take(row, picture))
                if passed.stopped:
                    break
            else:
                passed.stopped = monitor.should_stop()
        for number, forwarding in enumerate(on_their_way):
            hand_over(number, forwarding.finish())
        passed.seconds = time.monotonic() - began
        worked = {
            "decoding": loaders.busy_seconds / workers,
            "forward pass": sum(f.busy_seconds for f in on_their_way) / max(len(devices), 1),
            "writing": sum(each.busy_seconds for each in writing),
        }
        waited = {stage: max(passed.seconds - busy, 0.0) for stage, busy in worked.items()}
    monitor.waited(passed.seconds, waited)


def _on_their_way(runs: Sequence[FileRun], rings: Sequence[BatchRing]) -> list[Forwarding]:
    found = []
    passes: dict[tuple[int, str], ForwardPass] = {}
    for run, ring in zip(runs, rings, strict=True):
        if run.backbone.device.startswith("cuda"):
            ring.pin()
        # views of one backbone go through one model: it is folded or converted once
        key = (id(run.backbone.network), canonical_json(run.execution_config))
        if key not in passes:
            passes[key] = ForwardPass(run.backbone, run.execution_config)
        found.append(Forwarding(run, ring, passes[key]))
    return found


def _in_processes_of_devices(
    runs: Sequence[FileRun],
    rings: Sequence[BatchRing],
    devices: Sequence[str],
    monitor: Monitor,
    stages: ExitStack,
) -> list[Forwarding]:
    forwards = [(run.backbone, run.execution_config) for run in runs]
    processes = DeviceProcesses(devices, forwards, rings, monitor.warned)
    stages.enter_context(closing(processes))
    return [
        Forwarding(run, ring, SharedForward(processes, number, number, ring.n_batches))
        for number, (run, ring) in enumerate(zip(runs, rings, strict=True))
    ]


def _fidelity(run: FileRun) -> Fidelity | None:
    """Compute some of this run's rows again through the reference path, where it took another."""
    if is_reference(run.execution_config):
        return None
    computed = np.flatnonzero(run.due & (run.table.now("status") == SOUND))
    drawn = np.sort(np.random.default_rng(0).permutation(computed)[:MOST_RECOMPUTED])
    vectors = run.table.take_vectors(drawn)
    found = measure_fidelity(run.catalog, run.backbone, run.execution_config, drawn, vectors)
    return found and found.worse_of(run.record.get("fidelity"))


def _ring(run: FileRun, workers: int, n_devices: int) -> BatchRing:
    batch_size = run.plan.batch_size
    ahead = -(-PICTURES_AHEAD * workers // batch_size) if workers > FEW_WORKERS else 1
    ahead += BATCHES_EACH * n_devices
    return BatchRing(LEAST_BATCHES + ahead, batch_size, run.backbone.preprocessing.size)


def _start_loading(
    runs: Sequence[FileRun],
    rings: Sequence[BatchRing],
    workers: int,
    monitor: Monitor,
    gpu: GpuProcess | None,
) -> LoadingWorkers:
    """Take threads where they are few; processes where they are many, or with a GPU."""
    destinations = [
        Destination(
            run.backbone.preprocessing,
            requested_decoder(run.execution_config),
            ring.batches,
            run.needs,
            run.backbone.view,
        )
        for run, ring in zip(runs, rings, strict=True)
    ]
    loader = PictureLoader(runs[0].catalog, destinations)
    device = next(
        (run.backbone.device for run in runs if requested_decoder(run.execution_config) == "gpu"),
        None,
    )
    in_processes = _in_processes(runs, workers)
    if gpu is not None and not (device and in_processes):
        gpu.close()  # which would hold memory of the device
    if not in_processes:
        return LoadingThreads(loader, workers)
    start = partial(_connect_gpu, gpu, device, runs, rings) if device else None
    return LoadingProcesses(loader, workers, monitor.warned, start)


def _connect_gpu(
    gpu: GpuProcess | None, device: str, runs: Sequence[FileRun], rings: Sequence[BatchRing]
) -> GpuProcess:
    import torch

    decoder = gpu_decoder(torch.device(device))
    preprocessings = [run.backbone.preprocessing for run in runs]
    gpu = gpu or GpuProcess(device, preprocessings)
    gpu.connect(decoder, preprocessings, rings, ENGINE_THREADS if decoder == ENGINE else 1)
    return gpu


def _in_processes(runs: Sequence[FileRun], workers: int) -> bool:
    forks = sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()
    on_gpu = any(requested_decoder(run.execution_config) == "gpu" for run in runs)
    return forks and (workers > FEW_WORKERS or on_gpu)


def _decoded_by(runs: Sequence[FileRun], workers: int) -> str:
    """Describe what decodes, as in ``in 2 threads``."""
    each = "process" if _in_processes(runs, workers) else "thread"
    plural = ("es" if each == "process" else "s") if workers > 1 else ""
    return f"in {workers} {each}{plural}"


def _refused(refusal: Mapping[str, Any]) -> PictureRefused:
    return PictureRefused(
        f"refused {shown(refusal['id'])}: {refusal['code']} ({shown(refusal['message'])}); fix or "
        "remove it, or let the run go on with --on-bad-image skip"
    )
