"""The options of speed as a user types them, and what each row's way is said to be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_catalogs import Run, draw_noise

from extract.command_line import count_or_auto
from extract.errors import UsageError
from extract.storage.embeddings_file import read_table

WORDS = ("extract", "--images", "shop", "--weights", "random", "--output", "x.h5", "--model")
EMBED = (*WORDS, "timm:test_resnet")


@pytest.fixture
def shop(workspace: Path) -> Path:
    """JPEGs of a plain kind, a progressive one, PNGs and a copy of each kind."""
    for i in range(5):
        draw_noise(workspace / "shop" / f"{i}.jpg", i, (90, 70))
        draw_noise(workspace / "shop" / f"{i}.png", 10 + i, (70, 90))
    shutil.copy(workspace / "shop" / "0.jpg", workspace / "shop" / "5.jpg")
    shutil.copy(workspace / "shop" / "0.png", workspace / "shop" / "5.png")
    return workspace / "shop"


def test_a_count_or_auto_is_read_and_nothing_else() -> None:
    assert count_or_auto("auto", "--workers") is None
    assert [count_or_auto(text, "--workers") for text in ("1", "64", "007")] == [1, 64, 7]
    for text in ("", "0", "-1", "1.5", "Auto", "two", " 3", "\N{ARABIC-INDIC DIGIT THREE}", "²"):
        with pytest.raises(UsageError, match=r"no --workers .*: give auto, or a number"):
            count_or_auto(text, "--workers")


def test_batches_and_workers_are_auto_or_a_number(shop: Path, run: Run) -> None:
    for option in ("--batch-size", "--workers"):
        done = run(*EMBED, option, "many")
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr == f"error: no {option} 'many': give auto, or a number of 1 or more\n"
    assert not (shop.parent / "x.h5").exists()

    def embed(*words: str) -> int:
        done = run(*EMBED, "--json", *words)
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["realisation"]["batch_size"])

    assert embed("--batch-size", "3", "--workers", "1", "--limit", "3") == 3
    assert embed("--batch-size", "auto", "--workers", "2", "--limit", "3") == 3  # the file's
    assert embed("--batch-size", "auto", "--workers", "auto", "--restart") == 3
    assert embed("--batch-size", "5", "--workers", "6") == 5  # nothing is left to do
    (shop.parent / "x.h5").unlink()
    assert embed() == 16


def test_every_row_says_what_decoded_its_own_picture(shop: Path, run: Run) -> None:
    pytest.importorskip("simplejpeg")
    for workers in ("2", "5"):  # threads, and processes
        done = run(*EMBED, "--json", "--workers", workers, "--restart", "--decoder", "fast")
        assert done.returncode == 0, done.stderr
        shown = json.loads(run("extract", "show", "x.h5", "--json").stdout)
        ways = {
            (way["decoder"], way["resize"]): i
            for i, way in enumerate(shown["realisations"])
            if "reading" not in way
        }
        assert list(ways) == [
            ("fast", "torchvision"),
            ("reference", "torchvision"),
            ("reference", "pillow"),
        ]
        table = read_table(shop.parent / "x.h5")
        of_row = dict(zip(table.ids, table.rows.execution_config.tolist(), strict=True))
        expected = {"jpg": ways["fast", "torchvision"], "png": ways["reference", "torchvision"]}
        assert of_row == {f"{i}.{kind}": expected[kind] for i in range(6) for kind in expected}
        counted = {each["realisation"]: each for each in shown["rows_by_realisation"]}
        assert {number: each["n_rows"] for number, each in counted.items()} == {0: 6, 1: 6}
        said = run("extract", "show", "x.h5").stdout
        assert "6 rows by 0" in said
        assert "6 rows by 1: 0.png, 1.png, 2.png, 3.png, 4.png" in said
        assert "  0: batch_size 16, decoder fast, device cpu" in said


@pytest.mark.usefixtures("all_recomputed")
def test_half_precision_is_held_against_the_reference_by_the_run_itself(
    shop: Path, run: Run
) -> None:
    model = "timm:test_vit"  # of those that are small, half precision shows the most in it
    done = run(*WORDS, model, "--dtype", "bf16", "--runtime", "torch", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["realisation"]["dtype"], result["realisation"]["runtime"]) == ("bf16", "folded")
    found = result["fidelity"]
    assert (found["n_rows"], found["floor"]) == (12, 0.998)
    assert 0.9 < found["worst_cosine"] < 0.99999  # half precision it is
    assert ("WARNING" in done.stderr) == (found["worst_cosine"] < 0.998)
    shown = json.loads(run("extract", "show", "x.h5", "--json").stdout)
    assert shown["record"]["fidelity"] == found
    exact = run(
        *WORDS, model, "--restart", "--runtime", "eager", "--decoder", "reference", "--json"
    )
    assert exact.returncode == 0, exact.stderr  # what the warning says to type
    assert json.loads(exact.stdout)["realisation"]["dtype"] == "fp32"
    assert json.loads(exact.stdout)["fidelity"] is None
