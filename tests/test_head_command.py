"""``analyze head`` as a user types it: real processes, results, one-line errors."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import run_in
from test_rank_command import store

from extract.catalog import Catalog, Level
from extract.embeddings_file import read_table
from extract.labels_file import labels_path, write_labels

QUICK = ["--width", "8", "--epochs", "15", "--learning-rate", "0.02", "--resamples", "200"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    path = store(root, "near", 4)
    kinds = [("cups", "hats", "rugs")[i % 3] for i in range(60)]
    ids = read_table(path).ids
    columns = {"part": tuple("train" if i < 45 else "test" for i in range(60))}
    listed = Catalog("shop", root, ids, ids, (Level.from_values("class", kinds),), columns)
    write_labels(labels_path(path), listed)
    store(root, "bare", 4, catalog="bare", labelled=False)
    return root


@pytest.fixture(scope="module")
def tested(shop: Path) -> subprocess.CompletedProcess[str]:
    done = run_in(shop, "analyze", "head", "--model", "near", "--folds", "3", *QUICK)
    assert done.returncode == 0, done.stderr
    return done


def test_the_terminal_says_head_baselines_and_classes(
    tested: subprocess.CompletedProcess[str],
) -> None:
    lines = tested.stdout.splitlines()
    assert "60 pictures · level class · 3 folds x 3 shuffles · seed 0" in lines
    (head,) = (line for line in lines if line.startswith("head: accuracy "))
    assert float(head.split()[2]) > 0.8
    assert any(line.startswith("logistic regression: ") for line in lines)
    assert any(line.startswith("5 nearest neighbors: ") for line in lines)
    assert [line.split()[0] for line in lines if line.endswith("20")] == ["cups", "hats", "rugs"]


def test_results_hold_the_split_the_curves_and_the_answers(
    shop: Path, tested: subprocess.CompletedProcess[str]
) -> None:
    folder = shop / tested.stdout.splitlines()[-1].removeprefix("results: ")
    assert folder.name.endswith("-head")
    tables = {"folds", "split", "curves", "predictions", "classes", "confusion"}
    assert {p.name for p in folder.iterdir()} == {"run.json", *(f"{t}.csv" for t in tables)}
    said = json.loads((folder / "run.json").read_text())
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 60
    right = np.mean([row["class"] == row["head"] for row in rows])
    assert said["accuracy"]["mean"] == pytest.approx(right)
    with (folder / "split.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 60
    assert {"command", "versions", "inputs"} <= said.keys()


def test_json_has_the_promised_keys_and_repeats(shop: Path) -> None:
    words = ["head", "--model", "near", "--seeds", "2", "--class-weights", "--json", *QUICK]
    first, again = (json.loads(run_in(shop, "analyze", *words).stdout) for _ in range(2))
    keys = "model split folds accuracy baselines difference against calibration classes leaks head"
    assert set(keys.split()) <= first.keys()
    assert first["split"]["method"] == "stratified 60/20/20"
    assert len(first["folds"]) == 2
    for estimate in (first["accuracy"], first["difference"]):
        assert set(estimate) == {"mean", "low", "high"}
    for name in ("logistic_regression", "knn"):
        assert set(first["baselines"][name]["difference"]) == {"mean", "low", "high"}
        assert 0 <= first["baselines"][name]["accuracy"] <= 1
    assert {"class", "precision", "recall", "f1", "n"} == first["classes"][0].keys()
    assert {"byte_identical", "near_identical", "pictures"} <= first["leaks"].keys()
    for result in (first, again):
        del result["results"]
        for row in result["folds"]:
            del row["seconds"]
    assert again == first


def test_a_column_of_the_manifest_splits(shop: Path) -> None:
    words = ["head", "--model", "near", "--split-column", "part", "--seeds", "1", "--json", *QUICK]
    said = json.loads(run_in(shop, "analyze", *words).stdout)
    assert said["split"]["method"] == "column part"
    assert said["split"]["n_test"] == 15
    assert any("a quarter of train is taken" in note for note in said["notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model near --split-column nosuch", ["no column 'nosuch'", "part"]),
        ("--model near --split-column part --folds 3", ["leave one of them out"]),
        ("--model near --optimizer sgd", ["no --optimizer 'sgd'", "adamw"]),
        ("--model near --folds 40", ["fewer than two classes of 40"]),
        ("--model near --level 2", ["no level '2'"]),
        ("--model near --folds 1", ["--folds"]),
        ("--model near --views", ["no views beside", "python -m extract --views 8"]),
        ("--catalog bare", ["no labels", "--label-column"]),
        ("", ["2 embeddings files", "--model NAME"]),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(shop: Path, words: str, said: list[str]) -> None:
    done = run_in(shop, "analyze", "head", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in said)
