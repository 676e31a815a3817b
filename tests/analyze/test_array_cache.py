"""Arrays kept between runs, and clusterings as one kind of them."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyze import array_cache
from analyze.array_cache import ArrayCache, keyed_versions
from analyze.clustering.cache import ClusteringCache
from analyze.clustering.clustering import Clustering, cluster
from analyze.reduction import cache as reduction_cache
from analyze.reduction.reduction import reduce
from extract.files.strict_json import with_check_sum
from extract.storage.embeddings import EmbeddingSet

KEY = {"what": "numbers", "seed": None}
ARRAY = np.arange(12, dtype=np.float32).reshape(4, 3)
VECTORS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


def as_is(array: np.ndarray, said: Mapping[str, Any]) -> tuple[np.ndarray, Any]:
    return array, said["beside"]


def resaid(path: Path, **change: object) -> None:
    """Say something else beside an array, with a check sum that fits."""
    path.write_text(json.dumps(with_check_sum({**json.loads(path.read_text()), **change})))


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    store = ArrayCache(tmp_path / "new" / "folder", "it is")
    assert store.read(KEY, as_is) is None
    store.write(KEY, ARRAY, beside=["a", 1])
    kept = store.read(KEY, as_is)
    assert kept is not None
    np.testing.assert_array_equal(kept[0], ARRAY, strict=True)
    assert kept[1] == ["a", 1]
    assert store.read({**KEY, "seed": 0}, as_is) is None
    assert {p.suffix for p in store.folder.iterdir()} == {".npy", ".json"}


def test_a_key_of_equal_hash_is_still_compared(tmp_path: Path) -> None:
    store = ArrayCache(tmp_path, "it is")
    store.write(KEY, ARRAY, beside=0)
    (path,) = tmp_path.glob("*.json")
    resaid(path, key={"another": 1})
    assert store.read(KEY, as_is) is None


def test_what_the_reader_refuses_counts_as_missing(tmp_path: Path) -> None:
    store = ArrayCache(tmp_path, "it is")
    store.write(KEY, ARRAY, beside=0)

    def refuse(_array: np.ndarray, _said: Mapping[str, Any]) -> None:
        raise ValueError("not such an array")

    assert store.read(KEY, refuse) is None


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


SHAPE = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}\n"


@pytest.mark.parametrize(
    "raw",
    [
        npy(SHAPE.format("'<f4'", (10**12,))),
        npy(SHAPE.format("'<f4'", (2**62, 4))),
        npy(SHAPE.format("'<f4'", (-1, 3)), bytes(12)),
        npy(SHAPE.format("'|V0'", (10**15,))),
        npy(SHAPE.format("'|O'", (1,)), pickle.dumps([1])),
        npy(SHAPE.format("[('a', '<f4')]", (1,)), bytes(4)),
        npy(SHAPE.format("('<f4', (99999, 99999))", (1,))),
        npy(SHAPE.format("'<f4'", (4, 3)), bytes(47)),
        npy("(" * 5_000),
        npy("'unended"),
        b"\x93NUMPY\x03\x00\xff\xff\xff\xff",
        b"",
    ],
)
def test_a_header_that_lies_counts_as_missing(tmp_path: Path, raw: bytes) -> None:
    store = ArrayCache(tmp_path, "it is")
    store.write(KEY, ARRAY, beside=0)
    (array,), (key,) = tmp_path.glob("*.npy"), tmp_path.glob("*.json")
    array.write_bytes(raw)
    resaid(key, crc32=zlib.crc32(raw))
    assert store.read(KEY, as_is) is None


@pytest.mark.parametrize("said", ["[" * 9_000, "[1]", "7", '{"key":NaN}', "", "\ufffe"])
def test_a_key_that_is_none_counts_as_missing(tmp_path: Path, said: str) -> None:
    store = ArrayCache(tmp_path, "it is")
    store.write(KEY, ARRAY, beside=0)
    (key,) = tmp_path.glob("*.json")
    key.write_text(said)
    assert store.read(KEY, as_is) is None
    key.unlink()
    os.mkfifo(key)  # opening it would wait for ever
    assert store.read(KEY, as_is) is None


def test_arrays_of_either_order_are_read_bit_for_bit(tmp_path: Path) -> None:
    store = ArrayCache(tmp_path, "it is")
    for array in (ARRAY.T, np.asfortranarray(ARRAY), ARRAY[:0], np.float64(3).reshape(())):
        store.write(KEY, array, beside=0)
        kept = store.read(KEY, as_is)
        assert kept is not None
        np.testing.assert_array_equal(kept[0], array, strict=True)
        assert kept[0].flags.writeable


def test_a_folder_that_cannot_be_written_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("")
    array_cache._warn_once.cache_clear()
    store = ArrayCache(tmp_path / "taken", "the reduction is")
    with caplog.at_level(logging.WARNING, "sosie"):
        for seed in range(3):
            store.write({"seed": seed}, ARRAY)
    (message,) = caplog.messages
    assert message.startswith("the reduction is not kept for the next run: ")


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    ArrayCache(tmp_path, "it is").write(KEY, ARRAY)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept_when_its_array_is_kept(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, "arrays")
    cache.write({"a": 1}, np.arange(3))
    (kept,) = tmp_path.glob("*.npy")
    with subprocess.Popen((sys.executable, "-c", "")) as ended:
        pass
    left = tmp_path / f".{kept.stem}.{ended.pid}.npy"
    at_work = tmp_path / f".{kept.stem}.{os.getppid()}.npy"
    for path in (left, at_work):
        path.touch()
    cache.write({"a": 1}, np.arange(3))
    assert (left.exists(), at_work.exists()) == (False, True)


def test_the_versions_are_of_what_computes() -> None:
    assert {"scikit-learn", "openTSNE", "umap-learn", "numba"} <= keyed_versions().keys()


# clusterings


@pytest.fixture
def embeddings(embeddings_of: Callable[..., EmbeddingSet]) -> EmbeddingSet:
    return embeddings_of(VECTORS)


def clustered(embeddings: EmbeddingSet, reduction: str, n_clusters: int, seed: int) -> Clustering:
    reduced = reduce(embeddings, reduction, seed)
    clustering = cluster(reduced, n_clusters, seed)
    return replace(clustering, notes=(*reduced.notes, *clustering.notes))


def test_a_clustering_is_read_with_all_that_was_said(
    embeddings: EmbeddingSet, tmp_path: Path
) -> None:
    cache = ClusteringCache(tmp_path)
    assert cache.read(embeddings, "pca:99", 4, 3) is None
    clustering = clustered(embeddings, "pca:99", 4, 3)
    cache.write(embeddings, "pca:99", clustering)
    kept = cache.read(embeddings, "pca:99", 4, 3)
    assert kept is not None
    np.testing.assert_array_equal(kept.assignments, clustering.assignments)
    assert (kept.ids, kept.n_clusters, kept.method, kept.seed) == (embeddings.ids, 4, "kmeans", 3)
    assert kept.notes == clustering.notes
    assert "lowered" in kept.notes[0]


def test_a_clustering_depends_on_all_of_its_makings(
    embeddings: EmbeddingSet,
    embeddings_of: Callable[..., EmbeddingSet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = ClusteringCache(tmp_path)
    cache.write(embeddings, "pca:0.9", clustered(embeddings, "pca:0.9", 4, 3))
    assert cache.read(embeddings, "pca:0.9", 4, 3) is not None
    others: list[tuple[EmbeddingSet, str, int, int]] = [
        (embeddings, "pca:0.9", 4, 4),
        (embeddings, "pca:0.9", 5, 3),
        (embeddings, "none", 4, 3),
        (embeddings, "l2,pca:0.9", 4, 3),
        (embeddings_of(VECTORS + np.float32(1e-6)), "pca:0.9", 4, 3),
    ]
    assert [cache.read(*other) for other in others] == [None] * len(others)
    assert cache.read(embeddings, "pca:0.9", 4, 3, "another") is None
    monkeypatch.setattr(reduction_cache, "keyed_versions", lambda: {"scikit-learn": "99.0"})
    assert cache.read(embeddings, "pca:0.9", 4, 3) is None


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(29, "i4"),
        np.zeros((30, 1), "i4"),
        np.full(30, 4, "i4"),
        np.full(30, -1, "i4"),
        np.zeros(30, "f4"),
    ],
)
def test_an_array_that_cannot_be_the_clustering_counts_as_missing(
    array: np.ndarray, embeddings: EmbeddingSet, tmp_path: Path
) -> None:
    cache = ClusteringCache(tmp_path)
    cache.write(embeddings, "none", clustered(embeddings, "none", 4, 0))
    (npy,), (key,) = tmp_path.glob("*.npy"), tmp_path.glob("*.json")
    np.save(npy, array)
    resaid(key, crc32=zlib.crc32(npy.read_bytes()))
    assert cache.read(embeddings, "none", 4, 0) is None


def test_notes_of_which_a_letter_was_changed_are_not_shown(
    embeddings: EmbeddingSet, tmp_path: Path
) -> None:
    cache = ClusteringCache(tmp_path)
    cache.write(embeddings, "pca:99", clustered(embeddings, "pca:99", 4, 0))
    (key,) = tmp_path.glob("*.json")
    text = key.read_text()
    assert "lowered" in text
    key.write_text(text.replace("lowered", "towered"))
    assert cache.read(embeddings, "pca:99", 4, 0) is None
    said = json.loads(text)
    del said["json_sha256"]  # as earlier versions wrote it
    key.write_text(json.dumps(said))
    assert cache.read(embeddings, "pca:99", 4, 0) is None


def test_an_array_of_a_later_version_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    array_cache._warn_once.cache_clear()
    store = ArrayCache(tmp_path, "the reduction is")
    store.write(KEY, ARRAY, beside=0)
    (npy,), (key,) = tmp_path.glob("*.npy"), tmp_path.glob("*.json")
    resaid(key, format_version=2, beside="of another meaning")
    before = key.read_bytes(), npy.read_bytes()
    assert store.read(KEY, as_is) is None
    store.write(KEY, ARRAY + 1, beside=0)
    assert (key.read_bytes(), npy.read_bytes()) == before
    (message,) = caplog.messages
    assert "format 2" in message
    assert "upgrade sosie" in message


def test_notes_that_are_no_texts_count_as_missing(embeddings: EmbeddingSet, tmp_path: Path) -> None:
    cache = ClusteringCache(tmp_path)
    cache.write(embeddings, "none", clustered(embeddings, "none", 4, 0))
    (key,) = tmp_path.glob("*.json")
    for notes in ([1], "text", {"a": 1}, [["a"]]):
        resaid(key, notes=notes)
        assert cache.read(embeddings, "none", 4, 0) is None
