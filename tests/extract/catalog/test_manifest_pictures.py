"""Several pictures of a product: which rows they become, and that they stay together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extract.catalog.catalog import Catalog
from extract.catalog.manifest import ManifestColumns, TableOptions, list_manifest
from extract.catalog.manifest_pictures import Pictures
from extract.errors import CatalogError, UsageError

HALF, NUL = (f'"[""{escaped}.jpg""]"' for escaped in (r"\ud800", r"a\u0000b"))
LISTS = """sku,image,kind
p2,c.jpg; a.jpg ;c.jpg,cup
p1,b.jpg,hat
p3,a.jpg,cup
"""


def listed(tmp_path: Path, text: str, pictures: Pictures, **columns: Any) -> Catalog:
    (tmp_path / "t.csv").write_text(text)
    named = ManifestColumns(**{"label": "kind", **columns})
    return list_manifest(tmp_path / "t.csv", named, options=TableOptions(pictures=pictures))


def test_each_picture_is_a_row_that_names_its_product(tmp_path: Path) -> None:
    found = listed(tmp_path, LISTS, Pictures(separator=";"), id="sku")
    assert found.ids == ("p1/b.jpg", "p2/a.jpg", "p2/c.jpg", "p3/a.jpg")
    assert found.paths == ("b.jpg", "a.jpg", "c.jpg", "a.jpg")
    assert found.group_column == "sku"
    assert found.columns["sku"] == ("p1", "p2", "p2", "p3")
    assert found.levels[0].values() == ("hat", "cup", "cup", "cup")
    assert "4 pictures of 3 rows" in found.notes[0]
    assert "1 pictures that their row lists twice" in found.notes[1]


def test_an_id_stays_when_a_picture_is_added_before_it(tmp_path: Path) -> None:
    before = listed(tmp_path, LISTS, Pictures(separator=";"), id="sku")
    grown = listed(
        tmp_path, LISTS.replace(",c.jpg", ",0.jpg;c.jpg"), Pictures("each", ";"), id="sku"
    )
    assert set(grown.ids) - set(before.ids) == {"p2/0.jpg"}
    assert (
        dict(zip(before.ids, before.paths, strict=True)).items()
        <= dict(zip(grown.ids, grown.paths, strict=True)).items()
    )


def test_the_first_picture_of_each_product(tmp_path: Path) -> None:
    found = listed(tmp_path, LISTS, Pictures("first", ";"), id="sku")
    assert (found.ids, found.paths) == (("p1", "p2", "p3"), ("b.jpg", "c.jpg", "a.jpg"))
    assert found.group_column is None


def test_products_to_average_number_their_pictures_as_the_table_lists_them(tmp_path: Path) -> None:
    each = listed(tmp_path, LISTS, Pictures("each", ";"), id="sku")
    found = listed(tmp_path, LISTS, Pictures("mean", ";"), id="sku")
    assert (found.ids, found.paths) == (each.ids, each.paths)  # of p2 a.jpg is before c.jpg
    assert (found.group_column, found.position_column) == ("sku", "picture_number")
    assert found.columns == {**each.columns, "picture_number": ("1", "2", "1", "1")}
    assert "4 pictures of 3 rows, which are a product each: the mean" in found.notes[0]


def test_products_to_average_may_have_a_row_for_each_picture(tmp_path: Path) -> None:
    text = "image,sku,kind,picture_number\nb.jpg,x,cup,9\nc.jpg,y,hat,9\na.jpg,x,cup,9\n"
    found = listed(tmp_path, text, Pictures("mean"), group="sku")
    assert found.paths == ("a.jpg", "b.jpg", "c.jpg")
    assert found.position_column == "picture_number_id"
    assert found.columns["picture_number_id"] == ("2", "1", "1")
    assert found.columns["picture_number"] == ("9", "9", "9")
    with pytest.raises(CatalogError, match=r"line 3: column 'sku' is empty"):
        listed(tmp_path, text.replace("y,hat", ",hat"), Pictures("mean"), group="sku")
    wrong = text.replace("a.jpg,x,cup", "a.jpg,x,hat")
    with pytest.raises(CatalogError, match="'x' have different labels in 'kind', 'hat' and 'cup'"):
        listed(tmp_path, wrong, Pictures("mean"), group="sku")
    with pytest.raises(CatalogError, match=r"'kind', 'hat' and 'cup'.*--pictures each"):
        listed(tmp_path, wrong, Pictures("mean"), group="sku", multi_label_separator="|")


def test_several_columns_and_json_lists_are_pictures_of_a_product(tmp_path: Path) -> None:
    text = 'front,back,kind\na.jpg,,cup\n"[""b.jpg"", ""c.jpg""]",d.jpg,hat\n'
    found = listed(tmp_path, text, Pictures(more=("back",)), image="front")
    assert found.ids == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert found.columns == {"product": ("a.jpg", *["b.jpg"] * 3)}
    assert found.group_column == "product"


def test_a_group_is_a_column_of_any_table(tmp_path: Path) -> None:
    text = "image,kind\na.jpg,cup\nb.jpg,cup\nc.jpg,hat\n"
    found = listed(tmp_path, text, Pictures(), group="kind")
    assert (found.group_column, found.columns) == ("kind", {"kind": ("cup", "cup", "hat")})
    with pytest.raises(UsageError, match=r"no column 'x'.*--group-column"):
        listed(tmp_path, text, Pictures(), group="x")


@pytest.mark.parametrize(
    ("text", "named", "line"),
    [
        ("sku,image,kind\n,a.jpg,c\n", {"id": "sku"}, "line 2: column 'sku' is empty"),
        ("sku,image,kind\n1, ;,c\n", {}, "line 2: column 'image' is empty"),
        ("image,kind\na;b,c\nb,c\n", {}, "'b' in column 'image' stands on line . too; name a"),
        ("image,kind\n[1],c\n", {}, "column 'image' lists what is no text"),
        (f"image,kind\n{HALF},c\n", {}, "t.csv, line 2: column 'image' lists what is no text"),
        (f"image,kind\n{NUL},c\n", {}, "t.csv, line 2: column 'image' lists what is no text"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    text: str, named: dict[str, Any], line: str, tmp_path: Path
) -> None:
    pictures = Pictures("each", None if "[" in text else ";")
    with pytest.raises(CatalogError, match=line):
        listed(tmp_path, text, pictures, **named)


def test_a_list_names_files_that_are_no_utf8_as_python_does(tmp_path: Path) -> None:
    cell = '"[""caf\\udce9.jpg""]"'
    found = listed(tmp_path, f"image,kind\n{cell},c\n", Pictures("each"))
    assert found.paths == ("caf\udce9.jpg",)


def test_a_product_without_a_picture_stays_a_row(tmp_path: Path) -> None:
    found = listed(tmp_path, "sku,image,kind\n1,,c\n2,a.jpg,c\n", Pictures("each"), id="sku")
    assert (found.ids, found.paths) == (("1", "2/a.jpg"), ("", "a.jpg"))


def test_modes_are_named() -> None:
    with pytest.raises(UsageError, match="no --pictures 'all': give one of each, first, mean"):
        Pictures("all")
    with pytest.raises(UsageError, match="--picture-separator is empty"):
        Pictures(separator="")


def test_pictures_of_a_product_are_on_one_side_of_every_split() -> None:
    from analyze.head.tasks.pictures import usable_pictures
    from analyze.measures.alignment import groups_of_copies
    from analyze.pictures.near_duplicates import find_copies, join_copies
    from extract.storage.embeddings import EmbeddingSet, Provenance

    rng = np.random.default_rng(0)
    products = tuple(str(number) for number in rng.integers(0, 20, 60))
    vectors = EmbeddingSet(
        tuple(f"{i:02}" for i in range(60)),
        rng.normal(size=(60, 30)).astype(np.float32),
        Provenance({}, ()),
        columns={"sku": products},
        content_sha256=rng.integers(0, 256, (60, 32), dtype=np.uint8),
        group_column="sku",
    )
    assert vectors.content_sha256 is not None
    vectors.content_sha256[1] = vectors.content_sha256[0]  # a copy of another product's picture
    _, kept = usable_pictures(vectors, None, np.ones(60, bool))
    copies = find_copies(vectors.vectors, vectors.content_sha256, vectors.groups)
    same = np.equal.outer(products, products)
    for groups in (kept.groups, groups_of_copies([vectors, vectors]), join_copies([copies]).groups):
        together = np.equal.outer(groups, groups)
        assert (together | ~same).all()
        assert together[0, 1]
        assert len(np.unique(groups)) == len(set(products)) - (products[0] != products[1])
