"""``analyze head`` and ``analyze predict`` as a user types them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from small_catalogs import Run, draw, draw_noise, run_in

from analyze.head.prediction.head_file import read_head, write_head

pytestmark = pytest.mark.usefixtures("few_strengths")
QUICK = ("--width", "16", "--epochs", "15", "--patience", "4", "--resamples", "100")


@pytest.fixture(scope="module")
def training_set(
    embedded_shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A shop, and a head that was taught what is in it."""
    root = tmp_path_factory.mktemp("shops") / "shop"
    shutil.copytree(embedded_shop, root)
    words = ["--catalog", "photos", "--folds", "2", "--shuffles", "1", "--json"]
    done = run_in(root, "analyze", "head", *words, *QUICK)
    assert done.returncode == 0, done.stderr
    return root, json.loads(done.stdout)


@pytest.fixture
def shop(training_set: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(training_set[0], tmp_path / "shop", symlinks=True))


@pytest.fixture
def run(shop: Path) -> Run:
    return partial(run_in, shop)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_head_has_the_keys_promised(training_set: tuple[Path, dict[str, Any]]) -> None:
    root, said = training_set
    promised = "model split folds accuracy baselines difference against calibration classes leaks"
    assert {*promised.split(), "head", "results"} <= set(said)
    assert {"mean", "low", "high"} <= set(said["accuracy"])
    assert {"temperature", "ece"} <= set(said["calibration"])
    assert said["head"] == f"{said['results']}/head.json"
    folder = root / said["results"]
    assert json.loads((folder / "run.json").read_text())["head"] == said["head"]
    assert {"class", "precision", "recall", "f1", "n"} <= set(said["classes"][0])
    assert len(rows_of(folder / "predictions.csv")) == said["n_images"]


def test_pictures_are_embedded_as_taught_and_none_is_lost(
    training_set: tuple[Path, dict[str, Any]], shop: Path, run: Run
) -> None:
    new = shop / "new"
    new.mkdir()
    for i in range(3):
        draw(new / f"{i}.jpg", "Watches", 70 + i)
    (new / "broken.jpg").write_bytes(b"no picture")
    head = training_set[1]["head"]
    done = run("analyze", "predict", "--head", head, "--images", "new", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["n_images"], said["abstained"], said["left_out"]) == (3, 0, 1)
    table = rows_of(shop / said["file"])
    assert [row["id"] for row in table] == ["0.jpg", "1.jpg", "2.jpg", "broken.jpg"]
    assert table[3]["class"] == ""
    assert table[3]["not_asked"] == "unidentified"
    assert {row["class"] for row in table[:3]} == {"Watches"}
    stored = run("analyze", "predict", "--head", head, "--catalog", "new", "--json")
    assert json.loads(stored.stdout)["classes"] == said["classes"]
    unsure = run("analyze", "predict", "--head", head, "--catalog", "new", "--abstain-below", "1")
    assert "3 less probable than 1: empty" in unsure.stdout


def test_pictures_unlike_all_that_was_trained_on_are_marked(
    training_set: tuple[Path, dict[str, Any]], shop: Path, run: Run
) -> None:
    for i in range(3):
        draw(shop / "new" / f"{i}.jpg", "Watches", 70 + i)
        draw_noise(shop / "new" / f"noise{i}.png", i)
    ask = ("analyze", "predict", "--catalog", "new", "--head")
    words = ("analyze", "predict", "--images", "new", "--head", training_set[1]["head"])
    done = run(*words)
    assert re.search(
        r"^3 unlike all that the head was trained on: farther than 0\.\d{3} from the "
        r"nearest; of the pictures it was tested on \d+\.\d% are$",
        done.stdout,
        re.M,
    )
    said = json.loads(run(*ask, training_set[1]["head"], "--json").stdout)
    assert said["n_unlike"] == 3
    assert said["share_unlike_tested"] == training_set[1]["share_unlike"]
    table = rows_of(shop / said["file"])
    assert list(table[0])[-3:] == ["distance", "unlike", "not_asked"]
    assert [row["unlike"] for row in table] == ["0"] * 3 + ["1"] * 3
    assert all((float(r["distance"]) > said["unlike_above"]) == (r["unlike"] == "1") for r in table)
    stored = read_head(shop / training_set[1]["head"])
    write_head(shop, replace(stored, vectors=None, about={}), "earlier")
    assert (shop / said["results"] / "predictions.png").stat().st_size > 2000
    shutil.rmtree(shop / "new")
    earlier = json.loads(run(*ask, "earlier.json", "--json").stdout)
    assert earlier["notes"][0] == (
        "head of an earlier version: unlike pictures are not marked; train it again"
    )
    assert earlier["notes"][1].startswith("6 pictures are not opened: ")
    assert not (shop / earlier["results"] / "predictions.png").exists()
    assert (earlier["n_unlike"], earlier["unlike_above"]) == (None, None)
    assert earlier["classes"] == said["classes"]
    assert {(row["distance"], row["unlike"]) for row in rows_of(shop / earlier["file"])} == {
        ("", "")
    }


def test_head_on_two_backbones_reads_both(shop: Path, run: Run) -> None:
    words = ["extract", "--images", "photos", "--resize", "squash", "--json"]
    other = json.loads(run(*words).stdout)["file"]
    plain = next(
        str(p.relative_to(shop))
        for p in (shop / "cache/embeddings/photos").glob("*.h5")
        if ".labels" not in p.name and p.name not in other
    )
    words = ["--embeddings", plain, "--join", other, "--folds", "2", "--shuffles", "1", "--json"]
    done = run("analyze", "head", *words, *QUICK)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["model"] == "efficientnet_lite0 + efficientnet_lite0"
    head = said["head"]
    asked = run("analyze", "predict", "--head", head, "--images", "flat", "--json")
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert found["n_images"] == len(list((shop / "flat").iterdir()))
    stored = run("analyze", "predict", "--head", head, "--catalog", "flat", "--json")
    assert json.loads(stored.stdout)["classes"] == found["classes"]
    lacking = run("analyze", "predict", "--head", head, "--catalog", "none")
    assert lacking.returncode == 2
    assert "has no vectors of efficientnet_lite0" in lacking.stderr
    unsaid = run("analyze", "predict", "--head", head)
    assert "say of which pictures with --catalog NAME" in unsaid.stderr
    twice = run("analyze", "head", "--embeddings", plain, "--join", plain)
    assert "is the head's own file" in twice.stderr


def test_pictures_that_were_taught_are_said(
    training_set: tuple[Path, dict[str, Any]], run: Run
) -> None:
    said = run(
        "analyze", "predict", "--head", training_set[1]["head"], "--catalog", "photos"
    ).stdout
    n = training_set[1]["n_images"]
    assert f"note: {n} of {n} pictures are of the training set" in said


def test_vectors_of_another_backbone_are_refused(
    training_set: tuple[Path, dict[str, Any]], run: Run
) -> None:
    words = ["--images", "photos", "--model", "efficientnet_lite0", "--weights", "random"]
    assert run("extract", *words, "--catalog", "drawn", "--limit", "1").returncode == 0
    done = run("analyze", "predict", "--head", training_set[1]["head"], "--catalog", "drawn")
    assert done.returncode == 2
    assert "the head was trained on vectors of efficientnet_lite0" in done.stderr
    assert "backbone, weights differ" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--head", "none.json"], "no file"),
        (["--head", "shop.pkl"], "pickles are not loaded"),
        (["--head", "HEAD", "--catalog", "photos", "--abstain-below", "2"], "must be from 0 to 1"),
        (
            ["--head", "HEAD", "--images", "photos", "--model", "x"],
            "leave --embeddings and --model",
        ),
        (["--head", "HEAD", "--images", "nowhere"], "nowhere"),
    ],
)
def test_wrong_words_are_one_line(
    training_set: tuple[Path, dict[str, Any]], run: Run, words: list[str], why: str
) -> None:
    done = run(
        "analyze", "predict", *[training_set[1]["head"] if w == "HEAD" else w for w in words]
    )
    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_last_stage_is_trained_and_asked_about_new_pictures(shop: Path, run: Run) -> None:
    words = ["--catalog", "photos", "--unfreeze", "last", "--seeds", "1", "--epochs", "1"]
    (shop / "photos" / "Mugs" / "0.jpg").unlink()
    done = run("analyze", "head", *words, "--width", "8", "--resamples", "100", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["left_out_by_reason"] == {"picture not opened": 1}
    assert any("1 picture is not opened: missing" in note for note in said["notes"])
    assert {"frozen_head", "logistic_regression", "knn"} == set(said["baselines"])
    asked = run("analyze", "predict", "--head", said["head"], "--images", "flat", "--json")
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["n_images"] > 0
    assert answer["identity"] != said["identity"]
    stored = run("analyze", "predict", "--head", said["head"], "--catalog", "photos")
    assert stored.returncode == 2
    assert "weights differ" in stored.stderr
    both = run("analyze", "head", *words, "--against", "efficientnet_lite1")
    assert both.returncode == 2
    assert "leave --against out" in both.stderr
