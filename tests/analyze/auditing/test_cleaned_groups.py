"""What stays together in every split stays so in a cleaned manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analyze.auditing.cleaned import MANIFEST, Cleaned, apply_decisions
from extract.catalog.catalog import Catalog, Level
from extract.catalog.manifest import ManifestColumns, TableOptions, list_manifest
from extract.catalog.manifest_pictures import Pictures
from extract.storage.embeddings_file import read_embeddings
from extract.storage.labels_file import labels_path, write_labels
from extract.tables import write_tables


def listed_again(cleaned: Cleaned, folder: Path) -> Catalog:
    """Write the manifest, and list it by the options that are printed with it."""
    options = dict(zip(*[iter(cleaned.options())] * 2, strict=True))
    write_tables(folder, {"cleaned.csv": cleaned.tables()[MANIFEST]})
    named = [options.get(f"--{name}-column") for name in ("image", "id", "label")]
    columns = ManifestColumns(*named, group=options["--group-column"])  # type: ignore[arg-type]
    return list_manifest(folder / "cleaned.csv", columns, images_dir=options["--images-dir"])


def groups_of(catalog: Catalog) -> list[str]:
    assert catalog.group_column is not None
    return list(catalog.columns[catalog.group_column])


def test_group_column_of_a_stored_catalogue_stays(own_shop: Path) -> None:
    (path,) = (own_shop / "cache/embeddings/photos").glob("efficientnet_lite0-????????.h5")
    vectors = read_embeddings(path)
    products = tuple(f"p{row // 2}" for row in range(len(vectors)))
    listed = Catalog("photos", own_shop / "photos", vectors.ids, vectors.ids)
    columns = {"kind": products[::-1], "sku": products}
    write_labels(labels_path(path), replace(listed, columns=columns, group_column="sku"))
    (own_shop / "none.csv").write_text("decision,id,finding,evidence,key\n,,,,\n")
    cleaned = apply_decisions(path, own_shop / "none.csv", vectors, own_shop)
    assert "--group-column sku" in cleaned.text()
    again = listed_again(replace_root(cleaned, own_shop / "photos"), own_shop)
    assert groups_of(again) == list(products)


def replace_root(cleaned: Cleaned, root: Path) -> Cleaned:
    return replace(cleaned, catalog=replace(cleaned.catalog, images_root=root))


@pytest.mark.parametrize("named", [None, "sku", "id", "image"])
def test_product_of_several_pictures_a_row_stays(tmp_path: Path, named: str | None) -> None:
    images = "picture" if named == "image" else "image"
    header = [*([named] if named else []), images]
    rows = [["1", "a.jpg;b.jpg"], ["2", "c.jpg;d.jpg"]]
    lines = [",".join(row[-len(header) :]) for row in [header, *rows]]
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    several = TableOptions(pictures=Pictures(separator=";"))
    columns = ManifestColumns(images, named)
    before = list_manifest(tmp_path / "shop.csv", columns, options=several)
    again = listed_again(Cleaned(before, None, ()), tmp_path)
    assert again.ids == before.ids
    assert groups_of(again) == groups_of(before)
    assert len(set(groups_of(again))) == 2


def test_label_that_is_the_group_column_too_stays_both(tmp_path: Path) -> None:
    kinds = ("cup", "hat")
    level = Level.from_values("kind", kinds)
    one = Catalog("shop", tmp_path, kinds, kinds, (level,), {"kind": kinds}, group_column="kind")
    again = listed_again(Cleaned(one, None, ()), tmp_path)
    assert groups_of(again) == list(again.levels[0].values()) == list(kinds)
