"""Look-ups and catalogues at a glance, as a user types them."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_catalogs import draw, run_in
from typed_commands import signals_as_they_were

from analyze.__main__ import main
from extract.catalog.demo import draw_picture
from extract.storage.embeddings_file import read_embeddings

KINDS = ("Mugs", "Vases", "Watches")
COUNTS = {"Mugs": 4, "Vases": 2, "Watches": 2}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of eight embedded pictures: six products, one of them three times."""
    root = tmp_path_factory.mktemp("workspace")
    for kind in KINDS:
        for i in range(2):
            draw(root / "shop" / kind / f"{i}.png", kind, i)
    first = root / "shop" / "Mugs" / "0.png"
    shutil.copy(first, first.with_name("same.png"))
    with Image.open(first) as picture:
        picture.resize((240, 240)).save(first.with_name("saved.jpg"), quality=80)
    done = run_in(root, "extract", "--images", "shop", "--resize", "crop")
    assert done.returncode == 0, done.stderr
    return root


def stored(root: Path) -> Path:
    (path,) = (root / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5")
    return path


@pytest.fixture
def elsewhere(shop: Path, tmp_path: Path) -> Path:
    """A workspace that holds a file of vectors alone: neither labels nor pictures."""
    root = tmp_path / "elsewhere"
    root.mkdir()
    shutil.copy(stored(shop), root / "vectors.h5")
    return root


@dataclass(frozen=True)
class Said:
    """What a command said: its exit code, its answer, its complaints."""

    code: int
    out: str
    err: str


@pytest.fixture
def analyze(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Type a command in this process: starting another one is nine tenths of its time."""

    def typed(*words: str, root: Path = shop) -> Said:
        monkeypatch.chdir(root)
        monkeypatch.delenv("SOSIE_ROOT", raising=False)
        monkeypatch.setattr(sys, "argv", ["analyze", *words])
        with pytest.raises(SystemExit) as ended, signals_as_they_were():
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return typed


def assert_one_line(said: Said, code: int, *words: str) -> None:
    assert said.code == code, said.err
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("error: ")
    for each in words:
        assert each in line


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_several_queries_are_answered_at_once_by_id_and_by_picture(
    shop: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.jpg"
    draw_picture("Watches", random.Random(0)).save(new, quality=90)  # as Watches/0.png, saved anew
    done = run_in(
        shop, "analyze", "similar", "--json", "--query", "Mugs/0.png", "--query", str(new),
        "--query", "Vases/1.png", "--top", "99",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"file", "index", "recall_at_10", "queries"} <= said.keys()
    assert (said["file"], said["n_images"]) == (str(stored(shop).relative_to(shop)), 8)
    by_id, by_picture, other = said["queries"]
    assert [each["query"] for each in said["queries"]] == ["Mugs/0.png", str(new), "Vases/1.png"]
    assert [each["by"] for each in said["queries"]] == ["id", "picture", "id"]
    for each in said["queries"]:
        assert [hit["rank"] for hit in each["hits"]] == [*range(1, len(each["hits"]) + 1)]
        for hit in each["hits"]:
            assert {"rank", "id", "similarity", "labels", "name", "copies"} <= hit.keys()
            assert hit["labels"] == {"class": hit["id"].split("/")[0]}
    # six products, of which one is asked about; its saved copy is no equal file and stays
    assert by_id["copies"] == ["Mugs/same.png"]
    assert [hit["copy_of_query"] for hit in by_id["hits"]] == [True] + [False] * 5
    assert by_id["hits"][0]["id"] == "Mugs/saved.jpg"
    first = by_picture["hits"][0]
    assert by_picture["copies"] == []
    assert (first["id"], first["copy_of_query"]) == ("Watches/0.png", True)
    assert first["similarity"] > 0.95
    assert len(by_picture["hits"]) == 6
    (mug,) = (hit for hit in other["hits"] if hit["id"] in ("Mugs/0.png", "Mugs/saved.jpg"))
    assert {mug["id"], *mug["copies"]} == {"Mugs/0.png", "Mugs/same.png", "Mugs/saved.jpg"}
    folder = shop / said["results"]
    sheets = {"similar-1.png", "similar-2.png", "similar-3.png"}
    assert files_in(folder) == {"run.json", "similar.csv", *sheets}
    record = json.loads((folder / "run.json").read_text())
    assert record["queries"] == said["queries"]
    with (folder / "similar.csv").open() as file:
        rows = list(csv.DictReader(file))
    hits = [(each["query"], hit) for each in said["queries"] for hit in each["hits"]]
    for row, (query, hit) in zip(rows, hits, strict=True):
        assert (row["query"], row["id"], int(row["rank"])) == (query, hit["id"], hit["rank"])
        assert float(row["similarity"]) == hit["similarity"]
        assert row["copies"] == " | ".join(hit["copies"])
        assert row["class"] == hit["labels"]["class"]
        assert row["copy_of_query"] == str(int(hit["copy_of_query"]))


def test_a_table_is_shown_and_a_sheet_is_written(shop: Path) -> None:
    done = run_in(shop, "analyze", "similar", "--query", "Mugs/same.png", "--top", "2", "--svg")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == str(stored(shop).relative_to(shop))
    assert "efficientnet_lite0" in lines[1]
    assert "random weights" not in done.stdout
    assert "similar to Mugs/same.png (taken as id):" in lines
    assert "  left out, equal byte for byte: Mugs/0.png" in lines
    hits = [line.split() for line in lines if line.lstrip()[:1] in ("1", "2", "3")]
    assert [hit[0] for hit in hits] == ["1", "2"]
    assert hits[0][2:] == ["Mugs/saved.jpg", "Mugs", "(a", "copy", "of", "the", "query)"]
    results = shop / lines[-1].removeprefix("results: ")
    assert files_in(results) == {"run.json", "similar.csv", "similar.png", "similar.svg"}
    assert (shop / "results" / "latest").resolve() == results.resolve()


def test_the_same_picture_is_found_first_with_similarity_one(
    shop: Path, analyze: Callable[..., Said]
) -> None:
    row_ids = ("Mugs/0.png", "Watches/1.png")
    words = [word for row_id in row_ids for word in ("--query", str(shop / "shop" / row_id))]
    said = json.loads(analyze("similar", "--json", "--top", "1", *words).out)
    for row_id, answer in zip(row_ids, said["queries"], strict=True):
        (hit,) = answer["hits"]
        assert hit["id"] == row_id
        assert hit["similarity"] == pytest.approx(1, abs=1e-6)
        assert hit["copy_of_query"]
        assert answer["copies"] == []


def test_what_is_an_id_and_a_file_too_is_taken_as_the_id(
    shop: Path, analyze: Callable[..., Said]
) -> None:
    root = ("--root", str(shop))
    said = analyze("similar", "--json", "--query", "Mugs/0.png", *root, root=shop / "shop")
    answered = json.loads(said.out)
    assert answered["queries"][0]["by"] == "id"
    assert "Mugs/0.png is an id and a file too: taken as the id" in answered["notes"]
    said = analyze("similar", "--json", "--query", "./Mugs/0.png", *root, root=shop / "shop")
    assert json.loads(said.out)["queries"][0]["by"] == "picture"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 2, ["--query"]),
        ("--query Mugs/0.pgn", 2, ["'Mugs/0.pgn'", "such as Mugs/0.png"]),
        ("--query Zebras", 2, ["no id and no file 'Zebras'", "such as Mugs/0.png"]),
        (f"--query {'x' * 5000}", 2, ["no id and no file"]),
        ("--query Mugs/0.png --top 0", 2, ["--top 0: give 1 or more"]),
        ("--query Mugs/0.png --name-column title", 2, ["'title'", "--name-column"]),
        ("--query Mugs/0.png --level 9", 2, ["no level '9'", "class"]),
        ("--query Mugs/0.png --images nowhere", 2, ["nowhere", "--images"]),
        ("--query Mugs/0.png --query broken.jpg", 1, ["broken.jpg", "truncated", "--query"]),
        ("--query empty.png", 1, ["empty.png", "refused: empty"]),
        ("--query shop", 1, ["refused: not_regular"]),
    ],
)
def test_what_cannot_be_looked_up_is_one_clear_line(
    shop: Path, analyze: Callable[..., Said], words: str, code: int, said: list[str]
) -> None:
    draw(shop / "broken.jpg", "Mugs", 1)
    whole = (shop / "broken.jpg").read_bytes()
    (shop / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (shop / "empty.png").write_bytes(b"")
    before = files_in(shop / "results") if (shop / "results").exists() else set()
    assert_one_line(analyze("similar", *words.split()), code, *said)
    after = files_in(shop / "results") if (shop / "results").exists() else set()
    assert after == before, "nothing is left of what failed"


def test_an_error_is_one_line_of_a_process_too(shop: Path) -> None:
    done = run_in(shop, "analyze", "similar", "--query", "Vases/2.png")
    assert_one_line(Said(done.returncode, done.stdout, done.stderr), 2, "such as Vases/")


def test_pictures_outside_the_workspace_are_opened_only_when_given(
    shop: Path, elsewhere: Path, analyze: Callable[..., Said]
) -> None:
    words = ("similar", "--json", "--embeddings", "vectors.h5", "--query", "Vases/1.png")
    said = json.loads(analyze(*words, root=elsewhere).out)
    assert any("not opened" in note and "--images DIR" in note for note in said["notes"])
    hits = {hit["id"]: hit for hit in said["queries"][0]["hits"]}
    assert hits["Mugs/0.png"]["copies"] == ["Mugs/same.png"], "equal bytes fold all the same"
    assert hits["Mugs/saved.jpg"]["copies"] == []
    opened = run_in(elsewhere, "analyze", *words, "--images", str(shop / "shop"))
    assert opened.returncode == 0, opened.stderr
    said = json.loads(opened.stdout)
    assert said["notes"] == []
    copies = {hit["id"]: hit["copies"] for hit in said["queries"][0]["hits"]}
    assert len(copies) == 5
    ((first, others),) = ((i, c) for i, c in copies.items() if c)
    assert {first, *others} == {"Mugs/0.png", "Mugs/same.png", "Mugs/saved.jpg"}


def test_a_link_out_of_the_workspace_is_not_followed(
    shop: Path, elsewhere: Path, analyze: Callable[..., Said]
) -> None:
    assert read_embeddings(stored(shop)).provenance.record["images_root"] == "shop"
    (elsewhere / "shop").symlink_to(shop / "shop")
    words = ("similar", "--json", "--embeddings", "vectors.h5", "--query", "Vases/1.png")
    said = json.loads(analyze(*words, root=elsewhere).out)
    assert any("not opened" in note for note in said["notes"])
    assert not any(hit["near_equal"] for hit in said["queries"][0]["hits"])


def counts_of(said: dict[str, Any]) -> dict[str, int]:
    return {each["class"]: each["n_images"] for each in said["classes"]}


def test_a_catalogue_is_shown_at_a_glance(shop: Path) -> None:
    done = run_in(shop, "analyze", "catalog", "--json", "--examples", "2")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["n_images"], said["left_out"], said["level"]) == (8, 0, "class")
    assert counts_of(said) == COUNTS
    assert said["equal_bytes"] == [["Mugs/0.png", "Mugs/same.png"]]
    assert said["notes"] == []
    folder = shop / said["results"]
    assert files_in(folder) == {"run.json", "catalog.png"}
    assert json.loads((folder / "run.json").read_text())["classes"] == said["classes"]


def test_the_same_seed_shows_the_same_pictures(shop: Path, analyze: Callable[..., Said]) -> None:
    sheets = []
    for seed in ("1", "1", "2"):
        said = json.loads(analyze("catalog", "--json", "--seed", seed, "--examples", "1").out)
        sheets.append((shop / said["results"] / "catalog.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


def test_a_catalogue_without_labels_is_shown_too(
    elsewhere: Path, analyze: Callable[..., Said]
) -> None:
    words = ("catalog", "--embeddings", "vectors.h5")
    said = json.loads(analyze(*words, "--json", root=elsewhere).out)
    assert (said["level"], counts_of(said)) == (None, {"all pictures": 8})
    text = analyze(*words, root=elsewhere).out
    assert "8 pictures, no labels" in text
    assert "equal byte for byte: Mugs/0.png, Mugs/same.png" in text
    assert "not opened" in text


def test_a_catalogue_as_text_counts_its_classes(analyze: Callable[..., Said]) -> None:
    lines = analyze("catalog").out.splitlines()
    assert "8 pictures, level class" in lines
    counted = dict(line.split() for line in lines if line.split()[:1] in ([k] for k in KINDS))
    assert {kind: int(n) for kind, n in counted.items()} == COUNTS


def test_sheets_show_what_the_model_saw_when_asked(
    shop: Path, tmp_path: Path, analyze: Callable[..., Said]
) -> None:
    wide = tmp_path / "wide.png"
    draw_picture("Mugs", random.Random(9)).resize((600, 150)).save(wide)
    half = "the model saw less than half of 1 of the pictures shown"
    asked = {"similar": ("--top", "2", "--query", str(wide)), "catalog": ("--examples", "1")}
    for (command, words), notes in zip(asked.items(), ([half], []), strict=True):
        plain = json.loads(analyze(command, *words, "--svg", "--json").out)
        seen = json.loads(analyze(command, *words, "--svg", "--json", "--seen").out)
        sheets = [shop / said.pop("results") / f"{command}.svg" for said in (plain, seen)]
        said_so = "as the model saw them: center cut out (crop), 224 px"
        texts = [
            " ".join(re.findall("<!-- (.*?) -->", sheet.read_text(), re.S)) for sheet in sheets
        ]
        texts = [" ".join(text.split()) for text in texts]  # a heading goes on in a second line
        assert [said_so in text for text in texts] == [False, True]
        assert (plain.pop("notes"), seen.pop("notes")) == ([], notes)
        assert plain == seen, "what is found does not depend on what is shown"


def test_whose_model_saw_a_catalogue_is_never_chosen_among_several(
    shop: Path, tmp_path: Path, analyze: Callable[..., Said]
) -> None:
    folder = tmp_path / "cache" / "embeddings" / "shop"
    folder.mkdir(parents=True)
    for name in ("efficientnet_lite0-11111111.h5", "efficientnet_lite0-22222222.h5"):
        shutil.copy(stored(shop), folder / name)
    assert analyze("catalog", root=tmp_path).code == 0
    several = analyze("catalog", "--seen", root=tmp_path)
    assert_one_line(several, 2, "2 embeddings files", "-11111111.h5", "-22222222.h5")
    one = str(folder / "efficientnet_lite0-22222222.h5")
    assert analyze("catalog", "--seen", "--embeddings", one, root=tmp_path).code == 0
