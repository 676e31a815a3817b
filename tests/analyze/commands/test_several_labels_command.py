"""Several labels a picture as a user types them: from a manifest through head to predict."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from small_catalogs import Run, draw, run_in

pytestmark = pytest.mark.usefixtures("few_strengths")
LABELS = {"Mugs": "ceramic|kitchen", "Vases": "ceramic | home", "Watches": "wear"}
EXTRACT = ("extract", "--manifest", "products.csv", "--label-column", "kind")
SEVERAL = ("--multi-label-separator", "|")
QUICK = ("--width", "32", "--learning-rate", "0.01", "--epochs", "20", "--resamples", "100")


@pytest.fixture(scope="module")
def training_set(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A shop, what clustering says of it, and a head that was taught what its manifest lists."""
    root = tmp_path_factory.mktemp("shop")
    rows = ["image,kind,price"]
    for kind, labels in LABELS.items():
        for i in range(14):
            draw(root / f"{kind}{i}.jpg", kind, i)
            rows.append(f"{kind}{i}.jpg,{labels},{i}")
    rows.append("gone.jpg,,9")
    (root / "products.csv").write_text("\n".join(rows) + "\n")
    done = run_in(root, *EXTRACT, *SEVERAL)
    assert done.returncode == 0, done.stderr
    words = ("--clusters", "3", "--json")
    clustered = run_in(root, "analyze", *words)
    assert clustered.returncode == 0, clustered.stderr
    done = run_in(root, "analyze", "head", "--folds", "2", "--shuffles", "1", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    return root, json.loads(clustered.stdout), json.loads(done.stdout)


@pytest.fixture
def shop(training_set: tuple[Path, dict[str, Any], dict[str, Any]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(training_set[0], tmp_path / "shop", symlinks=True))


@pytest.fixture
def run(shop: Path) -> Run:
    return partial(run_in, shop)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_head_learns_what_the_manifest_lists(
    training_set: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    root, clustered, said = training_set
    assert clustered["level"] is None
    assert any("column kind lists several" in note for note in clustered["notes"])
    assert (said["kind"], said["level"], said["n_images"]) == ("multi-label", "kind", 42)
    assert [each["class"] for each in said["classes"]] == ["ceramic", "home", "kitchen", "wear"]
    assert [each["n"] for each in said["classes"]] == [28, 14, 14, 14]
    assert said["macro_f1"]["mean"] > 0.8
    assert said["mean_average_precision"]["mean"] > 0.9
    folder = root / said["results"]
    names = "folds split curves predictions classes scores coverage".split()
    assert {f"{name}.csv" for name in names} <= {path.name for path in folder.iterdir()}
    assert (folder / "class_f1.png").stat().st_size > 2000
    assert {"curves.png", "calibration.png"} <= {path.name for path in folder.iterdir()}
    assert {row["labels"] for row in rows_of(folder / "predictions.csv")} == {
        *("ceramic|kitchen", "ceramic|home", "wear"),
    }
    assert json.loads((folder / "head.json").read_text())["kind"] == "multi-label"


def test_new_pictures_get_their_labels(
    training_set: tuple[Path, dict[str, Any], dict[str, Any]], shop: Path, run: Run
) -> None:
    for kind in LABELS:
        draw(shop / "new" / f"{kind}.jpg", kind, 70)
    (shop / "new" / "broken.jpg").write_bytes(b"no picture")
    head = ("analyze", "predict", "--head", training_set[2]["head"])
    done = run(*head, "--images", "new", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["n_images"], said["abstained"], said["left_out"]) == (3, 0, 1)
    assert said["classes"] == {"ceramic": 2, "home": 1, "kitchen": 1, "wear": 1}
    mug, vase, watch, broken = sorted(
        rows_of(shop / said["file"]), key=lambda row: ["M", "V", "W", "b"].index(row["id"][0])
    )
    assert mug["labels"] == "ceramic|kitchen"
    assert mug["n_labels"] == "2"
    assert vase["labels"] == "ceramic|home"
    assert watch["labels"] == "wear"
    assert float(watch["probability_wear"]) > 0.5 > float(watch["probability_ceramic"])
    assert broken["labels"] == broken["probability_wear"] == ""
    assert broken["not_asked"] == "unidentified"
    unsure = run(*head, "--catalog", "new", "--abstain-below", "1")
    assert "3 less probable than 1: empty" in unsure.stdout


def test_what_is_printed_names_every_score(run: Run) -> None:
    done = run("analyze", "head", "--seeds", "1", *QUICK, "--trials", "2")
    assert done.returncode == 0, done.stderr
    for words in (
        "several labels of kind · iteratively stratified 60/20/20 · 1 seeds",
        "head: all labels right",
        "logistic regression, one against the rest: all labels right",
        "5 nearest neighbors",
        "head minus it, all labels right",
        "mean average precision",
        "head with a half for every class",
        "threshold",
        "tuned: 2 trials",
        "calibration error",
    ):
        assert words in done.stdout


def test_columns_that_are_a_tree_are_taught_together(shop: Path, run: Run) -> None:
    """From a manifest of paths through head and predict to explain."""
    table = (shop / "products.csv").read_text()
    for label, path in (("ceramic|kitchen", "home > mugs|ceramic"), ("wear", "wear > watches")):
        table = table.replace(label, path)
    (shop / "products.csv").write_text(table.replace("ceramic | home", "home > vases|ceramic"))
    done = run(*EXTRACT, *SEVERAL, "--label-separator", " > ")
    assert done.returncode == 0, done.stderr
    words = ("--levels", "2", "--seeds", "1", "--json")
    done = run("analyze", "head", *words, *QUICK)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    levels = [(each["level"], each["n_classes"]) for each in said["levels"]]
    assert levels == [("kind_1", 3), ("kind_2", 3)]
    stored = json.loads((shop / said["head"]).read_text())
    assert stored["classes"][1] == ["home > mugs", "home > vases", "wear > watches"]
    assert stored["parents"] == [[1, 1, 2]]
    folder = shop / said["results"]
    assert {row["level"] for row in rows_of(folder / "classes.csv")} == {"kind_1", "kind_2"}
    done = run("analyze", "predict", "--head", said["head"], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["levels"] == ["kind_1", "kind_2"]
    rows = [
        row for row in rows_of(shop / json.loads(done.stdout)["file"]) if row["id"] != "gone.jpg"
    ]
    for row in rows:
        above = {label.split(" > ")[0] for label in filter(None, row["kind_2"].split("|"))}
        assert above <= set(row["kind_1"].split("|"))
    assert sum(row["kind_2"] == "home > mugs" for row in rows[:14]) > 10
    ask = ("--head", said["head"], "--id", "Mugs0.jpg", "--level", "1", "--class", "home")
    done = run("analyze", "explain", *ask, "--json")
    assert done.returncode == 0, done.stderr
    (item,) = json.loads(done.stdout)["items"]
    (mug,) = (row for row in rows if row["id"] == "Mugs0.jpg")
    assert item["predicted_labels"] == mug["kind_1"].split("|")
    assert item["true_labels"] == ["ceramic", "home"]
    assert item["probability"] == pytest.approx(float(mug["probability_kind_1: home"]), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--levels", "2"), "leave --levels out"),
        (("--level", "color"), "no level 'color': this catalogue has kind"),
        (("--folds", "40"), "40 different pictures"),
    ],
)
def test_what_does_not_go_with_several_labels_is_one_line(
    run: Run, words: tuple[str, ...], said: str
) -> None:
    done = run("analyze", "head", *words, *QUICK)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert said in done.stderr


def test_wrong_separators_are_wrong_usage(run: Run) -> None:
    for words in ((*EXTRACT, *SEVERAL, "--label-separator", "||"), ("extract", *SEVERAL)):
        done = run(*words)
        assert done.returncode == 2, done.stderr
        assert "--multi-label-separator" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_labels_read_otherwise_are_written_anew_without_embedding(run: Run) -> None:
    done = run(*EXTRACT, "--multi-label-separator", "")
    assert done.returncode == 0, done.stderr
    assert "levels kind; before: kind, multi-label" in done.stdout
    assert "0 embedded, 42 reused" in done.stdout


def test_what_shows_pictures_says_why_it_shows_no_labels(run: Run) -> None:
    for words in (("catalog",), ("similar", "--query", "Mugs0.jpg")):
        done = run("analyze", *words, "--json")
        assert done.returncode == 0, done.stderr
        assert any("column kind lists several" in note for note in json.loads(done.stdout)["notes"])


def test_pictures_that_are_asked_about_never_take_a_listed_catalogues_labels(
    run: Run, shop: Path, training_set: tuple[Path, dict[str, Any], dict[str, Any]]
) -> None:
    """Its name is that of a table's catalogue: the labels would be lost without a word."""
    (labels,) = (shop / "cache/embeddings/products").glob("*.labels.h5")
    before = labels.read_bytes()
    head = training_set[2]["head"]
    done = run("analyze", "predict", "--head", head, "--images", ".", "--catalog", "products")
    assert done.returncode == 2
    assert "'products' is listed from a table, with --label-column kind" in done.stderr
    assert done.stderr.count("\n") == 1
    assert labels.read_bytes() == before
