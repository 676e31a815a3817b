"""What is measured by hand runs, and reckons what it says."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import draw_noise, tiny_backbone

from extract.catalog.catalog import list_folder
from extract.inference.runtimes import HostForward, prepared_on_host
from extract.machine.allocation import keep_freed_memory
from tests.benchmarks import door, extraction_speed, memory, peers
from tests.benchmarks.extraction_speed import NAIVE, REFERENCE, Compared, Measured
from tests.benchmarks.photo_files import KINDS, make_photo_files, with_comment
from tests.benchmarks.process_costs import Cost, costing, forget_peak, peak_bytes

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for i in range(6):
        draw_noise(folder / f"{i}.jpg", i, (60 + i, 48))
    return folder


def test_made_files_are_distinct_pictures(tmp_path: Path) -> None:
    n_bytes = make_photo_files(tmp_path, 230, "tiny", processes=1)
    files = sorted(tmp_path.rglob("*.jpg"))
    contents = {hashlib.sha256(file.read_bytes()).digest() for file in files}
    assert (len(files), len(contents)) == (230, 230)
    assert sum(file.stat().st_size for file in files) == n_bytes
    for file in files[::50]:
        with Image.open(file) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("JPEG", KINDS["tiny"].sizes[0])


def test_a_comment_leaves_the_pixels(photos: Path) -> None:
    plain = (photos / "0.jpg").read_bytes()
    (photos / "other.jpg").write_bytes(with_comment(plain, b"another"))
    one, other = (np.asarray(Image.open(photos / name)) for name in ("0.jpg", "other.jpg"))
    np.testing.assert_array_equal(one, other)


def test_equal_bytes_are_measured_once(photos: Path) -> None:
    (photos / "9.jpg").write_bytes((photos / "2.jpg").read_bytes())
    kept = extraction_speed.distinct_pictures(list_folder(photos), None)
    assert kept.paths == tuple(f"{i}.jpg" for i in range(6))
    assert extraction_speed.distinct_pictures(list_folder(photos), 2).paths == ("0.jpg", "1.jpg")


def test_ratio_and_share_are_of_medians() -> None:
    rows = np.eye(3, dtype=np.float32)
    slow = Measured([Cost(8, 9), Cost(6, 7), Cost(9, 9)], [Cost()], [1], rows)
    fast = Measured([Cost(4, 4), Cost(2, 2), Cost(3, 3)], [Cost()], [1], rows)
    decoding, forward = [Cost(1), Cost(0.5), Cost(9)], [Cost(1.4), Cost(1.7), Cost(1.6)]
    compared = Compared(2, {NAIVE: slow, REFERENCE: slow, "f": fast}, decoding, {"f": forward})
    found = extraction_speed.described(compared)["paths"]["f"]
    assert found["cpu_ms"] == [2000, 1000, 1500]
    assert found["times_naive"] == 3  # of 2, 3 and 3
    assert found["limit_cpu_ms"] == pytest.approx(500 + 800)
    assert found["share_of_limit"] == pytest.approx(1300 / 1500)
    assert found["pictures_per_second"] == pytest.approx(2 / 3)


def test_overlap_counts_common_neighbors() -> None:
    angles = np.array([0.0, 0.1, 0.3, 2.0, 2.1, 2.3])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert extraction_speed.overlap_of_neighbors(rows, rows, 2) == 1
    swapped = rows[[0, 1, 3, 2, 4, 5]]  # two rows change sides
    nearest = [{1, 2}, {0, 2}, {0, 1}, {4, 5}, {3, 5}, {3, 4}]
    moved = [{1, 3}, {0, 3}, {4, 5}, {0, 1}, {2, 5}, {2, 4}]
    expected = np.mean([len(a & b) / 2 for a, b in zip(nearest, moved, strict=True)])
    assert extraction_speed.overlap_of_neighbors(swapped, rows, 2) == pytest.approx(expected)


def test_cpu_of_work_is_counted() -> None:
    with costing() as idle:
        pass
    with costing() as busy:
        torch.randn(600, 600) @ torch.randn(600, 600)
        sum(i * i for i in range(200_000))
    assert busy.cpu > 10 * idle.cpu
    assert peak_bytes() > 10_000_000


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells it")
def test_a_peak_holds_nothing_that_was_freed_before() -> None:
    keep_freed_memory()
    large = torch.ones(50_000_000)
    forget_peak()
    with_large = peak_bytes()
    del large
    forget_peak()
    assert with_large - peak_bytes() > 0.9 * 200_000_000


def test_every_path_is_measured_end_to_end(photos: Path) -> None:
    catalog = extraction_speed.distinct_pictures(list_folder(photos), None)
    cropped = tiny_backbone()
    padded = replace(cropped, preprocessing=cropped.preprocessing.resized("pad"))
    both = extraction_speed.compare(catalog, [cropped, padded], ["torch"], "fp32", 1)
    for compared in both:
        naive, reference, fast = compared.paths.values()
        np.testing.assert_allclose(naive.vectors, reference.vectors, rtol=1e-5, atol=1e-6)
        found = extraction_speed.described(compared)
        assert found["paths"]["fast, torch"]["realisation"]["runtime"] == "folded"
        assert found["paths"]["fast, torch"]["worst_cosine"] > 0.999
        for path in (naive, reference, fast):
            assert 0 < path.loops[0].cpu < 60
        shares = [line for line in extraction_speed.lines_of(compared) if "%" in line]
        assert len(shares) == 1
    one, other = (compared.paths[REFERENCE].vectors for compared in both)
    assert np.abs(one - other).max() > 0.01  # each is of its own geometry


def test_preparing_is_beside_the_loop(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.3

    def prepared_slowly(*of: Any) -> HostForward:
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass
        return prepared_on_host(*of)

    monkeypatch.setattr("extract.inference.forward_pass.prepared_on_host", prepared_slowly)
    catalog, backbones = list_folder(photos), [tiny_backbone()]
    (compared,) = extraction_speed.compare(catalog, backbones, ["torch"], "fp32", 1)
    ours = compared.paths["fast, torch"]
    assert ours.beside[0].cpu > seconds > ours.loops[0].cpu > 0


def test_a_peer_that_is_not_here_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    why = "does not install: no such version"
    rows = np.eye(2, dtype=np.float32)
    assert peers._described("other", [why], [], rows) == {"why_not": why}
    assert capsys.readouterr().out == f"other: {why}\n"
    told, plain = [peers.Told(30.0, rows), peers.Told(50.0, rows)], [peers.Told(20.0, rows)] * 2
    found = peers._described("other", [*told], [*plain], rows)
    assert found["times_plain_loop"] == pytest.approx((20 / 30 + 20 / 50) / 2)
    assert found["worst_cosine"] == 1


def test_memory_of_a_run_is_that_of_its_process() -> None:
    peaks = memory.peaks_of(9)
    assert 50e6 < peaks["loaded"] < 3e9
    assert 50e6 < peaks["run"] < 3e9
    assert memory.bytes_a_row((10, 1000), (110, 3000)) == 20


def test_an_attack_counts_what_ended_without_an_answer_or_a_time_to_come_again() -> None:
    ends = door.Ends()
    for seconds, answer in (
        (1.0, b""),
        (4.0, b"HTTP/1.1 200 OK\r\n\r\n"),
        (2.0, b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n\r\n"),
        (3.0, b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
    ):
        ends.took(answer, seconds)
    assert ends.statuses == {0: 1, 200: 1, 503: 2}
    assert (ends.unfit, ends.longest) == (1, 4.0)
