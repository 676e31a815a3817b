"""``analyze rank`` as a user types it: real processes, files of several backbones."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_catalogs import run_in

from analyze.comparison.ranking.ranking import rank
from extract.catalog.catalog import Catalog, Level
from extract.catalog.multi_label import MultiLabel
from extract.storage.embeddings import Provenance, row_crc32
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.embeddings_table import Rows, blank_fields
from extract.storage.labels_file import labels_path, write_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter
from extract.workspace import Workspace

pytestmark = pytest.mark.usefixtures("few_strengths")

KINDS = ("cups", "hats", "rugs")


def classes(n_images: int) -> Level:
    return Level.from_values("class", [KINDS[i % 3] for i in range(n_images)])


def store(
    root: Path,
    model: str,
    spread: float,
    *,
    catalog: str = "shop",
    weights: str = "pretrained",
    labels: Sequence[Level | MultiLabel] | None = None,
    n_images: int = 60,
    rate: float | None = None,
) -> Path:
    """Write the embeddings file of a backbone whose classes lie so far apart."""
    ids = tuple(f"{i:04}.jpg" for i in range(n_images))
    labels = [classes(n_images)] if labels is None else labels
    levels = tuple(each for each in labels if isinstance(each, Level))
    several = tuple(each for each in labels if isinstance(each, MultiLabel))
    listed = Catalog(catalog, root / catalog, ids, ids, levels, multi_labels=several)
    identity = {"backbone": model, "weights": {"source": weights}}
    said = {} if rate is None else {"images_per_second": rate}
    provenance = Provenance(identity, ({"threads": 1},), {"model": model, **said})
    path = Workspace(root).embeddings_file(catalog, model, provenance.short_identity)
    lay_out(path, listed, provenance, 6)
    write_labels(labels_path(path), listed)
    noise = np.random.default_rng(0).normal(size=(n_images, 6))
    vectors = noise + spread * np.eye(3, 6)[np.arange(n_images) % 3]
    rows = Rows(vectors=vectors.astype(np.float32), **blank_fields(n_images))
    rows.status[:] = 1
    rows.content_sha256[:] = np.arange(1, n_images + 1)[:, None]
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
    store(root, "near", 1.5)
    store(root, "far", 9, rate=31.25)
    store(root, "far", 0, weights="random")
    return root


@pytest.fixture(scope="module")
def ranked(shop: Path) -> subprocess.CompletedProcess[str]:
    done = run_in(shop, "analyze", "rank", "--resamples", "300", "--svg")
    assert done.returncode == 0, done.stderr
    return done


def test_the_terminal_ranks_compares_and_shows_likeness(
    ranked: subprocess.CompletedProcess[str],
) -> None:
    lines = ranked.stdout.splitlines()
    (head,) = (i for i, line in enumerate(lines) if line.split()[:2] == ["model", "knn_5"])
    assert lines[head].split()[2:6] == ["95", "%", "knn_1", "knn_20"]
    table = [line.split("  ") for line in lines[head + 1 : head + 4]]
    assert [row[1] for row in table] == ["far", "near", "far (random weights)"]
    assert "31.2" in lines[head + 1]
    assert lines[head + 4].startswith("far is better than near by 0.")
    assert lines[head + 5].startswith("near is better than far (random weights) by 0.")
    assert "5-NN accuracy · 60 pictures · level class · 300 resamples · seed 0" in lines
    assert "note: far (random weights): nothing in these weights was learned" in lines
    matrix = lines[head + 8 : head + 11]
    assert [len(row.split()) for row in matrix] == [2 + 2, 2 + 2, 4 + 2]


def test_results_hold_rows_figure_and_what_they_came_from(
    shop: Path, ranked: subprocess.CompletedProcess[str]
) -> None:
    folder = shop / ranked.stdout.splitlines()[-1].removeprefix("results: ")
    assert folder.name.endswith("-rank")
    assert {p.name for p in folder.iterdir()} == {"run.json", "rank.csv", "rank.png", "rank.svg"}
    said = json.loads((folder / "run.json").read_text())
    with (folder / "rank.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(said["rows"]) == 3 * 3
    for row, same in zip(rows, said["rows"], strict=True):
        assert row == {k: "" if v is None else str(v) for k, v in same.items()}
    assert len(said["inputs"]) == len(said["files"]) == 3
    with Image.open(folder / "rank.png") as picture:
        assert min(picture.size) > 300 / 4  # a fourth of the dots that a user gets


def test_python_gives_what_the_command_prints_and_writes(
    shop: Path, ranked: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    lines = ranked.stdout.splitlines()
    folder = shop / lines[-1].removeprefix("results: ")
    said = json.loads((folder / "run.json").read_text())
    found = rank([read_embeddings(shop / name) for name in said["files"]], n_resamples=300)
    found.save(tmp_path)
    assert found.text().splitlines() == lines[3:-1]
    assert said == {**said, **found.to_json()}
    assert (tmp_path / "rank.csv").read_bytes() == (folder / "rank.csv").read_bytes()
    assert np.array_equal(*(Image.open(at / "rank.png") for at in (tmp_path, folder)))


def test_json_has_the_promised_keys_and_repeats(shop: Path) -> None:
    words = "rank --resamples 200 --seed 5 --metric linear_probe --json".split()
    first, again = (json.loads(run_in(shop, "analyze", *words).stdout) for _ in range(2))
    keys = "model identity weights metric value low high images_per_second bytes_per_row"
    assert set(keys.split()) <= first["rows"][0].keys()
    assert [row["model"] for row in first["rows"][:2]] == ["far", "near"]
    assert {row["metric"] for row in first["rows"][:3]} == {"linear_probe"}
    keys = "a b a_identity b_identity metric difference low high p_adjusted verdict"
    made = {f"{side}_{key}" for side in "ab" for key in ("resize", "pooling")}
    assert {*keys.split(), *made} == first["pairs"][0].keys()
    assert len(first["pairs"]) == 2
    keys = "a b a_identity b_identity cka cka_debiased neighbor_overlap"
    assert {*keys.split(), *made} == first["likeness"][0].keys()
    assert len(first["likeness"]) == 3
    del first["results"], again["results"]
    assert again == first


def test_without_labels_clusters_are_judged(tmp_path: Path) -> None:
    store(tmp_path, "near", 1.5, labels=())
    store(tmp_path, "far", 9, labels=())
    done = run_in(tmp_path, "analyze", "rank", "--metric", "silhouette", "--clusters", "3")
    assert done.returncode == 0, done.stderr
    assert "far scores higher than near by 0." in done.stdout
    assert "note: silhouette knows no labels: a surrogate" in done.stdout
    done = run_in(tmp_path, "analyze", "rank", "--metric", "ari")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no labels, so there is no ari: rank by --metric silhouette" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--metric accuracy", ["no metric 'accuracy'", "knn_5", "silhouette"]),
        ("--model vgg16", ["no embeddings of vgg16", "far, near"]),
        ("--catalog nosuch", ["no catalogue 'nosuch'", "shop"]),
        ("--level 2", ["no level '2'", "1 class"]),
        ("--metric ari --clusters 61", ["61 clusters of 60", "between 1 and 60"]),
        ("--resamples 5", ["--resamples"]),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(shop: Path, words: str, said: list[str]) -> None:
    done = run_in(shop, "analyze", "rank", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in said)


def test_of_several_catalogues_one_must_be_said(tmp_path: Path) -> None:
    first = store(tmp_path, "near", 3)
    other = store(tmp_path, "near", 3, catalog="other", n_images=45)
    done = run_in(tmp_path, "analyze", "rank")
    assert done.returncode == 2
    assert "--catalog NAME: other, shop" in done.stderr
    words = ["--embeddings", str(first), "--embeddings", str(other), "--embeddings", str(first)]
    done = run_in(tmp_path, "analyze", "rank", *words, "--resamples", "100")
    assert done.returncode == 0, done.stderr
    assert "note: compared on the 45 pictures that all files hold" in done.stdout
