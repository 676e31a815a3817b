"""What a run decides to do, as a pure function of the pictures and the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from small_catalogs import fill

from extract.catalog import Catalog
from extract.embeddings import Provenance
from extract.embeddings_file import EmbeddingsTable, read_table
from extract.layout import lay_out
from extract.plan import Plan, plan_run

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
    return read_table(path)


def plan(table: EmbeddingsTable | None, ids: tuple[str, ...] = IDS, **options: Any) -> Plan:
    size = options.pop("size", np.full(len(ids), -1))
    how = options.pop("how", HOW)
    return plan_run(catalog(ids), np.stack([size, np.full(len(ids), -1)], 1), table, how, **options)


def test_no_file_means_lay_out_and_do_all() -> None:
    decided = plan(None)
    assert decided.lay_out
    assert decided.to_do.all()
    assert decided.slices().tolist() == [0, 1, 2]


def test_complete_file_means_nothing(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, list(range(7))))
    assert not decided.lay_out
    assert not decided.to_do.any()
    assert decided.slices().tolist() == []


def test_resume_does_only_what_is_not_sound(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, [0, 1, 2, 4]))
    assert not decided.lay_out
    assert np.flatnonzero(decided.to_do).tolist() == [3, 5, 6]
    assert decided.slices().tolist() == [1, 2]
    assert decided.to_reset.tolist() == []


def test_changed_picture_is_reset_and_done_again(tmp_path: Path) -> None:
    size = np.full(7, -1)
    size[2] = 99
    decided = plan(stored(tmp_path, list(range(7))), size=size)
    assert np.flatnonzero(decided.to_do).tolist() == [2] == decided.to_reset.tolist()


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
    assert decided.realisations == (HOW, {"batch_size": 2, "threads": 1})
    assert decided.realisation == 1
    assert decided.batch_size == 2
    assert np.flatnonzero(~decided.to_do).tolist() == [0, 1]


def test_limit_is_rounded_up_to_whole_slices(tmp_path: Path) -> None:
    decided = plan(stored(tmp_path, [0, 4]))  # to do: 1 2 | 3 5 | 6
    assert [decided.slices(limit).tolist() for limit in (1, 2, 3, 4, 5, 99)] == [
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
