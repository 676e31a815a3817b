"""Threads or processes, a device that answers at once or later: every row the same bits."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import (
    CountingBackbone,
    StopAfter,
    draw_noise,
    embedded_alone,
    offline_environment,
    tiny_backbone,
)

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.errors import DecodingError
from extract.images import memory_limits as picture_memory
from extract.inference.forward_pass import ForwardPass, Launched
from extract.loading import picture as loading
from extract.loading.batch_ring import BatchRing
from extract.pipeline import loop as one_pass
from extract.pipeline.extraction import Options, Report, Target, extract_together
from extract.pipeline.monitor import Monitor
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.embeddings_table import ROW_FIELDS
from extract.storage.failures import read_refusals
from tests.faults.warm_server import WarmServer

pytestmark = pytest.mark.slow

FIVE = Options(batch_size=5, threads=1, workers=3, runtime="eager")


class Listening(Monitor):
    """Keeps what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, what: str) -> None:
        self.warnings.append(what)


class Later(ForwardPass):
    """Answers only when it is waited for, and not before the next batch was launched."""

    def __init__(self, backbone: Backbone, execution_config: Any) -> None:
        super().__init__(backbone, execution_config)
        self.in_flight = 2
        self.launch = self._later

    def _later(self, pixels: torch.Tensor, _batch: int = 0) -> Launched:
        def wait() -> tuple[np.ndarray, float]:
            return self._at_once(pixels).wait()  # whoever overwrote the pixels is found out

        return Launched(wait)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Forty pictures of three shapes: copies near and far, broken ones, one that is not there."""
    folder = tmp_path / "shop"
    for i in range(40):
        draw_noise(folder / f"{i:02}.png", i, [(40, 30), (31, 64), (90, 90)][i % 3])
    for copy, original in [(1, 0), (9, 8), (12, 3), (30, 2), (39, 38), (25, 7)]:
        shutil.copy(folder / f"{original:02}.png", folder / f"{copy:02}.png")
    (folder / "17.png").write_bytes(b"broken")
    (folder / "18.png").write_bytes(b"")
    (folder / "20.png").write_bytes((folder / "21.png").read_bytes()[:-30])
    return folder


@pytest.fixture(params=["processes", "later", "processes and later"])
def other_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "processes" in request.param:
        monkeypatch.setattr(one_pass, "FEW_WORKERS", 0)
    if "later" in request.param:
        monkeypatch.setattr(one_pass, "ForwardPass", Later)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "FEW_WORKERS", 0)


def embed(
    shop: Path, targets: dict[Path, Backbone], options: Options = FIVE, **given: Any
) -> list[Report]:
    chosen = [Target(backbone, path) for path, backbone in targets.items()]
    return extract_together(list_folder(shop), chosen, options=options, **given)


def bits(path: Path) -> dict[str, bytes]:
    rows = read_table(path).rows
    return {name: getattr(rows, name).tobytes() for name in ("vectors", *ROW_FIELDS)}


def two_backbones() -> tuple[Backbone, Backbone]:
    """Two that see pictures of another size."""
    one, two = tiny_backbone(0, "one"), tiny_backbone(1, "two")
    return one, replace(two, preprocessing=replace(two.preprocessing, size=40))


@pytest.fixture
def expected(shop: Path, tmp_path: Path) -> list[dict[str, bytes]]:
    """Two files of a run in threads, with a device that answers at once."""
    paths = [tmp_path / "expected" / f"{name}.h5" for name in ("one", "two")]
    embed(shop, dict(zip(paths, two_backbones(), strict=True)))
    return [bits(path) for path in paths]


def test_every_way_gives_the_same_bits(
    shop: Path, tmp_path: Path, expected: list[dict[str, bytes]], other_way: None
) -> None:
    paths = [tmp_path / f"{name}.h5" for name in ("one", "two")]
    counting = [CountingBackbone(backbone) for backbone in two_backbones()]
    reports = embed(shop, dict(zip(paths, counting, strict=True)))  # type: ignore[arg-type]
    assert [bits(path) for path in paths] == expected
    for report, backbone in zip(reports, counting, strict=True):
        assert report.refused == {"empty": 1, "truncated": 1, "unidentified": 1}
        assert (report.embedded, report.copied) == (37, 6)
        assert backbone.pictures == 31
    assert [line["id"] for line in read_refusals(read_table(paths[0]))] == [
        "17.png",
        "18.png",
        "20.png",
    ]
    vectors = read_embeddings(paths[0])
    for row_id, vector in zip(vectors.ids, vectors.vectors, strict=True):
        alone = embedded_alone(counting[0]._backbone, shop / row_id)
        assert vector @ alone > 0.9995 * np.linalg.norm(vector) * np.linalg.norm(alone)


def test_every_way_stops_and_goes_on(
    shop: Path, tmp_path: Path, expected: list[dict[str, bytes]], other_way: None
) -> None:
    paths = [tmp_path / f"{name}.h5" for name in ("one", "two")]
    targets = dict(zip(paths, two_backbones(), strict=True))
    for after in (2, 3, 5):
        embed(shop, targets, monitor=StopAfter(after))
    embed(shop, targets)
    assert [bits(path) for path in paths] == expected


def test_a_row_that_is_alone_in_its_batch_finds_blank_places_beside_it(
    shop: Path, tmp_path: Path, expected: list[dict[str, bytes]], other_way: None
) -> None:
    path, (one, _) = tmp_path / "one.h5", two_backbones()
    embed(shop, {path: one})
    table = read_table(path)
    with path.open("r+b") as file:  # one row of each of three batches is to do again
        for row in (3, 14, 33):
            file.seek(table.offsets["status"] + row)
            file.write(b"\0")
    assert embed(shop, {path: one})[0].embedded == 3
    assert bits(path) == expected[0]


def test_a_process_that_is_killed_is_named_and_replaced(
    shop: Path,
    tmp_path: Path,
    expected: list[dict[str, bytes]],
    processes: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent, once, prepare = os.getpid(), tmp_path / "once", loading.prepare_picture
    fatal = (shop / "11.png").read_bytes()

    def deadly(content: bytes, *words: Any) -> Any:
        if content == fatal and os.getpid() != parent and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(content, *words)

    monkeypatch.setattr(loading, "prepare_picture", deadly)
    monitor, path = Listening(), tmp_path / "one.h5"
    embed(shop, {path: two_backbones()[0]}, monitor=monitor)
    assert bits(path) == expected[0]
    assert len(monitor.warnings) == 1
    assert "SIGKILL" in monitor.warnings[0]
    assert "'11.png'" in monitor.warnings[0]


def test_a_picture_that_kills_every_process_ends_the_run_with_its_name(
    shop: Path, tmp_path: Path, processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, prepare = os.getpid(), loading.prepare_picture
    fatal = (shop / "31.png").read_bytes()

    def deadly(content: bytes, *words: Any) -> Any:
        if content == fatal and os.getpid() != parent:
            faulthandler.disable()  # what it would print is meant
            os.kill(os.getpid(), signal.SIGSEGV)
        return prepare(content, *words)

    monkeypatch.setattr(loading, "prepare_picture", deadly)
    path, before = tmp_path / "one.h5", children()
    with pytest.raises(DecodingError, match=r"SIGSEGV.*'31.png'.*--workers 1"):
        embed(shop, {path: two_backbones()[0]})
    assert children() == before
    kept = np.flatnonzero(read_table(path).now("status"))
    assert len(kept) >= 25  # the batches before its own
    monkeypatch.undo()
    assert embed(shop, {path: two_backbones()[0]})[0].reused >= 22


def test_a_picture_too_heavy_for_a_process_is_loaded_by_the_parent(
    shop: Path,
    tmp_path: Path,
    expected: list[dict[str, bytes]],
    processes: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent, load, here = os.getpid(), loading.PictureLoader.load, []

    def seen(self: loading.PictureLoader, row: int, places: Any) -> Any:
        if os.getpid() == parent:
            here.append(row)
        return load(self, row, places)

    monkeypatch.setattr(loading.PictureLoader, "load", seen)
    share = 4 * picture_memory.TRANSFORM_BYTES  # it is reckoned by aspect, rounded up
    monkeypatch.setattr(picture_memory, "MAX_BYTES_AT_WORK", 3 * share)
    Image.new("RGB", (20, 100), "teal").save(shop / "05.png")
    path = tmp_path / "one.h5"
    embed(shop, {path: two_backbones()[0]})
    assert here == [5]
    stored = bits(path)["status"]
    assert stored == expected[0]["status"]


def test_an_error_of_the_machine_ends_the_run_and_every_process(
    shop: Path, tmp_path: Path, processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_files(*_: Any) -> Any:
        raise OSError(24, "Too many open files")

    before = children()
    monkeypatch.setattr(loading, "read_row", no_more_files)
    with pytest.raises(OSError, match="Too many open files"):
        embed(shop, {tmp_path / "one.h5": two_backbones()[0]})
    assert children() == before


def children() -> set[str]:
    """List the processes whose parent is this one."""
    found = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True
    )
    return {line.split()[0] for line in found.stdout.splitlines() if line.split()[1] != "ps"}


def test_no_process_and_nothing_in_shared_memory_outlives_a_killed_run(
    warm_server: WarmServer, shop: Path, tmp_path: Path
) -> None:
    seen, path = tmp_path / "seen", tmp_path / "x.h5"
    before = set(os.listdir("/dev/shm"))
    words = ("tests.slow_loading", str(shop), str(path), str(seen))
    run = warm_server.start(words, tmp_path / "said", tmp_path, offline_environment(tmp_path))
    until = time.monotonic() + 60
    while not seen.exists() and time.monotonic() < until:
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True)
    workers = [int(pid) for pid in found.stdout.split()]
    assert len(workers) == 3
    run.kill()
    assert run.wait() == -signal.SIGKILL
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert not {name for name in set(os.listdir("/dev/shm")) - before if "x.h5" in name}


def test_a_ring_gives_a_batch_its_places_once_they_are_free() -> None:
    ring = BatchRing(3, 2, 4)
    assert [ring.has_room(batch) for batch in range(4)] == [True, True, True, False]
    ring.place(0)[:] = 7
    ring.release()
    assert ring.has_room(3)
    assert not ring.has_room(4)
    assert (ring.place(3) == 7).all()  # the same memory
    assert ring.place(3).ctypes.data == ring.place(0).ctypes.data
    ring.close()


def test_stages_tell_how_long_they_had_nothing_to_do(shop: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {}

    class Told(Monitor):
        def waited(self, seconds: float, stages: Any) -> None:
            told.update(seconds=seconds, **stages)

    embed(shop, {tmp_path / "one.h5": two_backbones()[0]}, monitor=Told())
    assert told.keys() == {"seconds", "decoding", "forward pass", "writing"}
    assert all(0 <= idle <= told["seconds"] for idle in told.values())
