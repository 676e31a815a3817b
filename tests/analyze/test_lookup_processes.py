"""Processes that open what is sent: what a task may take, and what follows when it takes more."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_catalogs import draw_noise, tiny_backbone

from analyze.as_seen import AsSeen
from analyze.duplicates import fingerprint, near_equal
from analyze.lookup.opening import Open, Stored, TakeFingerprint, Thumbnail, _bounded
from analyze.lookup.processes import Processes, TaskFailed
from extract.decoding import decode_picture
from extract.errors import WeightsError
from extract.forward_pass import PictureEmbedder
from extract.picture_memory import MAX_BYTES_AT_WORK, decoding_memory
from extract.preprocessing import Preprocessing
from extract.realisation import reference_realisation
from extract.refusals import Refused


@dataclass(frozen=True)
class Do:
    """A task that does something small, or something bad."""

    what: str
    seconds: float = 5.0

    def do(self, kept: dict[str, Any]) -> Any:
        kept[self.what] = kept.get(self.what, 0) + 1
        match self.what:
            case "sleep":
                time.sleep(60)
            case "die":
                os._exit(3)
            case "raise":
                raise KeyError("inner")
            case "known":
                raise WeightsError("not here: do this")
            case "heavy":
                with decoding_memory(MAX_BYTES_AT_WORK // 2):
                    return "had it"
            case "memory":
                with _bounded():
                    return len(bytearray(3 << 30))
            case "array":
                return np.arange(3_000_000, dtype=np.uint8).reshape(1000, 1000, 3)
            case "echo":
                return kept["echo"], os.getpid()
        return None


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes(1, "tests")
    yield found
    found.close()


def test_a_process_keeps_what_it_has_between_tasks(processes: Processes) -> None:
    (one, pid), (two, same) = processes.ask(Do("echo")), processes.ask(Do("echo"))
    assert (two, same) == (one + 1, pid)


@pytest.mark.parametrize(
    ("what", "said"), [("sleep", "takes longer than 0.3 s"), ("die", "ends the process")]
)
def test_what_ends_a_process_is_refused_and_the_next_is_served(
    processes: Processes, what: str, said: str
) -> None:
    _, before = processes.ask(Do("echo"))
    began = time.monotonic()
    with pytest.raises(Refused, match=said):
        processes.ask(Do(what, 0.3))
    assert time.monotonic() - began < 2
    count, after = processes.ask(Do("echo"))
    assert (count, after != before) == (1, True)


def test_too_much_memory_is_not_given(processes: Processes) -> None:
    _, before = processes.ask(Do("echo"))
    with pytest.raises(Refused) as refused:
        processes.ask(Do("memory"))
    assert refused.value.reason.code == "too_large"
    assert processes.ask(Do("echo"))[1] == before


def test_a_heavy_task_is_done_alone(processes: Processes) -> None:
    assert processes.ask(Do("heavy")) == "had it"


def test_a_heavy_task_waits_for_what_follows_the_one_before(processes: Processes) -> None:
    followed = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(processes.ask, Do("heavy"), lambda _: followed.wait(20))
        second = threads.submit(processes.ask, Do("heavy"))
        assert processes.ask(Do("echo"))[0] >= 1  # a light one does not wait
        with pytest.raises(TimeoutError):
            second.result(timeout=1)
        followed.set()
        assert first.result(timeout=20) is True
        assert second.result(timeout=20) == "had it"


def test_other_failures_are_not_the_pictures(processes: Processes) -> None:
    with pytest.raises(TaskFailed, match="unexpected KeyError: 'inner'"):
        processes.ask(Do("raise"))
    with pytest.raises(TaskFailed, match="not here: do this"):
        processes.ask(Do("known"))


def test_arrays_come_whole_and_can_be_written(processes: Processes) -> None:
    found = processes.ask(Do("array"))
    np.testing.assert_array_equal(found, Do("array").do({}))
    assert found.flags.writeable


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "turned", "gray", "clear"])
def test_a_picture_opened_apart_is_embedded_as_any_other(
    processes: Processes, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "a.png"
    draw_noise(file, 3, (301, 203))
    with Image.open(file) as picture:
        noise = picture.convert({"gray": "L", "clear": "RGBA"}.get(kind, "RGB"))
    out = io.BytesIO()
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
    if kind == "clear":
        noise.putalpha(Image.linear_gradient("L").resize(noise.size))
    noise.save(out, "PNG" if kind in ("PNG", "clear") else "JPEG", exif=exif)
    backbone = tiny_backbone()
    for decoder in ("reference", "fast", "scaled"):
        way = {**reference_realisation(backbone), "decoder": decoder}
        embedder = PictureEmbedder(backbone, way)
        opened = processes.ask(Open(out.getvalue(), embedder.preprocessing, embedder.decoder))
        apart, here = embedder.embed_decoded(opened.decoded), embedder.embed(out.getvalue())
        np.testing.assert_array_equal(apart, here)
        known = fingerprint(decode_picture(out.getvalue()))
        np.testing.assert_array_equal(opened.fingerprint.small, known.small)


def test_a_thumbnail_is_small_upright_and_of_the_right_file(
    processes: Processes, tmp_path: Path
) -> None:
    wide = Image.new("RGB", (1200, 400), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.save(tmp_path / "a.jpg", exif=exif)
    made = processes.ask(Thumbnail(Stored(tmp_path, "a.jpg", None), 256))
    with Image.open(io.BytesIO(made)) as picture:
        assert picture.size == (85, 256)
        assert not picture.getexif()
    with pytest.raises(Refused, match="has changed"):
        processes.ask(Thumbnail(Stored(tmp_path, "a.jpg", bytes(32)), 256))
    for path in ("../x.jpg", "/etc/passwd", "gone.jpg"):
        with pytest.raises(Refused):
            processes.ask(Thumbnail(Stored(tmp_path, path, None), 256))
    known = processes.ask(TakeFingerprint(Stored(tmp_path, "a.jpg", None)))
    with Image.open(tmp_path / "a.jpg") as picture:
        upright = decode_picture((tmp_path / "a.jpg").read_bytes())
        assert near_equal(known, fingerprint(upright), 1.0)


@pytest.mark.parametrize(
    ("resize", "crop_pct", "red"), [("crop", 0.875, False), ("pad", 1.0, True)]
)
def test_what_the_model_saw_is_shown_of_rows_and_of_what_is_sent(
    processes: Processes, tmp_path: Path, resize: str, crop_pct: float, *, red: bool
) -> None:
    draw_noise(tmp_path / "a.png", 5, (900, 300))
    with Image.open(tmp_path / "a.png") as noise:
        wide = noise.convert("RGB")
    wide.paste((250, 0, 0), (0, 0, 60, 300))
    wide.save(tmp_path / "a.png")
    mean = (0.5, 0.5, 0.5)
    wanted = Preprocessing(224, resize, crop_pct, "bicubic", mean, mean)
    expected = wanted.placed(wide).astype(int)
    row = Thumbnail(Stored(tmp_path, "a.png", None), 768, AsSeen(wanted))
    sent = processes.ask(Open((tmp_path / "a.png").read_bytes(), wanted, "reference", seen=True))
    assert processes.ask(row) == sent.thumbnail
    shown = np.asarray(Image.open(io.BytesIO(sent.thumbnail))).astype(int)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 3, "but for what a JPEG leaves out"
    assert bool((np.abs(shown - (250, 0, 0)).max(axis=2) < 40).any()) is red
    whole = fingerprint(wide)
    np.testing.assert_array_equal(sent.fingerprint.small, whole.small)


def test_closing_ends_every_process() -> None:
    some = Processes(2, "tests")
    pids = {worker.process.pid for worker in some._workers}
    some.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    some.close()
