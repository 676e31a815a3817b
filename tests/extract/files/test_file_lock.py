"""The lock: one writer, who clears away what a killed one left."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.errors import FileLocked
from extract.files.file_lock import locked
from extract.pipeline.extraction import Options, extract_embeddings


def test_what_a_killed_run_left_is_cleared_away_though_nothing_is_laid_out(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract_embeddings(list_folder(pictures), backbone, path, options=Options(4, 1))
    left_behind = [tmp_path / f".x{kind}.77.tmp" for kind in (".h5", ".labels.h5")]
    of_others = [tmp_path / name for name in (".x.y.h5.77.tmp", ".y.h5.77.tmp", "x.tmp")]
    for name in (*left_behind, *of_others):
        name.touch()
    extract_embeddings(list_folder(pictures), backbone, path, options=Options(4, 1))
    assert not any(name.exists() for name in left_behind)
    assert all(name.exists() for name in of_others)


def test_a_full_disk_keeps_nobody_from_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with (
        locked(tmp_path / "x.h5"),
        pytest.raises(FileLocked, match="another run"),
        locked(tmp_path / "x.h5"),
    ):
        pass
