"""Look-ups inside a category, unlike each other, by an index; and how good they are, as typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from small_catalogs import draw, run_in

KINDS = ("Mugs", "Vases", "Watches")
EACH = 5


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    for kind in KINDS:
        for i in range(EACH):
            draw(root / "shop" / kind / f"{i}.png", kind, i)
    done = run_in(root, "extract", "--images", "shop", "--resize", "crop")
    assert done.returncode == 0, done.stderr
    return root


def said(root: Path, *words: str) -> dict[str, Any]:
    done = run_in(root, "analyze", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in found["queries"][0]["hits"]]


def test_similar_inside_a_category_and_unlike_each_other(shop: Path) -> None:
    asked = ("similar", "--query", "Mugs/0.png", "--top", "4")
    inside = said(shop, *asked, "--where", "class=Vases")
    assert {i.partition("/")[0] for i in ids(inside)} == {"Vases"}
    assert (inside["n_searched"], inside["where"]) == (EACH, {"class": ["Vases"]})
    wider = said(shop, *asked, "--where", "class=Vases", "--where", "class=Watches")
    assert wider["n_searched"] == 2 * EACH
    diverse = said(shop, *asked, "--diverse", "--diverse-weight", "0.2")
    plain = said(shop, *asked)
    assert ids(diverse)[0] == ids(plain)[0]
    assert ids(diverse) != ids(plain)
    assert (diverse["diverse"], plain["diverse"]) == (0.2, None)


def test_similar_by_an_index_says_what_it_finds(shop: Path) -> None:
    asked = ("similar", "--query", "Mugs/0.png", "--query", "Vases/1.png")
    flat, graph = said(shop, *asked), said(shop, *asked, "--index", "hnsw")
    assert graph["queries"] == flat["queries"]  # of fifteen pictures nothing is missed
    assert (flat["index"], flat["recall_at_10"]) == ("flat", 1.0)
    assert graph["index"] == "hnsw"
    assert graph["recall_at_10"] == graph["recall_at_10_rows"]
    assert list((shop / "cache" / "index").glob("*-hnsw.faiss"))
    done = run_in(shop, "analyze", *asked, "--index", "hnsw", "--top", "1")
    assert "recall@10" in done.stdout
    assert "held-out rows" in done.stdout
    folder = (shop / "results" / "latest").resolve()
    assert {"similar-1.png", "similar-2.png", "similar.csv"} <= {p.name for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--where", "class=Vasse"), "Vases"),
        (("--where", "kind=Vases"), "there are: class"),
        (("--where", "Vases"), "LEVEL=VALUE"),
        (("--index", "annoy"), "flat, sqfp16, sq8, hnsw, ivf, ivfpq"),
        (("--recall", "2"), "--recall 2"),
        (("--diverse-weight", "3"), "--diverse-weight 3"),
        (("--index", "hnsw", "--index-dims", "99999"), "--index-dims 99999"),
    ],
)
def test_what_is_typed_wrong_is_one_line(shop: Path, words: tuple[str, ...], wrong: str) -> None:
    done = run_in(shop, "analyze", "similar", "--query", "Mugs/0.png", *words)
    assert done.returncode == 2
    assert wrong in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_retrieval_judges_look_ups_and_draws_the_worst(shop: Path) -> None:
    found = said(shop, "retrieval", "--k", "3", "--resamples", "200")
    metrics = {(row["metric"], row["k"]) for row in found["rows"]}
    expected = {("precision", 3), ("recall", 3), ("map", None), ("mrr", None)}
    assert metrics == expected | {("one_nn_accuracy", None)}
    for row in found["rows"]:
        assert {"model", "level", "metric", "k", "value", "low", "high"} <= set(row)
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    assert {row["class"] for row in found["classes"]} == set(KINDS)
    assert len(found["worst"]) == 10
    folder = (shop / "results" / "latest").resolve()
    names = {path.name for path in folder.iterdir()}
    assert {"retrieval.csv", "classes.csv", "worst.csv", "worst.png", "retrieval.png"} <= names
    with (folder / "retrieval.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [row["value"] for row in found["rows"]]
    few = ("--worst", "1", "--resamples", "200")
    done = run_in(shop, "analyze", "retrieval", "--seen", "--svg", *few)
    assert "mAP by class" in done.stdout
    sheet = (shop / "results" / "latest" / "worst.svg").read_text()
    assert "as the model saw them: center cut out (crop), 224 px" in sheet


def test_retrieval_without_labels_says_what_is_missing(shop: Path, tmp_path: Path) -> None:
    for i in range(3):
        draw(tmp_path / "plain" / f"{i}.png", "Mugs", i)
    assert run_in(tmp_path, "extract", "--images", "plain").returncode == 0
    done = run_in(tmp_path, "analyze", "retrieval")
    assert done.returncode == 2
    assert "it is unknown which answers are right" in done.stderr
