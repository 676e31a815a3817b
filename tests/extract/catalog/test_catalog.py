"""Which pictures are listed, in which order, with which labels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import draw_noise

from extract.catalog.catalog import Catalog, Level, list_folder
from extract.errors import CatalogError, UsageError
from extract.ids import bytes_of, shown, text_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_rows_are_sorted_by_the_bytes_of_their_path(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.jpg", "a-b/1.jpg", "a/1.jpg", "a/é.jpg", "a/Z.JPG", "10.png", "9.png")
    listed = list_folder(tmp_path)
    assert list(listed.ids) == sorted(listed.ids, key=bytes_of)
    assert len(listed) == 7


def test_subfolders_are_classes_and_nested_ones_levels(tmp_path: Path) -> None:
    touch(
        tmp_path, "home/rugs/1.jpg", "home/cups/1.jpg", "hats/1.jpg", "loose.jpg", "a/b/c/d/1.jpg"
    )
    listed = list_folder(tmp_path)
    by_id = {
        row_id: [level.values()[i] for level in listed.levels]
        for i, row_id in enumerate(listed.ids)
    }
    assert [level.name for level in listed.levels] == ["class", "class_2", "class_3"]
    assert by_id["home/rugs/1.jpg"] == ["home", "home/rugs", None]
    assert by_id["hats/1.jpg"] == ["hats", None, None]
    assert by_id["loose.jpg"] == [None, None, None]
    assert by_id["a/b/c/d/1.jpg"] == ["a", "a/b", "a/b/c"]


def test_flat_folder_has_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.webp")
    assert list_folder(tmp_path).levels == ()


def test_hidden_and_foreign_names_are_not_rows_and_that_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", ".2.jpg", ".git/3.jpg", "notes.txt", "4.TIFF", "5")
    listed = list_folder(tmp_path)
    assert listed.ids == ("1.jpg", "4.TIFF")
    assert listed.notes == ("2 files without a picture's extension passed over",)


def test_names_that_are_not_utf8_are_kept_exactly(tmp_path: Path) -> None:
    strange = [b"-dash.jpg", b"com,ma.jpg", b"new\nline.jpg", b"\xff\xfe.jpg"]
    for name in strange:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(b"x")
    listed = list_folder(tmp_path)
    assert [bytes_of(i) for i in listed.ids] == sorted(strange)
    assert all("\n" not in shown(i) for i in listed.ids)
    assert text_of(b"\xff") == "\udcff"


def test_left_out_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "cache/demo/2.jpg", "results/3.png", "sub/cache/4.jpg")
    listed = list_folder(tmp_path, leave_out=[tmp_path / "cache", tmp_path / "results"])
    assert listed.ids == ("1.jpg", "sub/cache/4.jpg")


def test_linked_folders_are_not_followed_and_that_is_said(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "2.jpg")
    touch(tmp_path / "shop", "1.jpg")
    (tmp_path / "shop" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "shop" / "loop").symlink_to(tmp_path / "shop")
    (tmp_path / "shop" / "itself").symlink_to("itself")
    (tmp_path / "shop" / "nowhere").symlink_to("nothing")
    listed = list_folder(tmp_path / "shop")
    assert listed.ids == ("1.jpg",)
    assert listed.notes == ("4 links (give a linked folder with --images) passed over",)


def test_fingerprint_depends_on_ids_alone(tmp_path: Path) -> None:
    draw_noise(tmp_path / "one" / "a" / "1.png", 1)
    draw_noise(tmp_path / "two" / "a" / "1.png", 2)
    draw_noise(tmp_path / "three" / "b" / "1.png", 1)
    one, two, three = (list_folder(tmp_path / n).ids_sha256 for n in ("one", "two", "three"))
    assert one == two != three


def test_missing_folder_and_folder_without_pictures_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist.*--images"):
        list_folder(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match=r"no picture in"):
        list_folder(tmp_path)


def test_catalog_refuses_rows_that_do_not_agree(tmp_path: Path) -> None:
    level = Level.from_values("class", ["x"])
    with pytest.raises(ValueError, match="sorted"):
        Catalog("c", tmp_path, ("b", "a"), ("b", "a"))
    with pytest.raises(ValueError, match="sorted"):
        Catalog("c", tmp_path, ("a", "a"), ("a", "a"))
    with pytest.raises(ValueError, match="at least one"):
        Catalog("c", tmp_path, (), ())
    with pytest.raises(ValueError, match="level class must hold 2 rows, got 1"):
        Catalog("c", tmp_path, ("a", "b"), ("a", "b"), (level,))


def test_level_codes_and_values_are_inverse() -> None:
    values = ["b", None, "a", "b"]
    level = Level.from_values("class", values)
    assert level.categories == ("a", "b")
    assert list(level.values()) == values
    assert level.take(np.array([3, 1])).values() == ("b", None)
    with pytest.raises(ValueError, match="codes"):
        Level("class", ("a",), np.array([1], dtype=np.int32))


def test_deep_folders_are_listed(tmp_path: Path) -> None:
    top = folder = tmp_path / "top"
    folder.mkdir()
    for _ in range(1_200):
        folder = folder / "d"
        folder.mkdir()
    (folder / "1.jpg").touch()
    try:
        assert len(list_folder(top)) == 1
    finally:
        while folder != top:  # shutil.rmtree would meet the recursion limit
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            folder = folder.parent
