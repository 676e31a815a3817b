"""What stands in for calls that a system lacks does the same, and the main job runs on it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import offline_environment

from extract.machine import system_calls
from extract.storage.embeddings_file import read_embeddings

LACKING = """
import importlib, os, sys
sys.modules["fcntl"] = None
for name in ("fork", "pwrite", "pread", "preadv", "fdatasync", "posix_fallocate", "O_CLOEXEC"):
    delattr(os, name)
for line in sys.argv[1:]:
    package, *words = line.split()
    sys.argv = ["python -m", *words]
    try:
        importlib.import_module(f"{package}.__main__").main()
    except SystemExit as end:
        if end.code:
            raise
"""


def test_writing_and_reading_at_a_place_without_the_calls_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pwrite", "pread", "preadv", "fdatasync"):
        monkeypatch.delattr(os, name)
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert system_calls.write_at(file, b"abcdef", 0) == 6
    assert system_calls.write_at(file, memoryview(b"XY"), 2) == 2
    system_calls.make_durable(file)
    room = memoryview(bytearray(4))
    assert system_calls.read_at(file, room, 1) == 4
    assert bytes(room) == b"bXYe"
    assert system_calls.read_at(file, room, 5) == 1
    assert system_calls.read_at(file, room, 6) == 0
    os.close(file)


@pytest.mark.parametrize("lacking", ["module", errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_nothing_can_be_locked_a_warning_says_so_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lacking: str | int,
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(lacking, "no locks")

    if lacking == "module":
        monkeypatch.setattr(system_calls, "fcntl", None)
    else:
        monkeypatch.setattr(system_calls.fcntl, "flock", refuse)
    system_calls._warn_once.cache_clear()
    with (tmp_path / "file").open("w") as file:
        system_calls.lock_file(file.fileno())
        system_calls.lock_file(file.fileno(), wait=False)
    (message,) = caplog.messages
    assert "one command at a time" in message


def test_a_lock_that_another_holds_is_no_lack_of_locks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as first, (tmp_path / "file").open() as second:
        system_calls.lock_file(first.fileno(), shared=True)
        system_calls.lock_file(second.fileno(), wait=False, shared=True)
        with pytest.raises(BlockingIOError):
            system_calls.lock_file(second.fileno(), wait=False)


@pytest.mark.slow
def test_the_main_job_gives_the_same_without_fork_locks_and_writes_at_a_place(
    embedded_shop: Path, tmp_path: Path
) -> None:
    """Both commands in one process, to load large libraries once."""
    shutil.copytree(embedded_shop / "photos", tmp_path / "photos")
    done = subprocess.run(
        [sys.executable, "-c", LACKING, "extract --images photos", "analyze --catalog photos"],
        cwd=tmp_path,
        env=offline_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no flock" in done.stderr
    (file,) = (p for p in tmp_path.glob("cache/embeddings/photos/*-????????.h5"))
    here = read_embeddings(embedded_shop / file.relative_to(tmp_path))
    assert np.array_equal(read_embeddings(file).vectors, here.vectors)
    assert (tmp_path / "results/latest/run.json").is_file()
