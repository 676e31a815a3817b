"""Short forms of what tests/faults proves at length, and proof that its checkers can fail."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from extract.storage.embeddings import row_crc32
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable
from tests.faults import inject, replay, stored
from tests.faults.disk_model import PAGE, Disk, File
from tests.faults.inject import KILL, LOOP, WRITER, Fault, Injector
from tests.faults.judgment import Truth, compare, judge, resume
from tests.faults.kills import count_forwards
from tests.faults.recording import Operation, operations
from tests.faults.small_shop import draw_shop, embed
from tests.faults.stored_kinds import KINDS
from tests.faults.tracing import STRACE
from tests.faults.warm_server import WarmServer

pytestmark = pytest.mark.slow

traced = pytest.mark.skipif(STRACE is None, reason="strace is not installed")
N_DIMS = 61
FLIPS = {"embeddings": 16, "labels": 16, "head": 40, "reduction": 6, "trials": 6}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shop(tmp_path_factory.mktemp("faults") / "shop", 10)


@pytest.fixture
def whole(shop: Path, tmp_path: Path) -> EmbeddingsTable:
    (tmp_path / "whole").mkdir()
    embed(shop, tmp_path / "whole" / "x.h5", N_DIMS)
    return read_table(tmp_path / "whole" / "x.h5")


def put(table: EmbeddingsTable, name: str, row: int, values: np.ndarray) -> None:
    """Write over one row's bytes, as no run of the product does."""
    at = table.offsets[name] + row * values.nbytes
    with table.path.open("r+b") as file:
        file.seek(at)
        file.write(values.tobytes())


def test_the_judge_finds_a_foreign_vector_though_its_check_sum_fits(
    whole: EmbeddingsTable,
) -> None:
    truth = Truth().learn(whole.path)
    assert not judge(whole.path, truth)[0]
    vector = np.array(whole.rows.vectors[1])
    content = whole.rows.content_sha256[0].tobytes()
    put(whole, "embeddings", 0, vector)
    assert judge(whole.path, truth)[0] == {"torn": 1}
    put(whole, "row_crc32", 0, np.array(row_crc32(whole.ids[0], content, vector), "<u4"))
    assert judge(whole.path, truth)[0] == {"untrue": 1}


def test_the_judge_finds_a_wrong_refusal_and_an_unreadable_file(whole: EmbeddingsTable) -> None:
    truth = Truth().learn(whole.path)
    (row,) = np.flatnonzero(whole.rows.status > 1)
    put(whole, "status", int(row), np.array(11, np.uint8))
    assert judge(whole.path, truth)[0] == {"untrue": 1}
    whole.path.write_bytes(whole.path.read_bytes()[:3_000])
    assert judge(whole.path, truth)[0] == {"unreadable": 1}


def test_the_comparison_finds_what_differs_and_what_lies_about(
    shop: Path, whole: EmbeddingsTable, tmp_path: Path
) -> None:
    file = tmp_path / "other" / "x.h5"
    file.parent.mkdir()
    assert resume(file, shop, whole.path, N_DIMS) == Counter()
    (file.parent / ".x.h5.7.tmp").touch()
    (file.parent / "x.failures.jsonl").write_text("")
    assert compare(file, whole.path) == {"left_behind": 1, "unexplained": 1}
    put(read_table(file), "mtime_ns", 0, np.array(7, "<i8"))
    assert compare(file, whole.path)["resume_differs"] == 1


def test_calls_that_overlap_are_read_in_the_order_of_their_ends() -> None:
    def spelled(text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    folder, a, b = (spelled(text) for text in ("/f", "/f/a", "/f/b"))
    log = f"""7 openat(AT_FDCWD<{folder}>, "{a}", O_RDWR|O_CREAT|O_TRUNC, 0644) = 3<{a}>
7 pwrite64(3<{a}>, "{spelled("one")}", 3, 5 <unfinished ...>
8 write(9<{spelled("/p")}>, "{spelled("12")}", 2) = 2
7 <... pwrite64 resumed>) = 2
7 write(3<{a}>, "{spelled("xy")}", 2) = 2
7 write(3<{a}>, "{spelled("z")}", 1) = 1
7 fsync(3<{a}>) = 0
7 rename("{a}", "{b}") = 0
7 unlink("{a}") = -1 ENOENT (No such file or directory)
7 fsync(3<{folder}>) = 0
7 +++ exited with 0 +++
"""
    assert operations(log, Path("/f"), Path("/p")) == [
        Operation("create", "a"),
        Operation("truncate", "a", 0),
        Operation("tell", offset=12),
        Operation("write", "a", 5, b"on"),
        Operation("write", "a", 0, b"xy"),
        Operation("write", "a", 2, b"z"),
        Operation("sync", "a"),
        Operation("rename", "b", old_name="a"),
        Operation("sync_folder"),
    ]
    with pytest.raises(ValueError, match="fallocate is not understood"):
        operations(f"7 fallocate(3<{a}>, 0, 0, 5) = 0\n", Path("/f"), Path("/p"))


def test_power_loss_finds_every_mixture_of_pages_and_nothing_else() -> None:
    file = File(bytearray(b"a" * 2 * PAGE), b"a" * 2 * PAGE)
    file.write(0, b"b" * 2 * PAGE)
    file.write(PAGE, b"c" * PAGE)
    chance = random.Random(0)
    found = {file.found(chance, PAGE, "any") for _ in range(200)}
    assert found == {x * PAGE + y * PAGE for x in (b"a", b"b") for y in (b"a", b"b", b"c")}
    assert file.found(chance, PAGE, "newest") == b"a" * PAGE + b"c" * PAGE
    file.sync()
    assert {file.found(chance, PAGE, "any") for _ in range(20)} == {b"b" * PAGE + b"c" * PAGE}


def test_power_loss_may_take_names_until_their_folder_is_synced() -> None:
    disk = Disk({"x": b"old"})
    steps = [Operation("create", "t"), Operation("write", "t", 0, b"new"), Operation("sync", "t")]
    for step in [*steps, Operation("rename", "x", old_name="t")]:
        disk.do(step)
    found = [state for seed in range(9) for state in disk.after_power_loss(random.Random(seed), 9)]
    assert {state["x"] for state in found} == {b"old", b"new"}
    assert disk.shown() == {"x": b"new"}
    disk.do(Operation("sync_folder"))
    assert all(state == {"x": b"new"} for state in disk.after_power_loss(random.Random(0), 9))


@traced
def test_no_kill_and_no_power_cut_makes_a_wrong_row(
    warm_server: WarmServer, tmp_path: Path
) -> None:
    proven = replay.prove(
        warm_server, tmp_path, pictures=7, seeds=1, resume_every=100, n_dims=N_DIMS
    )
    assert set(proven["wrong"].values()) == {0}, proven["examples"]
    assert min(proven["states"].values()) > 5
    assert proven["states"]["power loss"] > 500


@traced
@pytest.mark.parametrize(
    ("plant", "finds"),
    [
        ("no_fdatasync", {"torn", "counted_early"}),
        ("status_before_vectors", {"torn"}),
        ("no_fsync", {"unreadable"}),
    ],
)
def test_a_writer_that_is_wrong_is_found(
    warm_server: WarmServer, tmp_path: Path, plant: str, finds: set[str]
) -> None:
    wrong: Counter[str] = Counter()
    how = {"n_dims": N_DIMS, "plant": plant}
    for _, recording, shop, whole in replay.scenarios(warm_server, tmp_path, 6, **how):
        truth = Truth().learn(whole / "x.h5")
        checker = replay.Checker(truth, shop, whole / "x.h5", tmp_path, N_DIMS, 10**9)
        checker.replay(recording, seeds=0)
        wrong += checker.wrong
        break
    assert finds <= wrong.keys()


@traced
def test_a_call_that_fails_ends_in_one_line_and_is_made_good(
    warm_server: WarmServer, tmp_path: Path
) -> None:
    truth = Truth()
    scenario = inject.scenarios(tmp_path, 9, truth)["grown shop"]
    injector = Injector(warm_server, scenario, truth, tmp_path)
    faults = [
        Fault(LOOP, "write", "error=ENOSPC", 9),
        Fault(LOOP, "fsync", "error=EIO", 1),
        Fault(LOOP, "pwrite64", KILL, 2),
        Fault(WRITER, "pwrite64", "error=ENOSPC", 4),
        Fault(WRITER, "fdatasync", "error=EIO", 2),
    ]
    for fault in faults:
        injector.inject(fault)
    assert not +injector.wrong, injector.examples
    assert injector.injected.total() == len(faults)
    assert not injector.injected["not reached"]


def test_a_kill_costs_no_more_than_what_is_in_flight(
    warm_server: WarmServer, tmp_path: Path
) -> None:
    wrong: Counter[str] = Counter()
    counted = count_forwards(warm_server, tmp_path, 2, random.Random(0), wrong, pictures=54)
    assert not +wrong
    assert counted["kills"] >= 2
    assert counted["sound"] == 48 * counted["files"]


@pytest.mark.parametrize("kind", FLIPS)
def test_no_changed_byte_of_a_stored_file_is_used_silently(kind: str) -> None:
    if kind == "trials":
        pytest.importorskip("optuna")
    counts, faults = stored.flip_kind(KINDS[kind], FLIPS[kind], seed=1)
    assert faults == []
    assert counts.total() == FLIPS[kind]


def test_the_count_of_changed_bytes_finds_a_reader_that_believes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from analyze.head.prediction import head_file

    monkeypatch.setattr(head_file, "without_check_sum", lambda said: (said, True))
    counts, faults = stored.flip_kind(KINDS["head"], 80, seed=1)
    assert counts[stored.SILENT] == len(faults) > 0
