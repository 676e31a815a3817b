"""The cache of reductions: never wrong, whatever lies in its folder."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analyze.reduction import cache as reduction_cache
from analyze.reduction.cache import ReductionCache
from analyze.reduction.reduction import Reduced, reduce
from extract.files.strict_json import with_check_sum
from extract.storage.embeddings import EmbeddingSet

VECTORS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the reductions that were computed, not read."""
    done: list[str] = []

    def counted(*arguments: object) -> Reduced:
        done.append(str(arguments[1]))
        return reduce(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reduction_cache, "reduce", counted)
    return done


@pytest.fixture
def embeddings(embeddings_of: Callable[..., EmbeddingSet]) -> EmbeddingSet:
    return embeddings_of(VECTORS)


def same(first: Reduced, second: Reduced) -> bool:
    """Say whether two reductions are equal in everything a result shows."""
    return (
        first.coordinates.tobytes() == second.coordinates.tobytes()
        and first.coordinates.dtype == second.coordinates.dtype
        and (first.ids, first.reduction, first.seed) == (second.ids, second.reduction, second.seed)
        and [dict(p) for p in first.parameters] == [dict(p) for p in second.parameters]
        and first.notes == second.notes
    )


@pytest.mark.parametrize("reduction", ["l2", "pca:0.9", "pca:99", "l2,pca:3,tsne:50"])
def test_the_second_call_reads(
    reduction: str, embeddings: EmbeddingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ReductionCache(tmp_path / "reductions")
    first = cache(embeddings, reduction, 0, None)
    assert same(first, reduce(embeddings, reduction, 0))

    def never(*_: object) -> Reduced:
        raise AssertionError("computed again")

    monkeypatch.setattr(reduction_cache, "reduce", never)
    assert same(cache(embeddings, reduction, 0, None), first)


def test_what_it_depends_on_is_computed_again(
    embeddings: EmbeddingSet,
    embeddings_of: Callable[..., EmbeddingSet],
    tmp_path: Path,
    computed: list[str],
) -> None:
    cache = ReductionCache(tmp_path)
    moved = VECTORS.copy()
    moved[3, 2] += np.float32(1e-6)
    others = [
        (embeddings, "pca:3", 1),
        (embeddings, "pca:2", 0),
        (embeddings, "pca:0.3", 0),
        (embeddings, "l2,pca:3", 0),
        (embeddings_of(moved), "pca:3", 0),
        (embeddings_of(VECTORS, ids=[*embeddings.ids[:-1], "other.png"]), "pca:3", 0),
    ]
    kept = cache(embeddings, "pca:3", 0, None)
    for other in others:
        result = cache(*other, None)
        assert same(result, reduce(*other))
    assert len(computed) == 1 + len(others)
    assert same(cache(embeddings, "pca:3", 0, None), kept)
    assert len(computed) == 1 + len(others)


def test_another_version_of_a_library_computes_again(
    embeddings: EmbeddingSet,
    tmp_path: Path,
    computed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = ReductionCache(tmp_path)
    cache(embeddings, "pca:3", 0, None)
    monkeypatch.setattr(reduction_cache, "keyed_versions", lambda: {"numpy": "99.0"})
    cache(embeddings, "pca:3", 0, None)
    assert len(computed) == 2


@pytest.mark.parametrize(
    ("reduction", "entries"), [("pca:0.9", 1), ("l2", 1), ("pca:3", 3), ("l2,tsne:5", 3)]
)
def test_seeds_share_what_no_chance_changes(
    reduction: str, entries: int, embeddings: EmbeddingSet, tmp_path: Path, computed: list[str]
) -> None:
    cache = ReductionCache(tmp_path)
    for seed in (0, 1, 7):
        kept = cache(embeddings, reduction, seed, None)
        assert same(kept, reduce(embeddings, reduction, seed))
    assert len(computed) == entries
    assert len(list(tmp_path.glob("*.npy"))) == entries


def test_what_is_read_places_nothing(embeddings: EmbeddingSet, tmp_path: Path) -> None:
    cache = ReductionCache(tmp_path)
    assert cache(embeddings, "pca:3", 0, None).place is not None
    assert cache(embeddings, "pca:3", 0, None).place is None


def test_the_labels_do_not_matter(
    embeddings: EmbeddingSet,
    embeddings_of: Callable[..., EmbeddingSet],
    tmp_path: Path,
    computed: list[str],
) -> None:
    cache = ReductionCache(tmp_path)
    cache(embeddings, "pca:3", 0, None)
    cache(embeddings_of(VECTORS, ["a", "b"] * 15), "pca:3", 0, None)
    assert computed == ["pca:3"]


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize(
    "damage",
    [
        flip,
        halve,
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text("[1, 2]"),
    ],
    ids=["one bit", "half", "gone", "empty", "no text", "a list"],
)
def test_damage_is_computed_again_and_mended(
    damage: Callable[[Path], object],
    suffix: str,
    embeddings: EmbeddingSet,
    tmp_path: Path,
    computed: list[str],
) -> None:
    cache = ReductionCache(tmp_path)
    first = cache(embeddings, "pca:3", 0, None)
    (file,) = tmp_path.glob(f"*{suffix}")
    damage(file)
    assert same(cache(embeddings, "pca:3", 0, None), first)
    assert same(cache(embeddings, "pca:3", 0, None), first)
    assert len(computed) == 2


def put_in_place(folder: Path, array: object, write: Callable[..., None] = np.save) -> None:
    """Write another array into the cache with a check sum that fits."""
    (npy,), (key,) = folder.glob("*.npy"), folder.glob("*.json")
    with npy.open("wb") as file:
        write(file, array)
    said = json.loads(key.read_text()) | {"crc32": zlib.crc32(npy.read_bytes())}
    key.write_text(json.dumps(with_check_sum(said)))


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.marker,)


def test_no_pickle_is_loaded(embeddings: EmbeddingSet, tmp_path: Path, computed: list[str]) -> None:
    cache, marker = ReductionCache(tmp_path / "reductions"), tmp_path / "loaded"
    first = cache(embeddings, "pca:3", 0, None)
    put_in_place(cache.folder, np.array([[Planted(marker)]] * 30, dtype=object))
    assert same(cache(embeddings, "pca:3", 0, None), first)
    assert not marker.exists()
    assert len(computed) == 2


@pytest.mark.parametrize(
    "array", [np.zeros((29, 3), "f4"), np.zeros(30, "f4"), np.full((30, 3), np.nan, "f4")]
)
def test_an_array_that_cannot_be_the_reduction_is_computed_again(
    array: np.ndarray, embeddings: EmbeddingSet, tmp_path: Path, computed: list[str]
) -> None:
    cache = ReductionCache(tmp_path)
    first = cache(embeddings, "pca:3", 0, None)
    put_in_place(tmp_path, array)
    assert same(cache(embeddings, "pca:3", 0, None), first)
    assert len(computed) == 2


def test_an_archive_of_arrays_is_computed_again(
    embeddings: EmbeddingSet, tmp_path: Path, computed: list[str]
) -> None:
    cache = ReductionCache(tmp_path)
    first = cache(embeddings, "pca:3", 0, None)
    put_in_place(tmp_path, VECTORS, np.savez)
    assert same(cache(embeddings, "pca:3", 0, None), first)
    assert len(computed) == 2


def test_none_writes_nothing(embeddings: EmbeddingSet, tmp_path: Path) -> None:
    cache = ReductionCache(tmp_path / "reductions")
    np.testing.assert_array_equal(cache(embeddings, "none", 0, None).coordinates, VECTORS)
    assert list(tmp_path.iterdir()) == []


def test_only_an_array_and_its_key_are_left(embeddings: EmbeddingSet, tmp_path: Path) -> None:
    ReductionCache(tmp_path)(embeddings, "pca:3", 0, None)
    npy, key = sorted(tmp_path.iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (npy.suffix, key.suffix) == (".npy", ".json")
    assert npy.stem == key.stem
    assert json.loads(key.read_text())["key"]["embeddings"] == embeddings.fingerprint
