"""``analyze robustness``: a card of a stored catalogue, its files, and errors of one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typed_commands import Typist

from analyze.__main__ import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, embedded_shop: Path) -> Path:
    return Path(shutil.copytree(embedded_shop, tmp_path_factory.mktemp("card") / "shop"))


FEW = ("robustness", "--catalog", "photos", "--family", "flip", "--pictures", "6")


def test_card_of_a_catalogue_is_written_printed_and_kept(root: Path, typist: Typist) -> None:
    said = typist(main, *FEW, "--vectors", "kept", "--json")
    found = said.json
    assert found["n_images"] == 6
    assert found["n_catalog"] == 15
    unaltered = {r["metric"]: r["value"] for r in found["rows"] if r["severity"] == 0}
    assert unaltered["recall_at_1"] == 1.0
    assert unaltered["drift"] == pytest.approx(0, abs=1e-5)
    names = {path.name for path in (root / found["results"]).iterdir()}
    assert {"robustness.csv", "families.csv", "robustness.png", "corruptions.png"} <= names
    assert len(list((root / "kept").glob("*.npy"))) == 6
    again = typist(main, *FEW)
    assert again.code == 0
    assert "how often the original of a picture is found first · 6 pictures among 15" in again.out
    assert "6 of 15 pictures, drawn by seed, are corrupted" in again.out
    assert list((root / "cache" / "robustness").glob("*.npy"))
    assert "recall@1 " in typist(main, "runs").out


def test_catalogue_without_labels_has_a_card_too(typist: Typist) -> None:
    words = ("robustness", "--catalog", "unsorted", "--family", "flip", "--pictures", "4", "--json")
    found = typist(main, *words).json
    assert {row["metric"] for row in found["rows"]} == {"recall_at_1", "drift"}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--family", "fog"), "fog"),
        (("--pictures", "99999"), "from 2 to 10,000"),
        (("--head", "none.json"), "none.json"),
    ],
)
def test_what_is_wrong_is_one_line(typist: Typist, words: tuple[str, ...], wrong: str) -> None:
    said = typist(main, "robustness", "--catalog", "photos", *words)
    assert said.code in (1, 2)
    assert wrong in said.all
    assert "Traceback" not in said.all
