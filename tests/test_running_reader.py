"""Files that change under a command that reads them: what was read stays what was proved."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_catalogs import fill, run_in

import extract.files.private_memory
from extract.catalog.catalog import Catalog, Level
from extract.errors import EmbeddingsFileError
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.labels_file import labels_path, write_labels
from extract.storage.layout import lay_out
from extract.workspace import Workspace

pytestmark = pytest.mark.slow

N_IMAGES = 2_000
IDS = tuple(f"{i:05}.jpg" for i in range(N_IMAGES))


def cut(path: Path) -> None:
    os.truncate(path, 0)


def cut_short(path: Path) -> None:
    """Leave the head, and next to nothing of the rows."""
    os.truncate(path, 20_000)


def written_over(path: Path) -> None:
    """Write other numbers into the same place, and put the dates back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 4)
        file.write(np.random.default_rng(1).bytes(before.st_size // 2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    written_over(other)
    other.replace(path)


def gone(path: Path) -> None:
    path.unlink()


CHANGES = (cut, cut_short, written_over, replaced, gone)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of two thousand rows, in three classes."""
    root = tmp_path_factory.mktemp("workspace")
    level = Level.from_values("class", [("cups", "hats", "rugs")[i % 3] for i in range(N_IMAGES)])
    catalog = Catalog("shop", root, IDS, IDS, (level,))
    provenance = Provenance({"backbone": "drawn"}, ({"threads": 1},), {"model": "drawn"})
    path = Workspace(root).embeddings_file("shop", "drawn", provenance.short_identity)
    lay_out(path, catalog, provenance, 6)
    write_labels(labels_path(path), catalog)
    fill(path, list(range(N_IMAGES)))
    return root


def the_file(root: Path) -> Path:
    (path,) = Workspace(root).stored_embeddings("shop")
    return path


def type_command(
    root: Path, words: tuple[str, ...], after: str, change: Any, target: str
) -> tuple[int, str, str]:
    """Type a command in which a file changes once a function has returned; what it ends with.

    It is typed in this process: a signal, as for memory whose file is cut, ends the tests.
    """
    module, _, name = after.rpartition(".")
    home = importlib.import_module(module)
    real = getattr(home, name)

    def changing(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        if change is not None:
            for path in root.glob(target):
                change(path)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, name, changing)
        done = run_in(root, *words)
    return done.returncode, done.stdout, done.stderr


EMBEDDINGS = "cache/embeddings/shop/drawn-????????.h5"
SIMILAR = ("analyze", "similar", "--query", IDS[7], "--query", IDS[-1], "--json", "--index")
COMMANDS = ((*SIMILAR, "flat"), ("analyze", "--reduce", "none", "--json"))


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_answers_from_what_it_read_whatever_becomes_of_the_file(
    stored: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = []
    for change in (None, cut, written_over):
        root = tmp_path / str(change and change.__name__)
        shutil.copytree(stored, root)
        after = "extract.storage.embeddings_file.read_embeddings"
        code, out, err = type_command(root, words, after, change, EMBEDDINGS)
        assert code == 0, (change, code, err)
        said = json.loads(out)
        found.append({key: said[key] for key in said if key not in ("results", "sheet", "seconds")})
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_an_index_that_is_open_answers_whatever_becomes_of_its_file(
    stored: Path, tmp_path: Path
) -> None:
    root = tmp_path / "indexed"
    shutil.copytree(stored, root)
    for index in ("hnsw", "ivf"):
        words = (*SIMILAR, index)
        found = []
        for change in (None, None, cut):  # built, opened, and cut once it is open
            after, target = (
                "analyze.neighbors.indexes.index_cache.open_index",
                "cache/index/*.faiss",
            )
            code, out, err = type_command(root, words, after, change, target)
            assert code == 0, (index, change, code, err)
            found.append(json.loads(out)["queries"])
        assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_one_line(
    stored: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    root = tmp_path / "changing"
    shutil.copytree(stored, root)
    after = "extract.storage.embeddings_file.read_table"
    code, out, err = type_command(root, COMMANDS[0], after, change, EMBEDDINGS)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "while it was read: type the command again" in line


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_read_after_opening_is_of_the_file_that_was_opened(
    stored: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "rows.h5"
    shutil.copy2(the_file(stored), path)
    table = read_table(path)
    change(path)
    reads = (
        table.sound,
        partial(table.now, "realisation"),
        partial(table.take_vectors, np.array([N_IMAGES - 1])),
        partial(table.read_vectors, N_IMAGES - 5, 5),
    )
    if change is written_over:  # found by its check sums
        assert not table.sound().all()
        return
    for read in reads:
        with pytest.raises(EmbeddingsFileError, match="while it was read"):
            read()


def test_labels_that_are_written_over_while_they_are_read_are_not_used(
    stored: Path, tmp_path: Path
) -> None:
    root = tmp_path / "relabelled"
    shutil.copytree(stored, root)
    after, labels = "extract.storage.labels_file._crc32", "cache/embeddings/shop/*.labels.h5"
    code, out, err = type_command(root, COMMANDS[0], after, written_over, labels)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert ".labels.h5" in line


def test_rows_that_memory_does_not_hold_are_kept_in_a_file_without_a_name(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.h5"
    shutil.copy2(the_file(stored), path)
    expected = read_embeddings(path).vectors
    n_bytes = expected.nbytes
    monkeypatch.setattr(extract.files.private_memory, "free_memory", lambda: n_bytes)
    found = read_embeddings(path).vectors
    assert sorted(tmp_path.iterdir()) == [path]
    cut(path)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(expected, found)
    assert not found.flags.writeable

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    shutil.copy2(the_file(stored), path)
    np.testing.assert_array_equal(read_embeddings(path).vectors, expected)
    monkeypatch.setattr(extract.files.private_memory, "free_memory", lambda: n_bytes // 2)
    with pytest.raises(EmbeddingsFileError, match="No space left on device"):
        read_embeddings(path)
    with pytest.raises(EmbeddingsFileError, match="make room"):
        read_embeddings(path)
