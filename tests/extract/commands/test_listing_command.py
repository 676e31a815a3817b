"""What a catalogue is made of: kept from run to run, and said where it is odd or lost."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_catalogs import draw_noise
from typed_commands import Said, Typist

from analyze.__main__ import main as analyze
from analyze.head.reporting.prediction_report import predictions_table
from extract.__main__ import main as extract
from extract.catalog.split_folders import split_of_folders
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings, read_provenance

SMALL = ("--model", "timm:test_resnet", "--weights", "random", "--runtime", "eager")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six pictures, a table of them."""
    for i in range(6):
        draw_noise(tmp_path / "img" / f"{i}.png", i)
    write(
        tmp_path / "plain.csv",
        [["image", "sku", "class", "brand"]]
        + [[f"{i}.png", f"sku{i}", ("cup", "hat")[i % 2], "Acme"] for i in range(6)],
    )
    return tmp_path


@pytest.fixture
def embed(typist: Typist) -> Any:
    return partial(typist, extract, *SMALL)


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def stored(root: Path, said: Said) -> Any:
    return read_embeddings(root / said.json["file"])


TABLE = ("--manifest", "plain.csv", "--images-dir", "img")


def test_pictures_of_a_product_stay_together_when_its_table_grows(root: Path, embed: Any) -> None:
    rows = [["sku", "front", "back"], ["a", "0.png", "1.png"], ["b", "2.png", ""]]
    write(root / "t.csv", rows)
    (root / "t.csv").write_bytes(
        (root / "t.csv").read_text().replace("a,", "\u00e4,").encode("cp1252")
    )
    columns = ("--image-column", "front", "--image-column", "back", "--id-column", "sku")
    first = embed("--manifest", "t.csv", "--images-dir", "img", *columns, "--json")
    assert any("read as cp1252" in note for note in first.notes)
    record = read_provenance(root / first.json["file"]).record
    assert record["listing"] == {
        "from": "table",
        "image_column": '["front", "back"]',
        "id_column": "sku",
        "read_as": "cp1252",
    }
    write(root / "t.csv", [*rows[:2], ["b", "5.png", "2.png"], ["c", "", "3.png"]])
    again = embed("--manifest", "t.csv", "--json")
    assert any("--image-column front --image-column back --id-column sku" in n for n in again.notes)
    assert again.json["embedded"] == 2
    found = stored(root, again)
    assert found.ids == ("a/0.png", "a/1.png", "b/2.png", "b/5.png", "c/3.png")
    assert found.group_column == "sku"
    assert found.groups is not None
    assert found.groups.tolist() == [0, 0, 1, 1, 2]
    alone = embed("--manifest", "t.csv", "--pictures", "first", "--json")
    assert stored(root, alone).ids == ("a", "b", "c")
    assert stored(root, alone).group_column is None


def test_products_are_the_mean_of_their_pictures_and_grow(
    root: Path, embed: Any, typist: Typist
) -> None:
    rows = [["sku", "front", "back", "kind"], ["b", "1.png", "0.png", "cup"]]
    rows += [["a", "2.png", "", "hat"], ["c", "3.png", "gone.png", "hat"]]
    write(root / "t.csv", rows)
    columns = ("--image-column", "front", "--image-column", "back", "--id-column", "sku")
    listed = ("--manifest", "t.csv", "--images-dir", "img", *columns, "--label-column", "kind")
    each = stored(root, embed(*listed, "--json"))
    vector = dict(zip(each.ids, each.vectors.astype(float), strict=True))
    means = embed("--manifest", "t.csv", "--pictures", "mean", "--json")
    assert (means.json["embedded"], means.json["reused"]) == (0, 4)
    found = stored(root, means)
    assert (found.ids, found.paths) == (("a", "b", "c"), ("2.png", "1.png", "3.png"))
    assert found.levels[0].values() == ("hat", "cup", "hat")
    planted = [vector["a/2.png"], (vector["b/0.png"] + vector["b/1.png"]) / 2, vector["c/3.png"]]
    np.testing.assert_allclose(found.vectors, planted, rtol=1e-6)
    assert found.n_pictures.tolist() == [1, 2, 1]
    assert found.left_out == {"missing": 1}
    answers = SimpleNamespace(table=lambda: [["id", "class"], ["a", "hat"], ["c", "cup"]])
    table = predictions_table(root / means.json["file"], answers)  # type: ignore[arg-type]
    assert [row[:2] for row in table] == [["id", "class"], ["a", "hat"], ["b", ""], ["c", "cup"]]

    write(root / "t.csv", [*rows[:2], ["a", "2.png", "5.png", "hat"], ["d", "4.png", "", "cup"]])
    grown = embed("--manifest", "t.csv", "--json")
    assert any("--pictures mean" in note for note in grown.notes)
    assert grown.json["embedded"] == 2
    assert stored(root, grown).ids == ("a", "b", "d")
    assert stored(root, grown).n_pictures.tolist() == [2, 2, 1]
    file = grown.json["file"]
    assert typist(extract, "verify", file, "--json").json["sound"]
    assert typist(extract, "export", file, "--output", "t.npz", "--json").json["n_images"] == 3
    with np.load(root / "t.npz") as exported:
        np.testing.assert_array_equal(exported["vectors"], stored(root, grown).vectors)
    explained = typist(analyze, "explain", "--catalog", "t", "--target", "pretrained")
    assert explained.code == 2
    assert "needs a row for each picture, and 2 rows are means" in explained.notes[-1]
    again = embed("--manifest", "t.csv", "--pictures", "each", "--json")
    assert (again.json["embedded"], len(stored(root, again))) == (0, 5)


def test_a_second_run_with_fewer_options_keeps_the_columns_and_the_folder_and_says_so(
    root: Path, embed: Any
) -> None:
    first = embed(*TABLE, "--label-column", "class", "--id-column", "sku", "--json")
    again = embed("--manifest", "plain.csv", "--json")
    kept = stored(root, again)
    assert kept.ids[0] == "sku0"
    assert kept.levels[0].values()[:2] == ("cup", "hat")
    assert set(kept.columns) == {"brand"}
    assert again.json["reused"] == 6
    (note,) = [note for note in again.notes if "as the last time" in note]
    for option in ("--id-column sku", "--label-column class", f"--images-dir {root / 'img'}"):
        assert option in note
    assert note in again.json["notes"]
    # the command of an earlier version, which kept nothing but what was typed
    file = root / first.json["file"]
    record = read_provenance(file).record
    assert record["listing"] == {"from": "table", "id_column": "sku", "label_column": "class"}

    other = embed("--manifest", "plain.csv", "--label-column", "brand", "--json")
    assert stored(root, other).levels[0].categories == ("Acme",)
    assert "no longer there: brand" in " ".join(other.json["notes"])
    dropped = embed("--manifest", "plain.csv", "--label-column", "", "--json")
    assert stored(root, dropped).levels == ()
    assert stored(root, dropped).ids[0] == "sku0"
    # nothing was computed in these, and what they were listed by is the last time all the same
    for _ in range(2):
        still = embed("--manifest", "plain.csv", "--json")
        assert (stored(root, still).levels, still.json["embedded"]) == ((), 0)
    record = read_provenance(root / still.json["file"]).record
    assert record["listing"] == {"from": "table", "id_column": "sku"}
    assert {"fidelity", "images_per_second"} <= set(record)


def test_a_separator_goes_on_with_its_column_and_another_takes_its_place(
    root: Path, embed: Any
) -> None:
    rows = [["picture", "kinds"], *([f"{i}.png", f"a / {'bc'[i % 2]}"] for i in range(6))]
    write(root / "trees.csv", rows)
    words = ("--manifest", "trees.csv", "--images-dir", "img", "--image-column", "picture")
    embed(*words, "--label-column", "kinds", "--label-separator", " / ")
    again = embed("--manifest", "trees.csv", "--json")
    assert [level.name for level in stored(root, again).levels] == ["kinds_1", "kinds_2"]
    cut = ("--manifest", "trees.csv", "--multi-label-separator", "/")
    assert "cuts a column: name it with --label-column" in embed(*cut).notes[-1]
    several = embed(*cut, "--label-column", "kinds", "--json")
    assert stored(root, several).levels == ()
    assert stored(root, several).multi_labels[0].categories == ("a", "b", "c")


def test_a_folder_keeps_its_columns_too(root: Path, embed: Any) -> None:
    names = [["file_name", "kind"], *([f"{i}.png", "xy"[i % 2]] for i in range(6))]
    write(root / "img" / "metadata.csv", names)
    embed("--images", "img", "--label-column", "kind")
    again = embed("--images", "img", "--json")
    assert stored(root, again).levels[0].name == "kind"
    # a table of the same name is another way of listing: nothing of the folder's fits it
    table = embed(*TABLE, "--catalog", "img", "--json")
    assert "as the last time" not in table.all
    assert "levels none; before: kind" in table.all


def test_a_folder_takes_no_table_s_place(root: Path, embed: Any) -> None:
    embed(*TABLE, "--label-column", "class", "--id-column", "sku", "--catalog", "img")
    refused = embed("--images", "img")
    assert refused.code == 2
    assert "with --id-column sku --label-column class: give that with --manifest" in refused.all


def test_what_an_earlier_version_typed_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from extract.storage import catalog_source as listing
    from extract.workspace import Workspace

    command = "python -m extract --manifest plain.csv --id-column=sku --label-column 'my class'"

    old = Provenance({}, (), {"command": command, "images_root": "img"})
    monkeypatch.setattr(Workspace, "stored_embeddings", lambda *_: (Path("x.h5"),))
    monkeypatch.setattr(listing, "read_provenance", lambda _: old)
    workspace = Workspace.find(root)
    record = listing.last_record(workspace, "plain", None)
    found = listing.last_listing(workspace, record, "table")
    images = str(root.resolve() / "img")
    assert found == {"id_column": "sku", "label_column": "my class", "images_dir": images}
    assert listing.last_listing(workspace, record, "folder") == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--catalog", "nosuch", "--seed", "5", "similar", "--query", "x"), "--catalog, --seed"),
        (("--json", "compare"), "--json before compare: options of compare go after it"),
        (("--root=.", "rank", "--json"), "--root before rank"),
        (("--query", "x", "similar"), "--query is an option of similar: options go after the com"),
        (("-q", "catalog"), "--quiet before catalog"),
        (
            ("--images", "photos"),
            "with --catalog and its name, as in python -m analyze --catalog",
        ),
        (("my photos",), "as in python -m analyze --catalog 'my photos'"),
        (("compar",), "No such command 'compar'"),
    ],
)
def test_options_before_the_command_are_refused(
    typist: Typist, words: tuple[str, ...], said: str
) -> None:
    found = typist(analyze, *words)
    assert (found.code, found.out) == (2, "")
    assert said in found.notes[-1]


def test_extract_refuses_options_before_its_commands_too(typist: Typist) -> None:
    found = typist(extract, "photos")
    assert (found.code, found.out) == (2, "")
    assert "as in python -m extract --images photos" in found.notes[-1]
    found = typist(extract, "--restart", "models")
    assert found.code == 2
    assert "--restart before models: options of models go after it" in found.notes[-1]
    assert typist(extract, "models", "--json").code == 0


def test_labels_that_read_alike_are_said_with_their_counts(
    root: Path, embed: Any, typist: Typist
) -> None:
    labels = ["Fruit", "fruit ", "fr\u00a0uit", "caf\u00e9", "cafe\u0301", "nut"]
    rows = [["image", "class"], *([f"{i}.png", label] for i, label in enumerate(labels))]
    write(root / "odd.csv", rows)
    done = embed("--manifest", "odd.csv", "--images-dir", "img", "--label-column", "class")
    (note,) = [note for note in done.notes if "unicode form alone" in note]
    assert "'Fruit' (1) and 'fruit' (1) and 'fr\\xa0uit' (1)" in note
    assert "'cafe\\u0301' (1) and 'caf\\xe9' (1)" in note
    assert "nut" not in note
    said = typist(analyze, "--catalog", "odd", "--json").json
    assert len(said["classes"]) == 6
    assert note in said["notes"]


def test_folders_of_a_split_are_a_column_and_no_classes(
    root: Path, embed: Any, typist: Typist
) -> None:
    for i, place in enumerate(("Train/a", "Train/b", "valid/a", "valid/b", "TEST/a", "TEST/b")):
        draw_noise(root / "split" / place / "1.png", i)
    done = embed("--images", "split", "--json")
    kept = stored(root, done)
    assert [level.name for level in kept.levels] == ["class"]
    assert kept.levels[0].categories == ("a", "b")
    assert dict(zip(kept.ids, kept.columns["split"], strict=True)) == {
        f"{folder}/{kind}/1.png": side
        for folder, side in (("Train", "train"), ("valid", "validation"), ("TEST", "test"))
        for kind in "ab"
    }
    assert any("TEST, Train, valid are taken for a split" in note for note in done.notes)
    asked = typist(analyze, "--catalog", "split", "--json").json
    assert (asked["level"], len(asked["classes"])) == ("class", 2)


@pytest.mark.parametrize(
    ("folders", "split", "asked"),
    [
        ("training testing", True, ""),  # no classes below
        ("Train/a DEV/a", True, ""),
        ("train/a train/b", True, ""),
        ("test", False, ""),  # one class of that name
        ("Training Shoes", False, ""),
        ("train test cups", False, "stand next to others"),
        ("a/train a/test b/train", False, "below others"),
        ("data/train/a data/val/a", False, "below others"),
        ("a/x a/y b/x", False, ""),
    ],
)
def test_a_split_is_told_from_classes_or_asked_for(folders: str, split: bool, asked: str) -> None:
    found = split_of_folders([f"{folder}/1.png" for folder in folders.split()])
    assert (found.sides is not None) == split
    assert bool(found.notes) == (split or bool(asked))
    assert all(asked in note for note in found.notes)
    if not split:
        assert found.paths == tuple(f"{folder}/1.png" for folder in folders.split())


LONG = "https://shop.example/".ljust(200, "x")
REFUSED = {
    "": "not_named",
    '["0.png", "1.png"]': "several",
    "0.png|1.png": "several",
    "0.png; 1.png": "several",
    "0.png 1.png": "several",
    "https://shop.example/0.png": "missing",
    "sub\\0.PNG": "missing",
    "Sub/0.PNG": "missing",
    "sub/0": "missing",
    "nowhere.png": "missing",
    LONG: "missing",
    LONG + "x": "missing",
}


def test_each_picture_that_is_not_there_is_named_with_the_place_and_what_to_do(
    root: Path, embed: Any, typist: Typist
) -> None:
    draw_noise(root / "img" / "sub" / "0.png", 9)
    rows = [["image", "sku"], *([cell, f"p{i}"] for i, cell in enumerate(REFUSED))]
    write(root / "odd.csv", [*rows, ["0.png", "sound"]])
    words = ("--manifest", "odd.csv", "--images-dir", "img", "--id-column", "sku")
    done = embed(*words, "--json").json
    assert (done["embedded"], done["refused"]) == (1, {"missing": 7, "not_named": 1, "several": 4})
    listed = json.loads(typist(extract, "show", done["file"], "--json").out)["refused"]
    said = {each["id"]: (each["code"], each["message"]) for each in listed}
    assert [said[f"p{i}"][0] for i in range(len(REFUSED))] == list(REFUSED.values())
    wanted = [
        "the cell is empty",
        "a list of 2 pictures, and a row is of one",
        *["a list of 2 pictures"] * 3,
        "an address, not a file: https://shop.example/0.png; download it",
        "with / for \\ there is sub/0.png: write that",
        f"{root / 'img' / 'Sub' / '0.PNG'}; there is sub/0.png: write that",
        "there is sub/0.png: write that",
        str(root / "img" / "nowhere.png"),
        f"{LONG}; download it",
        f"{LONG}...; download it",
    ]
    for i, words_said in enumerate(wanted):
        assert words_said in said[f"p{i}"][1], said[f"p{i}"]


def test_nothing_is_left_behind_where_nothing_was_embedded(root: Path, embed: Any) -> None:
    (root / "img" / "broken.png").write_bytes(b"no picture")
    rows = [["image"], ["broken.png"], ["0.PNG"]]
    write(root / "odd.csv", rows)
    done = embed("--manifest", "odd.csv", "--images-dir", "img")
    assert done.code == 1
    assert "not one of 2 pictures could be embedded: " in done.notes[-1]
    assert "there is 0.png: write that" in done.notes[-1]
    assert "no file kept" in done.notes[-1]
    assert not (root / "cache/embeddings").exists()
    stopped = embed("--manifest", "odd.csv", "--images-dir", "img", "--on-bad-image", "stop")
    assert stopped.code == 1
    assert not (root / "cache/embeddings").exists()
    # a file that was there before is nobody's to remove
    kept = embed(*TABLE, "--json").json["file"]
    for picture in (root / "img").glob("*.png"):
        picture.unlink()
    assert embed(*TABLE, "--restart").code == 1
    assert (root / kept).exists()
