"""Decisions: what is filled in is applied, what cannot be is refused with a line each."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typed_commands import Typist

from analyze.__main__ import main
from analyze.auditing import cleaned
from analyze.auditing.audit import audit
from analyze.auditing.cleaned import apply_decisions
from analyze.auditing.decisions import COLUMNS
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.errors import UsageError
from extract.storage.catalog_listing import listed_catalog
from extract.storage.embeddings import EmbeddingSet
from extract.storage.embeddings_file import read_embeddings

Row = dict[str, str]
WORDS = "audit --catalog photos --threshold label_error=0 --threshold outlier=-9".split()


@pytest.fixture
def root(own_shop: Path) -> Path:
    """A workspace of which the pictures are elsewhere: none is opened, and no sheet drawn."""
    (own_shop / "photos").rename(own_shop / "elsewhere")
    return own_shop


@pytest.fixture
def stored(root: Path) -> Path:
    (path,) = (root / "cache/embeddings/photos").glob("efficientnet_lite0-????????.h5")
    return path


@pytest.fixture
def embeddings(stored: Path) -> EmbeddingSet:
    return read_embeddings(stored)


@pytest.fixture
def rows(embeddings: EmbeddingSet) -> list[Row]:
    """The table of decisions of an audit in which every picture has two findings and more."""
    found = audit(embeddings, thresholds={"label_error": 0, "outlier": -9, "outlier_in_class": -9})
    header, *cells = found.tables()["decisions"]
    return [
        {key: "" if cell is None else str(cell) for key, cell in zip(header, row, strict=True)}
        for row in cells
    ]


def one(rows: Sequence[Row], row_id: str, finding: str, **filled: str) -> Row:
    """Fill in the row of a finding."""
    (row,) = [row for row in rows if (row["id"], row["finding"]) == (row_id, finding)]
    return {**row, **filled}


def written(folder: Path, rows: Sequence[Row], delimiter: str = ",") -> Path:
    path = folder / "decisions.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_decisions_give_a_manifest_that_extract_takes(root: Path, typist: Typist) -> None:
    before = sorted((root / "elsewhere").rglob("*"))
    found = typist(main, *WORDS, "--no-pictures", "--json").json
    assert any("no picture was opened" in note for note in found["notes"])
    table = root / found["results"] / "decisions.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    removed = one(rows, "Mugs/3.jpg", "outlier", decision="Remove ")
    new = one(rows, "Vases/1.jpg", "label_error", decision="relabel", new_label="Garden")
    kept = one(rows, "Vases/2.jpg", "outlier", decision="keep")
    undecided = one(rows, "Vases/3.jpg", "outlier")
    written(root, [removed, new, kept, undecided], ";")
    applied = typist(main, *WORDS, "--apply", "decisions.csv", "--json").json
    assert (applied["n_before"], applied["n_images"]) == (15, 14)
    assert applied["decisions"] == {"keep": 1, "relabel": 1, "remove": 1}
    options = dict(zip(*[iter(applied["options"])] * 2, strict=True))
    assert options["--images-dir"].endswith("photos")
    columns = ManifestColumns(
        options["--image-column"], options["--id-column"], options["--label-column"]
    )
    manifest = root / applied["results"] / "cleaned.csv"
    listed = list_manifest(manifest, columns, images_dir=root / "elsewhere")
    labels = dict(zip(listed.ids, listed.levels[0].values(), strict=True))
    assert "Mugs/3.jpg" not in labels
    assert (labels["Vases/1.jpg"], labels["Vases/2.jpg"]) == ("Garden", "Vases")
    assert listed.paths == listed.ids
    assert "kind" in listed.columns or "kind" in options["--label-column"]
    assert sorted((root / "elsewhere").rglob("*")) == before


def test_what_cannot_be_applied_is_refused_with_a_line_each(
    root: Path, stored: Path, embeddings: EmbeddingSet, rows: list[Row]
) -> None:
    good = one(rows, "Mugs/0.jpg", "outlier", decision="remove")
    table = written(
        root,
        [
            good,
            good,
            {**good, "id": "Mugs/none.jpg"},
            {**good, "id": "Vases/1.jpg"},
            {**good, "finding": "blurred"},
            {**good, "finding": "", "id": "Vases/2.jpg"},
            one(rows, "Mugs/1.jpg", "outlier", decision="burn"),
            one(rows, "Mugs/2.jpg", "outlier", decision="relabel"),
            one(rows, "Mugs/0.jpg", "label_error", decision="relabel", new_label="Cups"),
        ],
    )
    with pytest.raises(UsageError, match="8 decisions cannot be applied, so none was") as refused:
        apply_decisions(stored, table, embeddings, root)
    for words, line in zip(
        (
            "line 3: outlier of 'Mugs/0.jpg' is decided on line 2 too",
            "line 4: no picture has the id 'Mugs/none.jpg'",
            "line 5: outlier of 'Vases/1.jpg' is gone: .*",
            "line 6: blurred of 'Mugs/0.jpg' is gone: .*",
            "line 7: .* is gone: .*",
            "line 8: decision 'burn': give keep, remove, relabel, or nothing",
            "line 9: outlier of 'Mugs/2.jpg' is to be relabelled: give its label .*",
            "line 10: 'Mugs/0.jpg' is decided otherwise on line 2 .remove, here relabel as 'Cups'.",
        ),
        refused.value.listed,
        strict=True,
    ):
        assert re.fullmatch(words, line), line


def test_decision_on_a_copy_stands_and_falls_with_the_one_to_keep(
    root: Path, stored: Path, embeddings: EmbeddingSet
) -> None:
    content = embeddings.content_sha256
    assert content is not None
    doubled = content.copy()
    doubled[1] = doubled[0]
    object.__setattr__(embeddings, "content_sha256", doubled)
    header, first, *_ = audit(embeddings).tables()["decisions"]
    row = {key: cell or "" for key, cell in zip(header, first, strict=True)}
    assert (row["finding"], row["id"], row["evidence"]) == ("copy", "Mugs/1.jpg", "Mugs/0.jpg")
    table = written(root, [{**row, "decision": "remove"}])
    assert apply_decisions(stored, table, embeddings, root).removed == {"Mugs/1.jpg"}
    object.__setattr__(embeddings, "content_sha256", content)
    with pytest.raises(UsageError) as refused:
        apply_decisions(stored, table, embeddings, root)
    assert "copy of 'Mugs/1.jpg' is gone" in refused.value.listed[0]


def test_pictures_that_could_not_be_embedded_stay_in_the_catalogue(
    root: Path, stored: Path, embeddings: EmbeddingSet
) -> None:
    catalog, separator = listed_catalog(stored, root)
    assert catalog.ids == embeddings.ids
    assert separator is None
    some = embeddings.take(embeddings.vectors[:, 0].argsort()[:9])
    table = written(root, [])
    table.write_text(",".join(COLUMNS) + "\n" + "," * (len(COLUMNS) - 1) + "\n")
    made = apply_decisions(stored, table, some, root)
    assert len(list(made.tables()["cleaned"])) == 1 + len(catalog)


def test_nothing_is_relabelled_where_there_are_no_labels(
    root: Path,
    stored: Path,
    embeddings: EmbeddingSet,
    rows: Sequence[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog, separator = listed_catalog(stored, root)
    without = replace(catalog, levels=())
    monkeypatch.setattr(cleaned, "listed_catalog", lambda *_: (without, separator))
    table = written(
        root, [one(rows, "Mugs/0.jpg", "outlier", decision="relabel", new_label="Cups")]
    )
    with pytest.raises(UsageError, match="line 2: these pictures have no single labels"):
        apply_decisions(stored, table, embeddings, root)


def test_no_key_is_a_number_to_a_spreadsheet(rows: Sequence[Row]) -> None:
    assert rows
    assert all(row["key"][0] == "k" for row in rows)


def test_other_tables_are_refused(root: Path, stored: Path, embeddings: EmbeddingSet) -> None:
    with pytest.raises(UsageError, match="no file"):
        apply_decisions(stored, root / "none.csv", embeddings, root)
    other = root / "other.csv"
    other.write_text("id,price\nMugs/0.jpg,3\n")
    with pytest.raises(UsageError, match="no column 'decision'"):
        apply_decisions(stored, other, embeddings, root)


@pytest.mark.parametrize("typed", ["blurred", "blurred=x", "blurred=nan", "blured=2"])
def test_threshold_that_is_none_is_refused(root: Path, typist: Typist, typed: str) -> None:
    refused = typist(main, "audit", "--threshold", typed, at=root)
    assert refused.code == 2
    assert "threshold" in refused.all
