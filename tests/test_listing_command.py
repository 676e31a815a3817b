"""What a catalogue is made of: kept from run to run, and said where it is odd or lost."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from small_catalogs import draw_noise
from typed_commands import Said, Typist

from analyze.__main__ import main as analyze
from extract.__main__ import main as extract
from extract.embeddings import Provenance
from extract.embeddings_file import read_embeddings, read_provenance

SMALL = ("--model", "timm:test_resnet", "--weights", "random", "--runtime", "eager")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six pictures, a table of them."""
    for i in range(6):
        draw_noise(tmp_path / "img" / f"{i}.png", i)
    write(
        tmp_path / "plain.csv",
        [["image", "sku", "class", "brand"]]
        + [[f"{i}.png", f"sku{i}", ("cup", "hat")[i % 2], "Acme"] for i in range(6)],
    )
    return tmp_path


@pytest.fixture
def typed(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Typist:
    return Typist(root, monkeypatch, capsys, caplog)


@pytest.fixture
def embed(typed: Typist) -> Any:
    return partial(typed, extract, *SMALL)


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def stored(root: Path, said: Said) -> Any:
    return read_embeddings(root / said.json["file"])


TABLE = ("--manifest", "plain.csv", "--images-dir", "img")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--catalog", "nosuch", "--seed", "5", "similar", "--query", "x"), "--catalog, --seed"),
        (("--json", "compare"), "--json before compare: options of compare go after it"),
        (("--root=.", "rank", "--json"), "--root before rank"),
        (("--query", "x", "similar"), "--query is an option of similar: options go after the com"),
        (("-q", "catalog"), "--quiet before catalog"),
    ],
)
def test_options_before_the_command_are_refused(
    typed: Typist, words: tuple[str, ...], said: str
) -> None:
    found = typed(analyze, *words)
    assert (found.code, found.out) == (2, "")
    assert said in found.notes[-1]


def test_extract_refuses_options_before_its_commands_too(typed: Typist) -> None:
    found = typed(extract, "--restart", "models")
    assert found.code == 2
    assert "--restart before models: options of models go after it" in found.notes[-1]
    assert typed(extract, "models", "--json").code == 0


def test_folders_of_a_split_are_a_column_and_no_classes(
    root: Path, embed: Any, typed: Typist
) -> None:
    for i, place in enumerate(("Train/a", "Train/b", "valid/a", "valid/b", "TEST/a", "TEST/b")):
        draw_noise(root / "split" / place / "1.png", i)
    done = embed("--images", "split", "--json")
    kept = stored(root, done)
    assert [level.name for level in kept.levels] == ["class"]
    assert kept.levels[0].categories == ("a", "b")
    assert dict(zip(kept.ids, kept.columns["split"], strict=True)) == {
        f"{folder}/{kind}/1.png": side
        for folder, side in (("Train", "train"), ("valid", "validation"), ("TEST", "test"))
        for kind in "ab"
    }
    assert any("TEST, Train, valid are taken for a split" in note for note in done.notes)
    asked = typed(analyze, "--catalog", "split", "--json").json
    assert (asked["level"], len(asked["classes"])) == ("class", 2)
