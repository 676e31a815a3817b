"""A folder with metadata.csv: which rows, which ids, which labels, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from extract.catalog.catalog import list_folder
from extract.catalog.imagefolder import list_imagefolder
from extract.catalog.manifest import ManifestColumns
from extract.errors import CatalogError, NoPictures, UsageError
from extract.ids import bytes_of
from extract.refusals import Reason, Refused
from extract.sources.folder import locate_picture


def shop(folder: Path, tables: dict[str, str | bytes], *pictures: str) -> Path:
    for name in pictures:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    for name, text in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def columns(**named: str) -> ManifestColumns:
    return ManifestColumns(image="file_name", **named)


def test_without_metadata_it_is_the_folder_as_ever(tmp_path: Path) -> None:
    shop(tmp_path, {"notes.txt": "x"}, "cups/1.jpg", "rugs/a/2.jpg", ".hidden/3.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "cups")
    one, other = list_imagefolder(tmp_path), list_folder(tmp_path)
    assert (one.name, one.images_root, one.ids, one.paths, one.columns, one.notes) == (
        other.name,
        other.images_root,
        other.ids,
        other.paths,
        other.columns,
        other.notes,
    )
    assert [v.values() for v in one.levels] == [v.values() for v in other.levels]


def test_columns_are_held_by_row_and_folders_stay_labels(tmp_path: Path) -> None:
    table = "file_name,price,class\nrugs/2.jpg,7,x\ncups/1.jpg,NA,y\n"
    listed = list_imagefolder(shop(tmp_path, {"metadata.csv": table}, "cups/1.jpg", "rugs/2.jpg"))
    assert listed.ids == listed.paths == ("cups/1.jpg", "rugs/2.jpg")
    assert listed.columns == {"price": ("NA", "7"), "class": ("y", "x")}
    assert [level.values() for level in listed.levels] == [("cups", "rugs")]
    assert listed.notes == ()


def test_rows_are_the_pictures_found_and_those_named(tmp_path: Path) -> None:
    table = "file_name,brand\nb.jpg,B\ngone.jpg,G\nraw.data,R\n"
    shop(tmp_path, {"metadata.csv": table, "notes.txt": ""}, "a.jpg", "b.jpg", "c.png", "raw.data")
    listed = list_imagefolder(tmp_path)
    assert listed.ids == ("a.jpg", "b.jpg", "c.png", "gone.jpg", "raw.data")
    assert listed.columns == {"brand": ("", "B", "", "G", "R")}
    assert listed.notes == (
        "1 files without a picture's extension passed over",
        "2 pictures have no row in metadata.csv",
    )


def test_one_picture_without_a_row_is_one(tmp_path: Path) -> None:
    shop(tmp_path, {"metadata.csv": "file_name\na.jpg\n"}, "a.jpg", "b.jpg")
    assert list_imagefolder(tmp_path).notes == ("1 picture has no row in metadata.csv",)


def test_rows_alone_make_a_catalogue(tmp_path: Path) -> None:
    shop(tmp_path, {"metadata.csv": "file_name\na.jpg\n"})
    assert list_imagefolder(tmp_path).ids == ("a.jpg",)
    with pytest.raises(NoPictures, match="no picture in"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("where", "file_name", "row_id"),
    [
        ("", "./a.jpg", "a.jpg"),
        ("", "sub//a.jpg", "sub/a.jpg"),
        ("", "sub/./x/../a.jpg", "sub/a.jpg"),
        ("sub/", "a.jpg", "sub/a.jpg"),
        ("sub/", "../a.jpg", "a.jpg"),
        ("", "../a.jpg", "../a.jpg"),
        ("sub/", "../../a.jpg", "sub/../../a.jpg"),
        ("sub/", "/etc/a.jpg", "/etc/a.jpg"),
        ("", ".", "."),
        ("", " a.jpg", " a.jpg"),
        ("", "é\t.jpg", "é\t.jpg"),
    ],
)
def test_paths_are_relative_to_their_table_and_spelled_as_listed(
    tmp_path: Path, where: str, file_name: str, row_id: str
) -> None:
    table = f'file_name,n\n"{file_name}",1\n'
    shop(tmp_path, {f"{where}metadata.csv": table}, "a.jpg", "sub/a.jpg", "x/a.jpg")
    listed = list_imagefolder(tmp_path)
    assert listed.ids == tuple(sorted({"a.jpg", "sub/a.jpg", "x/a.jpg", row_id}, key=bytes_of))
    assert listed.columns["n"][listed.ids.index(row_id)] == "1"
    assert {c for level in listed.levels for c in level.categories} == {"sub", "x"}


@pytest.mark.parametrize("file_name", ["../out.jpg", "sub/../../out.jpg", "{}/out.jpg", "."])
def test_what_leaves_the_folder_is_a_row_that_the_run_refuses(
    tmp_path: Path, file_name: str
) -> None:
    (tmp_path / "out.jpg").write_bytes(b"secret")
    named = file_name.format(tmp_path)
    shop(tmp_path / "in", {"metadata.csv": f"file_name\n{named}\n"}, "sub/1.jpg")
    listed = list_imagefolder(tmp_path / "in")
    assert named in listed.paths
    with pytest.raises(Refused) as refused:
        locate_picture(listed.images_root, named)
    assert refused.value.reason is Reason.OUTSIDE_FOLDER


def test_tables_of_subfolders_are_united(tmp_path: Path) -> None:
    tables = {
        "metadata.csv": "file_name,brand\n1.jpg,A\n",
        "sub/metadata.csv": "price;file_name\n3;2.jpg\n",
        ".hidden/metadata.csv": "broken",
        "cache/metadata.csv": "file_name\n1.jpg\n",
    }
    shop(tmp_path, tables, "1.jpg", "sub/2.jpg", "cache/3.jpg")
    listed = list_imagefolder(tmp_path, leave_out=[tmp_path / "cache"])
    assert listed.ids == ("1.jpg", "sub/2.jpg")
    assert listed.columns == {"brand": ("A", ""), "price": ("", "3")}
    assert listed.notes == ()


def test_id_column_names_rows(tmp_path: Path) -> None:
    table = "file_name,sku,brand\na/1.jpg,z,A\nb/2.jpg,y,B\n"
    shop(tmp_path, {"metadata.csv": table}, "a/1.jpg", "b/2.jpg")
    listed = list_imagefolder(tmp_path, columns=columns(id="sku"))
    assert listed.ids == ("y", "z")
    assert listed.paths == ("b/2.jpg", "a/1.jpg")
    assert listed.columns == {"brand": ("B", "A")}
    assert listed.levels[0].values() == ("b", "a")


def test_label_column_takes_the_place_of_folders(tmp_path: Path) -> None:
    table = 'file_name,tree,brand\na/1.jpg,"[""Home >> Rugs""]",A\na/2.jpg,Wear,B\n'
    shop(tmp_path, {"metadata.csv": table}, "a/1.jpg", "a/2.jpg", "a/3.jpg")
    listed = list_imagefolder(tmp_path, columns=columns(label="tree", label_separator=" >> "))
    assert [level.name for level in listed.levels] == ["tree_1", "tree_2"]
    assert listed.levels[0].values() == ("Home", "Wear", None)
    assert listed.levels[1].values() == ("Home >> Rugs", None, None)
    assert listed.columns == {"brand": ("A", "B", "")}


def test_a_table_of_another_kind_is_passed_over_and_said(tmp_path: Path) -> None:
    tables: dict[str, str | bytes] = {
        "metadata.csv": "key,value\nowner,me\n",
        "sub/metadata.csv": "propriétaire\nmoi\n".encode("latin-1"),
    }
    listed = list_imagefolder(shop(tmp_path, tables, "1.jpg"))
    assert listed.ids == ("1.jpg",)
    assert listed.columns == {}
    assert listed.notes == (
        "metadata.csv has no column file_name: passed over",
        "sub/metadata.csv has no column file_name: passed over",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file_name,file_name\na,b\n", "'file_name' stands twice"),
        ("file_name,n\na.jpg\n", "metadata.csv, line 2: 1 cells where the header has 2"),
        ("file_name,n\n ,1\n", "metadata.csv, line 2: column 'file_name' is empty"),
        (
            "file_name\na.jpg\n./a.jpg\n",
            r"metadata.csv, line 3: './a.jpg' is named in .*metadata.csv, line 2 too",
        ),
        (b"file_name\n1\x00.jpg\n", "line 2: a NUL byte"),
        ("file_name\na.jpg\n".encode("utf-16") + b"x", "line 3: byte .* is no utf-16"),
        (b"file_name\na.jpg\n\x81.jpg\n", "line 3: byte 1 of it, 0x81, is no cp1252"),
        ("file_name\n", "no rows"),
        ('file_name\n"open\n', "line"),
        ("file_name," + ",".join(map(str, range(20_000))) + "\n", "20001 columns"),
        ('file_name,kind\na.jpg,"[""a"",""b""]"\n', "line 2: column 'kind' lists 2 values"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    shop(tmp_path, {"metadata.csv": text}, "a.jpg")
    named = columns(label="kind") if "kind" in str(text) else None
    with pytest.raises(CatalogError, match=said) as refused:
        list_imagefolder(tmp_path, columns=named)
    assert "\n" not in str(refused.value)


def test_a_picture_named_by_two_tables_is_refused_with_both_places(tmp_path: Path) -> None:
    tables = {
        "metadata.csv": "file_name\nsub/1.jpg\n",
        "sub/metadata.csv": "file_name\n2.jpg\n1.jpg\n",
    }
    with pytest.raises(
        CatalogError, match=r"sub/metadata.csv, line 3: .* in .*metadata.csv, line 2"
    ):
        list_imagefolder(shop(tmp_path, tables, "sub/1.jpg"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file_name,sku\na.jpg,1\n", "b.jpg has no row in metadata.csv.*'sku'.*--id-column"),
        ("file_name,sku\na.jpg,1\nb.jpg, \n", "metadata.csv, line 3: column 'sku' is empty"),
        ("file_name,sku\na.jpg,1\nb.jpg,1\n", "line 3: '1' in column 'sku' .*line 2 too"),
    ],
)
def test_every_picture_needs_an_id_of_its_own(tmp_path: Path, table: str, said: str) -> None:
    shop(tmp_path, {"metadata.csv": table}, "a.jpg", "b.jpg")
    with pytest.raises(CatalogError, match=said):
        list_imagefolder(tmp_path, columns=columns(id="sku"))


@pytest.mark.parametrize(
    "named", [{"id": "sku"}, {"label": "kind"}, {"label_separator": " >> "}], ids=str
)
@pytest.mark.parametrize("tables", [{}, {"metadata.csv": "sku,kind\n1,2\n"}], ids=["no", "other"])
def test_columns_without_a_table_name_both_ways(
    tmp_path: Path, named: dict[str, str], tables: dict[str, str | bytes]
) -> None:
    shop(tmp_path, tables, "a.jpg")
    with pytest.raises(UsageError, match=r"--manifest CSV.*metadata\.csv.*file_name"):
        list_imagefolder(tmp_path, columns=columns(**named))


def test_missing_columns_and_lone_separators_are_wrong_usage(tmp_path: Path) -> None:
    shop(tmp_path, {"metadata.csv": "file_name,sku\na.jpg,1\n"}, "a.jpg")
    with pytest.raises(UsageError, match=r"no column 'id' in .*file_name, sku.*--id-column"):
        list_imagefolder(tmp_path, columns=columns(id="id"))
    with pytest.raises(UsageError, match=r"no column 'kind' .*--label-column"):
        list_imagefolder(tmp_path, columns=columns(label="kind"))
    with pytest.raises(UsageError, match="--label-column"):
        list_imagefolder(tmp_path, columns=columns(label_separator=">>"))
    with pytest.raises(UsageError, match="does not exist"):
        list_imagefolder(tmp_path / "nowhere")


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    shop(tmp_path / "elsewhere", {"metadata.csv": "file_name,n\n1.jpg,1\n"})
    for sub, make in (("linked", os.symlink), ("pipe", None), ("folder", None)):
        shop(tmp_path / "in" / sub, {}, "1.jpg")
        place = tmp_path / "in" / sub / "metadata.csv"
        if make:
            make(tmp_path / "elsewhere" / "metadata.csv", place)
        elif sub == "pipe":
            os.mkfifo(place)
        else:
            place.mkdir()
    listed = list_imagefolder(tmp_path / "in")
    assert listed.columns == {}
    assert listed.notes == (
        "1 files without a picture's extension passed over",
        "1 links (give a linked folder with --images) passed over",
    )


def test_names_that_are_not_utf8_stand_beside_a_table(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff")))
    shop(folder, {"metadata.csv": "file_name,n\n1.jpg,1\n"}, "1.jpg", os.fsdecode(b"\xfe.jpg"))
    listed = list_imagefolder(tmp_path)
    assert [bytes_of(i) for i in listed.ids] == [b"\xff/1.jpg", b"\xff/\xfe.jpg"]
    assert listed.columns == {"n": ("1", "")}


def test_metadata_lists_several_labels_a_picture(tmp_path: Path) -> None:
    table = "file_name,kind\nb.jpg,red|round\n"
    shop(tmp_path, {"metadata.csv": table}, "a.jpg", "b.jpg")
    listed = list_imagefolder(tmp_path, columns=columns(label="kind", multi_label_separator="|"))
    assert listed.levels == ()
    assert listed.multi_labels[0].values() == ((), ("red", "round"))
    (tmp_path / "metadata.csv").unlink()
    with pytest.raises(UsageError, match="--label-column needs a table"):
        list_imagefolder(tmp_path, columns=columns(label="kind", multi_label_separator="|"))


def test_no_password_of_a_cell_is_kept(tmp_path: Path) -> None:
    table = "file_name,page,kind\na.jpg,https://me:s3cr3t@h/a,https://h/b?token=s3cr3t\n"
    shop(tmp_path, {"metadata.csv": table}, "a.jpg")
    listed = list_imagefolder(tmp_path, columns=ManifestColumns(image="file_name", label="kind"))
    assert listed.columns == {"page": ("https://h/a",)}
    assert [level.values() for level in listed.levels] == [("https://h/b",)]
