"""Places elsewhere: fsspec's memory stands for a bucket, and for one that fails."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from typed_commands import Typist

from extract.__main__ import main as extract_command
from extract.addresses import Address, place_of
from extract.backbones.registry import Backbone
from extract.catalog.archived.images_listing import list_images
from extract.catalog.catalog import list_folder
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.errors import CatalogError, UsageError
from extract.images.reading import read_picture
from extract.pipeline.extraction import extract_embeddings
from extract.pipeline.options import Options
from extract.refusals import Reason, Refused
from extract.sources import fetching_ahead, remote
from extract.sources.places import expect_picture, stat_picture
from extract.storage.embeddings_file import read_embeddings

OPTIONS = Options(batch_size=4, runtime="eager", decoder="reference", dtype="fp32", workers=2)
ROOT = Address("memory://shop/photos")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def bucket(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pictures in memory:, and a tar of them."""
    monkeypatch.setattr(remote, "SCHEMES", (*remote.SCHEMES, "memory"))
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.0)
    memory = fsspec.filesystem("memory")
    empty(memory)
    memory.put(str(pictures), "/shop/photos", recursive=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(pictures, arcname=".")
    memory.pipe_file("/shop/all.tar", packed.getvalue())
    yield memory
    empty(memory)


def empty(memory: Any) -> None:
    remote.look_again(ROOT)
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("place", ["photos", "all.tar", "*.tar", "photos/t.csv"])
def test_the_file_is_that_of_the_folder_here(
    place: str, bucket: Any, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    folder = list_folder(pictures)
    rows = [f"{name},{name[:4]}" for name in folder.ids]
    bucket.pipe_file("/shop/photos/t.csv", "\n".join(["image,class", *rows]).encode())
    if place.endswith(".csv"):
        listed = list_manifest(f"memory://shop/{place}", ManifestColumns(label="class"))
    else:
        listed = list_images(f"memory://shop/{place}")
    assert listed.ids == folder.ids
    assert listed.levels[0].values() == folder.levels[0].values()
    for name, catalog in (("folder", folder), ("bucket", listed)):
        extract_embeddings(catalog, backbone, tmp_path / f"{name}.h5", options=OPTIONS)
    one, other = (read_embeddings(tmp_path / f"{name}.h5") for name in ("folder", "bucket"))
    assert np.array_equal(one.vectors, other.vectors)
    again = extract_embeddings(listed, backbone, tmp_path / "bucket.h5", options=OPTIONS)
    assert (again.embedded, again.reused) == (0, 21)


def test_a_bucket_that_grew_is_listed_again(
    bucket: Any, pictures: Path, typist: Typist, tmp_path: Path
) -> None:
    words = ("--images", "memory://shop/photos", "--weights", "random", "--json")
    first = typist(extract_command, *words)
    assert first.json["embedded"] == 21, first.all
    bucket.pipe_file("/shop/photos/cups/new.png", (pictures / "cups/1.png").read_bytes() + b"x")
    bucket.rm_file("/shop/photos/cups/0.png")
    again = typist(extract_command, *words).json
    assert (again["embedded"], again["reused"]) == (1, 20)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    other = typist(extract_command, "--images", "photos")
    assert other.code == 2
    assert "stands for pictures in memory://shop/photos" in other.all


def test_metadata_and_hidden_names_are_as_in_a_folder(bucket: Any, pictures: Path) -> None:
    for name in (".hidden/a.png", "readme.txt", "more.tar"):
        bucket.pipe_file(f"/shop/photos/{name}", b"x")
    bucket.pipe_file("/shop/photos/cups/metadata.csv", b"file_name,kind\n0.png,first\nno.png,x\n")
    listed = list_images(ROOT, columns=ManifestColumns(label="kind"))
    assert len(listed) == 22
    assert listed.levels[0].value(listed.ids.index("cups/0.png")) == "first"
    assert stat_picture(ROOT, "cups/no.png") == (-1, -1)
    assert any("1 archives" in note for note in listed.notes)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.png", Reason.MISSING),
        ("../photos/cups/0.png", Reason.OUTSIDE_FOLDER),
        ("/etc/passwd", Reason.OUTSIDE_FOLDER),
        ("../all.tar/cups/0.png", Reason.OUTSIDE_FOLDER),
        ("none.tar/cups/0.png", Reason.MISSING),
        ("cups/empty.png", Reason.EMPTY),
    ],
)
def test_what_is_not_there_is_a_reason(path: str, reason: Reason, bucket: Any) -> None:
    bucket.pipe_file("/shop/photos/cups/empty.png", b"")
    with pytest.raises(Refused) as refused:
        read_picture(ROOT, path)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("error", "reason", "n_tries"),
    [
        (PermissionError("no"), Reason.PERMISSION, 1),
        (FileNotFoundError("gone"), Reason.MISSING, 1),
        (TimeoutError("late, at https://h/a?sig=s3cr3t"), Reason.UNREACHABLE, 3),
        (ConnectionResetError("reset"), Reason.UNREACHABLE, 3),
        (None, Reason.UNREACHABLE, 1),
    ],
)
def test_a_service_that_fails_is_a_reason(
    error: Exception | None,
    reason: Reason,
    n_tries: int,
    bucket: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def fail(*_: Any, **__: Any) -> bytes:
        tries.append(1)
        if error is None:
            return b"less than was listed"
        raise error

    list_images(ROOT)
    monkeypatch.setattr(bucket, "cat_file", fail)
    with pytest.raises(Refused) as refused:
        read_picture(ROOT, "cups/0.png")
    assert refused.value.reason is reason
    assert "s3cr3t" not in refused.value.message
    assert len(tries) == n_tries


def test_a_picture_is_fetched_once_and_ahead(
    bucket: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, fetched = type(bucket).cat_file, []

    def counted(self: Any, path: str, **more: Any) -> bytes:
        fetched.append(path)
        return own(self, path, **more)

    monkeypatch.setattr(type(bucket), "cat_file", counted)  # each thread has one of its own
    expect_picture(ROOT, "cups/0.png")
    fetching_ahead.ahead().pool.submit(int).result()
    assert read_picture(ROOT, "cups/0.png").content == (pictures / "cups/0.png").read_bytes()
    assert len(fetched) == 1


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("ftp://shop/photos", UsageError, "of no scheme"),
        ("https://shop.example/photos", UsageError, "lists no folders"),
        ("memory://shop/none.zip", CatalogError, "there is none"),
        ("memory://shop/{0..3}.tar", CatalogError, "there is none"),
        ("memory://shop/none-*.tar", UsageError, "matches no file"),
        ("memory://shop/none", CatalogError, "no picture"),
        ("s3://me:pw@shop/photos", UsageError, "password or a signature"),
        ("https://h/a.tar?X-Amz-Signature=pw", UsageError, "password or a signature"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_an_address_that_is_none_is_one_line(
    address: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        list_images(address)
    assert "pw" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_place_is_an_address_or_a_path() -> None:
    assert place_of("photos") == Path("photos")
    there = place_of("s3://bucket/shards/all.tar/")
    assert isinstance(there, Address)
    assert (there.name, there.stem, there.suffix) == ("all.tar", "all", ".tar")
    assert str(there.parent / "b") == "s3://bucket/shards/b"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(Exception, match=r"Install s3fs.*the extra \"cloud\""):
        list_images("s3://shop/photos")
