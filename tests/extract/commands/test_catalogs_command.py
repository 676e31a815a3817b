"""What is stored is listed, and what is removed is what belongs to it and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typed_commands import Typist

from analyze.clustering.cache import ClusteringCache
from analyze.clustering.clustering import cluster
from analyze.reduction.cache import ReductionCache
from extract.__main__ import main as extract
from extract.files.file_lock import locked
from extract.files.results import write_json
from extract.files.strict_json import with_check_sum
from extract.storage.embeddings_file import read_embeddings, read_provenance
from extract.storage.inventory.stored_catalogs import spelled_age, spelled_bytes

PHOTOS = Path("cache/embeddings/photos/efficientnet_lite0-30a92371.h5")


@pytest.fixture
def root(own_shop: Path) -> Path:
    return own_shop


@pytest.fixture
def _kept(root: Path) -> None:
    """Keep a reduction and a clustering of two catalogues of the shop."""
    for catalog in ("photos", "unsorted"):
        (path,) = (p for p in root.glob(f"cache/embeddings/{catalog}/*-????????.h5"))
        e = read_embeddings(path)
        ReductionCache(root / "cache/reductions")(e, "pca:2", 0, None)
        ClusteringCache(root / "cache/clusterings").write(e, "none", cluster(e, 2))


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    return monkeypatch


def files_in(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir()}


def test_stored_catalogs_are_listed_with_what_tells_them_apart(typist: Typist, root: Path) -> None:
    described = typist(extract, "catalogs", "--json").json
    photos, products, unsorted = described["catalogs"]
    assert [photos["catalog"], products["catalog"], unsorted["catalog"]] == [
        "photos",
        "products",
        "unsorted",
    ]
    assert (photos["file"], photos["model"]) == (PHOTOS.name, "efficientnet_lite0")
    assert (photos["n_images"], photos["n_dims"], photos["resize"]) == (15, 1280, "pad")
    assert (photos["complete"], photos["to_do"]) == (True, 0)
    beside = [*(root / PHOTOS.parent).iterdir()]
    assert photos["n_bytes"] == sum(path.stat().st_size for path in beside)
    assert described["n_bytes"] == sum(
        path.stat().st_size for path in (root / "cache").rglob("*") if path.is_file()
    )
    text = typist(extract, "catalogs").out
    assert "efficientnet_lite0" in text
    assert "just now" in text or "ago" in text


def test_a_file_that_is_damaged_or_unfinished_is_listed_as_such(typist: Typist, root: Path) -> None:
    (root / PHOTOS).write_bytes(b"no HDF5")
    photos = typist(extract, "catalogs", "--json").json["catalogs"][0]
    assert (photos["complete"], photos["model"]) == (None, None)
    assert "unreadable" in typist(extract, "catalogs").out
    typist(extract, "catalogs", "--remove", "photos", "--yes")
    assert not (root / PHOTOS.parent).exists()


@pytest.mark.usefixtures("_kept")
def test_removal_takes_what_belongs_to_a_catalogue_and_leaves_the_rest(
    typist: Typist, root: Path
) -> None:
    of_photos = {path for path in files_in(root) if path.startswith(("cache/embeddings/photos/",))}
    index = "photos-efficientnet_lite0-30a92371"
    (root / "cache/index").mkdir()
    identity = read_provenance(root / PHOTOS).identity_sha256
    for kind, of in (("sq8", identity), ("hnsw", "another")):
        (root / f"cache/index/{index}-{kind}.faiss").write_bytes(b"")
        write_json(root / f"cache/index/{index}-{kind}.json", with_check_sum({"identity": of}))
    before = files_in(root)
    removed = typist(extract, "catalogs", "--remove", "photos", "--yes", "--json").json
    gone = before - files_in(root)
    assert gone == set(removed["removed"])
    assert of_photos <= gone
    kept = {path for path in gone if path.startswith(("cache/reductions", "cache/clusterings"))}
    indexes = {f"cache/index/{index}-sq8.{ending}" for ending in ("faiss", "json")}
    assert gone == of_photos | kept | indexes
    assert len(kept) == 4
    assert not (root / PHOTOS.parent).exists()
    left = typist(extract, "catalogs", "--json").json["catalogs"]
    assert [each["catalog"] for each in left] == ["products", "unsorted"]
    assert len([*(root / "cache/reductions").iterdir()]) == 2


def test_a_catalogue_may_have_the_name_of_a_folder_of_the_cache(typist: Typist, root: Path) -> None:
    kept = root / "cache/embeddings"
    for place in ("views", "embeddings", "embeddings/views"):
        (kept / place).mkdir()
        (kept / place / PHOTOS.name).write_bytes((root / PHOTOS).read_bytes())
    listed = typist(extract, "catalogs", "--json").json["catalogs"]
    names = {f"{each['catalog']}/{each['file']}" for each in listed}
    own = {f"{place}/{PHOTOS.name}" for place in ("views", "embeddings", "embeddings/views")}
    assert own <= names
    removed = typist(extract, "catalogs", "--remove", "embeddings", "--yes", "--json").json
    gone = {f"cache/embeddings/{name}" for name in own if name.startswith("embeddings/")}
    assert gone == {path for path in removed["removed"] if "/embeddings/" in path}
    assert (kept / "views" / PHOTOS.name).exists()
    typist(extract, "catalogs", "--remove", "views", "--yes")
    assert not (kept / "views").exists()


def test_one_file_of_a_catalogue_is_removed_by_its_name(typist: Typist, root: Path) -> None:
    other = root / PHOTOS.with_name("other-12345678.h5")
    other.write_bytes((root / PHOTOS).read_bytes())
    typist(extract, "catalogs", "--remove", "photos/other-12345678", "--yes")
    assert not other.exists()
    assert (root / PHOTOS).exists()


def test_nothing_is_removed_without_an_answer(
    typist: Typist, root: Path, answering: pytest.MonkeyPatch
) -> None:
    before = files_in(root)
    answering.setattr("typer.confirm", lambda *_, **__: False)
    assert "nothing was removed" in typist(extract, "catalogs", "--remove", "photos").out
    answering.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    refused = typist(extract, "catalogs", "--remove", "photos")
    assert refused.code == 2
    assert "--yes" in refused.all
    assert files_in(root) == before
    answering.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    answering.setattr("typer.confirm", lambda *_, **__: True)
    asked = typist(extract, "catalogs", "--remove", "photos")
    assert PHOTOS.as_posix() in asked.all
    assert not (root / PHOTOS).exists()


def test_a_file_that_a_run_writes_is_left_and_so_are_the_others(typist: Typist, root: Path) -> None:
    before = files_in(root)
    words = ("--remove", "photos", "--remove", "unsorted", "--yes")
    with locked(next((root / "cache/embeddings/unsorted").glob("*-????????.h5"))):
        refused = typist(extract, "catalogs", *words)
    assert refused.code == 1
    assert "is being written by process" in refused.all
    assert files_in(root) == before


@pytest.mark.parametrize("name", ["../photos", "..", ".", "photos/../../data", "/etc", ""])
def test_no_name_leads_out_of_the_cache(typist: Typist, root: Path, name: str) -> None:
    before = files_in(root)
    assert typist(extract, "catalogs", "--remove", name, "--yes").code == 2
    assert files_in(root) == before


@pytest.mark.parametrize("linked", ["file", "catalog"])
def test_links_are_not_followed(typist: Typist, root: Path, tmp_path: Path, linked: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    target = root / (PHOTOS if linked == "file" else PHOTOS.parent)
    target.rename(elsewhere)
    target.symlink_to(elsewhere)
    before = files_in(root), files_in(tmp_path)
    refused = typist(extract, "catalogs", "--remove", "photos", "--yes")
    assert refused.code == 2
    assert "link" in refused.all
    assert (files_in(root), files_in(tmp_path)) == before


@pytest.mark.usefixtures("_kept")
def test_links_among_what_is_kept_are_left(typist: Typist, root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "cache/reductions").rename(tmp_path / "elsewhere/reductions")
    (root / "cache/reductions").symlink_to(tmp_path / "elsewhere/reductions")
    typist(extract, "catalogs", "--remove", "photos", "--yes")
    assert len([*(tmp_path / "elsewhere/reductions").iterdir()]) == 4


def test_what_something_else_wrote_is_left(typist: Typist, root: Path) -> None:
    (root / PHOTOS.parent / "mine.h5").write_bytes(b"of another tool")
    before = files_in(root)
    refused = typist(extract, "catalogs", "--remove", "photos", "--yes")
    assert refused.code == 1
    assert "mine.h5 is no embeddings file" in refused.all
    assert files_in(root) == before
    typist(extract, "catalogs", "--remove", f"photos/{PHOTOS.name}", "--yes")
    assert (root / PHOTOS.parent / "mine.h5").exists()
    assert not (root / PHOTOS).exists()


def test_sizes_and_ages_are_spelled_in_their_unit() -> None:
    assert [spelled_bytes(n) for n in (0, 999, 1000, 99_960, 1_234_567, 5e15)] == [
        "0 B",
        "999 B",
        "1 kB",
        "100 kB",
        "1.23 MB",
        "5e+03 TB",
    ]
    assert [spelled_age(s) for s in (-5, 59, 60, 7200, 86400, 864000)] == [
        "just now",
        "just now",
        "1 minute ago",
        "2 hours ago",
        "1 day ago",
        "10 days ago",
    ]
