"""The commands as a user types them: exit codes, one-line errors, kills and signals."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from small_catalogs import Run, draw_noise, offline_environment, run_in
from threadpoolctl import threadpool_info, threadpool_limits

from analyze.clustering.clustering import CLUSTERINGS, cluster
from analyze.reduction.reduction import reduce
from extract.storage.embeddings_file import read_table
from tests.faults.warm_server import WarmProcess, WarmServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored_shop(embedded_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of which three catalogues are embedded."""
    return Path(shutil.copytree(embedded_shop, tmp_path_factory.mktemp("stored") / "shop"))


def test_json_has_the_promised_keys_and_is_all_of_stdout(stored_shop: Path) -> None:
    extracted = json.loads(run_in(stored_shop, "extract", "--images", "photos", "--json").stdout)
    keys = "file model weights identity n_images embedded reused refused to_do seconds"
    assert {*keys.split(), "images_per_second"} <= extracted.keys()
    assert (extracted["n_images"], extracted["embedded"]) == (15, 0)
    assert extracted["images_per_second"] is None
    analyzed = json.loads(run_in(stored_shop, "analyze", "--catalog", "photos", "--json").stdout)
    keys = (
        "model weights file n_images left_out level reduction clustering n_clusters seed scores "
        "confusion results"
    )
    assert set(keys.split()) <= analyzed.keys()
    scores = "ari ami nmi matched_accuracy one_nn_accuracy"
    scores += " silhouette davies_bouldin calinski_harabasz"
    assert set(scores.split()) <= analyzed["scores"].keys()
    assert not {"umap_silhouette", "stability"} & analyzed["scores"].keys()
    assert sum(map(sum, analyzed["confusion"]["counts"])) == 15
    shown = json.loads(run_in(stored_shop, "extract", "show", extracted["file"], "--json").stdout)
    assert shown["counts"] == {"sound": 15, "to_do": 0, "refused": {}}
    assert shown["record"]["images_root"] == "photos"
    again = json.loads(run_in(stored_shop, "analyze", "--catalog", "photos", "--json").stdout)
    assert {k: v for k, v in again.items() if k != "results"} == {
        k: v for k, v in analyzed.items() if k != "results"
    }


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in lines[0]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("extract --images nowhere", 2, ["nowhere does not exist", "--images"]),
        ("extract --images empty", 1, ["no picture in empty"]),
        ("extract --model resnet", 2, ["no backbone 'resnet'", "efficientnet_lite0"]),
        ("extract --manifest products.csv --image-column pic", 2, ["'pic'", "--image-column"]),
        ("extract --manifest none.csv", 2, ["no manifest none.csv"]),
        ("extract --images a --manifest products.csv", 2, ["exclude"]),
        ("extract --images-dir images", 2, ["--manifest"]),
        ("extract --images photos --device cuda:99", 2, ["no cuda:99"]),
        ("extract --images photos --device tpu", 2, ["no device 'tpu'"]),
        ("extract --images photos --weights no.pth", 1, ["no weights file no.pth"]),
        ("extract --images photos --model convnext_base", 1, ["python -m extract --model"]),
        ("extract --batch-size 0", 2, ["--batch-size"]),
        ("extract --bogus", 2, ["--bogus", "--help"]),
        ("extract nonsense", 2, ["nonsense"]),
        ("extract show none.h5", 1, ["no embeddings file"]),
        ("extract show products.csv", 1, ["not a readable embeddings file", "name another"]),
        ("extract demo photos", 2, ["not an empty folder"]),
        ("extract --root nowhere", 2, ["no folder nowhere"]),
        ("analyze --reduce umax", 2, ["no reduction 'umax'", "tsne"]),
        ("analyze --reduce pca", 2, ["pca:50"]),
        ("analyze --embeddings none.h5", 1, ["no embeddings file"]),
        ("analyze --root empty", 2, ["python -m extract"]),
        ("analyze", 2, ["embeddings files, say which", "--catalog NAME"]),
        ("analyze --model vgg16", 2, ["no embeddings of vgg16", "efficientnet_lite0"]),
        ("analyze --catalog nosuch", 2, ["no catalogue 'nosuch'", "photos, products, unsorted"]),
        ("extract --manifest products.csv --label-separator >>", 2, ["--label-column"]),
        ("analyze --catalog unsorted", 2, ["--clusters"]),
        ("analyze --catalog unsorted --clusters 99", 2, ["99 clusters of 15"]),
        ("analyze --catalog unsorted --clusters 0", 2, ["0 clusters"]),
        ("analyze --catalog photos --cluster dbscan", 2, ["choose one of kmeans, spherical, gmm"]),
        ("analyze --catalog photos --cluster hdbscan --clusters 3", 2, ["leave --clusters out"]),
        ("analyze --catalog products --level 9", 2, ["no level '9'", "product_category_tree_1"]),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    stored_shop: Path,
    command: str,
    code: int,
    said: list[str],
) -> None:
    (stored_shop / "empty").mkdir(exist_ok=True)
    assert_one_line(run_in(stored_shop, *command.split()), code, *said)


def test_assignments_are_a_table_with_a_name_a_column(stored_shop: Path) -> None:
    said = json.loads(run_in(stored_shop, "analyze", "--catalog", "photos", "--json").stdout)
    with (stored_shop / said["results"] / "assignments.csv").open() as file:
        rows = list(csv.DictReader(file))
    header = ["id", "cluster", "class", "matched_class", "true_class", "class_label", "kind"]
    assert list(rows[0]) == header
    # the guess and the truth under names that say so, and under their old ones through 0.2
    assert all(row["matched_class"] == row["class"] for row in rows)
    assert all(row["true_class"] == row["class_label"] for row in rows)
    assert all(row["id"].startswith(row["class_label"] + "/") for row in rows)
    right = sum(row["class"] == row["class_label"] for row in rows)
    assert right / len(rows) == pytest.approx(said["scores"]["matched_accuracy"])
    ari = adjusted_rand_score([r["class_label"] for r in rows], [r["cluster"] for r in rows])
    assert ari == pytest.approx(said["scores"]["ari"], abs=1e-12)


@pytest.mark.parametrize("method", ["spherical", "hdbscan"])
def test_another_clustering_can_be_asked_for(stored_shop: Path, method: str) -> None:
    words = ["analyze", "--catalog", "photos", "--cluster", method]
    said = json.loads(run_in(stored_shop, *words, "--json").stdout)
    assert said["clustering"] == method
    with (stored_shop / said["results"] / "assignments.csv").open() as file:
        assert len({row["cluster"] for row in csv.DictReader(file)} - {"-1"}) == said["n_clusters"]
    text = run_in(stored_shop, *words).stdout
    assert f" · {CLUSTERINGS[method].title} {said['n_clusters']}\n" in text


def test_scores_without_labels_are_short_where_there_are_labels(stored_shop: Path) -> None:
    scored = run_in(stored_shop, "analyze", "--catalog", "photos").stdout
    assert re.search(r"^ari .*one_nn_accuracy \S+  silhouette -?\d\.\d{3}$", scored, re.MULTILINE)
    assert "davies_bouldin" not in scored
    alone = run_in(stored_shop, "analyze", "--catalog", "unsorted", "--clusters", "3").stdout
    every = r"^silhouette \S+  davies_bouldin \S+  calinski_harabasz \S+$"
    assert re.search(every, alone, re.MULTILINE)


def test_every_level_has_its_scores_and_a_line(stored_shop: Path) -> None:
    words = ["analyze", "--catalog", "products", "--level", "2"]
    said = json.loads(run_in(stored_shop, *words, "--json").stdout)
    names = [f"product_category_tree_{i}" for i in (1, 2, 3)]
    assert [level["name"] for level in said["levels"]] == names
    assert [level["n_classes"] for level in said["levels"]] == [3, 3, 3]
    shared = said["levels"][1]["scores"]
    assert shared == {name: said["scores"][name] for name in shared}
    # each kind has one parent and one leaf, so no leaf is wrong where the parent is right
    assert [level["right_parent_wrong_leaf"] for level in said["levels"]] == [None, 0, 0]
    assert said["levels"][2]["hierarchical_f1"] == pytest.approx(
        said["levels"][2]["scores"]["purity"]
    )
    text = run_in(stored_shop, *words).stdout
    lines = [line for line in text.splitlines() if line.startswith("level ")]
    assert len(lines) == 3
    assert re.fullmatch(
        r"level product_category_tree_1, 3 classes: ari \S+  ami \S+  purity \S+", lines[0]
    )
    assert "right parent, wrong leaf 0.000  hierarchical F1 " in lines[2]
    folders = json.loads(
        run_in(stored_shop, "analyze", "--catalog", "unsorted", "--clusters", "3", "--json").stdout
    )
    assert folders["levels"] == []


def test_a_seed_gives_the_same_numbers_on_any_number_of_threads() -> None:
    vectors = np.random.default_rng(0).normal(size=(600, 1280)).astype(np.float32)
    said = set()
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            assert {pool["num_threads"] for pool in threadpool_info()} == {n_threads}
            reduced = reduce(vectors, "pca:0.99", 1)
            said.add((reduced.coordinates.tobytes(), cluster(reduced, 20, 1).assignments.tobytes()))
    assert len(said) == 1


def test_pictures_that_cannot_be_listed_are_not_replaced_by_the_demo(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    assert_one_line(run_in(tmp_path, "extract"), 2, "is no folder")
    assert not (tmp_path / "cache").exists()


def test_a_file_of_other_pictures_is_not_written_over(stored_shop: Path) -> None:
    out = ("--output", "out.h5")
    assert run_in(stored_shop, "extract", "--images", "photos", *out).returncode == 0
    done = run_in(stored_shop, "extract", "--images", "flat", *out)
    assert_one_line(done, 2, "out.h5", "photos", "flat", "--output")
    done = run_in(stored_shop, "extract", "--images", "flat", "--output", "products.csv")
    assert_one_line(done, 2, "must end in .h5")


def test_another_root_under_a_taken_name_is_refused(stored_shop: Path) -> None:
    done = run_in(stored_shop, "extract", "--images", "flat", "--catalog", "photos")
    assert_one_line(done, 2, "photos", "flat", "--catalog")


def test_results_that_cannot_be_written_are_one_clear_line(
    stored_shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    file = stored_shop / "cache/embeddings/photos/efficientnet_lite0-30a92371.h5"
    done = run_in(tmp_path, "analyze", "--embeddings", str(file))
    assert_one_line(done, 1, "cannot write", "--root")
    done = run_in(stored_shop, "extract", "--images", "photos", "--output", "products.csv/x.h5")
    assert_one_line(done, 1, "cannot write", "--output")


def test_broken_pictures_are_said_and_the_run_goes_on(run: Run, workspace: Path) -> None:
    for i in range(3):
        draw_noise(workspace / "shop" / "a" / f"{i}.png", i)
    (workspace / "shop" / "a" / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    done = run("extract", "--images", "shop")
    assert done.returncode == 0
    assert "3 embedded, 0 reused, 1 refused" in done.stdout
    assert "1 unidentified" in done.stdout
    command = re.search(r"listed by python -m (.*)", done.stdout)
    assert command
    assert "a/broken.jpg: unidentified" in run(*command[1].split()).stdout
    again = run("extract", "--images", "shop")
    assert "0 embedded, 3 reused, 1 refused" in again.stdout
    analyzed = run("analyze")
    assert "left out: 1 unidentified" in analyzed.stdout
    assert "one class: scores against it are not informative" in analyzed.stdout


def test_only_broken_pictures_is_a_failure(run: Run, workspace: Path) -> None:
    (workspace / "shop").mkdir()
    (workspace / "shop" / "broken.jpg").write_bytes(b"broken")
    done = run("extract", "--images", "shop")
    assert done.returncode == 1
    assert "error: not one of 1 pictures could be embedded" in done.stderr
    stop = run("extract", "--images", "shop", "--restart", "--on-bad-image", "stop")
    assert_one_line(stop, 1, "broken.jpg", "--on-bad-image skip")


def test_one_picture_is_embedded_and_nothing_is_made_up(run: Run, workspace: Path) -> None:
    draw_noise(workspace / "shop" / "a" / "1.png", 1)
    assert run("extract", "--images", "shop").returncode == 0
    said = json.loads(run("analyze", "--reduce", "tsne", "--json").stdout)
    assert said["n_images"] == 1
    assert set(said["scores"].values()) == {None}
    assert any(note.startswith("1 image") for note in said["notes"])


SLOWLY = ("--batch-size", "1", "--workers", "1")
N_PICTURES = 32


def pictures_in(workspace: Path) -> None:
    for i in range(N_PICTURES):
        draw_noise(workspace / "shop" / f"kind{i % 3}" / f"{i}.png", i, (300, 300))


def stored(workspace: Path) -> Path:
    (path,) = (workspace / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5")
    return path


def start(server: WarmServer, workspace: Path) -> WarmProcess:
    words = ("extract", "--images", "shop", *SLOWLY)
    environment = offline_environment(workspace)
    return server.start(words, workspace / "said", workspace, environment)


def wait_for_rows(workspace: Path, process: WarmProcess) -> int:
    """Read the file with plain h5py while it is being filled, until some rows are sound."""
    for _ in range(2_000):
        assert process.lives, "it ended before it could be stopped"
        found = list((workspace / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5"))
        if found:
            with h5py.File(found[0], "r") as file:
                status = file["status"][()]
                assert not np.isnan(file["embeddings"][()][status == 1]).any()
            if (status == 1).any():
                return int((status == 1).sum())
        time.sleep(0.02)
    raise AssertionError("no row was finished")


def test_killed_and_started_again_gives_the_same_file_bit_for_bit(
    warm_server: WarmServer, tmp_path: Path
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for workspace in (killed, whole):
        pictures_in(workspace)
    assert run_in(whole, "extract", "--images", "shop", *SLOWLY).returncode == 0
    process = start(warm_server, killed)
    finished = wait_for_rows(killed, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = read_table(stored(killed))
    assert finished <= before.sound().sum() < N_PICTURES
    done = run_in(killed, "extract", "--images", "shop")
    assert done.returncode == 0
    assert f"{before.sound().sum()} reused" in done.stdout
    one, other = read_table(stored(killed)), read_table(stored(whole))
    for name in ("vectors", "status", "row_crc32", "content_sha256", "size", "realisation"):
        assert getattr(one.rows, name).tobytes() == getattr(other.rows, name).tobytes(), name
    left = {p.name for p in stored(killed).parent.iterdir()}
    stem = stored(killed).stem
    assert left == {f"{stem}.h5", f"{stem}.labels.h5", f"{stem}.lock"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_the_run_with_all_that_is_finished(
    warm_server: WarmServer, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pictures_in(tmp_path)
    process = start(warm_server, tmp_path)
    wait_for_rows(tmp_path, process)
    process.kill(number)
    second = run_in(tmp_path, "extract", "--images", "shop")  # it may meet the first one's lock
    assert process.wait() == code, process.said
    assert "type the same command again" in process.said.splitlines()[-1]
    assert second.returncode in (0, 1)
    if second.returncode == 1:
        assert "is being written by process" in second.stderr
    assert run_in(tmp_path, "extract", "--images", "shop").returncode == 0
    assert read_table(stored(tmp_path)).sound().all()


def test_output_that_nobody_reads_to_its_end_is_no_error(stored_shop: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m extract models | head -1",
        shell=True,
        cwd=stored_shop,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_installed_scripts_are_the_same_commands() -> None:
    for script in ("sosie-extract", "sosie-analyze"):
        path = Path(sys.executable).with_name(script)
        done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
        assert "--model" in done.stdout
