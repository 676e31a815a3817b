"""Run folders are listed with what they answer, and two are compared by what differs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typed_commands import Typist

from analyze.__main__ import main as analyze
from analyze.run_history.run_differences import compare_runs
from analyze.run_history.run_folders import ANSWERS, Run, answer_of

FIRST = "20260102T030405Z-analyze"
SECOND = "20260102T030405Z-analyze-2"


def record(**changed: Any) -> dict[str, Any]:
    """A record as ``analyze`` writes it."""
    return {
        "file": "cache/embeddings/shoes/lite-01234567.h5",
        "model": "lite",
        "reduction": "none",
        "seed": 0,
        "scores": {"ari": 0.5, "ami": 0.25, "silhouette": None},
        "command": "python -m analyze --catalog shoes",
        "written": "2026-01-02T03:04:05+00:00",
        "versions": {"numpy": "2.0"},
        "inputs": {"embeddings_sha256": "a" * 64, "labels_sha256": "b" * 64},
        **changed,
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    second = record(
        command="python -m analyze --catalog=shoes --reduce pca:5",
        reduction="pca:5",
        scores={"ari": 0.75, "ami": 0.25},
        versions={"numpy": "2.1"},
        inputs={"embeddings_sha256": "a" * 64, "labels_sha256": "c" * 64},
    )
    for name, each in ((FIRST, record()), (SECOND, second)):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "run.json").write_text(json.dumps(each))
    (tmp_path / "results/latest").symlink_to(SECOND)
    (tmp_path / "results/notes").mkdir()
    return tmp_path


def test_runs_are_listed_the_newest_first(typist: Typist, root: Path) -> None:
    runs = typist(analyze, "runs", "--json").json["runs"]
    assert [run["run"] for run in runs] == [SECOND, FIRST]
    assert runs[1] == {
        "run": FIRST,
        "command": "analyze",
        "typed": "python -m analyze --catalog shoes",
        "written": "2026-01-02T03:04:05+00:00",
        "catalog": "shoes",
        "model": "lite",
        "answer": "ari 0.500",
    }
    assert "ari 0.750" in typist(analyze, "runs").out


def test_what_differs_between_two_runs_is_named_by_kind(typist: Typist, root: Path) -> None:
    found = typist(analyze, "runs", "--compare", FIRST, "latest", "--json").json
    assert found["options"] == [{"name": "--reduce", "a": None, "b": "pca:5"}]
    assert found["settings"] == [{"name": "reduction", "a": "none", "b": "pca:5"}]
    assert found["versions"] == [{"name": "numpy", "a": "2.0", "b": "2.1"}]
    assert found["inputs"] == [{"name": "labels_sha256", "a": "b" * 64, "b": "c" * 64}]
    assert found["scores"] == [
        {"name": "ari", "a": 0.5, "b": 0.75, "difference": 0.25},
        {"name": "ami", "a": 0.25, "b": 0.25, "difference": 0.0},
    ]
    text = typist(analyze, "runs", "--compare", f"results/{FIRST}", SECOND).out
    assert "+0.250" in text
    assert "1 score is equal" in text
    assert "nothing differs" not in text


def test_a_run_that_is_not_there_is_refused(typist: Typist, root: Path) -> None:
    refused = typist(analyze, "runs", "--compare", FIRST, "nope")
    assert refused.code == 2
    assert "analyze runs" in refused.all


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1, 2]",
        b'{"scores": {"ari": NaN}}',
        b"[" * 100_000,
        b'{"scores": [], "files": {}, "model": 3, "inputs": 4, "versions": 5, "command": "\'"}',
        b'{"scores": {"ari": true, "silhouette": "0.3"}, "rows": [1], "files": [1, null]}',
        b'{"model": "\\u001b[2Jgone", "scores": {"ari": 1e400}}',
    ],
)
def test_a_record_is_not_trusted(typist: Typist, root: Path, content: bytes) -> None:
    (root / "results" / FIRST / "run.json").write_bytes(content)
    runs = typist(analyze, "runs", "--json").json["runs"]
    assert (runs[1]["run"], runs[1]["answer"]) == (FIRST, "-")
    assert "\x1b" not in typist(analyze, "runs").out
    done = typist(analyze, "runs", "--compare", FIRST, SECOND)
    assert done.code in (0, 1)
    assert "unexpected" not in done.all


def test_pipes_and_linked_folders_are_passed_over(
    typist: Typist, root: Path, tmp_path: Path
) -> None:
    (root / "results" / FIRST / "run.json").unlink()
    os.mkfifo(root / "results" / FIRST / "run.json")
    (root / "results/20270101T000000Z-analyze").symlink_to(tmp_path)
    runs = typist(analyze, "runs", "--json").json["runs"]
    assert [(run["run"], run["answer"]) for run in runs] == [(SECOND, "ari 0.750"), (FIRST, "-")]


def test_scores_of_tables_are_matched_by_what_they_are_of() -> None:
    cell = {"model": "m", "reduction": "none", "level": "class", "metric": "ari", "mean": 0.5}
    other = {**cell, "reduction": "pca:5", "mean": 0.75}
    a = Run("20260102T030405Z-compare", {"cells": [cell, other]})
    b = Run("20260102T030406Z-compare", {"cells": [{**other, "mean": 0.5}, cell]})
    assert answer_of(a) == "ari 0.750 (m, pca:5)"
    scores = compare_runs(a, b).to_json()["scores"]
    assert [(s["name"], s["difference"]) for s in scores] == [
        ("m none class ari", 0.0),
        ("m pca:5 class ari", -0.25),
    ]


def test_runs_that_commands_wrote_have_a_main_answer(typist: Typist, own_shop: Path) -> None:
    """What one command of a table and the default one write is found where they write it."""
    typist.at = own_shop
    for words in (["rank"], [], ["audit"]):
        assert typist(analyze, *words, "--catalog", "photos", "-q").code == 0
    runs = typist(analyze, "runs", "--json").json["runs"]
    assert {run["command"] for run in runs} <= {*ANSWERS}
    assert re.fullmatch(r"1 finding|\d+ findings", runs[0]["answer"])
    assert all(run["answer"] != "-" and run["catalog"] == "photos" for run in runs), runs
