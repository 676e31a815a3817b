"""``analyze head --trials`` as a user types it: a real process, resumed by the same words."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from small_catalogs import run_in
from test_rank_command import store

pytest.importorskip("optuna")
WORDS = "head --model near --seeds 1 --width 8 --epochs 10 --learning-rate 0.02 --resamples 100"


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
    assert (folder / "tuning.png").stat().st_size > 10_000
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert float(rows[-1]["best_so_far"]) == more["tuning"]["value"]
    plain = run_in(tmp_path, "analyze", *WORDS.split(), "--trials", "7")
    assert any(line.startswith("tuned: 7 trials, ") for line in plain.stdout.splitlines())
    assert "[I " not in plain.stderr


def test_rivals_are_tuned_as_the_head_is(tmp_path: Path) -> None:
    store(tmp_path, "near", 4)
    store(tmp_path, "far", 1)
    words = [*WORDS.split(), "--against", "far", "--trials", "3", "--json"]
    done = run_in(tmp_path, "analyze", *words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    (rival,) = said["against"]
    for tuning in (said["tuning"], rival["tuning"]):
        assert tuning["n_trials"] == 3
        assert tuning["value"] <= tuning["typed_value"]
    assert said["tuning"]["storage"] != rival["tuning"]["storage"]
    with (tmp_path / said["results"] / "against_trials_1.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
