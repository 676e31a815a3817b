"""Tables as shops have them: encodings, workbooks, parquet, and what is wrong with some."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from extract.catalog.manifest import ManifestColumns, TableOptions, list_manifest
from extract.catalog.manifest_table import read_table
from extract.errors import CatalogError, UsageError

TEXT = "image;kind\ncaf\u00e9.jpg;f\u00eate\nb.jpg;cup\n"


@pytest.mark.parametrize(
    ("raw", "read_as", "note"),
    [
        (TEXT.encode(), None, None),
        (TEXT.encode("utf-8-sig"), None, None),
        (TEXT.encode("cp1252"), "cp1252", "not UTF-8 from line 2 on: read as cp1252"),
        (TEXT.encode("utf-16"), "utf-16", "UTF-16, by its mark"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16", "UTF-16, by its mark"),
        (TEXT.encode("utf-16-le"), "utf-16-le", "UTF-16-LE: every other byte"),
        (TEXT.encode("utf-16-be"), "utf-16-be", "UTF-16-BE: every other byte"),
    ],
)
def test_an_encoding_is_recognized_and_stated(
    raw: bytes, read_as: str | None, note: str | None, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(raw)
    listed = list_manifest(tmp_path / "t.csv", ManifestColumns(label="kind"))
    assert listed.ids == ("b.jpg", "caf\u00e9.jpg")
    assert listed.levels[0].values() == ("cup", "f\u00eate")
    assert listed.encoding == read_as
    assert [note in each for each in listed.notes] == [True] if note else listed.notes == ()


def test_an_encoding_that_is_named_is_taken(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("image\n\u0142.jpg\n".encode("cp1250"))
    assert read_table(tmp_path / "t.csv", "cp1250").rows[0][1] == ["\u0142.jpg"]
    for name in ("cp9999", "zlib", "base64", "a\0b"):
        with pytest.raises(UsageError, match="no encoding"):
            read_table(tmp_path / "t.csv", name)
    with pytest.raises(
        CatalogError, match=r"line 2: byte 1 of it, 0xb3, is no utf-8; .*--encoding"
    ):
        read_table(tmp_path / "t.csv", "utf-8")


def test_blanks_around_names_of_columns_are_taken_off_and_stated(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(" image ,kind,\u00a0size\na.jpg, cup ,1\n")
    listed = list_manifest(tmp_path / "t.csv", ManifestColumns(image="image ", label="kind"))
    assert dict(listed.columns) == {"size": ("1",)}
    assert listed.notes[0].endswith("are taken off: image, size")


def book_of(*rows: list[Any], sheets: tuple[str, ...] = (), merge: str = "") -> Any:
    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        for name in sheets:
            book.create_sheet(name)
        if merge:
            book.active.merge_cells(merge)
        book.save(path)

    return write


def columns_of(**columns: Any) -> Any:
    return lambda path: pyarrow.parquet.write_table(pyarrow.table(columns), path)


def test_a_workbook_is_read_as_the_csv_that_it_would_be(tmp_path: Path) -> None:
    day = datetime.date(2024, 2, 3)
    rows = [["sku ", "image", "kind", "price", "added", None], [12, "b.jpg", "cup", "=2*3", day]]
    rows += [[], [7.0, "a.jpg", None, 1.5, None], [None, None]]
    book_of(*rows)(tmp_path / "t.xlsx")
    listed = list_manifest(tmp_path / "t.xlsx", ManifestColumns(id="sku", label="kind"))
    assert (listed.ids, listed.paths) == (("12", "7"), ("b.jpg", "a.jpg"))
    assert listed.levels[0].values() == ("cup", None)
    assert dict(listed.columns) == {"price": ("=2*3", "1.5"), "added": ("2024-02-03 00:00:00", "")}
    notes = " ".join(listed.notes)
    assert "1 formulas are kept as their text" in notes
    assert " empty rows are passed over" in notes


def test_a_sheet_is_named(tmp_path: Path) -> None:
    book_of(["image"], ["a.jpg"], sheets=("other",))(tmp_path / "t.xlsx")
    assert len(read_table(tmp_path / "t.xlsx", sheet="Sheet").rows) == 1
    with pytest.raises(UsageError, match="has the sheets Sheet, other: name one with --sheet"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(UsageError, match=r"no sheet 'x' in .*it has Sheet, other"):
        read_table(tmp_path / "t.xlsx", sheet="x")
    with pytest.raises(UsageError, match="--encoding does not belong"):
        read_table(tmp_path / "t.xlsx", "utf-8")


def test_parquet_is_read_by_its_types(tmp_path: Path) -> None:
    kinds = pyarrow.array(["cup", None]).dictionary_encode()
    write = columns_of(image=["b.jpg", "a.jpg"], id=[2, 10], kind=kinds, tags=[["x", "y"], []])
    write(tmp_path / "t.parquet")
    listed = list_manifest(tmp_path / "t.parquet", ManifestColumns(id="id", label="kind"))
    assert (listed.ids, listed.paths) == (("10", "2"), ("a.jpg", "b.jpg"))
    assert listed.levels[0].values() == (None, "cup")
    assert dict(listed.columns) == {"tags": ("[]", '["x", "y"]')}


def with_entities(path: Path) -> None:
    book_of(["image"], ["a.jpg"])(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    name = "xl/worksheets/sheet1.xml"
    parts[name] = entity + parts[name].replace(b"a.jpg", b"&e;")
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)


STRUCTS = [[{"path": "a.jpg"}]]
BINARY = pyarrow.array([b"\xff"], pyarrow.binary())
NOT_TEXT = pyarrow.Array.from_buffers(
    pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")]
)
AWKWARD: list[tuple[str, Callable[[Path], Any], str]] = [
    ("xlsx", book_of(["image"], ["=A1"]), "row 2: column 'image' holds a formula"),
    ("xlsx", book_of(["image"], [12]), "row 2: column 'image' holds a number where paths are"),
    ("xlsx", book_of(["image"], ["#N/A"]), "an error of the spreadsheet"),
    ("xlsx", book_of(["image"], [datetime.date(2024, 1, 1)]), "holds a date or a time"),
    ("xlsx", book_of(["image", "kind"], ["a", True]), "'kind' holds true or false"),
    ("xlsx", book_of(["image", "kind"], ["a", 1.5]), "'kind' holds a number with a fraction"),
    ("xlsx", book_of(["image"], ["a"], ["b"], merge="A2:A3"), "cells A2:A3 are merged"),
    ("xlsx", book_of(["image", "image"], ["a", "b"]), "'image' stands twice"),
    ("xlsx", book_of(["image"], ["a", "b"]), "row 2: 2 cells where the header has 1"),
    ("xlsx", book_of([None], ["a"]), "the first row is empty"),
    ("xlsx", book_of(["image"]), "no rows"),
    ("xlsx", lambda path: path.write_text("no zip"), "cannot be read as a workbook"),
    ("xlsx", with_entities, "declares XML entities"),
    ("parquet", lambda path: path.write_text("no parquet"), "cannot be read as parquet"),
    ("parquet", columns_of(image=[1.5]), "row 1: column 'image' holds a number with a fraction"),
    ("parquet", columns_of(image=STRUCTS), r"'image' holds what is no text \(list\)"),
    ("parquet", columns_of(image=["a"], kind=BINARY), r"'kind' holds what is no text \(bytes\)"),
    ("parquet", columns_of(image=NOT_TEXT), "a text that is no UTF-8"),
    ("parquet", columns_of(image=["a" * 200_000]), "a cell of 200,000 characters"),
    ("parquet", columns_of(image=["b", "a\0"]), "t.parquet, row 2: a cell with a NUL character"),
    ("parquet", columns_of(image=["b"], size=["a\0"]), "t.parquet, row 1: a cell with a NUL"),
    ("parquet", columns_of(**{"image": ["b"], "a\0": ["b"]}), "t.parquet, header: a cell with a"),
]


@pytest.mark.parametrize(("kind", "write", "line"), AWKWARD)
def test_what_is_wrong_with_a_table_is_one_line(
    kind: str, write: Callable[[Path], Any], line: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{kind}"
    write(path)
    label = "kind" if "'kind'" in line else None
    with pytest.raises(CatalogError, match=line) as refused:
        list_manifest(path, ManifestColumns(label=label), options=TableOptions())
    assert "\n" not in str(refused.value)


def test_a_workbook_that_would_fill_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book_of(["image"], ["a" * 30_000])(tmp_path / "t.xlsx")
    monkeypatch.setattr("extract.catalog.manifest_workbook.MOST_BYTES", 30_000)
    with pytest.raises(CatalogError, match="bytes unpacked; at most 10,000 of 30,000"):
        read_table(tmp_path / "t.xlsx")
    monkeypatch.undo()
    monkeypatch.setattr("extract.catalog.manifest_workbook.MOST_CELLS", 3)
    with pytest.raises(CatalogError, match="row 2: more than 3 cells"):
        read_table(tmp_path / "t.xlsx")
