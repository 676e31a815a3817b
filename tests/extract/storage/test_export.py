"""What is exported is what was read, whatever its names; nothing is written by halves."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from extract.catalog.catalog import Level
from extract.errors import SosieError, UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.storage.exchange.export import choose_format, export_embeddings
from extract.tables import column_names

IDS = ("-1.jpg", "=cmd|' /C calc'!A0", 'a,b\n"c".jpg', "caf\udce9.jpg", "カ.jpg")
HOSTILE = ("=1+1", "", '@x"', "two\nlines", "NA")


def some_set(ids: tuple[str, ...] = IDS, n_dims: int = 7, **parts: Any) -> EmbeddingSet:
    rng = np.random.default_rng(0)
    vectors = rng.normal(scale=10.0 ** rng.integers(-40, 38, (len(ids), n_dims)).astype(float))
    stock = {
        "levels": (Level.from_values("class", ["b", None, "a", "b", "=x"]),),
        "columns": {"id": HOSTILE, "v0": HOSTILE, "class": HOSTILE, "a/b": HOSTILE},
        "left_out": {"missing": 2},
        "content_sha256": rng.integers(0, 256, (len(ids), 32), dtype=np.uint8),
    }
    return EmbeddingSet(
        ids=ids,
        vectors=np.nan_to_num(vectors.astype(np.float32)),
        provenance=Provenance({"backbone": "tiny"}, ({"dtype": "fp32"},), {"model": "tiny"}),
        **{**stock, **parts},
    )


def test_npz_gives_back_every_bit(tmp_path: Path) -> None:
    vectors = some_set()
    assert export_embeddings(vectors, tmp_path / "v.npz", "npz") == ()
    with np.load(tmp_path / "v.npz", allow_pickle=False) as read:
        assert tuple(read["ids"].tolist()) == vectors.ids
        assert read["vectors"].dtype == np.float32
        assert read["vectors"].tobytes() == vectors.vectors.tobytes()
        assert read["label_class"].tolist() == ["b", "", "a", "b", "=x"]
        for name, values in vectors.columns.items():
            assert tuple(read[f"column_{name}"].tolist()) == values
        assert vectors.content_sha256 is not None
        hashes = [bytes.fromhex(text) for text in read["content_sha256"].tolist()]
        assert b"".join(hashes) == vectors.content_sha256.tobytes()
        said = json.loads(str(read["provenance"]))
    assert Provenance(said["identity"], tuple(said["realisations"]), said["record"]) == (
        vectors.provenance
    )
    assert said["left_out"] == {"missing": 2}


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        export_embeddings(some_set(), tmp_path / name, "npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_parts_that_are_not_known_are_not_there(tmp_path: Path) -> None:
    bare = some_set(levels=(), columns={}, content_sha256=None)
    export_embeddings(bare, tmp_path / "v.npz", "npz")
    with np.load(tmp_path / "v.npz", allow_pickle=False) as read:
        assert set(read) == {"ids", "vectors", "provenance"}


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def test_csv_gives_back_every_float_and_runs_no_formula(tmp_path: Path) -> None:
    vectors = some_set()
    notes = export_embeddings(vectors, tmp_path / "v.csv", "csv")
    header, rows = read_csv(tmp_path / "v.csv")
    numbers = [f"v{i}" for i in range(7)]
    known, columns = ["id", "content_sha256"], ["id_column", "v0_column", "class_column", "a/b"]
    assert header == [*known, "class", *columns, *numbers]
    assert [row[0] for row in rows] == [
        "'-1.jpg",
        "'=cmd|' /C calc'!A0",
        'a,b\n"c".jpg',
        r"caf\udce9.jpg",
        "カ.jpg",
    ]
    assert vectors.content_sha256 is not None
    assert [row[1] for row in rows] == [each.tobytes().hex() for each in vectors.content_sha256]
    assert [row[2] for row in rows] == ["b", "", "a", "b", "'=x"]
    assert [row[3] for row in rows] == ["'=1+1", "", "'@x\"", "two\nlines", "NA"]
    read = np.array([[float(cell) for cell in row[7:]] for row in rows])
    assert read.astype(np.float32).tobytes() == vectors.vectors.tobytes()
    assert any(cell.startswith("-") for row in rows for cell in row[7:])
    assert "1 id is not UTF-8" in notes[0]


def test_csv_of_hard_floats_is_exact(tmp_path: Path) -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 40_000, dtype=np.uint32)
    floats = bits.view(np.float32)
    hard = [0.0, -0.0, 1e-45, -1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1 / 3]
    floats = np.concatenate([np.array(hard, np.float32), floats[np.isfinite(floats)]])[:32_000]
    ids = tuple(f"{i:03}" for i in range(320))
    vectors = EmbeddingSet(ids, floats.reshape(320, 100), Provenance({}, ()))
    told = []
    path = tmp_path / "v.csv"
    export_embeddings(vectors, path, "csv", progress=lambda *told_now: told.append(told_now))
    _, rows = read_csv(path)
    read = np.array([[float(cell) for cell in row[1:]] for row in rows])
    assert read.astype(np.float32).tobytes() == floats.tobytes()
    assert told == [(0, 320), (256, 320), (320, 320)]


def test_parquet_gives_back_every_bit(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = some_set()
    (note,) = export_embeddings(vectors, tmp_path / "v.parquet", "parquet")
    assert note == "1 id is not UTF-8: written with \\udcXX for each such byte"
    table = pq.read_table(tmp_path / "v.parquet")
    known = ["id", "vector", "content_sha256"]
    assert table.column_names == [*known, "class", "id_column", "v0", "class_column", "a/b"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 7)
    assert table["id"].to_pylist() == [*IDS[:3], r"caf\udce9.jpg", IDS[4]]
    assert np.array(table["vector"].to_pylist(), np.float32).tobytes() == vectors.vectors.tobytes()
    assert table["class"].to_pylist() == ["b", None, "a", "b", "=x"]
    assert tuple(table["a/b"].to_pylist()) == HOSTILE
    said = json.loads(table.schema.metadata[b"provenance"])
    assert said["identity"] == {"backbone": "tiny"}
    assert said["identity_sha256"] == vectors.provenance.identity_sha256
    assert said["labels"] == [{"column": "class", "name": "class", "separator": None}]
    assert {each["column"]: each["name"] for each in said["columns"]}["class_column"] == "class"


def test_without_pyarrow_parquet_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SosieError, match=r'^parquet needs pyarrow: pip install .*"parquet"'):
        export_embeddings(some_set(), tmp_path / "v.parquet", "parquet")
    assert not list(tmp_path.iterdir())


class FakeDatabase:
    """Keeps tables as LanceDB does: a folder each; the real one is tried by a benchmark."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def create_table(self, name: str, table: Any) -> None:
        (self.folder / f"{name}.lance").mkdir(parents=True)
        (self.folder / f"{name}.lance" / "rows").write_text(str(table.num_rows))


def test_a_database_is_put_in_its_place_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    path = tmp_path / "shop.lancedb"
    with pytest.raises(SosieError, match=r'^a LanceDB table needs lancedb.*"lancedb"'):
        export_embeddings(some_set(), path, "lancedb")
    monkeypatch.setitem(sys.modules, "lancedb", SimpleNamespace(connect=FakeDatabase))
    export_embeddings(some_set(), path, "lancedb")
    assert (path / "shop.lance" / "rows").read_text() == "5"
    with pytest.raises(UsageError, match="is there already"):
        export_embeddings(some_set(), path, "lancedb")
    export_embeddings(some_set().take(np.arange(2)), path, "lancedb", overwrite=True)
    assert (path / "shop.lance" / "rows").read_text() == "2"
    assert list(tmp_path.iterdir()) == [path]
    (path / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="is no LanceDB database with 'shop' as its only table"):
        export_embeddings(some_set(), path, "lancedb", overwrite=True)


@pytest.mark.parametrize("tables", [("orders",), ("shop", "orders"), ()])
def test_tables_of_others_are_not_replaced(
    tables: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", SimpleNamespace(connect=FakeDatabase))
    path = tmp_path / "shop.lancedb"
    path.mkdir()
    for name in tables:
        (path / f"{name}.lance").mkdir()
    with pytest.raises(UsageError, match=r"only table, and is not replaced: give another name$"):
        export_embeddings(some_set(), path, "lancedb", overwrite=True)
    assert {each.stem for each in path.iterdir()} == {*tables}
    assert not [*path.rglob("rows")]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_database_that_cannot_be_replaced_stays(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", SimpleNamespace(connect=FakeDatabase))
    path = tmp_path / "shop.lancedb"
    export_embeddings(some_set(), path, "lancedb")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "made":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((SosieError, KeyboardInterrupt)):
        export_embeddings(some_set().take(np.arange(2)), path, "lancedb", overwrite=True)
    assert (path / "shop.lance" / "rows").read_text() == "5"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("file_format", ["npz", "csv"])
def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path: Path, file_format: Any) -> None:
    path = tmp_path / f"v.{file_format}"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"is there already.*--overwrite"):
        export_embeddings(some_set(), path, file_format)
    assert path.read_text() == "mine"
    export_embeddings(some_set(), path, file_format, overwrite=True)
    assert path.read_bytes()[:4] != b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "v.npz"
    path.write_text("mine")
    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(SosieError, match=r"cannot write .*No space left.*--output"):
        export_embeddings(some_set(), path, "npz", overwrite=True)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.npz" / "full").mkdir(parents=True)
    for place in ("file/v.npz", "folder.npz", "x" * 300 + ".npz"):
        with pytest.raises(SosieError, match="cannot write") as refused:
            export_embeddings(some_set(), tmp_path / place, "npz", overwrite=True)
        assert "\n" not in str(refused.value)


def test_missing_folders_are_made(tmp_path: Path) -> None:
    export_embeddings(some_set(), tmp_path / "a" / "b" / "v.csv", "csv")
    assert (tmp_path / "a" / "b" / "v.csv").is_file()


def test_a_name_too_long_for_npz_is_one_line(tmp_path: Path) -> None:
    wide = some_set(columns={"x" * 70_000: HOSTILE})
    with pytest.raises(SosieError, match=r"too long for npz.*csv"):
        export_embeddings(wide, tmp_path / "v.npz", "npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wanted", "output", "chosen"),
    [
        (None, None, "npz"),
        ("csv", None, "csv"),
        (None, "v.csv", "csv"),
        (None, "v.PARQUET", "parquet"),
        ("csv", "v.txt", "csv"),
        ("npz", "v", "npz"),
    ],
)
def test_format_is_what_was_asked_or_what_the_name_says(
    wanted: Any, output: str | None, chosen: str
) -> None:
    assert choose_format(wanted, None if output is None else Path(output)) == chosen


def test_names_that_say_nothing_or_something_else_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"does not name a format.*--format"):
        choose_format(None, Path("v.dat"))
    with pytest.raises(UsageError, match="is the name of npz"):
        choose_format("csv", Path("v.npz"))


def test_no_column_name_stands_twice() -> None:
    names = column_names(["id", "class"], ["class", "kind"], ["kind", "class", "class_column"])
    assert names == ("class_label", "kind", "kind_column", "class_column", "class_column_column")
    assert column_names(["id"], [], ["a", "b"]) == ("a", "b")
