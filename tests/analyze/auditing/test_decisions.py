"""Decisions: what is filled in is applied, what cannot be is refused with a line each."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

import pytest
from typed_commands import Typist

from analyze.__main__ import main
from extract.__main__ import main as extract_main

WORDS = "audit --catalog photos".split()
LABELS = "--images photos --catalog photos --label-column kind".split()


@pytest.fixture
def root(own_shop: Path) -> Path:
    (own_shop / "photos" / "Mugs" / "again.jpg").write_bytes(
        (own_shop / "photos" / "Mugs" / "0.jpg").read_bytes()
    )
    table = own_shop / "photos" / "metadata.csv"
    table.write_text(table.read_text() + "Mugs/again.jpg,Kitchen\n")
    return own_shop


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def decided(
    path: Path, *, by_finding: dict[str, str], extra: tuple[dict[str, str], ...] = ()
) -> int:
    """Fill in a table as a person does; returns how many rows were filled in."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    filled = 0
    for row in rows:
        if row["finding"] in by_finding:
            row["decision"] = by_finding[row["finding"]]
            filled += 1
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([*rows, *({**rows[0], **each} for each in extra)])
    return filled


def test_decisions_give_a_manifest_that_extract_takes_and_touch_no_picture(
    root: Path, typist: Typist
) -> None:
    assert typist(extract_main, *LABELS).code == 0
    before = hashes(root / "photos")
    found = typist(main, *WORDS, "--json").json
    (copy,) = [each for each in found["findings"] if each["finding"] == "copy"]
    assert (copy["id"], copy["evidence"]) == ("Mugs/again.jpg", ["Mugs/0.jpg"])
    table = root / found["results"] / "decisions.csv"
    other = {"finding": "copy", "id": "Vases/1.jpg", "decision": "remove"}
    _refused(typist, table, other)
    assert decided(table, by_finding={"copy": "remove"}) == 1
    applied = typist(main, *WORDS, "--apply", str(table), "--json").json
    assert (applied["n_before"], applied["n_images"]) == (16, 15)
    manifest = f"{applied['results']}/cleaned.csv"
    embedded = typist(extract_main, "--manifest", manifest, *applied["options"], "--json").json
    assert embedded["n_images"] == 15
    with (root / manifest).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "Mugs/again.jpg" not in [row["id"] for row in rows]
    assert {row["id"].split("/")[0]: row["kind"] for row in rows}["Vases"] == "Home"
    assert hashes(root / "photos") == before


def _refused(typist: Typist, table: Path, other: dict[str, str]) -> None:
    """Try rows that cannot be applied, each with its line, and put the table back."""
    whole = table.read_text()
    with table.open(newline="") as file:
        (first, *_) = [row for row in csv.DictReader(file) if row["finding"] == "copy"]
    wrong = (
        {**first, "decision": "remove"},
        {**first, "decision": "remove"},
        {**first, "decision": "remove", "id": "Mugs/none.jpg"},
        {**first, **other},
        {**first, "decision": "burn", "id": "Mugs/1.jpg"},
    )
    decided(table, by_finding={}, extra=wrong)
    refused = typist(main, *WORDS, "--apply", str(table))
    assert refused.code == 2
    for words in (
        r"line \d+: copy of 'Mugs/again.jpg' is decided on line \d+ too",
        r"line \d+: no picture has the id 'Mugs/none.jpg'",
        r"line \d+: copy of 'Vases/1.jpg' is gone",
        r"line \d+: decision 'burn': give keep, remove, relabel",
    ):
        assert len(re.findall(words, refused.all)) == 1, refused.all
    table.write_text(whole)


def test_relabelling_takes_the_new_label_and_contradictions_are_refused(
    root: Path, typist: Typist
) -> None:
    assert typist(extract_main, *LABELS).code == 0
    words = [*WORDS, "--threshold", "ambiguous=-1", "--threshold", "label_error=0"]
    found = typist(main, *words, "--json").json
    table = root / found["results"] / "decisions.csv"
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] == "Vases/1.jpg"]
    errors = [row for row in rows if row["finding"] == "label_error"]
    (row,) = errors
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow({**row, "decision": "relabel", "new_label": "Garden"})
    applied = typist(main, *WORDS, "--apply", str(table), "--json").json
    with (root / applied["results"] / "cleaned.csv").open(newline="") as file:
        kinds = {each["id"]: each["kind"] for each in csv.DictReader(file)}
    assert kinds["Vases/1.jpg"] == "Garden"
    assert kinds["Vases/2.jpg"] == "Home"
    other = next(each for each in rows if each["finding"] != "label_error")
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writerow({**other, "decision": "remove"})
    refused = typist(main, *WORDS, "--apply", str(table))
    assert "is decided otherwise on line 2 (relabel as 'Garden', here remove)" in refused.all


@pytest.mark.parametrize("typed", ["blurred", "blurred=x", "blurred=nan", "blured=2"])
def test_threshold_that_is_none_is_refused(root: Path, typist: Typist, typed: str) -> None:
    refused = typist(main, *WORDS, "--threshold", typed, at=root)
    assert refused.code == 2
    assert "threshold" in refused.all or "check" in refused.all
