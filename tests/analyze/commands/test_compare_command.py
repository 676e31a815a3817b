"""``analyze compare`` as a user types it: real processes, files of several backbones."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from small_catalogs import offline_environment, run_in

from extract.catalog.catalog import Catalog, Level
from extract.storage.embeddings import Provenance, row_crc32
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import Rows, blank_fields
from extract.storage.labels_file import labels_path, write_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter
from extract.workspace import Workspace

KINDS = ("cups", "hats", "rugs")
N_IMAGES = 36


def store(
    root: Path,
    model: str,
    *,
    catalog: str = "shop",
    weights: str = "pretrained",
    spread: float = 1.0,
    n_images: int = N_IMAGES,
    n_dims: int = 6,
) -> Path:
    """Write the embeddings file of a backbone whose classes lie so far apart."""
    ids = tuple(f"{i:04}.jpg" for i in range(n_images))
    labels = np.arange(n_images) % 3
    level = Level.from_values("class", [KINDS[i] for i in labels])
    listed = Catalog(catalog, root / catalog, ids, ids, (level,))
    identity = {"backbone": model, "weights": {"source": weights}}
    provenance = Provenance(identity, ({"threads": 1},), {"model": model})
    path = Workspace(root).embeddings_file(catalog, model, provenance.short_identity)
    lay_out(path, listed, provenance, n_dims)
    write_labels(labels_path(path), listed)
    rng = np.random.default_rng(len(model))
    vectors = rng.normal(size=(n_images, n_dims)) + spread * np.eye(3, n_dims)[labels]
    rows = Rows(vectors=vectors.astype(np.float32), **blank_fields(n_images))
    rows.status[:] = 1
    rows.content_sha256[:] = 7
    rows.content_sha256[:, 0] = np.arange(n_images) % 256
    rows.content_sha256[:, 1] = np.arange(n_images) // 256
    for i, row_id in enumerate(ids):
        content = rows.content_sha256[i].tobytes()
        rows.row_crc32[i] = row_crc32(row_id, content, rows.vectors[i])
    writer = RowWriter(read_table(path))
    writer.write(np.arange(n_images), rows)
    writer.sync()
    writer.close()
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    store(root, "near", spread=2)
    store(root, "far", spread=9)
    store(root, "far", spread=1, weights="random")
    return root


@pytest.fixture(scope="module")
def compared(shop: Path) -> subprocess.CompletedProcess[str]:
    words = "compare --seeds 3 --reduce none --reduce pca:0.9 --clusters 4 --svg"
    done = run_in(shop, "analyze", *words.split())
    assert done.returncode == 0, done.stderr
    return done


def test_the_terminal_shows_a_table_with_random_weights_named(
    compared: subprocess.CompletedProcess[str],
) -> None:
    lines = compared.stdout.splitlines()
    (head,) = (i for i, line in enumerate(lines) if line.startswith("model "))
    assert lines[head].split() == ["model", "numbers", "1-NN", "none", "pca:0.9"]
    names = ["far (random weights)", "far", "near"]
    rows = {name: line for line in lines[head + 1 :] for name in names if line.startswith(name)}
    assert rows.keys() >= {"far (random weights)", "near"}
    assert all(line.count("±") == 2 for line in lines[head + 1 : head + 4])
    assert all(line.count(" to ") == 2 for line in lines[head + 1 : head + 4])
    assert "none: far is better than far (random weights) by " in compared.stdout
    assert all("=" in line for line in lines[head + 1 : head + 4] if line.startswith("far  "))
    assert "=" not in rows["far (random weights)"]
    assert "36 pictures · level class · k-means 4 · seeds 0 to 2" in compared.stdout
    assert "note: far (random weights): nothing in these weights was learned" in lines


def test_results_hold_rows_figure_and_what_they_came_from(
    shop: Path, compared: subprocess.CompletedProcess[str]
) -> None:
    folder = shop / compared.stdout.splitlines()[-1].removeprefix("results: ")
    assert folder.name.endswith("-compare")
    assert {p.name for p in folder.iterdir()} == {
        "run.json",
        "comparison.csv",
        "pairs.csv",
        "ari.png",
        "ari.svg",
    }
    said = json.loads((folder / "run.json").read_text())
    with (folder / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(said["rows"]) == 3 * 2 * 3
    for row, same in zip(rows, said["rows"], strict=True):
        assert row == {k: str(v) for k, v in same.items()}
    assert len(said["inputs"]) == len(said["files"]) == 3
    assert len({i["embeddings_sha256"] for i in said["inputs"]}) == 3
    assert len({i["labels_sha256"] for i in said["inputs"]}) == 1
    assert said["command"].startswith("python -m analyze compare --seeds 3")


def test_json_has_the_promised_keys_and_repeats(shop: Path) -> None:
    words = "compare --seeds 2 --seed 5 --reduce none --json --model far".split()
    first, again = (json.loads(run_in(shop, "analyze", *words).stdout) for _ in range(2))
    keys = "model identity weights reduction clustering n_clusters n_noise reduction_seed"
    scores = (
        "ari ami nmi v_measure homogeneity completeness purity fowlkes_mallows matched_accuracy"
    )
    made = {"resize", "pooling"}
    assert {*keys.split(), *scores.split(), "clustering_seed", "level", *made} == first["rows"][
        0
    ].keys()
    keys = "model identity weights reduction clustering level metric mean std low high n_seeds"
    assert {*keys.split(), "seed_low", "seed_high", "p_chance", *made} == first["cells"][0].keys()
    assert first["models"][0].keys() == {
        *("model", "identity", "weights", "n_dims", "one_nn_accuracy", *made),
    }
    keys = "a b a_identity b_identity reduction clustering level metric difference low high"
    made = {f"{side}_{key}" for side in "ab" for key in made}
    assert first["pairs"][0].keys() == {
        *(*keys.split(), "seed_error", "p_adjusted", "verdict", *made),
    }
    assert "over pictures" in first["doubt"]
    assert "over seeds" in first["doubt"]
    assert first["n_resamples"] == 2000
    assert {row["reduction_seed"] for row in first["rows"]} == {5, 6}
    assert {row["weights"] for row in first["rows"]} == {"pretrained", "random"}
    del first["results"], again["results"]
    assert again == first


def test_a_row_is_what_analyze_says_of_that_file(shop: Path) -> None:
    (path,) = Workspace(shop).stored_embeddings()[-1:]
    words = ["--embeddings", str(path), "--reduce", "pca:2", "--json"]
    alone = json.loads(run_in(shop, "analyze", *words, "--seed", "1").stdout)
    found = json.loads(run_in(shop, "analyze", "compare", *words, "--seeds", "2").stdout)
    row = found["rows"][1]
    assert (row["model"], row["clustering_seed"]) == (alone["model"], 1) == ("near", 1)
    assert {k: row[k] for k in ("ari", "nmi")} == {k: alone["scores"][k] for k in ("ari", "nmi")}
    with (shop / alone["results"] / "assignments.csv").open() as file:
        table = [(line["cluster"], line["true_class"]) for line in csv.DictReader(file)]
    clusters, labels = zip(*table, strict=True)
    assert row["ari"] == pytest.approx(adjusted_rand_score(labels, clusters))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--reduce tsen", ["no reduction 'tsen'", "umap"]),
        ("--model vgg16", ["no embeddings of vgg16", "far, near"]),
        ("--catalog nosuch", ["no catalogue 'nosuch'", "shop"]),
        ("--clusters 37", ["37 clusters of 36", "between 1 and 36"]),
        ("--level 2", ["no level '2'", "1 class"]),
        ("--seeds 0", ["--seeds"]),
        ("--resamples 20", ["--resamples", "200"]),
        ("--cluster kmeens", ["no clustering 'kmeens'", "kmeans"]),
        ("--seed 4294967295", ["--seed"]),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(shop: Path, words: str, said: list[str]) -> None:
    done = run_in(shop, "analyze", "compare", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in said)


def test_of_several_catalogues_one_must_be_said(tmp_path: Path) -> None:
    first = store(tmp_path, "near", n_images=30)
    other = store(tmp_path, "near", catalog="other", n_images=24)
    done = run_in(tmp_path, "analyze", "compare", "--seeds", "1", "--reduce", "none")
    assert done.returncode == 2
    assert "--catalog NAME: other, shop" in done.stderr
    words = ["--embeddings", str(first), "--embeddings", str(other), "--embeddings", str(first)]
    done = run_in(tmp_path, "analyze", "compare", *words, "--seeds", "1", "--reduce", "none")
    assert done.returncode == 0, done.stderr
    assert "note: compared on the 24 pictures that all files hold" in done.stdout
    assert sum(line.startswith(("near, 1 ", "near, 2 ")) for line in done.stdout.splitlines()) == 2


@pytest.mark.slow  # it and each of its processes load what they compute with
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_all_its_processes(tmp_path: Path, number: signal.Signals) -> None:
    store(tmp_path, "near", n_images=60)
    kept = Workspace(tmp_path).cached_clusterings
    words = "compare --seeds 200 --reduce none --reduce tsne".split()  # a minute's work
    process = subprocess.Popen(
        [sys.executable, "-m", "analyze", *words],
        cwd=tmp_path,
        env=offline_environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not list(kept.glob("*.json")) and time.monotonic() < until:
        time.sleep(0.1)
    tell = os.killpg if number == signal.SIGINT else os.kill  # a terminal tells all of them
    tell(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number, said
    assert said.splitlines()[-1] == "error: stopped; clusterings finished so far are kept"
    assert "Traceback" not in said
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("a process is left")
    assert not (tmp_path / "results").exists()


RECIPE = """
about = "Near things"
[extract]
model = "near"
[analyze]
reduce = "pca:3,l2"
clusters = 4
seeds = [2, 0]
[published]
ari = [0.25, 0.5]
components = 5
note = "elsewhere"
"""


def test_a_recipe_fixes_all_of_it_and_stands_beside_what_was_published(
    shop: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE)
    words = ["compare", "--recipe", str(recipe)]
    found = json.loads(run_in(shop, "analyze", *words, "--json").stdout)
    assert [row["reduction_seed"] for row in found["rows"]] == [2, 0]
    assert {(row["model"], row["reduction"]) for row in found["rows"]} == {("near", "pca:3,l2")}
    assert found["n_clusters"] == 4
    (here,) = found["recipe"]["found"]
    assert here["components"] == 3
    assert here["ari"] == found["cells"][0]["mean"]
    assert found["recipe"]["published"] == {
        "ari": [0.25, 0.5],
        "components": 5,
        "note": "elsewhere",
    }
    said = run_in(shop, "analyze", *words).stdout
    assert "published: ARI 0.250 to 0.500, 5 components (elsewhere)" in said
    for option in (["--reduce", "none"], ["--model", "far"], ["--clusters", "3"], ["--seeds", "9"]):
        done = run_in(shop, "analyze", *words, *option)
        assert done.returncode == 2
        assert f"fixes {option[0]}: leave one of them out" in done.stderr
    recipe.write_text(RECIPE.replace('model = "near"', 'model = "near"\nresize = "squash"'))
    done = run_in(shop, "analyze", *words)
    assert done.returncode == 2
    assert f"python -m extract --recipe {recipe} first" in done.stderr
