"""Archives give the catalogue of the folder that was packed, and the same file."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_catalogs import draw_noise

from extract.backbones.registry import Backbone
from extract.catalog.archived.images_listing import list_images
from extract.catalog.catalog import Catalog, list_folder
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.errors import CatalogError, UsageError
from extract.pipeline.extraction import Report, extract_embeddings
from extract.pipeline.options import Options
from extract.sources.places import stat_picture
from extract.storage.embeddings_file import read_embeddings

REFERENCE = Options(batch_size=4, runtime="eager", decoder="reference", dtype="fp32", workers=2)


def pictures_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in list_folder(folder).ids}


def pack_tar(place: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(place, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def pack_zip(place: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)


def pack_parquet(place: Path, files: dict[str, bytes | None], rows_a_group: int = 5) -> None:
    """Pack as Hugging Face's datasets does: a struct, class numbers, and their names aside."""
    kinds = sorted({name.split("/")[0] for name in files})
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": content, "path": name} for name, content in files.items()],
                pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            ),
            "label": [kinds.index(name.split("/")[0]) for name in files],
        }
    )
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": kinds}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(about), place, row_group_size=rows_a_group)


def as_zip(place: Path, files: dict[str, bytes]) -> Path:
    pack_zip(place / "shop.zip", dict(reversed(files.items())))  # in any order
    return place / "shop.zip"


def as_named_folder(place: Path, files: dict[str, bytes]) -> Path:
    pack_tar(place / "shop.tar", {f"shop/{name}": files[name] for name in files})
    return place / "shop.tar"


def as_shards(place: Path, files: dict[str, bytes]) -> Path:
    for shard in range(3):
        pack_tar(place / f"{shard:03}.tar", dict(list(files.items())[shard::3]))
    return place / "{000..002}.tar"


def as_folder_of_shards(place: Path, files: dict[str, bytes]) -> Path:
    as_shards(place, files)
    return place


def as_parquet(place: Path, files: dict[str, bytes]) -> Path:
    pack_parquet(place / "shop.parquet", dict(files))
    return place / "shop.parquet"


def as_parquets(place: Path, files: dict[str, bytes]) -> Path:
    for shard in range(2):  # out of order within, and across row groups
        pack_parquet(place / f"{shard}.parquet", dict(list(files.items())[shard::2][::-1]), 3)
    return place / "*.parquet"


PACKED = [as_zip, as_named_folder, as_shards, as_folder_of_shards, as_parquet, as_parquets]


def embed(catalog: Catalog, backbone: Backbone, path: Path, **more: object) -> Report:
    options = Options(**{**vars(REFERENCE), **more})
    return extract_embeddings(catalog, backbone, path, options=options)


@pytest.mark.parametrize("pack", PACKED)
def test_the_file_is_that_of_the_folder_bit_for_bit(
    pack: Callable[[Path, dict[str, bytes]], Path],
    pictures: Path,
    backbone: Backbone,
    tmp_path: Path,
) -> None:
    (pictures / "cups" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    (pictures / "hats" / "copy.png").write_bytes((pictures / "cups" / "3.png").read_bytes())
    (tmp_path / "packed").mkdir()
    folder = list_folder(pictures)
    archived = list_images(pack(tmp_path / "packed", pictures_of(pictures)))
    assert archived.ids == folder.ids
    assert [level.values() for level in archived.levels] == [folder.levels[0].values()]
    reports = [
        embed(catalog, backbone, tmp_path / name)
        for name, catalog in (("folder.h5", folder), ("archive.h5", archived))
    ]
    one, other = (read_embeddings(tmp_path / name) for name in ("folder.h5", "archive.h5"))
    assert one.ids == other.ids
    assert np.array_equal(one.vectors, other.vectors)
    assert np.array_equal(one.content_sha256, other.content_sha256)
    assert reports[0].refused == reports[1].refused == {"unidentified": 1}
    again = embed(archived, backbone, tmp_path / "archive.h5")
    assert (again.embedded, again.reused) == (0, 22)


@pytest.mark.parametrize("pack", [as_zip, as_parquet])
def test_a_grown_archive_has_only_what_is_new_computed(
    pack: Callable[[Path, dict[str, bytes]], Path],
    pictures: Path,
    backbone: Backbone,
    tmp_path: Path,
) -> None:
    files = pictures_of(pictures)
    place = pack(tmp_path, files)
    embed(list_images(place), backbone, tmp_path / "x.h5")
    before = read_embeddings(tmp_path / "x.h5")
    changed, moved, gone = files["cups/0.png"], files.pop("hats/1.png"), files.pop("rugs/2.png")
    files |= {"cups/0.png": gone + b"changed", "hats/moved.png": moved}
    draw_noise(pictures / "new.png", 77)
    files["rugs/new.png"] = (pictures / "new.png").read_bytes()
    place.unlink()
    pack(tmp_path, dict(sorted(files.items())))
    os.utime(place, ns=(7, 7))
    report = embed(list_images(place), backbone, tmp_path / "x.h5")
    assert (report.embedded, report.reused) == (2, 19)  # changed and new
    after = read_embeddings(tmp_path / "x.h5")
    assert changed
    rows = after.ids.index("hats/moved.png"), before.ids.index("hats/1.png")
    assert np.array_equal(after.vectors[rows[0]], before.vectors[rows[1]])


@pytest.mark.parametrize("pack", [as_zip, as_parquet])
def test_an_archive_that_was_replaced_under_its_date_is_computed(
    pack: Callable[[Path, dict[str, bytes]], Path],
    pictures: Path,
    backbone: Backbone,
    tmp_path: Path,
) -> None:
    first, *others = sorted(pictures_of(pictures).values(), key=len)
    for content in (first, next(each for each in others if len(each) == len(first))):
        place = pack(tmp_path, {"cups/0.png": content})
        os.utime(place, (10**9, 10**9))
        report = embed(list_images(place), backbone, tmp_path / "x.h5")
        assert (report.embedded, report.reused) == (1, 0)


def test_five_processes_read_one_archive(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    files = pictures_of(pictures)
    embed(list_folder(pictures), backbone, tmp_path / "folder.h5")
    for pack in (as_zip, as_parquet):
        place = pack(tmp_path, files)
        embed(list_images(place), backbone, tmp_path / f"{place.name}.h5", workers=5)
        one, other = (read_embeddings(tmp_path / f"{n}.h5") for n in ("folder", place.name))
        assert np.array_equal(one.vectors, other.vectors)


def test_a_zip_has_the_metadata_of_its_folder(pictures: Path, tmp_path: Path) -> None:
    rows = [f"{name},{name[0]},k{i}" for i, name in enumerate(pictures_of(pictures))]
    (pictures / "metadata.csv").write_text("\n".join(["file_name,kind,sku", *rows, "no.jpg,x,z"]))
    place = tmp_path / "shop.zip"
    shutil.make_archive(str(place.with_suffix("")), "zip", pictures)
    columns = ManifestColumns(label="kind", id="sku")
    one, other = (list_images(where, columns=columns) for where in (pictures, place))
    assert one.ids == other.ids
    assert other.paths == tuple(f"shop.zip/{path}" for path in one.paths)
    assert one.levels[0].values() == other.levels[0].values()


def test_a_table_in_archives_may_name_files_that_are_passed_over(tmp_path: Path) -> None:
    table = b"file_name,kind\ncups/0.jfifx,a\ncups/1.jpg,b\n"
    files = {"shop/metadata.csv": table, "shop/cups/0.jfifx": b"x", "shop/cups/1.jpg": b"y"}
    pack_zip(tmp_path / "shop.zip", files)
    pack_tar(tmp_path / "0.tar", {"metadata.csv": table, "cups/1.jpg": b"y"})
    pack_tar(tmp_path / "1.tar", {"cups/0.jfifx": b"x"})
    for given in ("shop.zip", "{0..1}.tar"):
        listed = list_images(tmp_path / given, columns=ManifestColumns(label="kind"))
        assert listed.ids == ("cups/0.jfifx", "cups/1.jpg")
        assert [stat_picture(listed.images_root, path)[0] for path in listed.paths] == [1, 1]


def test_files_next_to_pictures_of_shards_are_columns(tmp_path: Path) -> None:
    pack_tar(
        tmp_path / "shop.tar",
        {
            "in/0001.jpg": b"x",
            "in/0001.cls": b"3\n",
            "in/0001.json": b'{"brand": "B", "price": 7, "txt": "https://me:s3cr3t@h/j", "a": {}}',
            "in/0002.left.png": b"x",
            "in/0002.right.png": b"x",
            "in/0002.txt": "a rüg".encode(),
            "in/0003.cls": b"of no picture",
            "in/0003.npy": b"other",
        },
    )
    listed = list_images(tmp_path / "shop.tar", columns=ManifestColumns(label="cls"))
    assert listed.ids == ("in/0001.jpg", "in/0002.left.png", "in/0002.right.png")
    assert listed.levels[0].values() == ("3", None, None)
    assert listed.columns["txt"] == ("", "a rüg", "a rüg")
    assert listed.columns["brand"][0] == "B"
    assert listed.columns["price"][0] == "7"
    assert listed.columns["json.txt"][0] == "https://h/j"
    assert any("give the columns" in note for note in listed.notes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0.json", b"[1]"),
        ("0.json", b'{"a": '),
        ("0.txt", b"\xff\xfe"),
        ("0.json", b"{" * 70_000),
        ("0.txt", b"nul\0"),
    ],
)
def test_a_sample_that_cannot_be_read_is_one_line(
    name: str, content: bytes, tmp_path: Path
) -> None:
    pack_tar(tmp_path / "shop.tar", {"0.jpg": b"x", name: content})
    with pytest.raises(CatalogError, match=name):
        list_images(tmp_path / "shop.tar")


def test_two_shards_with_one_name_are_refused(tmp_path: Path) -> None:
    for shard in ("a", "b"):
        pack_tar(tmp_path / f"{shard}.tar", {"0.jpg": b"x"})
    with pytest.raises(CatalogError, match=r"0\.jpg is in a\.tar and in b\.tar"):
        list_images(tmp_path)


def test_archives_among_pictures_are_passed_over(pictures: Path) -> None:
    pack_tar(pictures / "more.tar", {"0.jpg": b"x"})
    listed = list_images(pictures)
    assert len(listed) == 21
    assert listed.notes == ("1 archives (give them with --images FILE) passed over",)


@pytest.mark.parametrize("pack", [as_zip, as_shards])
def test_a_table_of_pictures_in_archives(
    pack: Callable[[Path, dict[str, bytes]], Path], pictures: Path, tmp_path: Path
) -> None:
    place = pack(tmp_path, pictures_of(pictures))
    (tmp_path / "t.csv").write_text("image,kind\ncups/0.png,a\n./hats/2.png,b\nnone.png,b\n")
    listed = list_manifest(tmp_path / "t.csv", ManifestColumns(label="kind"), images_dir=place)
    sizes = [stat_picture(listed.images_root, path)[0] for path in listed.paths]
    expected = [(pictures / name).stat().st_size for name in ("hats/2.png", "cups/0.png")]
    assert sizes == [*expected, -1]


def test_pictures_in_a_table_need_no_folder(tmp_path: Path) -> None:
    pack_parquet(tmp_path / "t.parquet", {"a/0.jpg": b"x", "b/0.jpg": b"y"})
    columns = ManifestColumns(image="image", label="label")
    assert list_manifest(tmp_path / "t.parquet", columns).levels[0].values() == ("a", "b")
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="parquet itself"):
        list_manifest(tmp_path / "t.parquet", columns, images_dir=tmp_path / "other")
