"""A GPU's part of loading, on a CPU: the same pixels in their places, the rest by the others."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import CountingBackbone, draw_noise, embedded_alone, tiny_backbone

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.images import gpu_decoding
from extract.images.decoders import prepare_picture
from extract.inference.execution_config import choose_execution_config
from extract.loading import on_gpu as loading_on_gpu
from extract.loading.gpu_process import GpuProcess
from extract.loading.on_gpu import Begun, GpuLoader, Part, decode_into
from extract.loading.picture import Destination, LoadedPicture, PictureLoader, Place, Task
from extract.loading.processes import LoadingProcesses
from extract.pipeline import extraction
from extract.pipeline.extraction import Options, Target, extract_together
from extract.pipeline.monitor import Monitor
from extract.refusals import Reason
from extract.storage.embeddings_file import read_table
from extract.storage.failures import read_refusals
from extract.transforms.preprocessing import Preprocessing

SEEN = tiny_backbone().preprocessing
LARGER = Preprocessing(40, "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
ON_GPU = (("gpu", ("gpu", "gpu")),)
BY_FAST = (("gpu", ("fast", "torchvision")),)


def draw_smooth(path: Path, seed: int) -> None:
    """Save a JPEG of soft colors, as photographs are, of one of three shapes."""
    size = [(90, 70), (64, 121), (200, 160)][seed % 3]
    colors = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC).save(path, quality=92)


@pytest.fixture
def shop(tmp_path: Path) -> Catalog:
    """Nine JPEGs; one PNG among them, one file that is broken, one that is not there."""
    folder = tmp_path / "shop"
    for i in range(9):
        draw_smooth(folder / f"{i}.jpg", i)
    Image.open(folder / "2.jpg").save(folder / "2.jpg", "PNG")
    (folder / "4.jpg").write_bytes(b"broken")
    catalog = list_folder(folder)
    (folder / "6.jpg").unlink()
    return catalog


class FakeGpu:
    """Decodes JPEGs by the reference; leaves out what is none, and those it is told to."""

    def __init__(self, left_out: Collection[bytes] = ()) -> None:
        self.left_out, self.asked = left_out, []

    def __call__(
        self, contents: Sequence[bytes], wanted: Preprocessing, device: torch.device, _: str | None
    ) -> tuple[torch.Tensor, list[int]]:
        self.asked.append(len(contents))
        pixels = torch.zeros((len(contents), wanted.size, wanted.size, 3), dtype=torch.uint8)
        left_out = []
        for i, content in enumerate(contents):
            if content[:2] != b"\xff\xd8" or content in self.left_out:
                left_out.append(i)
                continue
            pixels[i] = torch.from_numpy(reference(content, wanted))
        return pixels, left_out


def reference(content: bytes, wanted: Preprocessing) -> np.ndarray:
    return prepare_picture(content, {wanted}, "reference").pixels[wanted]


def load(
    catalog: Catalog, destinations: Sequence[Destination], tasks: Sequence[Task]
) -> list[LoadedPicture]:
    gpu = GpuLoader(PictureLoader(catalog, destinations), Here(destinations))
    begun = gpu.begin(tasks)
    assert begun.tasks == tasks
    loaded = gpu.finish(begun)
    assert [len(each) for each in loaded] == [len(task.rows) for task in tasks]
    return [picture for each in loaded for picture in each if picture is not None]


class Here:
    """Decodes at once, in this process."""

    def __init__(self, destinations: Sequence[Destination]) -> None:
        self._destinations = destinations
        self._memory = np.zeros(1 << 20, np.uint8)
        self._left_out: list[list[int]] = []

    def memory(self) -> np.ndarray:
        return self._memory

    def begin(self, parts: Sequence[Part]) -> None:
        for part in parts:
            wanted = self._destinations[part.file]
            contents = [
                self._memory[first : first + size].tobytes() for first, size in part.contents
            ]
            device = torch.device("cpu")
            self._left_out.append(
                decode_into(
                    wanted.batches, part.places, contents, (wanted.preprocessing, None), device
                )
            )

    def finish(self) -> list[list[int]]:
        return self._left_out


def ring(wanted: Preprocessing, n_batches: int = 3, batch_size: int = 4) -> np.ndarray:
    return np.full((n_batches, batch_size, wanted.size, wanted.size, 3), 9, np.uint8)


def tasks_of(rows: Sequence[int], n_files: int = 1, size: int = 2) -> list[Task]:
    """Row r goes to place r % 4 of batch r // 4 + 3: the ring goes round."""
    cut = [rows[i : i + size] for i in range(0, len(rows), size)]
    places = {r: tuple(Place(f, r // 4 + 3, r % 4) for f in range(n_files)) for r in rows}
    return [Task(tuple(some), tuple(places[r] for r in some)) for some in cut]


def test_pixels_are_in_their_places_and_what_is_left_out_comes_the_other_way(
    shop: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [path.read_bytes() if path.exists() else b"" for path in files_of(shop)]
    monkeypatch.setattr(loading_on_gpu, "decode_on_gpu", FakeGpu({contents[7]}))
    batches = ring(SEEN)
    rows = [0, 1, 2, 3, 4, 6, 7, 8]  # 5 is not due
    destination = Destination(SEEN, "gpu", batches, lambda *_: True)
    loaded = dict(zip(rows, load(shop, [destination], tasks_of(rows)), strict=True))
    refused = {row: each.refused.reason for row, each in loaded.items() if each.refused}
    assert refused == {4: Reason.UNIDENTIFIED, 6: Reason.MISSING}
    ways = {row: each.ways for row, each in loaded.items() if not each.refused}
    by_reference = (("gpu", ("reference", "torchvision")),)
    assert ways == {
        **dict.fromkeys([0, 1, 3, 8], ON_GPU),
        2: by_reference,
        7: BY_FAST,
    }
    for row in (0, 1, 3, 8):
        assert (batches[row // 4, row % 4] == reference(contents[row], SEEN)).all()
    for row in (2, 7):
        fast = prepare_picture(contents[row], {SEEN}, "fast").pixels[SEEN]
        assert (batches[row // 4, row % 4] == fast).all()
    assert (batches[1, 1] == 9).all()  # nobody's
    assert (batches[2, 1:] == 9).all()


def files_of(catalog: Catalog) -> list[Path]:
    return [catalog.images_root / path for path in catalog.paths]


def test_a_file_of_the_run_that_wants_another_decoder_has_its_pictures_loaded_by_the_others(
    shop: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = FakeGpu()
    monkeypatch.setattr(loading_on_gpu, "decode_on_gpu", gpu)
    rings = ring(SEEN), ring(LARGER)
    destinations = [
        Destination(SEEN, "gpu", rings[0], lambda *_: True),
        Destination(LARGER, "reference", rings[1], lambda row, _: row != 3),
    ]
    loaded = load(shop, destinations, tasks_of([0, 1, 3], n_files=2))
    assert [dict(each.ways).get("gpu") for each in loaded] == [BY_FAST[0][1]] * 2 + [ON_GPU[0][1]]
    assert [dict(each.ways).get("reference") for each in loaded][:2] == [
        ("reference", "pillow"),
        ("reference", "pillow"),
    ]
    assert sum(gpu.asked) == 1
    for row, path in enumerate(files_of(shop)[:2]):
        assert (rings[1][0, row] == reference(path.read_bytes(), LARGER)).all()
    assert (rings[1][0, 3] == 9).all()


def test_two_files_that_a_gpu_decodes_for_get_a_picture_both_or_by_the_others_both(
    shop: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings = ring(SEEN), ring(LARGER)
    destinations = [
        Destination(seen, "gpu", batches, lambda *_: True)
        for seen, batches in zip((SEEN, LARGER), rings, strict=True)
    ]
    contents = [path.read_bytes() for path in files_of(shop)[:4]]
    monkeypatch.setattr(loading_on_gpu, "decode_on_gpu", FakeGpu({contents[1]}))
    loaded = load(shop, destinations, tasks_of([0, 1, 3], n_files=2))
    assert [each.ways for each in loaded] == [ON_GPU, BY_FAST, ON_GPU]
    for batches, seen in zip(rings, (SEEN, LARGER), strict=True):
        for row in (0, 3):
            assert (batches[0, row] == reference(contents[row], seen)).all()
        fast = prepare_picture(contents[1], {SEEN, LARGER}, "fast").pixels[seen]
        assert (batches[0, 1] == fast).all()


def test_bytes_that_nobody_needs_are_hashed_and_not_decoded(
    shop: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = FakeGpu()
    monkeypatch.setattr(loading_on_gpu, "decode_on_gpu", gpu)
    destination = Destination(SEEN, "gpu", ring(SEEN), lambda row, _: row != 1)
    loaded = load(shop, [destination], tasks_of([0, 1]))
    assert [each.ways for each in loaded] == [ON_GPU, ()]
    assert gpu.asked == [1]
    assert len({each.sha256 for each in loaded}) == 2
    assert all(each.size > 0 and each.mtime_ns > 0 for each in loaded)


def test_without_memory_on_the_device_and_for_large_files_the_others_load(
    shop: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Any:
        raise torch.OutOfMemoryError("none left")

    destination = Destination(SEEN, "gpu", ring(SEEN), lambda *_: True)
    with monkeypatch.context() as patch:
        patch.setattr(loading_on_gpu, "decode_on_gpu", full)
        assert {each.ways for each in load(shop, [destination], tasks_of([0, 1]))} == {BY_FAST}
    monkeypatch.setattr(loading_on_gpu, "decode_on_gpu", FakeGpu())
    sizes = [path.stat().st_size for path in files_of(shop)[:2]]
    monkeypatch.setattr(loading_on_gpu, "MOST_FILE_BYTES", min(sizes))
    ways = [each.ways for each in load(shop, [destination], tasks_of([0, 1]))]
    assert ways == [ON_GPU if size == min(sizes) else BY_FAST for size in sizes]


# a whole run, with processes beside it


@pytest.fixture
def gpu_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs choose a GPU's decoder, which is the same library's on this CPU."""

    by_torchvision = {"torchvision": gpu_decoding.DECODERS["torchvision"]}
    monkeypatch.setattr(gpu_decoding, "DECODERS", by_torchvision)
    gpu_decoding.gpu_decoder.cache_clear()

    def chosen(*words: Any) -> dict[str, Any]:
        return {**choose_execution_config(*words), "decoder": "gpu", "resize": "gpu"}

    monkeypatch.setattr(extraction, "choose_execution_config", chosen)
    start = LoadingProcesses.__init__

    def start_and_wait(self: LoadingProcesses, *words: Any) -> None:
        start(self, *words)
        while not all(worker.most_tasks for worker in self._workers):
            self._listen()

    # cores would be through with so few pictures before
    monkeypatch.setattr(LoadingProcesses, "__init__", start_and_wait)


@pytest.mark.slow  # each starts processes that load torch
@pytest.mark.usefixtures("gpu_run")
def test_rows_are_right_whoever_decoded_their_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for i in range(60):
        draw_smooth(folder / f"{i:02}.jpg", i)
    for i in (11, 23, 41):
        (folder / f"{i}.jpg").unlink()
        draw_noise(folder / f"{i}.png", i)
    (folder / "13.jpg").write_bytes(b"broken")
    shutil.copy(folder / "03.jpg", folder / "14.jpg")
    padded = tiny_backbone(1, "two")
    padded = replace(padded, preprocessing=padded.preprocessing.resized("pad"))
    backbones: list[Backbone] = [tiny_backbone(0, "one"), padded]
    counting = [CountingBackbone(each) for each in backbones]
    targets = [Target(each, tmp_path / f"{i}.h5") for i, each in enumerate(counting)]  # type: ignore[arg-type]
    options = Options(batch_size=5, threads=1, workers=1, runtime="eager")
    reports = extract_together(list_folder(folder), targets, options=options)
    for report, each in zip(reports, counting, strict=True):
        assert (report.embedded, report.copied) == (59, 1)
        assert report.refused == {"unidentified": 1}
        assert each.pictures == 58
        table = read_table(report.file)
        assert [line["id"] for line in read_refusals(table)] == ["13.jpg"]
        ways = [table.provenance.execution_configs[i] for i in table.rows.execution_config]
        by = [(way["decoder"], way["resize"]) for way in ways]
        assert by.count(("gpu", "gpu")) >= 10
        assert by.count(("fast", "torchvision")) >= 8  # the first tasks are the process's
        for row, row_id in enumerate(table.ids):
            if row_id == "13.jpg":
                continue
            if row_id.endswith("png"):
                assert by[row] == ("reference", "torchvision")
            with Image.open(folder / row_id) as picture:
                assert table.rows.dimensions[row].tolist() == [picture.height, picture.width]
            expected = embedded_alone(each._backbone, folder / row_id)
            vector = table.rows.vectors[row]
            cosine = vector @ expected / np.linalg.norm(vector) / np.linalg.norm(expected)
            assert cosine >= 0.9999, row_id
        assert report.fidelity is not None
        assert report.fidelity.kept
        assert (table.rows.vectors[14] == table.rows.vectors[3]).all()


@pytest.fixture
def started_ahead(gpu_run: None, monkeypatch: pytest.MonkeyPatch) -> list[GpuProcess]:
    """The process starts before the survey, as with many pictures; list those started."""
    started: list[GpuProcess] = []
    start = GpuProcess.__init__

    def listed(self: GpuProcess, *words: Any) -> None:
        started.append(self)
        start(self, *words)

    monkeypatch.setattr(GpuProcess, "__init__", listed)
    monkeypatch.setattr(extraction, "LEAST_TO_START_AHEAD", 10)
    monkeypatch.setattr(extraction, "may_decode_on_gpu", lambda *_: True)
    return started


def test_a_process_started_ahead_is_gone_where_cores_decode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[GpuProcess] = []

    def start(*_: Any) -> GpuProcess:
        started.append(GpuProcess("cpu", []))
        return started[0]

    monkeypatch.setattr(extraction, "_start_gpu", start)
    alive: list[bool] = []
    monitor = Monitor()
    monkeypatch.setattr(monitor, "ready", lambda: alive.append(started[0]._process.poll() is None))
    draw_smooth(tmp_path / "shop" / "0.jpg", 0)
    options = Options(batch_size=5, threads=1, workers=1, runtime="eager", decoder="fast")
    target = Target(tiny_backbone(), tmp_path / "one.h5")
    extract_together(list_folder(tmp_path / "shop"), [target], options=options, monitor=monitor)
    assert alive == [False]


@pytest.mark.slow
def test_a_process_started_ahead_decodes_and_ends_where_nothing_is_left_to_it(
    started_ahead: list[GpuProcess], tmp_path: Path
) -> None:
    for i in range(30):
        draw_smooth(tmp_path / "shop" / f"{i:02}.jpg", i)
    targets = [Target(tiny_backbone(), tmp_path / "one.h5")]
    options = Options(batch_size=5, threads=1, workers=1, runtime="eager")
    for due in (30, 0):
        (report,) = extract_together(list_folder(tmp_path / "shop"), targets, options=options)
        assert report.embedded == due
        table = read_table(report.file)
        found = {
            table.provenance.execution_configs[i]["decoder"] for i in table.rows.execution_config
        }
        assert "gpu" in found
        assert len(started_ahead) == 1
        ended = started_ahead.pop()
        assert ended._process.poll() is not None
        assert bool(ended.links) == bool(due)


@pytest.mark.usefixtures("gpu_run")
@pytest.mark.parametrize("killed", ["reader", "device"])
def test_cores_decode_all_where_a_gpu_is_lost(
    killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(30):
        draw_smooth(tmp_path / "shop" / f"{i:02}.jpg", i)
    once, begin, finish = tmp_path / "once", GpuLoader.begin, GpuLoader.finish

    def deadly(self: GpuLoader, tasks: Iterable[Task]) -> Any:
        begun = begin(self, tasks)
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
        return begun

    def lost(self: GpuLoader, begun: Begun) -> Any:
        once.touch()
        for child in Path(f"/proc/{os.getppid()}/task").glob("*/children"):
            for pid in child.read_text().split():
                if b"gpu_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)
        return finish(self, begun)

    if killed == "reader":
        monkeypatch.setattr(GpuLoader, "begin", deadly)
    else:
        monkeypatch.setattr(GpuLoader, "finish", lost)
    kill, ended = GpuProcess.kill, []

    def kill_and_look(self: GpuProcess) -> None:
        kill(self)
        ended.append(self._process.poll())

    # what it still decodes would land in places that cores have been given
    monkeypatch.setattr(GpuProcess, "kill", kill_and_look)
    warnings: list[str] = []
    monitor = Monitor()
    monkeypatch.setattr(monitor, "warned", warnings.append)
    options = Options(batch_size=5, threads=1, workers=1, runtime="eager")
    target = Target(tiny_backbone(), tmp_path / "one.h5")
    (report,) = extract_together(
        list_folder(tmp_path / "shop"), [target], options=options, monitor=monitor
    )
    assert report.embedded == 30
    assert once.exists()
    assert len(warnings) == 1
    assert ended == ([-signal.SIGKILL] if killed == "reader" else [])
    assert ("died (signal SIGKILL)" if killed == "reader" else "on the GPU ended") in warnings[0]
