"""Look-ups: equal to a plain loop with folding, copies under one hit, only the right pictures."""

from __future__ import annotations

import csv
import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_catalogs import draw_noise, shirt_of_gray, tiny_backbone

from analyze.neighbors.indexes.index_cache import OpenedIndex
from analyze.neighbors.query import Query, query_by_id, query_by_picture
from analyze.neighbors.similar import Answer, Hit, find_similar, name_column
from analyze.neighbors.similar_result import SimilarProducts
from analyze.pictures.duplicates import Fingerprint, fingerprint, near_equal
from analyze.pictures.picture_folder import PictureFolder
from extract.catalog.catalog import list_folder
from extract.catalog.demo import draw_picture
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.workspace import Workspace

pytestmark = pytest.mark.slow

KINDS = ("Mugs", "Vases", "Watches")
Embed = Callable[..., EmbeddingSet]


def embedded(folder: Path, **record: object) -> EmbeddingSet:
    """Embed a folder with the tiny backbone, without a file."""
    backbone, catalog = tiny_backbone(), list_folder(folder)
    pictures = [Image.open(folder / path).convert("RGB") for path in catalog.paths]
    contents = [(folder / path).read_bytes() for path in catalog.paths]
    hashes = b"".join(hashlib.sha256(content).digest() for content in contents)
    return EmbeddingSet(
        catalog.ids,
        backbone.embed_pictures(pictures),
        Provenance(backbone.identity, (), record),
        catalog.levels,
        content_sha256=np.frombuffer(hashes, np.uint8).reshape(-1, 32),
    )


def save_again(picture: Path, to: Path, side: int = 320, quality: int = 70) -> None:
    with Image.open(picture) as opened:
        opened.convert("RGB").resize((side, side)).save(to, quality=quality)


@pytest.fixture(scope="module")
def drawn_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine products; of the first mug and vase also equal files and saved copies."""
    folder = tmp_path_factory.mktemp("shop")
    for kind in KINDS:
        (folder / kind).mkdir()
        for i in range(3):
            draw_picture(kind, random.Random(i)).save(folder / kind / f"{i}.png")
    for kind in KINDS[:2]:
        first = folder / kind / "0.png"
        shutil.copy(first, folder / kind / "0-same.png")
        shutil.copy(first, folder / kind / "0-too.png")
        save_again(first, folder / kind / "0-saved.jpg")
        shutil.copy(folder / kind / "0-saved.jpg", folder / kind / "0-saved-same.jpg")
        save_again(first, folder / kind / "0-small.jpg", side=160)
    return folder


@pytest.fixture
def shop(drawn_shop: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn_shop, tmp_path / "workspace" / "shop"))


@pytest.fixture(scope="module")
def products(drawn_shop: Path) -> EmbeddingSet:
    return embedded(drawn_shop)


@pytest.fixture(scope="module")
def prints(products: EmbeddingSet, drawn_shop: Path) -> list[Fingerprint]:
    return [fingerprint(Image.open(drawn_shop / i).convert("RGB")) for i in products.ids]


def by_id(embeddings: EmbeddingSet, row_id: str) -> Query:
    found = query_by_id(embeddings, row_id)
    assert found is not None
    return found


def ids_of(embeddings: EmbeddingSet, rows: tuple[int, ...]) -> list[str]:
    return sorted(embeddings.ids[row] for row in rows)


def asked(
    embeddings: EmbeddingSet, query: Query, folder: Path | None, top: int = 10
) -> dict[str, Hit]:
    """Give the hits by id, in their order."""
    (answer,) = find_similar(embeddings, [query], PictureFolder(embeddings, folder), top=top)
    return {embeddings.ids[hit.row]: hit for hit in answer.hits}


def assert_no_copy_twice(answer: Answer) -> None:
    rows = [r for hit in answer.hits for r in (hit.row, *hit.equal_bytes, *hit.near_equal)]
    rows += answer.left_out
    assert len(rows) == len(set(rows))
    assert answer.query.row not in rows


# what is left out


def test_by_id_itself_and_equal_files_are_left_out_and_said(
    products: EmbeddingSet, shop: Path
) -> None:
    (answer,) = find_similar(
        products, [by_id(products, "Mugs/0-same.png")], PictureFolder(products, shop), top=99
    )
    assert ids_of(products, answer.left_out) == ["Mugs/0-too.png", "Mugs/0.png"]
    said = answer.to_json(products, None)
    assert sorted(said["copies"]) == ["Mugs/0-too.png", "Mugs/0.png"]
    assert said["by"] == "id"
    gone = {"Mugs/0-same.png", "Mugs/0-too.png", "Mugs/0.png"}
    for hit in said["hits"]:
        assert not gone & {hit["id"], *hit["copies"]}
    assert_no_copy_twice(answer)


def test_by_picture_nothing_is_left_out_and_the_same_picture_is_first(
    products: EmbeddingSet, shop: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.png"
    for row_id in ("Mugs/0-too.png", "Vases/2.png", "Watches/1.png"):
        shutil.copy(shop / row_id, elsewhere)
        query = query_by_picture(elsewhere, tiny_backbone())
        (answer,) = find_similar(products, [query], PictureFolder(products, shop), top=99)
        first, others = answer.hits[0], answer.hits[1:]
        assert row_id in ids_of(products, (first.row, *first.equal_bytes))
        assert first.similarity == pytest.approx(1, abs=1e-6)
        assert first.copy_of_query
        assert not any(hit.copy_of_query for hit in others)
        assert answer.left_out == ()
        assert answer.to_json(products, None)["by"] == "picture"
        n_rows = sum(1 + len(h.equal_bytes) + len(h.near_equal) for h in answer.hits)
        assert n_rows == len(products)


def test_equal_bytes_make_a_copy_of_the_query_where_no_picture_can_be_opened(
    products: EmbeddingSet, shop: Path
) -> None:
    query = query_by_picture(shop / "Mugs/0.png", tiny_backbone())
    hits = list(asked(products, query, None).values())
    assert [hit.copy_of_query for hit in hits] == [True] + [False] * (len(hits) - 1)


# folding


def test_equal_files_fold_under_one_hit_and_are_listed(products: EmbeddingSet) -> None:
    hits = asked(products, by_id(products, "Watches/0.png"), None, top=99)
    for kind in KINDS[:2]:
        first = hits[f"{kind}/0-same.png"]
        assert ids_of(products, first.equal_bytes) == [f"{kind}/0-too.png", f"{kind}/0.png"]
        assert not {f"{kind}/0-too.png", f"{kind}/0.png"} & hits.keys()


def test_saved_copies_fold_where_pictures_can_be_opened(products: EmbeddingSet, shop: Path) -> None:
    hits = asked(products, by_id(products, "Watches/0.png"), shop, top=99)
    assert len(hits) == 8, "nine products, one of them the query"
    for kind in KINDS[:2]:
        (hit,) = (hit for row_id, hit in hits.items() if row_id.startswith(f"{kind}/0"))
        rows = (hit.row, *hit.equal_bytes, *hit.near_equal)
        names = "0-same.png 0-saved-same.jpg 0-saved.jpg 0-small.jpg 0-too.png 0.png"
        assert ids_of(products, rows) == [f"{kind}/{name}" for name in names.split()]
        groups = {products.content_sha256[row].tobytes() for row in (hit.row, *hit.equal_bytes)}
        assert len(groups) == 1
        assert not groups & {products.content_sha256[row].tobytes() for row in hit.near_equal}


def test_saved_copies_stand_alone_where_pictures_cannot_be_opened(
    products: EmbeddingSet,
) -> None:
    hits = asked(products, by_id(products, "Watches/0.png"), None, top=99)
    assert len(hits) == 8 + 2 * 2, "of each, the saved one and the small one are hits too"
    assert not any(hit.near_equal for hit in hits.values())
    saved = hits["Mugs/0-saved-same.jpg"]
    assert ids_of(products, saved.equal_bytes) == ["Mugs/0-saved.jpg"]


def test_without_hashes_equal_files_fold_by_what_they_show(
    products: EmbeddingSet, shop: Path
) -> None:
    unknown = replace(products, content_sha256=None)
    assert len(asked(unknown, by_id(unknown, "Watches/0.png"), shop, top=99)) == 8
    assert len(asked(unknown, by_id(unknown, "Watches/0.png"), None, top=99)) == 18


def test_saved_copies_of_the_product_asked_about_are_one_hit_that_says_so(
    products: EmbeddingSet, shop: Path
) -> None:
    hits = asked(products, by_id(products, "Mugs/0.png"), shop, top=99)
    (copy,) = (hit for hit in hits.values() if hit.copy_of_query)
    rows = ids_of(products, (copy.row, *copy.equal_bytes, *copy.near_equal))
    assert rows == ["Mugs/0-saved-same.jpg", "Mugs/0-saved.jpg", "Mugs/0-small.jpg"]
    assert not any(
        h.copy_of_query for h in asked(products, by_id(products, "Mugs/1.png"), shop).values()
    )


def test_equal_bytes_fold_also_where_only_one_of_them_can_be_opened(
    products: EmbeddingSet, shop: Path
) -> None:
    # one of each group of equal files, so that whichever is the hit, one of its copies is gone
    gone = {"Mugs/0-saved.jpg", "Mugs/0-too.png"}
    for row_id in gone:
        (shop / row_id).unlink()
    hits = asked(products, by_id(products, "Watches/0.png"), shop, top=99)
    assert len(hits) == 8
    assert not gone & hits.keys()


def folded_by_loop(
    embeddings: EmbeddingSet, row: int, prints: list[Fingerprint], top: int
) -> list[tuple[int, list[int], list[int]]]:
    """Fold by comparing every pair: rows best first, each with all its copies that are left."""
    vectors = embeddings.vectors.astype(float)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    hashes = [h.tobytes() for h in embeddings.content_sha256]
    n = range(len(embeddings))
    taken = {i for i in n if hashes[i] == hashes[row]}
    hits = []
    # equal files have equal vectors: rounded, so that the lower row comes first
    for i in sorted(n, key=lambda i: (-round(cosines[row, i], 12), i)):
        if i in taken or len(hits) == top:
            continue
        equal = [j for j in n if j != i and j not in taken and hashes[j] == hashes[i]]
        near = [
            j
            for j in n
            if j not in taken
            and hashes[j] != hashes[i]
            and near_equal(prints[i], prints[j], cosines[i, j])
        ]
        taken |= {i, *equal, *near}
        hits.append((i, equal, sorted(near)))
    return hits


@pytest.mark.parametrize("top", [3, 99])
def test_every_row_is_answered_as_by_a_plain_loop(
    products: EmbeddingSet, prints: list[Fingerprint], shop: Path, top: int
) -> None:
    queries = [by_id(products, row_id) for row_id in products.ids]
    answers = find_similar(products, queries, PictureFolder(products, shop), top=top)
    for row, answer in enumerate(answers):
        found = [(h.row, list(h.equal_bytes), sorted(h.near_equal)) for h in answer.hits]
        assert found == folded_by_loop(products, row, prints, top), products.ids[row]
        similarities = [hit.similarity for hit in answer.hits]
        assert similarities == sorted(similarities, reverse=True)
        assert_no_copy_twice(answer)


@pytest.mark.parametrize("n_copies", [30, 90])
def test_more_equal_files_than_hits_asked_for_are_one_hit(
    embeddings_of: Embed, n_copies: int
) -> None:
    rng = np.random.default_rng(0)
    query, others = rng.normal(size=16), rng.normal(size=(8, 16))
    vectors = np.stack([query, *[query + 0.01] * n_copies, *others])
    hashes = rng.integers(1, 256, (len(vectors), 32), dtype=np.uint8)
    hashes[1 : n_copies + 1] = hashes[1]
    products = embeddings_of(vectors, content_sha256=hashes)
    for top, n_hits in ((1, 1), (5, 5), (9, 9), (10, 9), (500, 9)):
        (answer,) = find_similar(
            products, [by_id(products, "0000.png")], PictureFolder(products, None), top=top
        )
        assert len(answer.hits) == n_hits
        assert answer.hits[0].row == 1
        assert answer.hits[0].equal_bytes == tuple(range(2, n_copies + 1))
        assert_no_copy_twice(answer)


def test_more_saved_copies_than_are_looked_at_at_once_are_one_hit(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for kind in KINDS[1:]:
        (folder / kind).mkdir(parents=True)
        for i in range(3):
            draw_picture(kind, random.Random(i)).save(folder / kind / f"{i}.png")
    for quality in range(50, 95):
        save_again(folder / "Vases/1.png", folder / f"Vases/1-{quality}.jpg", quality=quality)
    products = embedded(folder)
    hits = asked(products, by_id(products, "Watches/0.png"), folder, top=5)
    assert len(hits) == 5
    (vase,) = (hit for row_id, hit in hits.items() if row_id.startswith("Vases/1"))
    assert len(vase.near_equal) == 45


def test_top_counts_hits_and_not_copies(products: EmbeddingSet, shop: Path) -> None:
    query = by_id(products, "Watches/0.png")
    everything = list(asked(products, query, shop, top=99).items())
    for top in range(1, 10):
        hits = list(asked(products, query, shop, top=top).items())
        assert hits == everything[:top]


@pytest.mark.parametrize("top", [0, -3])
def test_fewer_than_one_hit_is_refused(products: EmbeddingSet, top: int) -> None:
    with pytest.raises(UsageError, match=f"--top {top}: give 1 or more"):
        asked(products, by_id(products, "Mugs/0.png"), None, top=top)


def test_one_product_alone_has_nothing_similar(embeddings_of: Embed) -> None:
    alone = embeddings_of(np.ones((1, 4)))
    assert asked(alone, by_id(alone, "0000.png"), None) == {}


def test_rows_of_zeros_are_no_hits(embeddings_of: Embed) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    vectors[[0, 5]] = 0
    products = embeddings_of(vectors)
    hits = asked(products, by_id(products, "0001.png"), None, top=99)
    assert len(hits) == 6
    assert not {"0000.png", "0005.png"} & hits.keys()


def test_the_order_of_queries_does_not_matter(products: EmbeddingSet, shop: Path) -> None:
    queries = [by_id(products, i) for i in ("Mugs/0.png", "Vases/0.png", "Mugs/2.png")]
    forth, back = (
        find_similar(products, order, PictureFolder(products, shop), top=4)
        for order in (queries, queries[::-1])
    )
    assert [a.hits for a in forth] == [a.hits for a in back[::-1]]


# variants


@pytest.fixture(scope="module")
def shirts(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddingSet, Path]:
    """One shirt in four lightnesses, the black one saved again, and three vases."""
    folder = tmp_path_factory.mktemp("shirts")
    for level in (25, 70, 130, 185):
        shirt_of_gray(level).save(folder / f"{level}.png")
    save_again(folder / "25.png", folder / "25-saved.jpg", side=200)
    for i in range(3):
        draw_picture("Vases", random.Random(i)).save(folder / f"vase-{i}.png")
    return embedded(folder), folder


def test_one_shape_in_another_lightness_is_a_hit_of_its_own_and_said_to_be_a_variant(
    shirts: tuple[EmbeddingSet, Path],
) -> None:
    products, folder = shirts
    hits = asked(products, by_id(products, "25.png"), folder, top=99)
    variants = {"70.png", "130.png", "185.png"}
    assert {i for i, hit in hits.items() if hit.copy_of_query} == {"25-saved.jpg"}
    assert {i for i, hit in hits.items() if hit.variant_of_query} == variants
    assert len(hits) == 7
    assert not any(hit.equal_bytes or hit.near_equal for hit in hits.values())
    query = query_by_picture(folder / "70.png", tiny_backbone())
    by_picture = asked(products, query, folder, top=99)
    assert {i for i, hit in by_picture.items() if hit.copy_of_query} == {"70.png"}
    assert len(by_picture) == 7, "the saved shirt folds under the one that it is a copy of"
    told = {i for i, hit in by_picture.items() if hit.variant_of_query}
    assert len(told & {"25.png", "25-saved.jpg"}) == 1
    assert {"130.png", "185.png"} <= told


def test_variants_are_named_once_at_the_first_of_them(shirts: tuple[EmbeddingSet, Path]) -> None:
    products, folder = shirts
    hits = asked(products, by_id(products, "vase-0.png"), folder, top=99)
    left = {"25.png", "25-saved.jpg", "70.png", "130.png", "185.png"}
    for row_id, hit in hits.items():
        if row_id in left:
            left -= {row_id, *ids_of(products, hit.near_equal)}
            assert set(ids_of(products, hit.variants)) == left
        else:
            assert hit.variants == ()
    assert not left


def test_no_variant_is_told_where_no_picture_can_be_opened(
    shirts: tuple[EmbeddingSet, Path],
) -> None:
    products, _ = shirts
    hits = asked(products, by_id(products, "25.png"), None, top=99).values()
    assert len(hits) == 7
    assert not any(hit.variants or hit.variant_of_query or hit.copy_of_query for hit in hits)


def test_a_table_names_variants_and_leaves_the_catalogues_own_columns_their_names(
    shirts: tuple[EmbeddingSet, Path], tmp_path: Path
) -> None:
    products, folder = shirts
    own = tuple(f"own {i}" for i in products.ids)
    products = replace(products, columns={"variants": own})
    answers = find_similar(
        products, [by_id(products, "25.png")], PictureFolder(products, folder), top=9
    )
    found = SimilarProducts(products, None, OpenedIndex(None, "few"), tuple(answers), top=9)
    said = found.to_json()
    found.save(tmp_path)
    with next(tmp_path.rglob("similar.csv")).open() as file:
        rows = list(csv.DictReader(file))
    for row, hit in zip(rows, said["queries"][0]["hits"], strict=True):
        assert row["variants"] == f"own {row['id']}"
        assert row["variant_of_query"] == str(int(hit["variant_of_query"]))
        assert row["variants_column"] == " | ".join(hit["variants"])
    opened = OpenedIndex(None, "few", recall=0.5, recall_of_rows=0.75)
    recall = replace(found, opened=opened).to_json()
    assert recall["recall_at_10"] == 0.75, "that of rows, as the query is one"
    lines = found.text().splitlines()
    assert sum("(a variant of the query)" in line for line in lines) == 3
    assert sum("(a copy of the query)" in line for line in lines) == 1


def test_the_page_says_which_hits_are_variants() -> None:
    jinja2 = pytest.importorskip("jinja2")
    showing = pytest.importorskip("analyze.lookup.web.view_models")
    folder = Path(str(showing.__file__)).parent / "templates"
    parts = jinja2.Environment(loader=jinja2.FileSystemLoader(folder)).get_template("parts.html")

    def product(name: str) -> object:
        return showing.Product(0, name, name, None, "c-none", f"/product?id={name}", None, None)

    hit = showing.Similar(product("a"), 1, 0.9, (), False, (product("b"), product("c")), True)
    page = str(parts.module.hit(hit))
    assert '<span class="same">variant</span>' in page
    assert "2 variants" in page
    assert "/product?id=c" in page
    plain = showing.Similar(product("a"), 1, 0.9, (product("b"),), False, (), False)
    assert "variant" not in str(parts.module.hit(plain))


# what is said


def test_json_has_the_promised_keys(products: EmbeddingSet, shop: Path) -> None:
    named = replace(
        products, columns={"Title": tuple(f"a {i}" for i in products.ids), "sku": (products.ids)}
    )
    (answer,) = find_similar(
        named, [by_id(named, "Mugs/1.png")], PictureFolder(named, shop), top=99
    )
    said = answer.to_json(named, name_column(named))
    assert said["query"] == "Mugs/1.png"
    assert [hit["rank"] for hit in said["hits"]] == list(range(1, 9))
    for hit, found in zip(said["hits"], answer.hits, strict=True):
        assert {"rank", "id", "similarity", "labels", "name", "copies"} <= hit.keys()
        assert hit["id"] == named.ids[found.row]
        assert hit["labels"] == {"class": hit["id"].split("/")[0]}
        assert hit["name"] == f"a {hit['id']}" == hit["columns"]["Title"]
        assert hit["copies"] == hit["equal_bytes"] + hit["near_equal"]
        assert hit["similarity"] == found.similarity
    assert sum(len(hit["copies"]) for hit in said["hits"]) == 10
    assert answer.to_json(named, None)["hits"][0]["name"] is None


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ("sku name", "name"),
        ("title product_name", "product_name"),
        ("TITLE price", "TITLE"),
        ("Name name", "Name"),
        ("brand names", None),
        ("", None),
    ],
)
def test_the_column_of_names_is_found(
    embeddings_of: Embed, columns: str, chosen: str | None
) -> None:
    products = embeddings_of(np.ones((2, 3)), columns=dict.fromkeys(columns.split(), ("a", "b")))
    assert name_column(products) == chosen


def test_a_column_of_names_that_is_not_there_is_refused(embeddings_of: Embed) -> None:
    products = embeddings_of(np.ones((2, 3)), columns={"sku": ("a", "b"), "name": ("c", "d")})
    assert name_column(products, "sku") == "sku"
    with pytest.raises(UsageError, match="no column 'Sku': there are sku, name"):
        name_column(products, "Sku")


# the right picture, or none


def test_a_picture_that_has_changed_is_neither_shown_nor_hashed(
    products: EmbeddingSet, shop: Path
) -> None:
    small = shop / "Mugs/0-small.jpg"
    save_again(shop / "Mugs/0.png", small, side=200)  # still equal to the eye
    pictures = PictureFolder(products, shop)
    assert pictures.open(products.ids.index("Mugs/0-small.jpg")) is None
    assert pictures.open(products.ids.index("Mugs/0.png")) is not None
    hits = asked(products, by_id(products, "Watches/0.png"), shop, top=99)
    assert len(hits) == 9
    assert hits["Mugs/0-small.jpg"].near_equal == ()


def test_what_cannot_be_shown_is_counted_once_a_picture_with_its_reason(
    products: EmbeddingSet, shop: Path
) -> None:
    (shop / "Mugs/1.png").write_bytes(b"")
    (shop / "Mugs/2.png").unlink()
    draw_noise(shop / "Vases/1.png", 1)
    pictures = PictureFolder(products, shop)
    for row_id in ("Mugs/1.png", "Mugs/2.png", "Vases/1.png", "Vases/2.png") * 3:
        pictures.open(products.ids.index(row_id))
    assert pictures.notes() == (
        "1 picture is not opened: empty",
        "1 picture is not opened: missing",
        "1 picture is not opened: the files have changed since they were embedded",
    )
    closed = PictureFolder(products, None)
    for row in (3, 4, 4):
        assert closed.open(row) is None
    (note,) = closed.notes()
    assert note.startswith("2 pictures are not opened: ")
    assert "--images" in note


def folder_of(root: Path, images_root: object, given: Path | None = None) -> PictureFolder:
    some = EmbeddingSet(
        ("a.png",),
        np.ones((1, 3), dtype=np.float32),
        Provenance({}, (), {"images_root": images_root}),
    )
    return PictureFolder.of(some, Workspace.find(root), given)


def test_pictures_of_the_workspace_are_opened(workspace: Path) -> None:
    draw_noise(workspace / "shop" / "a.png", 1)
    (workspace / "link").symlink_to(workspace / "shop")
    for recorded in ("shop", str(workspace / "shop"), "shop/../shop", "link"):
        found = folder_of(workspace, recorded)
        assert found.root == workspace / "shop"
        assert found.open(0) is not None


def test_pictures_outside_the_workspace_are_opened_only_when_given(workspace: Path) -> None:
    outside = workspace.parent / "outside"
    draw_noise(outside / "a.png", 1)
    (workspace / "link").symlink_to(outside)
    (workspace / "shop").mkdir()
    for recorded in (
        str(outside),
        "../outside",
        "shop/../../outside",
        "link",
        "link/../outside",
        "/",
        "..",
    ):
        closed = folder_of(workspace, recorded)
        assert closed.root is None, recorded
        assert closed.open(0) is None
        assert folder_of(workspace, recorded, outside).open(0) is not None


@pytest.mark.parametrize(
    "recorded", [None, 3, ["shop"], "nowhere", "a.png", "a\0b", "\ud800", "x" * 5000, "x/" * 3000]
)
def test_a_record_that_names_no_folder_opens_nothing(workspace: Path, recorded: object) -> None:
    draw_noise(workspace / "a.png", 1)
    assert folder_of(workspace, recorded).root is None


def test_a_row_that_leads_out_of_the_folder_is_not_opened(workspace: Path) -> None:
    draw_noise(workspace / "secret.png", 1)
    draw_noise(workspace / "shop" / "a.png", 1)
    (workspace / "shop" / "link.png").symlink_to(workspace / "secret.png")
    paths = ("../secret.png", str(workspace / "secret.png"), "link.png", "a.png")
    some = EmbeddingSet(
        ("a", "b", "c", "d"), np.ones((4, 3), dtype=np.float32), Provenance({}, ()), paths=paths
    )
    pictures = PictureFolder(some, workspace / "shop")
    assert [pictures.open(row) is not None for row in range(4)] == [False, False, False, True]
    assert pictures.notes() == ("3 pictures are not opened: outside_folder",)


def test_a_folder_given_that_is_not_there_is_refused(workspace: Path) -> None:
    with pytest.raises(UsageError, match="--images"):
        folder_of(workspace, "shop", workspace / "nowhere")
