"""Processes that open what is sent: what a task may take, and what follows when it takes more."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_tasks import Do, Source
from PIL import Image
from small_catalogs import draw_noise, tiny_backbone

from analyze.lookup.http.errors import Declined
from analyze.lookup.workers.backbones import Backbone, BackboneStatus
from analyze.lookup.workers.deadline import Deadline, TryAgain
from analyze.lookup.workers.picture_tasks import Open, Stored, TakeFingerprint, Thumbnail
from analyze.lookup.workers.processes import Processes, TaskFailed
from analyze.pictures.duplicates import fingerprint, near_equal
from analyze.pictures.model_input import AsSeen
from extract.images.decoding import decode_picture
from extract.inference.execution_config import reference_execution_config
from extract.inference.forward_pass import PictureEmbedder
from extract.refusals import Refused
from extract.transforms.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes(1, "tests")
    yield found
    found.close()


def test_a_process_keeps_what_it_has_between_tasks(processes: Processes) -> None:
    (one, pid), (two, same) = processes.ask(Do("echo")), processes.ask(Do("echo"))
    assert (two, same) == (one + 1, pid)


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        (Do("spin", 60.0, 0.3), Refused, "too_large.*takes longer than 0.3 s"),
        (Do("die"), Refused, "corrupt.*ends the process"),
        # a busy machine, a stopped process, somebody's kill: no picture is to blame
        (Do("sleep", 0.4, 0.3), TryAgain, "took longer than 0.4 s"),
        (Do("stop", 0.4, 0.3), TryAgain, "took longer than 0.4 s"),
        (Do("be killed"), TryAgain, "was ended with its process"),
        # nor is one for what the backbone's process does
        (Do("spin", 0.3, None), TryAgain, "took longer than 0.3 s"),
        (Do("die", 60.0, None), TryAgain, "was ended with its process"),
    ],
    ids=lambda each: getattr(each, "what", None),
)
def test_what_ends_a_process_is_judged_and_the_next_is_served(
    processes: Processes, task: Do, kind: type[Exception], said: str
) -> None:
    _, before = processes.ask(Do("echo"))
    began = time.monotonic()
    with pytest.raises(kind) as ended:
        processes.ask(task)
    error = ended.value
    code = f"{error.reason.code}: " if isinstance(error, Refused) else ""
    assert re.search(said, code + str(error))
    assert time.monotonic() - began < 40  # a busy machine
    count, after = processes.ask(Do("echo"))
    assert (count, after != before) == (1, True)


@pytest.mark.parametrize("what", ["die once", "be killed once"])
def test_a_task_whose_process_ends_is_done_by_the_next(
    processes: Processes, tmp_path: Path, what: str
) -> None:
    assert processes.ask(Do(what, file=tmp_path / "done")) is None
    assert (tmp_path / "done").exists()


def test_a_process_that_ends_between_two_tasks_is_noticed(processes: Processes) -> None:
    _, before = processes.ask(Do("echo"))
    assert processes.live(before)
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + 10
    while processes.live(before):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert processes.ask(Do("echo"))[0] == 1


def test_a_process_that_takes_nothing_holds_nobody_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than a socket holds is sent to a process that was stopped from outside."""
    monkeypatch.setattr("analyze.lookup.workers.processes.STALLED_SECONDS", 1)
    some = Processes(1, "tests")
    try:
        _, before = some.ask(Do("echo"))
        os.kill(before, signal.SIGSTOP)
        assert some.ask(Do("echo" + " " * (4 << 20))) is None
        assert some.ask(Do("echo"))[1] != before
    finally:
        some.close()


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
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(processes.ask, Do("heavy"), lambda _: followed.wait(20))
        second = threads.submit(processes.ask, Do("heavy"))
        assert processes.ask(Do("echo"))[0] >= 1  # a light one does not wait
        with pytest.raises(TimeoutError):
            second.result(timeout=1)
        with pytest.raises(TryAgain, match="heavy pictures before this one"):
            processes.ask(Do("heavy"), deadline=Deadline(0.3))
        gone = Deadline(60)
        third = threads.submit(processes.ask, Do("heavy"), deadline=gone)
        gone.end()  # who asked has hung up
        with pytest.raises(TryAgain):
            third.result(timeout=2)
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
        way = {**reference_execution_config(backbone), "decoder": decoder}
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


# backbones


@pytest.fixture
def planned(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Backbone]:
    monkeypatch.setattr("analyze.lookup.workers.backbones.LONGEST_PAUSE", 0.2)

    def plan(*loads: str, seconds: float = 20.0) -> Backbone:
        (tmp_path / "plan").write_text(" ".join(loads))
        source: Any = Source(tmp_path / "plan", key=str(tmp_path))
        return Backbone(source, processes, seconds)

    return plan


def loads_of(tmp_path: Path) -> str:
    return (tmp_path / "loads").read_text().strip()


def embed(backbone: Backbone, task: Do | None = None, seconds: float = 20.0) -> Any:
    decoded: Any = task
    return backbone.embed(decoded, Deadline(seconds))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "its weights are not here"),
        ("memory", "its loading took more memory than there is"),
        ("hanging", "its loading took longer than 3 s"),
        ("die die die", "its loading was ended with its process"),
    ],
)
def test_a_load_that_fails_is_tried_again_at_the_next_picture(
    planned: Callable[..., Backbone], tmp_path: Path, how: str, reason: str
) -> None:
    backbone = planned(*how.split(), seconds=3.0 if how == "hanging" else 20.0)
    with pytest.raises(Declined) as declined:
        embed(backbone)
    assert (declined.value.status, declined.value.body()["code"]) == (503, "no_backbone")
    assert declined.value.retry_after == 1
    status = backbone.status
    assert status.uploads == "unavailable"
    assert str(status.reason).startswith(reason)
    assert "secret" not in f"{status.reason} {declined.value.message}"
    time.sleep(0.25)
    assert embed(backbone).tolist() == [1, 1, 1]
    assert backbone.status == BackboneStatus("ready")
    assert loads_of(tmp_path) == f"{how} well"


def test_pictures_that_come_while_a_backbone_loads_share_the_load(
    planned: Callable[..., Backbone], tmp_path: Path
) -> None:
    backbone = planned("slow")
    with ThreadPoolExecutor(4) as threads:
        late = threads.submit(embed, backbone, None, 0.1)
        found = [threads.submit(embed, backbone) for _ in range(3)]
        assert backbone.status == BackboneStatus("loading")
        declined = late.exception(timeout=20)
        assert isinstance(declined, Declined)
        assert (declined.status, declined.code, declined.retry_after) == (503, "loading", 5)
        assert all(each.result(timeout=20) is not None for each in found)
    assert loads_of(tmp_path) == "slow"


def test_a_load_that_failed_is_not_tried_by_every_picture_of_a_crowd(
    planned: Callable[..., Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = planned(*["missing"] * 9)
    monkeypatch.setattr("analyze.lookup.workers.backbones.LONGEST_PAUSE", 60.0)
    for _ in range(20):
        with pytest.raises(Declined):
            embed(backbone)
    assert loads_of(tmp_path) == "missing"
    backbone.try_again()  # a page is looked at, too soon
    monkeypatch.setattr("analyze.lookup.workers.backbones.LOOKED_AT_SECONDS", 0.0)
    time.sleep(1.1)
    backbone.try_again()
    with pytest.raises(Declined):
        embed(backbone)
    assert loads_of(tmp_path) == "missing missing"


@pytest.mark.parametrize("when", ["idle", "at work"])
def test_a_process_that_is_killed_loads_again_in_a_time_of_its_own(
    planned: Callable[..., Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The load takes longer than embedding may: no picture is to blame, and none is lost."""
    monkeypatch.setattr(
        "analyze.lookup.workers.embedding_tasks.Embed.__init__.__defaults__", (3.0, None)
    )
    backbone = planned("well", "slow")
    assert embed(backbone) is not None
    pid = backbone.seeing(Deadline()).pid
    if when == "at work":
        kill = Do("be killed once", file=tmp_path / "done")
        assert embed(backbone, kill).tolist() == [1, 1, 1]
    else:
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while backbone.status.uploads == "ready":
            assert time.monotonic() < until
        said = BackboneStatus("loading", "its process was ended: it is loaded again")
        assert backbone.status == said
        assert embed(backbone).tolist() == [1, 1, 1]
    assert backbone.status == BackboneStatus("ready")
    assert loads_of(tmp_path) == "well slow"


def test_a_backbone_that_takes_too_long_is_replaced_and_no_picture_is_blamed(
    planned: Callable[..., Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "analyze.lookup.workers.embedding_tasks.Embed.__init__.__defaults__", (3.0, None)
    )
    backbone = planned()
    with pytest.raises(TryAgain, match=r"took longer than 3 s"):
        embed(backbone, Do("spin"))
    assert embed(backbone).tolist() == [1, 1, 1]
    with pytest.raises(TryAgain, match="ended"):
        embed(backbone, Do("be killed"))
