"""A CSV manifest as a catalogue, and what is said of one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.catalog.catalog import Catalog
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.errors import CatalogError, UsageError

TREE = """uniq_id,product_name,product_category_tree,brand,image
u2,"Mug, blue","[""Kitchen >> Cups >> Mugs >> Blue""]",NA,b.jpg
u1,Rug,"[""Home >> Rugs""]",None,a.jpg
u3,Hat,"[""Wear""]",,c.jpg
"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "products.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_tree_of_categories_gives_levels_as_full_paths(tmp_path: Path) -> None:
    columns = ManifestColumns(label="product_category_tree", label_separator=" >> ")
    listed = list_manifest(write(tmp_path, TREE), columns)
    assert listed.ids == listed.paths == ("a.jpg", "b.jpg", "c.jpg")
    assert [level.name for level in listed.levels] == [
        f"product_category_tree_{i}" for i in (1, 2, 3)
    ]
    assert listed.levels[0].values() == ("Home", "Kitchen", "Wear")
    assert listed.levels[1].values() == ("Home >> Rugs", "Kitchen >> Cups", None)
    assert listed.levels[2].values() == (None, "Kitchen >> Cups >> Mugs", None)
    assert listed.name == "products"


def test_other_columns_are_kept_by_row_as_they_stand(tmp_path: Path) -> None:
    columns = ManifestColumns(label="product_category_tree", label_separator=" >> ")
    listed = list_manifest(write(tmp_path, TREE), columns)
    assert listed.columns == {
        "uniq_id": ("u1", "u2", "u3"),
        "product_name": ("Rug", "Mug, blue", "Hat"),
        "brand": ("None", "NA", ""),
    }


def test_id_column_names_rows_and_pictures_may_repeat(tmp_path: Path) -> None:
    path = write(tmp_path, "sku,image\nz,1.jpg\na,1.jpg\n")
    listed = list_manifest(path, ManifestColumns(id="sku"))
    assert listed.ids == ("a", "z")
    assert listed.paths == ("1.jpg", "1.jpg")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_byte_order_mark_are_understood(tmp_path: Path, delimiter: str) -> None:
    rows = [["image", "kind"], ["1.jpg", "cup"], ["2.jpg", ""]]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    listed = list_manifest(write(tmp_path, text), ManifestColumns(label="kind"))
    assert listed.levels[0].values() == ("cup", None)


def test_bracketed_cell_with_bare_quotes_is_still_one_label(tmp_path: Path) -> None:
    path = write(tmp_path, 'image;kind\n1.jpg;"[""Screens >> 15"" wide""]"\n')
    listed = list_manifest(path, ManifestColumns(label="kind", label_separator=" >> "))
    assert listed.levels[1].values() == ('Screens >> 15" wide',)


@pytest.mark.parametrize(
    ("cell", "separator", "levels"),
    [
        ("Clothes - T-shirts", " - ", ["Clothes", "Clothes - T-shirts"]),
        ("Audio/Video / Cables", " / ", ["Audio/Video", "Audio/Video / Cables"]),
        ("a>>b", ">>", ["a", "a>>b"]),
        ("a >> ", " >> ", ["a"]),
        ("a >>  >> c", " >> ", ["a"]),
        (" >> b", " >> ", []),
        ("[Sale] Mugs [new]", " >> ", ["[Sale] Mugs [new]"]),
    ],
)
def test_separator_is_taken_as_typed(
    tmp_path: Path, cell: str, separator: str, levels: list[str]
) -> None:
    path = write(tmp_path, f"image,kind\n1.jpg,{cell}\n2.jpg,other\n")
    listed = list_manifest(path, ManifestColumns(label="kind", label_separator=separator))
    assert [v.values()[0] for v in listed.levels if v.values()[0] is not None] == levels


def test_empty_separator_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--label-separator"):
        list_manifest(write(tmp_path, TREE), ManifestColumns(label="brand", label_separator=""))


def test_line_ends_of_every_kind_are_read(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        path = write(tmp_path, f"image,kind{end}1.jpg,cup{end}")
        assert list_manifest(path, ManifestColumns(label="kind")).ids == ("1.jpg",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,image\n1.jpg,2.jpg\n", "'image' stands twice"),
        ("image\n1.jpg\n1.jpg\n", r"line 3: '1.jpg' .* line 2 too; .*--id-column"),
        ("image,kind\n1.jpg\n", "line 2: 1 cells where the header has 2"),
        ("image,kind\n,cup\n", "line 2: column 'image' is empty"),
        (b"image\n1\x00.jpg\n", "line 2: a NUL byte"),
        (b"image\n1.jpg\nab\x81.jpg\n", "line 3: byte 3 of it, 0x81, is no cp1252"),
        ("image\né.jpg\n".encode() + b"\xe9.jpg\n", "line 3: byte 1 of it, 0xe9, is no utf-8"),
        (b"image\n\x01\xe9.jpg\n", "line 2: a control character, 0x01"),
        ("image, image\n1.jpg,2.jpg\n", "'image' stands twice"),
        ("", "is empty"),
        ("image" + "," * 6_000_000 + "\n1.jpg\n", "line 1: 6,000,006 characters"),
        ("image,b\n1.jpg" + "," * 6_000_000, "line 2: 6,000,005 characters"),
        ("image\n", "no rows"),
        ('image,kind\n1.jpg,"open\n', "line"),
        ("image," + "x" * 200_000 + "\n1.jpg,2\n", "line"),
        ('image,kind\n1.jpg,"[""\\ud800""]"\n', "line 2: column 'kind' holds what is no text"),
        ('image,kind\n1.jpg,"[""\\u0000""]"\n', "line 2: column 'kind' holds what is no text"),
        ('image,kind\n1.jpg,"[""a"",""b""]"\n', "line 2: column 'kind' lists 2 values"),
    ],
)
def test_what_cannot_be_read_is_named_by_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    label = "kind" if "kind" in str(text) else None
    with pytest.raises(CatalogError, match=said):
        list_manifest(write(tmp_path, text), ManifestColumns(label=label))


def test_missing_column_lists_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "picture,kind\n1.jpg,cup\n")
    with pytest.raises(UsageError, match=r"no column 'image'.*picture, kind.*--image-column"):
        list_manifest(path, ManifestColumns())
    with pytest.raises(UsageError, match=r"no column 'sort'.*--label-column"):
        list_manifest(path, ManifestColumns(image="picture", label="sort"))
    with pytest.raises(UsageError, match="--images-dir"):
        list_manifest(path, ManifestColumns(image="picture"), images_dir=tmp_path / "no")
    with pytest.raises(UsageError, match="--manifest"):
        list_manifest(tmp_path / "no.csv", ManifestColumns())


SEVERAL = """image,kind,brand
c.jpg,red|round,C
a.jpg,round| red |round,A
b.jpg,,B
d.jpg,"[""red"", ""blue|flat""]",D
e.jpg, | ,E
"""


def several(tmp_path: Path, text: str, separator: str = "|") -> Catalog:
    columns = ManifestColumns(label="kind", multi_label_separator=separator)
    return list_manifest(write(tmp_path, text), columns)


def test_several_labels_of_a_picture_are_told_apart(tmp_path: Path) -> None:
    listed = several(tmp_path, SEVERAL)
    assert listed.levels == ()
    (kinds,) = listed.multi_labels
    assert (kinds.name, kinds.separator) == ("kind", "|")
    assert kinds.categories == ("blue", "flat", "red", "round")
    assert kinds.values() == (
        ("red", "round"),
        (),
        ("red", "round"),
        ("blue", "flat", "red"),
        (),
    )
    assert kinds.texts() == ("red|round", None, "red|round", "blue|flat|red", None)
    assert listed.columns == {"brand": ("A", "B", "C", "D", "E")}


@pytest.mark.parametrize(
    ("separator", "cell", "labels"),
    [
        (",", "a b, c", ("a b", "c")),
        (";", "[Sale] mugs; new", ("[Sale] mugs", "new")),
        (" | ", "a|b | c", ("a|b", "c")),
        ("|", "['a']", ("a",)),
        ("|", "a >> b|c", ("a >> b", "c")),
    ],
)
def test_separator_of_several_labels_is_taken_as_typed(
    tmp_path: Path, separator: str, cell: str, labels: tuple[str, ...]
) -> None:
    text = f'image\tkind\n1.jpg\t"{cell}"\n'
    assert several(tmp_path, text, separator).multi_labels[0].value(0) == labels


def test_several_paths_of_a_tree_give_a_column_a_level(tmp_path: Path) -> None:
    """What two pictures share above stands once in each; a path that ends early has no more."""
    cells = ["wear > shoes > boots|home", "", "wear > shoes | wear > hats|home > mugs", "|"]
    path = write(
        tmp_path, "\n".join(["image,kind", *(f"{i}.jpg,{c}" for i, c in enumerate(cells))])
    )
    columns = ManifestColumns(label="kind", label_separator=" > ", multi_label_separator="|")
    listed = list_manifest(path, columns)
    assert listed.levels == ()
    assert {each.name: each.values() for each in listed.multi_labels} == {
        "kind_1": (("home", "wear"), (), ("home", "wear"), ()),
        "kind_2": (("wear > shoes",), (), ("home > mugs", "wear > hats", "wear > shoes"), ()),
        "kind_3": (("wear > shoes > boots",), (), (), ()),
    }
    assert {each.separator for each in listed.multi_labels} == {"|"}
    none = write(tmp_path, "image,kind\n1.jpg,\n2.jpg,|\n")
    assert list_manifest(none, columns).multi_labels == ()


def test_column_without_any_label_is_no_column_of_labels(tmp_path: Path) -> None:
    assert several(tmp_path, "image,kind\n1.jpg,\n2.jpg,|\n").multi_labels == ()


def test_list_of_several_names_the_option_that_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path, 'image,kind\n1.jpg,"[""a"",""b""]"\n')
    with pytest.raises(CatalogError, match=r"lists 2 values; .*--multi-label-separator '\|'"):
        list_manifest(path, ManifestColumns(label="kind"))
    with pytest.raises(CatalogError, match="holds what is no text"):
        several(tmp_path, 'image,kind\n1.jpg,"[""a"",7]"\n')


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (ManifestColumns(multi_label_separator="|"), "name it with --label-column"),
        (ManifestColumns(label="brand", multi_label_separator=""), "is empty"),
        (
            ManifestColumns(label="brand", label_separator="||", multi_label_separator="|"),
            "neither may hold the other",
        ),
    ],
)
def test_separator_of_several_labels_needs_a_column_of_its_own(
    tmp_path: Path, columns: ManifestColumns, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        list_manifest(write(tmp_path, TREE), columns)


def test_no_password_of_a_label_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,kind\na.jpg,https://me:s3cr3t@h/b\n")
    listed = list_manifest(table, ManifestColumns(label="kind"))
    assert [level.values() for level in listed.levels] == [("https://h/b",)]
