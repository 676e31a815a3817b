"""What every result has in common: its tables and figures in a folder, nothing replaced."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analyze.presentation.figure_style import new_figure
from analyze.presentation.result import Draw, Result, Table, table_of
from extract.errors import UsageError

ROWS = [{"model": "=a", "ari": 0.5}, {"model": "b", "ari": None}]


@dataclass(frozen=True)
class Found(Result):
    drawn: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"rows": ROWS}

    def text(self) -> str:
        return "found"

    def tables(self) -> dict[str, Table]:
        return {"rows": table_of(ROWS)}

    def figures(self) -> dict[str, Draw]:
        return {name: lambda name=name: self._draw(name) for name in ("map", "bars")}

    def _draw(self, name: str) -> Any:
        self.drawn.append(name)
        return new_figure(1, 1)


def test_tables_and_figures_are_saved_by_their_names(tmp_path: Path) -> None:
    found = Found([])
    found.save(str(tmp_path / "new" / "folder"), svg=True)
    names = {"rows.csv", *(f"{name}.{kind}" for name in ("map", "bars") for kind in ("png", "svg"))}
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == names
    with (tmp_path / "new" / "folder" / "rows.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["model", "ari"], ["'=a", "0.5"], ["b", ""]]
    assert found.drawn == ["map", "bars"]


@pytest.mark.parametrize("name", ["rows.csv", "bars.png"])
def test_nothing_that_is_there_is_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    found = Found([])
    with pytest.raises(UsageError, match=f"{name} is there already: give another folder"):
        found.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
    assert found.drawn == []


def test_columns_are_those_of_the_first_record_unless_they_are_named() -> None:
    assert [*table_of([{"b": 1, "a": 2}, {"a": 4, "b": 3}])] == [["b", "a"], [1, 2], [3, 4]]
    assert [*table_of([{"a": 1}, {"b": 2}], ["b", "a"])] == [["b", "a"], [None, 1], [2, None]]
    assert [*table_of([], ["a"])] == [["a"]]
