"""Columns of pictures in parquet files, those of any writer and those of none."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.catalog import manifest_parquet
from extract.catalog.archived.images_listing import list_images
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.errors import CatalogError, SosieError, UsageError
from extract.images.reading import read_picture
from extract.refusals import Reason, Refused
from extract.sources import parquet_pictures
from extract.sources.byte_ranges import LocalFile
from extract.sources.places import stat_picture

STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def write(path: Path, rows_a_group: int = 4, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_a_group)
    return path


def structs(*values: tuple[bytes | None, str | None] | None) -> pa.Array:
    return pa.array([None if v is None else {"bytes": v[0], "path": v[1]} for v in values], STRUCT)


def test_rows_are_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pictures, "KEPT_BYTES", 100)
    contents = [bytes([i]) * (i + 1) for i in range(200)]
    for kind in (pa.binary(), pa.large_binary()):
        write(tmp_path / "t.parquet", 37, image=pa.array(contents, kind))
        order = list(range(200))
        random.Random(0).shuffle(order)
        for row in order:
            assert read_picture(tmp_path, f"t.parquet/{row:09}/image").content == contents[row]


@pytest.mark.parametrize("rows_a_group", [300, 100])
def test_rows_out_of_order_are_read_about_twice(
    rows_a_group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pictures, "KEPT_BYTES", 20_000)
    contents = [random.Random(i).randbytes(1000) for i in range(300)]
    path = write(tmp_path / "t.parquet", rows_a_group, image=pa.array(contents))
    read = []

    class Counted(io.FileIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            read.append(super().readinto(buffer))
            return read[-1]

        def read(self, size: int = -1) -> bytes:
            read.append(len(content := super().read(size)))
            return content

    monkeypatch.setattr(parquet_pictures, "BUFFER_BYTES", 4096)
    monkeypatch.setattr(LocalFile, "open", lambda self: Counted(self.path))
    order = list(range(300))
    random.Random(0).shuffle(order)
    for row in order:
        assert read_picture(tmp_path, f"t.parquet/{row:09}/image").content == contents[row]
    assert path.stat().st_size < sum(read) < 3 * path.stat().st_size


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("0/image", Reason.NOT_NAMED),
        ("1/image", Reason.NOT_NAMED),
        ("2/image", Reason.EMPTY),
        ("4/image", Reason.MISSING),
        ("-1/image", Reason.MISSING),
        ("²/image", Reason.MISSING),
        ("x/image", Reason.MISSING),
        ("9" * 5000 + "/image", Reason.MISSING),
        ("3", Reason.MISSING),
        ("3/other", Reason.MISSING),
        ("3/kind", Reason.MISSING),
    ],
)
def test_what_is_no_picture_is_a_reason(name: str, reason: Reason, tmp_path: Path) -> None:
    image = structs(None, (None, "a.jpg"), (b"", "b.jpg"), (b"x", "c.jpg"))
    write(tmp_path / "t.parquet", image=image, kind=["a", "b", "c", "d"])
    with pytest.raises(Refused) as refused:
        read_picture(tmp_path, f"t.parquet/{name}")
    assert refused.value.reason is reason
    there = reason is not Reason.MISSING
    assert (stat_picture(tmp_path, f"t.parquet/{name}") != (-1, -1)) is there
    assert read_picture(tmp_path, "t.parquet/3/image").content == b"x"


def test_a_large_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extract.images.reading.MAX_FILE_BYTES", 10)
    write(tmp_path / "t.parquet", image=pa.array([b"x" * 11]))
    with pytest.raises(Refused, match="over 10"):
        read_picture(tmp_path, "t.parquet/0/image")


@pytest.mark.parametrize("cut", [0, 9, 100])
def test_a_file_that_is_cut_off_is_one_line(cut: int, tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", image=structs((b"x" * 500, "a.jpg")))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CatalogError, match="cannot be read as parquet"):
        list_images(path)
    with pytest.raises(Refused) as refused:
        read_picture(tmp_path, "t.parquet/0/image")
    assert refused.value.reason is Reason.CORRUPT


def test_damaged_pages_are_refused_and_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"image": pa.array([b"x" * 5000, b"y" * 5000])})
    pq.write_table(table, path, row_group_size=1, use_dictionary=False, compression="zstd")
    raw = bytearray(path.read_bytes())
    raw[20:40] = b"\xff" * 20
    path.write_bytes(raw)
    with pytest.raises(Refused) as refused:
        read_picture(tmp_path, "t.parquet/0/image")
    assert refused.value.reason is Reason.CORRUPT
    assert read_picture(tmp_path, "t.parquet/1/image").content == b"y" * 5000


def test_a_value_that_is_repeated_is_not_held_many_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pictures, "MOST_UNPACKED", 8000)
    write(tmp_path / "t.parquet", 100, image=pa.array([b"x" * 1000] * 50))
    read = []
    take = parquet_pictures.PictureColumn._rows_at_once
    monkeypatch.setattr(
        parquet_pictures.PictureColumn,
        "_rows_at_once",
        lambda self, group: read.append(take(self, group)) or read[-1],
    )
    assert len(read_picture(tmp_path, "t.parquet/49/image").content) == 1000
    assert len(read) == 1
    assert 1 <= read[0] < parquet_pictures.ROWS_AT_ONCE


def test_rows_of_a_dictionary_are_read_few_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_parquet, "BYTES_AT_ONCE", 100_000)
    monkeypatch.setattr(manifest_parquet, "MOST_BYTES", 200_000)
    text = pa.array(["x" * 10_000] * 100)
    path = write(tmp_path / "t.parquet", 100, image=["a.jpg"] * 100, text=text)
    with pytest.raises(CatalogError, match="leave out what is no text") as error:
        list_manifest(path, ManifestColumns())
    assert "unpacked" in str(error.value)
    group = pq.read_metadata(path).row_group(0)
    assert 5 <= manifest_parquet._rows_at_once(group, ["text"]) <= 10
    assert manifest_parquet._rows_at_once(group, ["image"]) > 100
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"text": text}), plain, use_dictionary=False)
    plain_group = pq.read_metadata(plain).row_group(0)
    assert manifest_parquet._rows_at_once(plain_group, ["text"]) == manifest_parquet.ROWS_AT_ONCE


def test_more_rows_than_a_file_can_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_parquet, "FEW_ROWS", 1000)
    path = write(tmp_path / "t.parquet", 50_000, image=pa.nulls(50_000, pa.binary()))
    with pytest.raises(CatalogError, match=r"50,000 rows in .* bytes, so that most are empty"):
        list_images(path)
    kept = write(tmp_path / "few.parquet", 50_000, image=pa.nulls(900, pa.binary()))
    assert len(list_images(kept)) == 900


def test_ids_are_paths_where_each_row_has_its_own(tmp_path: Path) -> None:
    own = write(tmp_path / "own.parquet", image=structs((b"x", "b.jpg"), (b"y", "a.jpg")))
    assert list_images(own).ids == ("a.jpg", "b.jpg")
    for name, values in (
        ("none", ((b"x", None), (b"y", None))),
        ("same", ((b"x", "a.jpg"), (b"y", "a.jpg"))),
        ("some", ((b"x", "a.jpg"), (b"y", ""))),
    ):
        listed = list_images(write(tmp_path / f"{name}.parquet", image=structs(*values)))
        assert listed.ids == (f"{name}.parquet/000000000/image", f"{name}.parquet/000000001/image")
        assert "ids are file and row" in " ".join(listed.notes)
    bare = list_images(write(tmp_path / "bare.parquet", image=pa.array([b"x"])))
    assert bare.ids == ("bare.parquet/000000000/image",)


def test_columns_that_hold_pictures_are_found_or_named(tmp_path: Path) -> None:
    two = write(tmp_path / "t.parquet", a=pa.array([b"x"]), b=structs((b"y", "y")), sku=["7"])
    with pytest.raises(UsageError, match="one column of pictures as bytes, and has a, b"):
        list_images(two)
    with pytest.raises(UsageError, match="and has none"):
        list_images(write(tmp_path / "none.parquet", a=["x"]))
    listed = list_manifest(two, ManifestColumns(image="a", id="sku"))
    assert (listed.ids, listed.paths) == (("7",), ("t.parquet/000000000/a",))
    assert dict(listed.columns) == {"b.path": ("y",)}
    with pytest.raises(CatalogError, match="what is no text"):
        list_manifest(two, ManifestColumns(image="a", id="sku", label="b"))


def test_paths_without_bytes_are_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    write(tmp_path / "t.parquet", image=structs((None, "a.jpg"), (None, "b.jpg")))
    listed = list_manifest(tmp_path / "t.parquet", ManifestColumns())
    assert listed.paths == ("a.jpg", "b.jpg")
    assert read_picture(listed.images_root, "a.jpg").content == b"x"


def test_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", image=pa.array([b"x"]))
    write(tmp_path / "1.parquet", image=pa.array([b"x"]), kind=["a"])
    with pytest.raises(CatalogError, match=r"other columns than 0\.parquet"):
        list_images(tmp_path / "*.parquet")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.parquet", image=pa.array([b"x"]))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(SosieError, match='extra "parquet"'):
        list_images(tmp_path / "t.parquet")


@pytest.mark.parametrize("about", [b"{", b"[]", b'{"info": {"features": {"label": 3}}}', b"\xff"])
def test_features_that_are_none_are_passed_over(about: bytes, tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([b"x"]), "label": [0]})
    table = table.replace_schema_metadata({b"huggingface": about})
    pq.write_table(table, tmp_path / "t.parquet")
    columns = ManifestColumns(label="label")
    assert list_images(tmp_path / "t.parquet", columns=columns).levels[0].values() == ("0",)
