"""``analyze explain`` as a user types it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from small_catalogs import Run, draw, make_shop, run_fresh, run_in

from analyze import ExplanationSpec, explain
from analyze.head.prediction.head_file import read_head, write_head
from extract import Workspace, read_embeddings
from extract.errors import UsageError

pytestmark = pytest.mark.usefixtures("few_strengths")

QUICK = ("--width", "16", "--epochs", "30", "--patience", "5", "--resamples", "200")
PROMISED = {"id", "method", "target", "class", "probability", "peak", "sheet"}


def teach(root: Path) -> None:
    """Embed a shop, teach a head what is in it, and write down where that is."""
    make_shop(root)
    # by the reference path, by which explanations are computed
    exact = ("--decoder", "reference", "--runtime", "eager")
    assert run_in(root, "extract", "--images", "photos", *exact).returncode == 0
    words = ["--catalog", "photos", "--folds", "2", "--shuffles", "1", "--json"]
    done = run_in(root, "analyze", "head", *words, *QUICK)
    assert done.returncode == 0, done.stderr
    (root / "head.txt").write_text(json.loads(done.stdout)["head"])


@pytest.fixture(scope="module")
def training_set(
    once: Callable[[str, Callable[[Path], None]], Path], few_strengths: None
) -> tuple[Path, str]:
    """A shop, and a head that was taught what is in it."""
    root = once("taught-shop", teach)
    return root, (root / "head.txt").read_text()


@pytest.fixture
def head(training_set: tuple[Path, str]) -> str:
    return training_set[1]


@pytest.fixture
def shop(training_set: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(training_set[0], tmp_path / "shop", symlinks=True))


@pytest.fixture
def run(shop: Path) -> Run:
    return partial(run_in, shop)


def said_by(run: Run, *words: str) -> dict[str, Any]:
    done = run("analyze", "explain", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_head_is_explained_with_the_keys_promised(shop: Path, head: str, run: Run) -> None:
    said = said_by(run, "--head", head, "--method", "gradcam", "--method", "layercam")
    assert len(said["items"]) == 2 * 3 * 3
    assert said["evaluation"] == []
    folder = shop / said["results"]
    assert json.loads((folder / "run.json").read_text())["items"] == said["items"]
    with (folder / "explanations.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    arrays = np.load(folder / "maps.npz")
    assert arrays["maps"].shape == (18, 8, 8)
    assert arrays["maps"].min() == 0
    for i, item in enumerate(said["items"]):
        assert set(item) >= PROMISED
        assert (shop / item["sheet"]).is_file()
        assert item["id"] == table[i]["id"] == arrays["ids"][i]
        assert item["class"] == item["predicted"]
        assert 0 <= item["probability"] <= 1
        assert (item["peak"] is None) == (not arrays["maps"][i].any())
        width, height = Image.open(shop / "photos" / item["id"]).size
        assert arrays["sizes"][i].tolist() == [width, height]
        if item["peak"]:
            left, top, right, bottom = arrays["seen"][i]
            row, column = np.unravel_index(arrays["maps"][i].argmax(), (8, 8))
            middle = left + (column + 0.5) * (right - left) / 8
            assert abs(item["peak"][0] - middle) <= 1
            assert top <= item["peak"][1] <= bottom
            assert row == int((item["peak"][1] - top) / (bottom - top) * 8)
    asked = run("analyze", "predict", "--head", head, "--catalog", "photos", "--json")
    with (shop / json.loads(asked.stdout)["file"]).open(newline="") as file:
        predicted = {row["id"]: row for row in csv.DictReader(file)}
    for item in said["items"]:
        assert item["class"] == predicted[item["id"]]["class"]
        assert item["probability"] == pytest.approx(float(predicted[item["id"]]["probability"]))
    again = said_by(run, "--head", head, "--method", "gradcam", "--method", "layercam")
    without = [{**item, "sheet": None} for item in said["items"]]
    assert [{**item, "sheet": None} for item in again["items"]] == without


def test_python_explains_as_the_command_does(shop: Path, head: str, run: Run) -> None:
    said = said_by(run, "--head", head, "--sample", "1", "--method", "gradcam")
    (file,) = Workspace(shop).stored_embeddings("photos")
    e = read_embeddings(file)
    wanted = ExplanationSpec(sample=1)
    found = explain(e, wanted, head=shop / head, images=shop / "photos", device="cpu")
    written = shop / said["results"]
    found.save(shop / "own")
    assert {p.name for p in (shop / "own").iterdir()} == {
        p.name for p in written.iterdir() if p.name != "run.json"
    }
    theirs = np.load(written / "maps.npz")
    assert theirs["ids"].tolist() == list(found.ids)
    np.testing.assert_array_equal(theirs["maps"], found.maps["gradcam"])
    for sheet in written.glob("*.png"):
        own = np.asarray(Image.open(shop / "own" / sheet.name))
        np.testing.assert_array_equal(own, np.asarray(Image.open(sheet)))
    where = {"sheet"}
    own_items = found.to_json()["items"]
    for one, other in zip(own_items, said["items"], strict=True):
        assert {k: v for k, v in one.items() if k not in where} == {
            k: v for k, v in other.items() if k not in where
        }
    assert found.text().splitlines()[1].startswith(found.ids[0])
    assert found.to_frame()["id"].tolist() == list(found.ids)
    axes = found.plot(found.ids[-1])
    assert axes.images[0].get_array().shape[2] == 3
    plt.close("all")
    with pytest.raises(UsageError, match="is there already"):
        found.save(shop / "own")
    with pytest.raises(UsageError, match="no picture 'x'"):
        found.plot("x")
    with pytest.raises(UsageError, match="leave head= out"):
        explain(e, "cluster", head=shop / head)
    with pytest.raises(UsageError, match="give head="):
        explain(e, "head")
    with pytest.raises(UsageError, match=r"no id 'x'.*ids are such as"):
        explain(e, "cluster", ids="x", images=shop / "photos")


def test_pictures_that_are_gone_or_changed_are_listed(shop: Path, head: str, run: Run) -> None:
    names = ["Mugs/0.jpg", "Mugs/1.jpg", "Vases/0.jpg"]
    (shop / "photos" / names[0]).unlink()
    draw(shop / "photos" / names[1], "Vases", 99)
    words = ["--head", head, *(word for name in names for word in ("--id", name))]
    said = said_by(run, *words)
    assert [item["id"] for item in said["items"]] == names[2:]
    assert said["missing"] == [
        {"id": names[0], "reason": "missing"},
        {"id": names[1], "reason": "the files have changed since they were embedded"},
    ]
    text = run("analyze", "explain", *words).stdout
    assert "not explained: Mugs/0.jpg, missing" in text
    alone = run("analyze", "explain", "--head", head, "--id", names[0])
    assert alone.returncode == 1
    assert "nothing is explained: 1 picture is not opened: missing" in alone.stderr


def test_a_head_without_mistakes_is_said(shop: Path, head: str, run: Run) -> None:
    stored = read_head(shop / head)
    clean = {"level": stored.levels[0], "n_images": 15, "n_errors": 0, "mistakes": []}
    about = {**stored.about, "held_out": [clean]}
    write_head((shop / head).parent, replace(stored, about=about))
    done = run("analyze", "explain", "--head", head, "--worst", "4")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is explained: " in done.stderr
    assert (
        "not one mistake in 15 held-out pictures; choose pictures with --id ID, --image"
        in done.stderr
    )


def test_why_not_another_class_of_a_new_picture(shop: Path, head: str, run: Run) -> None:
    draw(shop / "new.jpg", "Watches", 50)
    words = ["--head", head, "--image", "new.jpg", "--class", "Mugs", "--of", "probability"]
    (item,) = said_by(run, *words)["items"]
    assert (item["id"], item["class"], item["predicted"]) == ("new.jpg", "Mugs", "Watches")
    assert item["value"] == pytest.approx(item["probability"], abs=1e-4)
    assert item["true"] is None


def test_a_cluster_is_explained(shop: Path, run: Run) -> None:
    said = said_by(run, "--target", "cluster", "--sample", "2")
    plain = json.loads(run("analyze", "--json").stdout)
    with (shop / plain["results"] / "assignments.csv").open(newline="") as file:
        found = {row["id"]: (row["cluster"], row["class"]) for row in csv.DictReader(file)}
    for item in said["items"]:
        cluster, name = found[item["id"]]
        assert (item["asked"], item["class"]) == (f"cluster {cluster} ({name})", name)
        assert item["probability"] is None
        assert item["peak"] is not None


def test_a_neighbor_is_explained_on_both_sides(run: Run) -> None:
    said = said_by(run, "--target", "neighbor", "--id", "Mugs/0.jpg")
    look_up = json.loads(run("analyze", "similar", "--query", "Mugs/0.jpg", "--json").stdout)
    nearest = look_up["queries"][0]["hits"][0]
    one, other = said["items"]
    assert (one["id"], one["asked"]) == ("Mugs/0.jpg", nearest["id"])
    assert (other["id"], other["asked"]) == (nearest["id"], "Mugs/0.jpg")
    assert one["value"] == pytest.approx(nearest["similarity"], abs=1e-6)
    given = said_by(run, "--target", "neighbor", "--id", "Mugs/0.jpg", "--neighbor", "Vases/1.jpg")
    assert [item["id"] for item in given["items"]] == ["Mugs/0.jpg", "Vases/1.jpg"]


def test_its_own_classifier_needs_neither_a_head_nor_an_extra(shop: Path, run: Run) -> None:
    (shop / "captum.py").write_text("raise ImportError('not installed')\n")
    words = ["--target", "pretrained", "--id", "Watches/0.jpg"]
    (item,) = said_by(run, *words)["items"]
    assert item["class"] == item["predicted"]
    (asked,) = said_by(run, *words, "--class", "digital watch")["items"]
    assert (asked["class"], asked["predicted"]) == ("digital watch", item["predicted"])


def test_mistakes_are_held_out(shop: Path, head: str, run: Run) -> None:
    """What is shown is wrong in the run's own predictions of pictures that were not taught."""
    said = said_by(run, "--head", head, "--id", "Mugs/0.jpg", "--worst", "2")
    assert said["items"][0]["id"] == "Mugs/0.jpg"
    worst = said["items"][1:]
    with (shop / head).with_name("predictions.csv").open(newline="") as file:
        wrong = {row["id"] for row in csv.DictReader(file) if row["head"] != row["class"]}
    assert len(worst) == min(2, len(wrong))
    assert all(item["id"] in wrong for item in worst)
    assert all(item["true"] != item["class"] for item in worst)
    assert [item["held_out_predicted"] for item in worst] == [[item["class"]] for item in worst]
    assert any("in 15 held-out pictures" in note for note in said["notes"])


def test_a_file_of_another_identity_is_refused(shop: Path, head: str, run: Run) -> None:
    words = ["--images", "photos", "--weights", "random", "--catalog", "drawn", "--limit", "1"]
    assert run("extract", *words).returncode == 0
    done = run("analyze", "explain", "--head", head, "--catalog", "drawn")
    assert done.returncode == 2
    assert "backbone, weights differ" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "which head? Give it with --head results/"),
        (["--target", "why"], "no --target 'why'"),
        (["--target", "cluster", "--of", "logit"], "leave --of out"),
        (["--target", "cluster", "--head", "x"], "--head does not go with --target cluster"),
        (["--target", "cluster", "--worst", "3"], "--worst does not go with --target cluster"),
        (["--target", "neighbor", "--class", "x"], "--class does not go with --target neighbor"),
        (["--target", "cluster", "--method", "cam"], "no method 'cam'"),
        (["--target", "cluster", "--id", "Mug/0.jpg"], "ids are such as Mugs/0.jpg"),
        (["--target", "cluster", "--image", "photos"], "photos is refused: not_regular"),
        (["--target", "cluster", "--class", "Mug", "--sample", "1"], "there are Mugs"),
        (["--head", "none.json"], "no file"),
    ],
)
def test_wrong_words_are_one_line(run: Run, words: list[str], why: str) -> None:
    done = run("analyze", "explain", *words)
    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold shares against few pictures, follow maps in few steps: that alters numbers alone."""
    monkeypatch.setattr("analyze.explanation.reporting.gathered.BACKGROUND", 3)
    monkeypatch.setattr("analyze.explanation.faithfulness.STEPS", 3)
    monkeypatch.setattr("analyze.explanation.evaluation.measured_maps.MOST_RANDOMIZED", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("few_steps")
def test_shares_and_scores_stand_beside_the_maps(shop: Path, head: str, run: Run) -> None:
    pytest.importorskip("shap")
    ids = ["--id", "Mugs/0.jpg", "--id", "Watches/1.jpg"]
    boxes = shop / "boxes.csv"
    boxes.write_text("id,left,top,right,bottom\nMugs/0.jpg,0,0,999,999\n")
    methods = ["--method", "gradcam", "--method", "shap", "--method", "superpixels"]
    more = ["--samples", "10", "--evaluate", "--boxes", "boxes.csv"]
    said = said_by(run, "--head", head, *ids, *methods, *more)
    assert [item["method"] for item in said["items"]] == [
        name for name in ("gradcam", "shap", "superpixels") for _ in range(2)
    ]
    assert all(item.keys() >= PROMISED for item in said["items"])
    by_method = {row["method"]: row for row in said["evaluation"]}
    assert set(by_method) == {"gradcam", "shap", "superpixels", "random"}
    for row in by_method.values():
        assert 0 <= row["deletion"] <= 1
        assert 0 <= row["insertion"] <= 1
    assert by_method["gradcam"]["pointing"] == 1.0
    assert by_method["gradcam"]["insertion_p"] is None  # two pictures prove nothing
    assert by_method["superpixels"]["additivity_error"] < 1e-4
    assert len(said["features"]["largest"]["Mugs"]) == 10
    folder = shop / said["results"]
    for name in ("shap", "superpixels", "shap_places", "shap_features", "evaluation"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200 / 4  # a fourth of the dots that a user gets
    with np.load(folder / "shap.npz") as arrays:
        assert arrays["shares"].shape == (2, 256, 256)
        off = arrays["shares"].sum(axis=(1, 2)) - (arrays["value"] - arrays["background"])
        wanted = [item["additivity_error"] for item in said["items"][2:4]]
        np.testing.assert_allclose(
            np.abs(off / (arrays["value"] - arrays["background"])), wanted, rtol=1e-3
        )
    with (folder / "evaluation.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_a_missing_extra_is_named(shop: Path, head: str) -> None:
    (shop / "shap.py").write_text("raise ImportError('not installed')\n")
    done = run_fresh(shop, "analyze", "explain", "--head", head, "--method", "shap")
    assert done.returncode == 2
    assert 'pip install -e ".[explain]"' in done.stderr
