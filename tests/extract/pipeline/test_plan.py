"""What a run decides to do, as a pure function of the pictures and the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_catalogs import fill

from extract.catalog.catalog import Catalog
from extract.images.decoding import READINGS
from extract.inference.execution_config import variants
from extract.pipeline.options import Options
from extract.pipeline.plan import Plan, plan_run
from extract.refusals import Reason
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.layout import lay_out

IDS = tuple(f"{i}.jpg" for i in range(7))
HOW = {"batch_size": 3, "threads": 1}


def catalog(ids: tuple[str, ...] = IDS) -> Catalog:
    return Catalog("shop", Path("/nowhere"), ids, ids)


def stored(tmp_path: Path, sound: list[int]) -> EmbeddingsTable:
    """A file in which some rows are sound, of pictures with size and mtime -1."""
    path = tmp_path / "x.h5"
    lay_out(path, catalog(), Provenance({}, (HOW,)), 6)
    if sound:
        fill(path, sound)
    table = read_table(path)
    table.rows.fields_crc32[:] = 0  # not known, so that tests may change what they are over
    return table


def plan(table: EmbeddingsTable | None, ids: tuple[str, ...] = IDS, **options: Any) -> Plan:
    size = options.pop("size", np.full(len(ids), -1))
    how = options.pop("how", HOW)
    stats = np.stack([size, np.full(len(ids), -1)], 1)
    contents = options.pop("contents", {})

    def read(rows: np.ndarray) -> dict[int, bytes]:
        return {row: contents[row] for row in rows.tolist() if row in contents}

    return plan_run(catalog(ids), stats, table, (how,), read, Options(**options))


def numbers(decided: Plan, limit: int | None = None) -> list[int]:
    """The batches that are to be computed."""
    return np.unique(decided.batches(limit).numbers).tolist()


def test_no_file_means_lay_out_and_do_all() -> None:
    decided = plan(None)
    assert decided.lay_out
    assert decided.to_do.all()
    assert numbers(decided) == [0, 1, 2]


def test_complete_file_means_nothing(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, list(range(7))))
    assert not decided.lay_out
    assert not decided.to_do.any()
    assert numbers(decided) == []


def test_resume_does_only_what_is_not_sound(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, [0, 1, 2, 4]))
    assert not decided.lay_out
    assert np.flatnonzero(decided.to_do).tolist() == [3, 5, 6]
    assert numbers(decided) == [1, 2]
    assert decided.to_reset.tolist() == []


def test_changed_picture_is_done_again_in_a_new_file(tmp_path: Path) -> None:
    size = np.full(7, -1)
    size[2] = 99
    decided = plan(stored(tmp_path, list(range(7))), size=size)
    assert decided.lay_out
    assert decided.carried is not None
    assert decided.carried.old.tolist() == decided.carried.new.tolist() == [0, 1, 3, 4, 5, 6]
    assert np.flatnonzero(decided.to_do).tolist() == [2]
    assert decided.found_again == 0


def test_grown_and_shrunk_list_carries_rows_by_id(tmp_path: Path) -> None:
    ids = ("0.jpg", "00.jpg", "3.jpg", "6.jpg", "9.jpg")
    decided = plan(stored(tmp_path, [0, 1, 2, 3, 4, 5, 6]), ids)
    assert decided.lay_out
    assert decided.carried is not None
    assert decided.carried.old.tolist() == [0, 3, 6]
    assert decided.carried.new.tolist() == [0, 2, 3]
    assert np.flatnonzero(decided.to_do).tolist() == [1, 4]


def test_another_way_of_computing_is_added_not_put_over_the_old(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, [0, 1]), how={"batch_size": 2, "threads": 1})
    assert decided.lay_out
    assert decided.execution_configs == (HOW, {"batch_size": 2, "threads": 1})
    assert decided.execution_config == 1
    assert decided.batch_size == 2
    assert np.flatnonzero(~decided.to_do).tolist() == [0, 1]


@pytest.mark.parametrize("restart", [False, True])
def test_what_may_become_of_rows_is_added_once_behind_what_is_asked_for(
    tmp_path: Path, restart: bool
) -> None:
    asked = {**HOW, "decoder": "scaled", "dtype": "fp32"}
    ways = variants(asked)
    assert [way["decoder"] for way in ways] == [
        "scaled",
        "fast",
        *["reference"] * (2 + 2 * len(READINGS)),
    ]
    assert {way["resize"] for way in ways[:3]} == {"torchvision"}
    assert ways[3]["resize"] == "pillow"
    stats = np.full((7, 2), -1)
    path = tmp_path / "y.h5"
    lay_out(path, catalog(), Provenance({}, (HOW, ways[2])), 6)
    fill(path, [1, 2], way=1)
    decided = plan_run(
        catalog(), stats, read_table(path), ways, lambda _: {}, Options(restart=restart)
    )
    assert decided.lay_out
    before = () if restart else (HOW, ways[2])
    assert decided.execution_configs == (*before, *(way for way in ways if way not in before))
    assert decided.execution_configs[decided.execution_config] == ways[0]
    lay_out(path, catalog(), Provenance({}, decided.execution_configs), 6)
    fill(path, [1, 2], way=decided.execution_config)
    again = plan_run(catalog(), stats, read_table(path), ways, lambda _: {})
    assert not again.lay_out
    assert (again.execution_configs, again.execution_config) == (
        decided.execution_configs,
        decided.execution_config,
    )


def test_limit_is_rounded_up_to_whole_slices(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, [0, 4]))  # to do: 1 2 | 3 5 | 6
    assert [numbers(decided, limit) for limit in (1, 2, 3, 4, 5, 99)] == [
        [0],
        [0],
        [0, 1],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2],
    ]


def test_restart_forgets_all(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, list(range(7))), restart=True)
    assert decided.lay_out
    assert decided.carried is None
    assert decided.to_do.all()


def content_of(table: EmbeddingsTable, row: int) -> bytes:
    return table.rows.content_sha256[row].tobytes()


def test_only_pictures_of_the_size_of_a_lost_row_are_read(tmp_path: Path) -> None:
    table = stored(tmp_path, list(range(7)))
    table.rows.size[:] = 10 * np.arange(7)
    asked: list[int] = []

    def read(rows: np.ndarray) -> dict[int, bytes]:
        asked.extend(rows.tolist())
        return {row: content_of(table, 3) for row in rows.tolist()}

    ids = ("0.jpg", "1.jpg", "2.jpg", "4.jpg", "5.jpg", "6.jpg", "new.jpg", "other.jpg")
    stats = np.stack([[0, 10, 20, 40, 50, 60, 30, 31], np.full(8, -1)], 1)
    decided = plan_run(catalog(ids), stats, table, [HOW], read)
    assert asked == [6]  # of as many bytes as 3.jpg had, whose row would be lost
    assert decided.carried is not None
    assert decided.carried.old.tolist() == [0, 1, 2, 4, 5, 6, 3]
    assert decided.carried.stats[:, 0].tolist() == [0, 10, 20, 40, 50, 60, 30]
    assert np.flatnonzero(decided.to_do).tolist() == [7]
    assert (decided.found_again, decided.dropped) == (1, 0)


def test_a_resumed_run_reads_no_picture_to_decide(tmp_path: Path) -> None:
    def read(rows: np.ndarray) -> dict[int, bytes]:
        assert len(rows) == 0
        return {}

    stats = np.full((7, 2), -1)
    assert plan_run(catalog(), stats, stored(tmp_path, [0, 4]), [HOW], read).to_do.sum() == 5


def test_rehash_reads_every_picture_that_is_there(tmp_path: Path) -> None:
    table = stored(tmp_path, list(range(7)))
    table.rows.size[:] = 10
    contents = {row: content_of(table, row) for row in range(7)} | {2: b"x" * 32}
    size = np.full(7, 10)
    decided = plan(table, contents=contents, size=size, rehash=True)
    assert np.flatnonzero(decided.to_do).tolist() == [2]
    assert decided.lay_out
    assert not plan(table, contents=contents, size=size).to_do.any()


def test_rows_that_are_taken_over_make_batches_dense(tmp_path: Path) -> None:
    ids = tuple(sorted([*IDS, "00.jpg", "33.jpg", "55.jpg", "66.jpg"]))
    decided = plan(stored(tmp_path, list(range(7))), ids)
    assert decided.dense
    batches = decided.batches()
    assert [ids[row] for row in batches.rows] == ["00.jpg", "33.jpg", "55.jpg", "66.jpg"]
    assert batches.numbers.tolist() == [0, 0, 0, 1]
    assert batches.places.tolist() == [0, 1, 2, 0]


def test_a_picture_refused_for_want_of_permission_is_tried_again(tmp_path: Path) -> None:
    """Permission may have been given since, which changes neither size nor date."""
    table = stored(tmp_path, list(range(7)))
    table.rows.status[[2, 4]] = Reason.PERMISSION, Reason.CORRUPT
    decided = plan(table)
    assert np.flatnonzero(decided.to_do).tolist() == [2] == decided.to_reset.tolist()
    assert np.flatnonzero(plan(table, retry_failed=True).to_do).tolist() == [2, 4]
