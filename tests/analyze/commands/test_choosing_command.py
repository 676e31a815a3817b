"""What ``analyze`` chooses and joins, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_catalogs import run_in
from test_compare_command import store


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    store(root, "near", spread=9, n_images=40)
    store(root, "nearer", spread=12, n_images=40)
    return root


def test_a_number_of_clusters_is_chosen_said_and_drawn(shop: Path) -> None:
    words = ["--model", "near", "--clusters", "auto"]
    done = run_in(shop, "analyze", *words)
    assert done.returncode == 0, done.stderr
    assert "3 clusters: the middle of silhouette 3, stability 3, gap " in done.stdout
    folder = shop / done.stdout.splitlines()[-1].removeprefix("results: ")
    assert (folder / "clusters.png").exists()
    found = json.loads(run_in(shop, "analyze", *words, "--json").stdout)
    assert found["n_clusters"] == found["chosen_k"]["k"] == 3
    assert found["chosen_k"]["criteria"].keys() == {"silhouette", "stability", "gap"}
    assert found["automatic"] is None
    plain = json.loads(run_in(shop, "analyze", "--model", "near", "--json").stdout)
    assert plain["chosen_k"] is None


def test_vectors_of_two_backbones_are_joined(shop: Path) -> None:
    done = run_in(shop, "analyze", "--join", "--catalog", "shop", "--json")
    found = json.loads(done.stdout)
    assert found["model"] == "near + nearer"
    assert found["files"][0] == found["file"]
    assert len(found["files"]) == 2
    record = json.loads((shop / found["results"] / "run.json").read_text())
    assert len(record["inputs"]) == 2
    named = run_in(shop, "analyze", "--join", "--model", "near", "--model", "nearer", "--json")
    assert json.loads(named.stdout)["scores"] == found["scores"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model near --clusters many", ["'many'", "a whole number, or auto"]),
        ("--model near --model nearer", ["--join", "analyze compare"]),
        ("--join --model near", ["--join takes two"]),
        ("--model near --reduce auto --cluster gmm", ["leave --cluster gmm out"]),
        ("--model near --cluster gnm", ["no clustering 'gnm'", "spherical"]),
    ],
)
def test_what_cannot_be_is_one_clear_line(shop: Path, words: str, said: list[str]) -> None:
    done = run_in(shop, "analyze", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert all(part in line for part in said)
