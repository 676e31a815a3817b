"""Results: one run, one folder, whole or not at all."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from small_catalogs import PROJECT

from extract.errors import SosieError
from extract.files import results
from extract.files.results import new_run, write_csv, write_json
from extract.tables import csv_bytes


@pytest.fixture
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr(results, "datetime", Stopped)


def one_run(folder: Path, text: str = "done") -> Path:
    with new_run(folder, "analyze") as (temporary, final):
        (temporary / "run.json").write_text(text)
    return final


def failing_run(folder: Path, error: type[BaseException]) -> None:
    with new_run(folder, "analyze") as (temporary, _):
        (temporary / "run.json").write_text("half")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("_stopped_clock")
def test_a_run_is_named_by_utc_time_and_command(tmp_path: Path) -> None:
    final = one_run(tmp_path / "a" / "results")
    assert final == tmp_path / "a" / "results" / "20260102T030405Z-analyze"
    assert (final / "run.json").read_text() == "done"


def test_the_folder_appears_only_when_all_is_written(tmp_path: Path) -> None:
    with new_run(tmp_path, "analyze") as (temporary, final):
        (temporary / "run.json").write_text("half")
        assert not final.exists()
        assert [name for name in names(tmp_path) if not name.startswith(".")] == []
    assert names(final) == ["run.json"]
    assert names(tmp_path) == [final.name, "latest"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises((error, SosieError)):
        failing_run(tmp_path, error)
    assert names(tmp_path) == []


def test_a_run_that_fails_leaves_the_ones_before(tmp_path: Path) -> None:
    kept = one_run(tmp_path)
    with pytest.raises(ValueError):
        failing_run(tmp_path, ValueError)
    assert names(tmp_path) == [kept.name, "latest"]
    assert (tmp_path / "latest").resolve() == kept.resolve()


@pytest.mark.usefixtures("_stopped_clock")
def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    finals = [one_run(tmp_path, str(i)) for i in range(3)]
    assert len(set(finals)) == 3
    assert [(final / "run.json").read_text() for final in finals] == ["0", "1", "2"]


@pytest.mark.usefixtures("_stopped_clock")
def test_runs_at_the_same_time_have_folders_of_their_own(tmp_path: Path) -> None:
    with ExitStack() as both:
        opened = [both.enter_context(new_run(tmp_path, "analyze")) for _ in range(2)]
        for i, (temporary, _) in enumerate(opened):
            (temporary / "run.json").write_text(str(i))
    assert [(final / "run.json").read_text() for _, final in opened] == ["0", "1"]


@pytest.mark.usefixtures("_stopped_clock")
def test_latest_leads_to_the_newest(tmp_path: Path) -> None:
    for i in range(3):
        final = one_run(tmp_path, str(i))
        assert (tmp_path / "latest").is_symlink()
        assert (tmp_path / "latest").resolve() == final.resolve()
        assert (tmp_path / "latest" / "run.json").read_text() == str(i)


def test_latest_still_leads_there_when_the_workspace_is_moved(tmp_path: Path) -> None:
    one_run(tmp_path / "before" / "results")
    (tmp_path / "before").rename(tmp_path / "after")
    assert (tmp_path / "after" / "results" / "latest" / "run.json").read_text() == "done"


def test_a_dangling_latest_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("gone")
    final = one_run(tmp_path)
    assert (tmp_path / "latest").resolve() == final.resolve()


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_folder_that_cannot_be_written_is_one_line(inside: str, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with (
        pytest.raises(SosieError) as refused,
        new_run(tmp_path / "results" / inside, "analyze"),
    ):
        pytest.fail("nothing can be written here")
    message = str(refused.value)
    assert str(tmp_path / "results") in message
    assert "--root" in message
    assert "\n" not in message


def test_json_is_read_back_and_holds_no_nan(tmp_path: Path) -> None:
    value = {"id": "stray \udc80 カ", "ari": 0.1 + 0.2, "left_out": None, "counts": [[1, 2]]}
    write_json(tmp_path / "run.json", value)
    assert json.loads((tmp_path / "run.json").read_text()) == value
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "nan.json", {"ari": float("nan")})


def read_back(tmp_path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> list:
    write_csv(tmp_path / "table.csv", header, rows)
    assert csv_bytes([header, *rows]) == (tmp_path / "table.csv").read_bytes()
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_a_spreadsheet_would_run_are_quoted(start: str, tmp_path: Path) -> None:
    cell = f"{start}cmd|' /C calc'!A0"
    assert read_back(tmp_path, [cell, "b"], [[cell, "x"]]) == [[f"'{cell}", "b"], [f"'{cell}", "x"]]


@pytest.mark.parametrize(
    "cell", ["a=b", "cups/1.png", 'quo"te, comma', "two\nlines", "カーテン", "'=1", " =1", ""]
)
def test_other_cells_are_written_as_they_are(cell: str, tmp_path: Path) -> None:
    assert read_back(tmp_path, ["a", "b"], [[cell, "x"]]) == [["a", "b"], [cell, "x"]]


def test_numbers_stay_numbers_and_none_is_empty(tmp_path: Path) -> None:
    _, row = read_back(tmp_path, list("abcd"), [[-3, -0.25, None, 0]])
    assert row == ["-3", "-0.25", "", "0"]


def test_stray_bytes_are_escaped(tmp_path: Path) -> None:
    _, (cell, _) = read_back(tmp_path, list("ab"), [["caf\udce9.png", "x"]])
    assert cell == r"caf\udce9.png"


def test_rows_may_come_one_by_one(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", ["n"], ([i] for i in range(3)))
    assert (tmp_path / "table.csv").read_text().split() == ["n", "0", "1", "2"]


KILLED = """
import os, signal, sys
from pathlib import Path
from extract.files.results import new_run

with new_run(Path(sys.argv[1]), "analyze") as (temporary, _):
    (temporary / "run.json").write_text("half")
    print(temporary.name, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_swept_by_the_next_and_nothing_of_one_that_lives(
    tmp_path: Path,
) -> None:
    theirs = tmp_path / ".mine.tmp"
    theirs.mkdir()
    link = tmp_path / ".latest.123"
    link.symlink_to("nowhere")
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(
        words, cwd=PROJECT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        left = tmp_path / run.stdout.readline().strip()
        one_run(tmp_path)
        assert (left / "run.json").read_text() == "half"  # it is still at work
        run.communicate("end\n")
    assert left.exists()
    one_run(tmp_path)
    assert not left.exists()
    assert theirs.is_dir()
    assert not link.is_symlink()
