"""``analyze head --trials`` as a user types it: a real process, resumed by the same words."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from small_catalogs import run_in
from test_rank_command import KINDS, classes, store

from extract.catalog.catalog import Level
from extract.catalog.multi_label import MultiLabel

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("few_strengths")
WORDS = "head --model near --seeds 1 --width 8 --epochs 6 --learning-rate 0.02 --resamples 100"


def test_trials_are_written_drawn_kept_and_not_tried_again(tmp_path: Path) -> None:
    store(tmp_path, "near", 4)
    first, again, more = (
        json.loads(run_in(tmp_path, "analyze", *WORDS.split(), "--trials", n, "--json").stdout)
        for n in ("6", "6", "7")
    )
    tuning = first["tuning"]
    keys = {"n_trials", "n_pruned", "best", "value", "seconds", "importance", "storage"}
    assert keys <= tuning.keys()
    assert tuning == again["tuning"]  # its seconds too: nothing was trained for it again
    assert first["accuracy"] == again["accuracy"]
    assert tuning["best"].items() <= first["settings"].items()
    assert (tuning["n_trials"], more["tuning"]["n_trials"]) == (6, 7)
    assert more["tuning"]["value"] <= tuning["value"] <= tuning["typed_value"]
    assert tuning["storage"].startswith("cache/heads/")
    assert [p.name for p in (tmp_path / "cache" / "heads").glob("*.db")] == [
        Path(tuning["storage"]).name
    ]
    folder = tmp_path / more["results"]
    assert (folder / "tuning.png").stat().st_size > 3000
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert float(rows[-1]["best_so_far"]) == more["tuning"]["value"]
    plain = run_in(tmp_path, "analyze", *WORDS.split(), "--trials", "7")
    assert any(line.startswith("tuned: 7 trials, ") for line in plain.stdout.splitlines())
    assert "[I " not in plain.stderr


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two backbones of pictures with two levels of labels, and several more in a column."""
    root = tmp_path_factory.mktemp("shop")
    kinds = [KINDS[i % 3] for i in range(60)]
    deeper = Level.from_values("kind", [f"{kind} > {i % 2}" for i, kind in enumerate(kinds)])
    tags = MultiLabel.from_values("tags", [(kind, f"odd {i % 2}") for i, kind in enumerate(kinds)])
    for model, spread in (("near", 4), ("far", 1)):
        store(root, model, spread, labels=(classes(60), deeper, tags))
    return root


@pytest.mark.parametrize(
    ("words", "differences", "line"),
    [
        ([], [], "far: accuracy "),
        (
            ["--levels", "2"],
            ["path_class", "path_kind", "hierarchical_f1"],
            "  path at level kind, near minus far ",
        ),
        (
            ["--level", "tags"],
            ["micro_f1", "macro_f1", "mean_average_precision"],
            "far: all labels right ",
        ),
    ],
)
def test_rivals_are_tuned_as_the_head_is(
    shop: Path, words: list[str], differences: list[str], line: str
) -> None:
    typed = [*WORDS.split(), *words, "--against", "far", "--trials", "2"]
    done = run_in(shop, "analyze", *typed)
    assert done.returncode == 0, done.stderr
    assert any(each.startswith(line) for each in done.stdout.splitlines())
    folder = shop / done.stdout.splitlines()[-1].removeprefix("results: ")
    said = json.loads((folder / "run.json").read_text())
    (rival,) = said["against"]
    for tuning in (said["tuning"], rival["tuning"]):
        assert tuning["n_trials"] == 2
        assert tuning["value"] <= tuning["typed_value"]
    assert said["tuning"]["storage"] != rival["tuning"]["storage"]
    assert list(rival["differences"]) == differences
    with (folder / "against_trials_1.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    with (folder / "against.csv").open() as file:
        header, *_ = csv.reader(file)
    ends = [f"difference_{name}{end}" for name in differences for end in ("", "_low", "_high")]
    assert header[header.index("pooling") + 1 :] == ends
    assert (folder / "against.png").stat().st_size > 2000
