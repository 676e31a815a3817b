"""``analyze head --against`` as a user types it: two backbones, pictures to a sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_catalogs import draw, run_in

pytestmark = pytest.mark.usefixtures("few_strengths")
QUICK = ["--width", "16", "--epochs", "10", "--patience", "3", "--resamples", "100"]
FOLDS = ["--folds", "2", "--shuffles", "1"]
OWN, RIVAL = "timm:test_vit", "timm:test_resnet"
FIGURES = ("against", "calibration", "confusion", "curves")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of two classes, seen by two backbones; the second lacks one of them."""
    root = tmp_path_factory.mktemp("shop")
    for kind in ("Mugs", "Watches"):
        for i in range(6):
            draw(root / "photos" / kind / f"{i}.jpg", kind, i)
    drawn = ["--images", "photos", "--weights", "random", "--runtime", "eager"]
    drawn += ["--decoder", "reference", "--workers", "1"]  # nothing to warm up for so few
    for model, n in ((OWN, 12), (RIVAL, 11)):
        words = [
            *drawn,
            "--model",
            model,
            "--limit",
            str(n),
            "--batch-size",
            str(n),
            "-q",
        ]
        done = run_in(root, "extract", *words)
        assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def compared(shop: Path) -> dict[str, Any]:
    words = ["--model", OWN, "--against", RIVAL, "--json", "-q", *FOLDS, *QUICK]
    done = run_in(shop, "analyze", "head", *words)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_backbone_is_held_against_another_from_pictures_on(
    shop: Path, compared: dict[str, Any]
) -> None:
    (rival,) = compared["against"]
    assert [compared["model"], rival["model"]] == [OWN, RIVAL]
    assert rival["weights"] == "random"
    assert compared["n_images"] == 11
    assert compared["left_out_by_reason"]["not the same in all files"] == 1
    assert "cannot be distinguished with 11 pictures" in rival["verdict"]
    mean = compared["accuracy"]["mean"] - rival["accuracy"]["mean"]
    assert rival["difference"]["mean"] == pytest.approx(mean)
    assert sum(map(sum, rival["confusion"]["counts"])) == 11
    assert rival["seconds"] > 0
    assert sum("nothing in these weights" in note for note in compared["notes"]) == 2


def test_the_folder_holds_tables_and_figures(shop: Path, compared: dict[str, Any]) -> None:
    folder = shop / compared["results"]
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 100  # of 40 dots an inch
    with (folder / "against.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["model"], second["model"]) == (OWN, RIVAL)
    assert second["verdict"] == compared["against"][0]["verdict"]
    stored = json.loads((folder / "run.json").read_text())
    assert stored["against"] == compared["against"]


def test_the_text_says_which_is_better(shop: Path) -> None:
    file = next((shop / "cache/embeddings/photos").glob("*test_resnet*[0-9a-f].h5"))
    words = ["--model", OWN, "--against", str(file.relative_to(shop)), "--svg", "--seeds", "1"]
    done = run_in(shop, "analyze", "head", *words, "-q", *QUICK, *FOLDS)
    assert done.returncode == 0, done.stderr
    assert f"{RIVAL} (random weights): accuracy " in done.stdout
    assert "left out: 1 not the same in all files" in done.stdout
    assert "cannot be distinguished with 11 pictures" in done.stdout
    assert "McNemar p " in done.stdout
    assert {path.stem for path in (shop / "results/latest").glob("*.svg")} == set(FIGURES)


@pytest.mark.parametrize(
    ("against", "why"),
    [
        (
            "cvt_21",
            "--against cvt_21: no embeddings of cvt_21: there are timm:test_resnet, timm:test_vit",
        ),
        (OWN, "the head's own file"),
        ("nowhere.h5", "nowhere.h5"),
    ],
)
def test_a_rival_that_cannot_be_is_one_line(shop: Path, against: str, why: str) -> None:
    done = run_in(shop, "analyze", "head", "--model", OWN, "--against", against)
    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
