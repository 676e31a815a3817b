"""The notebook of the page on Python gives what the commands' run folders hold, bit for bit."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_catalogs import PROJECT
from typed_commands import Typist

from analyze.__main__ import main as analyze
from extract.__main__ import main as extract

PAGE = (PROJECT / "docs" / "python.md").read_text()
NOTEBOOK = re.findall(r"## One notebook\n.*?```python\n(.*?)```", PAGE, re.DOTALL)[0]
MOST_LINES = 25
OF_FILES = {"file", "files", "results", "identity", "identity_sha256"}


@pytest.fixture
def root(own_shop: Path) -> Path:
    return own_shop


def test_the_notebook_is_short() -> None:
    assert len([line for line in NOTEBOOK.splitlines() if line.strip()]) <= MOST_LINES


def test_numbers_tables_and_figures_are_those_of_the_commands(
    own_shop: Path,
    typist: Typist,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(own_shop)
    monkeypatch.setenv("MPLBACKEND", "agg")
    found: dict[str, Any] = {}
    exec(NOTEBOOK, found)
    capsys.readouterr()  # what it prints

    said = typist(analyze, "--catalog", "photos", "--reduce", "pca:0.99", "--json").json
    assert_equal(found["a"].to_json(), said, own_shop / "of-photos", own_shop / said["results"])
    scores = found["agree"](found["e"], found["c"]).scores
    assert {name: said["scores"][name] for name in scores} == scores
    with (own_shop / said["results"] / "assignments.csv").open(newline="") as file:
        assigned = [int(row["cluster"]) for row in csv.DictReader(file)]
    assert found["c"].assignments.tolist() == assigned
    assert (own_shop / "by-class.png").stat().st_size > 0

    np.save("vectors.npy", found["X"])
    ids = [f"{i:02}" for i in range(60)]
    Path("ids.txt").write_text("\n".join(ids))
    rows = [f"{row_id},{label}" for row_id, label in zip(ids, found["y"], strict=True)]
    Path("labels.csv").write_text("\n".join(["id,label", *rows]))
    words = ["vectors.npy", "--ids", "ids.txt", "--labels", "labels.csv"]
    assert typist(extract, "import", *words).code == 0
    said = typist(analyze, "--catalog", "vectors", "--reduce", "pca:0.99", "--json").json
    assert_equal(found["b"].to_json(), said, own_shop / "of-a-matrix", own_shop / said["results"])


def assert_equal(own: dict[str, Any], said: dict[str, Any], saved: Path, written: Path) -> None:
    """Every number, every row and every pixel."""
    kept = {name: value for name, value in said.items() if name not in OF_FILES}
    assert {name: value for name, value in own.items() if name not in OF_FILES} == kept
    names = {path.name for path in written.iterdir()} - {"run.json"}
    assert names == {path.name for path in saved.iterdir()}
    assert {"map.png", "confusion.png", "assignments.csv"} <= names
    for name in names:
        assert (saved / name).read_bytes() == (written / name).read_bytes(), name
