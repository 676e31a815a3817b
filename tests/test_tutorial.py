"""The tutorial runs from its first line to its last, and its notebook is the same, executed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from small_catalogs import PROJECT
from warm_backbones import loaded_once

# fenced as `py`: its blocks go on from each other, where those of other pages stand alone
PAGE = (PROJECT / "docs/tutorial.md").read_text()
CODE = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
PRINTED = re.findall(r"```\n\n((?:    .*\n)+)", PAGE)
CELLS = [
    cell
    for cell in json.loads((PROJECT / "docs/tutorial.ipynb").read_text())["cells"]
    if cell["cell_type"] == "code"
]


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def test_the_notebook_has_the_code_of_the_tutorial() -> None:
    assert len(CODE) == 5
    assert [lines_of("".join(cell["source"])) for cell in CELLS] == [*map(lines_of, CODE)]


def test_the_notebook_was_executed_and_the_page_shows_what_it_printed() -> None:
    assert [cell["execution_count"] for cell in CELLS] == [*range(1, len(CELLS) + 1)]
    outputs = ["".join(line for out in cell["outputs"] for line in out["text"]) for cell in CELLS]
    assert [*map(lines_of, outputs)] == [*map(lines_of, PRINTED)]


def test_the_tutorial_runs(
    embedded_shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On fifteen pictures in place of the demo's 210."""
    shutil.copytree(embedded_shop / "photos", tmp_path / "cache/demo")
    monkeypatch.chdir(tmp_path)
    there: dict[str, object] = {"__name__": "__main__"}
    with loaded_once():
        for code in CODE:
            exec(code, there)
            assert capsys.readouterr().out
    saved = {path.name for path in (tmp_path / "my-first-analysis").iterdir()}
    assert saved == {"assignments.csv", "confusion.png", "map.png"}
