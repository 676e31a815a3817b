"""Several devices, one file: as one device gives it, whatever process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_catalogs import tiny_backbone

from extract.backbones.options import BackboneOptions
from extract.catalog.catalog import list_folder
from extract.engines import device_processes
from extract.engines.device_process import Batch, DeviceSetup
from extract.engines.device_processes import DeviceProcesses, _Worker
from extract.errors import DecodingError, UsageError
from extract.images.augmentation import View
from extract.loading.batch_ring import BatchRing
from extract.pipeline.extraction import Target, extract_together
from extract.pipeline.monitor import Monitor
from extract.pipeline.options import Options
from extract.refusals import SOUND
from extract.storage.embeddings_file import read_embeddings, read_table

OPTIONS = Options(
    batch_size=2, runtime="eager", decoder="reference", dtype="fp32", workers=2, threads=1
)
Behave = Callable[[Connection], None]


def answering(n_answers: int | None, last: str | None = None) -> Behave:
    """Answer each batch by its place, so many times; then fail, or hang up."""

    def behave(connection: Connection) -> None:
        with connection:
            connection.recv()
            left = n_answers
            while left is None or left > 0:
                try:
                    batch: Batch = connection.recv()
                except EOFError:
                    return
                connection.send((np.full((2, 3), batch.place, np.float32), 0.5))
                left = None if left is None else left - 1
            if last is not None:
                connection.send(last)

    return behave


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[DeviceProcesses, list[str]]]:
    """Make processes of which threads play the part."""

    def made(*behaviors: Behave) -> tuple[DeviceProcesses, list[str]]:
        waiting = list(behaviors)

        def fake(setup: DeviceSetup) -> _Worker:
            ours, theirs = Pipe()
            threading.Thread(target=waiting.pop(0), args=(theirs,), daemon=True).start()
            ours.send(setup)
            nothing = subprocess.Popen([sys.executable, "-S", "-c", ""])
            return _Worker(setup.device, nothing, ours)

        monkeypatch.setattr(device_processes, "_start", fake)
        said: list[str] = []
        devices = [f"cuda:{i}" for i in range(len(behaviors))]
        ring = BatchRing(8, 2, 4)
        return DeviceProcesses(devices, [(tiny_backbone(), {})], [ring], said.append), said

    return made


def taken(processes: DeviceProcesses, n_batches: int, order: Sequence[int]) -> list[float]:
    tickets = [processes.submit(Batch(0, 0, place)) for place in range(n_batches)]
    found = {each: processes.wait(tickets[each])[0][0, 0] for each in order}
    processes.close()
    return [found[each] for each in sorted(found)]


@pytest.mark.parametrize("order", [range(6), [5, 0, 3, 1, 4, 2]])
def test_each_batch_has_its_own_answer(order: Sequence[int], start: Any) -> None:
    processes, said = start(answering(None), answering(None), answering(None))
    assert taken(processes, 6, order) == [0, 1, 2, 3, 4, 5]
    assert said == []


@pytest.mark.parametrize("last", [None, "OutOfMemoryError: CUDA out of memory"])
def test_what_a_process_that_ends_had_others_compute(last: str | None, start: Any) -> None:
    processes, said = start(answering(1, last), answering(None))
    assert taken(processes, 6, range(6)) == [0, 1, 2, 3, 4, 5]
    (line,) = said
    assert line.startswith("the process on cuda:0 ended (")
    assert last is None or last in line


def test_without_any_process_the_run_ends_in_one_line(start: Any) -> None:
    processes, said = start(answering(1), answering(2, "RuntimeError: no kernel"))
    with pytest.raises(DecodingError, match="as did all others: what was finished is kept"):
        taken(processes, 6, range(6))
    assert len(said) == 1


@pytest.mark.slow
def test_two_devices_give_the_file_of_one_though_a_process_is_killed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures / "cups" / "broken.png").write_bytes(b"none")
    (pictures / "hats" / "copy.png").write_bytes((pictures / "cups" / "3.png").read_bytes())
    started: list[_Worker] = []
    own = device_processes._start

    def noted(setup: DeviceSetup) -> _Worker:
        started.append(own(setup))
        return started[-1]

    monkeypatch.setattr(device_processes, "_start", noted)

    said: list[str] = []

    class KillOne(Monitor):
        rows = 0

        def warned(self, what: str) -> None:
            said.append(what)

        def should_stop(self) -> bool:
            self.rows += 1
            if self.rows == 3:
                os.kill(started[0].process.pid, signal.SIGKILL)
            return False

    def targets(name: str) -> list[Target]:
        backbone = tiny_backbone()
        view = backbone.viewed(View("catalog-1", 0, 1))
        other = tiny_backbone(1, "other")
        return [
            Target(each, tmp_path / f"{name}{i}.h5")
            for i, each in enumerate((backbone, view, other))
        ]

    catalog = list_folder(pictures)
    extract_together(catalog, targets("one"), options=OPTIONS)
    reports = extract_together(
        catalog, targets("two"), options=OPTIONS, monitor=KillOne(), devices=["cpu", "cpu"]
    )
    assert [report.refused for report in reports] == [{"unidentified": 1}] * 3
    assert len(said) == 1
    assert "signal SIGKILL" in said[0]
    for i in range(3):
        one, two = (read_embeddings(tmp_path / f"{name}{i}.h5") for name in ("one", "two"))
        assert one.ids == two.ids
        assert np.array_equal(one.vectors, two.vectors)
        assert (read_table(tmp_path / f"two{i}.h5").rows.status == SOUND).sum() == 22
    assert all(worker.process.poll() is not None for worker in started)


def test_gpus_that_are_not_here_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert BackboneOptions().devices() == ()
    with pytest.raises(UsageError, match="this machine has none"):
        BackboneOptions(engine="gpus").devices()
    with pytest.raises(UsageError, match="not --device cpu"):
        BackboneOptions(engine="gpus", device="cpu").devices()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert BackboneOptions(engine="gpus").devices() == ("cuda:0", "cuda:1", "cuda:2")
