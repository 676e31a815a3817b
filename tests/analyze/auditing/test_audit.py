"""What is planted in a small catalogue is found, with its evidence, and nothing else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
from small_catalogs import draw, shirt_of_gray

from analyze import audit
from analyze.auditing.audit import Audit, audit_catalog
from analyze.auditing.checks import CHECKS
from analyze.auditing.checks_of_copies import find_placeholders
from analyze.auditing.copy_groups import CopyGroup
from analyze.auditing.findings import REASONS, Reason
from analyze.auditing.nearest import Nearest, find_nearest
from analyze.neighbors.indexes.exact_search import ExactIndex
from analyze.pictures.picture_folder import PictureFolder
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

KINDS = ("Mugs", "Vases", "Watches")
N_EACH = 4
SIGN = 4


def watermarked(picture: Image.Image) -> Image.Image:
    page = Image.new("RGBA", picture.size)
    font = ImageFont.load_default(picture.width / 9)
    middle = (picture.width / 2, picture.height / 2)
    ink = (255, 255, 255, 110)
    ImageDraw.Draw(page).text(middle, "SAMPLE SHOP", ink, font, anchor="mm")
    return Image.alpha_composite(picture.convert("RGBA"), page).convert("RGB")


def changed(first: Image.Image, second: Image.Image, third: Image.Image) -> dict[str, Image.Image]:
    """Make copies of the first and spoiled versions of the second and the third."""
    wide, high = first.size
    return {
        "Mugs/0-mirrored": ImageOps.mirror(first),
        "Mugs/0-cut": first.crop((round(wide * 0.07), round(high * 0.06), wide, high)),
        "Mugs/0-framed": ImageOps.expand(first, 30, (255, 255, 255)),
        "Mugs/0-marked": watermarked(first),
        "Mugs/0-small": first.resize((150, 150)),
        "Vases/blurred": second.filter(ImageFilter.GaussianBlur(4)),
        "Vases/dark": ImageEnhance.Brightness(third).enhance(0.2),
        "Vases/blank": Image.new("RGB", (300, 300), (251, 251, 251)),
        "Vases/tiny": second.resize((60, 60)),
        "Vases/long": Image.new("RGB", (400, 110), "white"),
    }


def sign() -> Image.Image:
    page = Image.new("RGB", (300, 300), (235, 235, 235))
    ImageDraw.Draw(page).rectangle((90, 70, 210, 160), outline=(120, 120, 120), width=4)
    font = ImageFont.load_default(26)
    ImageDraw.Draw(page).text((150, 200), "no image", (90, 90, 90), font, anchor="mm")
    return page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spoiled")
    for kind in KINDS:
        for i in range(N_EACH):
            draw(root / kind / f"{i}.png", kind, i)
    opened = [Image.open(root / name).convert("RGB") for name in ("Mugs/0.png", "Vases/0.png")]
    for name, picture in changed(opened[0], opened[1], opened[1]).items():
        picture.save(root / f"{name}.png")
    art = ImageDraw.Draw(long := Image.new("RGB", (400, 110), "white"))
    art.rectangle((20, 30, 380, 80), fill=(60, 90, 160))
    long.save(root / "Vases/long.png")
    opened[0].save(root / "Mugs/0-again.jpg", quality=70)
    for level in (40, 150):
        (root / "Watches").mkdir(exist_ok=True)
        shirt_of_gray(level).save(root / "Watches" / f"shirt-{level}.png")
    for i in range(SIGN):
        sign().save(root / KINDS[i % 3] / f"sign-{i}.jpg", quality=70 + i)
    return root


@pytest.fixture(scope="module")
def shop(folder: Path) -> EmbeddingSet:
    """Vectors as a backbone gives them: a direction a class and a product, and a little noise."""
    rng = np.random.default_rng(0)
    ids = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    products: dict[str, np.ndarray] = {}
    rows = []
    for row_id in ids:
        kind, _, name = row_id.partition("/")
        number = name.partition(".")[0].partition("-")[0]
        product = number if number in ("shirt", "sign") else f"{kind}{number}"
        if product not in products:
            products[product] = rng.normal(size=32)
            if number not in ("shirt", "sign"):
                products[product][KINDS.index(kind)] += 9
        rows.append(products[product] + 0.25 * rng.normal(size=32))
    return EmbeddingSet.from_arrays(rows, ids, [row_id.partition("/")[0] for row_id in ids])


@pytest.fixture(scope="module")
def found(shop: EmbeddingSet, folder: Path) -> Audit:
    return audit_catalog(shop, shop.levels[0], PictureFolder(shop, folder))


def ids_of(found: Audit, check: str) -> set[str]:
    return {each.id for each in found.findings(check)}


def test_copies_are_found_however_they_were_made_and_the_first_is_kept(found: Audit) -> None:
    copies = {each.id: each for each in found.findings("copy")}
    how = {
        "Mugs/0-again.jpg": "saved again",
        "Mugs/0-small.png": "saved again",
        "Mugs/0-mirrored.png": "mirrored",
        "Mugs/0-cut.png": "cut",
        "Mugs/0-framed.png": "framed",
        "Mugs/0-marked.png": "marked",
    }
    ((kept,),) = {
        each.evidence for row_id, each in copies.items() if row_id in {*how, "Mugs/0.png"}
    }
    assert kept in ("Mugs/0.png", "Mugs/0-mirrored.png")
    assert copies.keys() - {"Vases/tiny.png"} == (how.keys() | {"Mugs/0.png"}) - {kept}
    for row_id in how.keys() - {kept, "Mugs/0-mirrored.png"}:
        words = (how[row_id], "mirrored") if "mirrored" in kept else (how[row_id],)
        assert copies[row_id].reason.startswith(words), copies[row_id].reason


def test_another_lightness_is_a_variant_and_never_a_copy(found: Audit) -> None:
    shirts = {"Watches/shirt-40.png", "Watches/shirt-150.png"}
    assert shirts <= ids_of(found, "variant")
    assert not shirts & ids_of(found, "copy")


@pytest.mark.parametrize("kind", ["blurred", "dark", "blank", "tiny", "odd_aspect"])
def test_spoiled_picture_is_found_and_no_other(found: Audit, kind: str) -> None:
    name = "long" if kind == "odd_aspect" else kind
    assert ids_of(found, kind) - {"Vases/tiny.png"} == {f"Vases/{name}.png"} - {"Vases/tiny.png"}
    assert kind != "tiny" or "Vases/tiny.png" in ids_of(found, kind)


def test_picture_that_products_of_several_classes_share_is_a_placeholder(found: Audit) -> None:
    signs = {f"{KINDS[i % 3]}/sign-{i}.jpg" for i in range(SIGN)}
    assert ids_of(found, "placeholder") == signs
    assert not signs & ids_of(found, "copy")


def test_blank_picture_that_products_share_is_no_placeholder(found: Audit) -> None:
    (blank,) = np.flatnonzero(found.measured.pictures.blank)  # type: ignore[union-attr]
    rows = (blank, *(found.measured.embeddings.ids.index(f"{k}/1.png") for k in KINDS))
    shared = CopyGroup(rows, blank, Reason.of("first"), {}, {})
    measured = replace(found.measured, copies=(shared,))
    listed = find_placeholders(measured)
    assert blank not in listed.rows
    assert set(rows[1:]) <= set(listed.rows.tolist())


@pytest.fixture(scope="module")
def plain() -> EmbeddingSet:
    """Vectors of three classes, without pictures."""
    rng = np.random.default_rng(1)
    labels = [kind for kind in KINDS for _ in range(14)]
    rows = rng.normal(size=(len(labels), 16))
    rows[np.arange(len(labels)), [KINDS.index(label) for label in labels]] += 6
    ids = [f"{label}/{i % 14}" for i, label in enumerate(labels)]
    return EmbeddingSet.from_arrays(rows, ids, labels)


def test_swapped_label_is_the_first_and_its_own_is_suggested(plain: EmbeddingSet) -> None:
    assert not audit(plain).findings("label_error")
    values = list(plain.levels[0].values())
    values[plain.ids.index("Mugs/5")] = "Watches"
    swapped = replace(plain, levels=(Level.from_values("label", values),))
    (first,) = audit(swapped).findings("label_error")
    assert (first.id, first.label, first.suggested_label) == ("Mugs/5", "Watches", "Mugs")
    assert all(other.startswith("Mugs") for other in first.evidence)


def test_picture_far_from_all_is_an_outlier(plain: EmbeddingSet) -> None:
    vectors = plain.vectors.copy()
    vectors[plain.ids.index("Vases/3")] = np.linspace(-9, 9, vectors.shape[1])
    found = audit(replace(plain, vectors=vectors))
    assert found.findings("outlier")[0].id == "Vases/3"
    assert found.findings("outlier_in_class")[0].id == "Vases/3"


def test_label_spelled_otherwise_is_to_become_the_frequent_one(plain: EmbeddingSet) -> None:
    values = ["vases " if row_id == "Vases/2" else v for row_id, v in _labelled(plain)]
    found = audit(replace(plain, levels=(Level.from_values("label", values),)))
    (only,) = found.findings("label_spelling")
    assert (only.id, only.suggested_label) == ("Vases/2", "Vases")


def _labelled(shop: EmbeddingSet) -> list[tuple[str, str | None]]:
    return list(zip(shop.ids, shop.levels[0].values(), strict=True))


def test_another_threshold_computes_nothing_again(
    found: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyze.auditing.audit.measure_catalog", None)
    lower = found.at(blurred=0.0)
    assert lower.measured is found.measured
    assert len(ids_of(lower, "blurred")) > len(ids_of(found, "blurred"))
    with pytest.raises(UsageError, match="check"):
        found.at(blured=1.0)


def test_without_pictures_copies_are_found_by_vectors(shop: EmbeddingSet) -> None:
    found = audit(shop)
    assert {"Mugs/0-again.jpg", "Mugs/0-small.png"} <= ids_of(found, "copy") | {
        each.evidence[0] for each in found.findings("copy")
    }
    assert "blurred" not in found.scored
    with pytest.raises(UsageError, match="pictures"):
        found.at(blurred=1.0)
    assert any("--images" in note for note in found.notes)


def test_result_has_a_frame_a_page_of_thumbnails_and_sheets(found: Audit, tmp_path: Path) -> None:
    frame = found.to_frame()
    assert list(frame.columns[:4]) == ["id", "finding", "score", "evidence"]
    assert len(frame) == len(found.findings()) == len(found.to_json()["findings"])
    page = found._repr_html_()
    assert page.count("<img") >= 10
    assert "data:image/jpeg" in page
    found.save(tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} >= {
        "audit.csv",
        "decisions.csv",
        "sheet-copy.png",
        "sheet-blurred.png",
    }


def test_each_reason_can_be_written_again_from_its_key_and_values(found: Audit) -> None:
    header, *rows = found.tables()["audit"]
    columns = [header.index(name) for name in ("reason", "reason_key", "reason_values")]
    assert len(rows) > 20
    for row in rows:
        text, key, values = (row[column] for column in columns)
        assert str(read_reason({"key": key, "values": json.loads(values)})) == text
    assert {each["reason_key"] for each in found.to_json()["findings"]} <= REASONS.keys()


def read_reason(spelled: Any) -> Any:
    """Read what a reason's JSON spells, as a translation of it does."""
    if isinstance(spelled, list):
        return tuple(map(read_reason, spelled))
    if not isinstance(spelled, dict):
        return spelled
    return Reason(spelled["key"], {k: read_reason(v) for k, v in spelled["values"].items()})


def test_text_fits_a_terminal_and_says_what_to_type_next(found: Audit) -> None:
    lines = found.text().splitlines()
    assert max(map(len, lines)) < 80
    for name, scored in found.scored.items():
        listed = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        assert listed == ([str(len(scored))] if len(scored) else []), name
    assert "sheet-*.png" in found.text()
    assert "--apply results/latest/decisions.csv" in found.text()
    assert audit([[1.0, 0.0]]).text().startswith("1 picture, no labels\n")


def test_every_check_is_named_once() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_order_of_rows_changes_no_score(plain: EmbeddingSet) -> None:
    order = list(range(len(plain)))
    random.Random(0).shuffle(order)
    straight, turned = audit(plain), audit(plain.take(np.array(order)))
    scores = [
        dict(
            zip(found.scored["outlier"].rows.tolist(), found.scored["outlier"].scores, strict=True)
        )
        for found in (straight, turned)
    ]
    for row, before in enumerate(order):
        assert scores[1][row] == pytest.approx(scores[0][before], abs=1e-5)


def test_vectors_that_are_all_alike_give_no_copies_and_a_note() -> None:
    rows = np.ones((40, 8)) + 0.01 * np.random.default_rng(0).normal(size=(40, 8))
    found = audit(rows)
    assert not found.findings("copy")
    assert any("too alike" in note for note in found.notes)


def test_labels_that_vectors_do_not_show_are_noted() -> None:
    rng = np.random.default_rng(0)
    found = audit(rng.normal(size=(60, 8)), ["ab"[i % 2] for i in range(60)])
    assert any("at odds" in note for note in found.notes)


def test_index_of_all_rows_gives_the_neighbors_of_exact_search() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    by_bytes = np.arange(60)
    for copy, first in ((7, 3), (20, 3), (41, 40)):
        vectors[copy], by_bytes[copy] = vectors[first], first
    straight = find_nearest(vectors, by_bytes)
    by_index = find_nearest(vectors, by_bytes, ExactIndex(vectors))
    assert (straight.rows[:, :20] == by_index.rows[:, :20]).all()
    assert not np.isin(straight.rows, [7, 20, 41]).any()
    assert (straight.rows[7] == straight.rows[3]).all()


def test_pairs_are_listed_once_from_a_cosine_on() -> None:
    rows, cosines = np.array([[1], [0], [3], [-1]]), np.array([[0.5], [0.5], [0.75], [np.nan]])
    nearest = Nearest(rows, cosines)
    assert nearest.pairs(0.5) == [(2, 3, 0.75), (0, 1, 0.5)]
    assert nearest.pairs(np.nextafter(0.5, 1)) == [(2, 3, 0.75)]


@pytest.mark.parametrize("most", [20_000, 0])  # with near copies by vectors, and without
def test_pictures_of_a_mislabelled_product_do_not_confirm_each_other(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyze.auditing.measurements.MOST_BY_VECTORS", most)
    rng = np.random.default_rng(0)
    wrong, kinds = range(4), [("cup", "hat")[product % 2] for product in range(60)]
    center = {"cup": rng.normal(size=64), "hat": rng.normal(size=64)}
    looks = [center[kind] + 1.2 * rng.normal(size=64) for kind in kinds]
    labels = [{"cup": "hat", "hat": "cup"}[k] if p in wrong else k for p, k in enumerate(kinds)]
    alone = EmbeddingSet.from_arrays(
        np.repeat(looks, 5, axis=0) + 0.45 * rng.normal(size=(300, 64)), labels=np.repeat(labels, 5)
    )
    products = tuple(str(row // 5) for row in range(300))
    found = audit(replace(alone, columns={"sku": products}, group_column="sku"))
    product_of = dict(zip(alone.ids, products, strict=True))
    errors = found.findings("label_error")
    assert {product_of[each.id] for each in errors} == set(map(str, wrong))
    for each in errors:
        assert product_of[each.id] not in {product_of[other] for other in each.evidence}


def test_labels_are_not_judged_where_each_class_is_one_product(plain: EmbeddingSet) -> None:
    kinds = tuple(value or "" for value in plain.levels[0].values())
    found = audit(replace(plain, columns={"sku": kinds}, group_column="sku"))
    assert any("has one sku for each class: labels were not" in note for note in found.notes)
    assert not found.findings("label_error")
