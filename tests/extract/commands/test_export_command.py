"""``extract export`` and a folder's metadata.csv as a user types them: real processes."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import Run, draw_noise, fill

from extract.catalog.catalog import Catalog, Level
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.labels_file import labels_path, read_labels, write_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter


@pytest.fixture
def stored(workspace: Path) -> Path:
    """An embeddings file of five pictures: three sound, one missing, one to do."""
    ids = ("a.jpg", "b.jpg", "c\udcff.jpg", "d.jpg", "e.jpg")
    levels = (Level.from_values("class", ["x", "y", None, "x", "y"]),)
    catalog = Catalog("shop", workspace, ids, ids, levels, {"brand": ("=1", "B", "", "D", "E")})
    path = workspace / "cache" / "embeddings" / "shop" / "tiny-12345678.h5"
    made = Provenance({"backbone": "tiny"}, ({"dtype": "fp32"},), {"command": "python -m extract"})
    lay_out(path, catalog, made, 6)
    write_labels(labels_path(path), catalog)
    fill(path, [0, 1, 2])
    table = read_table(path)
    writer = RowWriter(table)
    writer.close()
    with path.open("r+b") as file:
        file.seek(table.offsets["status"] + 3)
        file.write(b"\x02")
    return path


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for words in ("error: ", *said):
        assert words in done.stderr


def test_sound_rows_are_exported_and_the_others_counted(
    stored: Path, workspace: Path, run: Run
) -> None:
    source = stored.relative_to(workspace).as_posix()
    done = run("extract", "export", source)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "tiny-12345678.npz",
        f"3 rows of 6 numbers from {source}",
        "left out: 1 to_do, 1 missing",
    ]
    expected = read_embeddings(stored)
    with np.load(workspace / "tiny-12345678.npz", allow_pickle=False) as read:
        assert tuple(read["ids"].tolist()) == expected.ids
        assert read["vectors"].tobytes() == expected.vectors.tobytes()
        assert read["label_class"].tolist() == ["x", "y", ""]
        assert read["column_brand"].tolist() == ["=1", "B", ""]
    assert_one_line(run("extract", "export", source), 2, "is there already", "--overwrite")
    assert run("extract", "export", source, "--overwrite").returncode == 0


def test_json_says_what_was_written(stored: Path, workspace: Path, run: Run) -> None:
    done = run("extract", "export", str(stored), "--output", "out/v.csv", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {k: v for k, v in said.items() if k != "notes"} == {
        "file": "out/v.csv",
        "format": "csv",
        "n_images": 3,
        "n_dims": 6,
        "left_out": 2,
        "left_out_by_reason": {"to_do": 1, "missing": 1},
        "source": stored.relative_to(workspace).as_posix(),
    }
    with (workspace / "out" / "v.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["a.jpg", "b.jpg", r"c\udcff.jpg"]
    assert [row["brand"] for row in rows] == ["'=1", "B", ""]


def test_what_cannot_be_exported_is_one_line(stored: Path, workspace: Path, run: Run) -> None:
    source = str(stored)
    (workspace / "file").write_text("")
    assert_one_line(run("extract", "export", "none.h5"), 1, "no embeddings file")
    assert_one_line(run("extract", "export", source, "--output", "v.h5"), 2, "--format")
    itself = ("--output", source, "--format", "npz", "--overwrite")
    assert_one_line(run("extract", "export", source, *itself), 2, "the embeddings file itself")
    assert_one_line(run("extract", "export", source, "--output", "file/v.npz"), 1, "cannot write")


@pytest.fixture
def photos(workspace: Path) -> Path:
    for i in range(3):
        draw_noise(workspace / "photos" / "cups" / f"{i}.png", i)
    table = "file_name,kind,brand\ncups/0.png,mug,A\n./cups/1.png,vase,B\ngone.png,mug,C\n"
    (workspace / "photos" / "metadata.csv").write_text(table)
    return workspace / "photos"


def test_metadata_of_a_folder_is_embedded_with_it(photos: Path, run: Run) -> None:
    words = ("extract", "--images", "photos", "--label-column", "kind", "--json")
    done = run(*words, "--weights", "random")
    assert done.returncode == 0, done.stderr
    assert "1 picture has no row in metadata.csv" in done.stderr
    assert "extension" not in done.stderr
    said = json.loads(done.stdout)
    assert (said["n_images"], said["embedded"], said["refused"]) == (4, 3, {"missing": 1})
    path = photos.parent / said["file"]
    table = read_table(path)
    assert table.ids == ("cups/0.png", "cups/1.png", "cups/2.png", "gone.png")
    labels = read_labels(labels_path(path), table_fingerprint(path), 4)
    (level,) = labels.levels
    assert level.name == "kind"
    assert level.values() == ("mug", "vase", None, "mug")
    assert labels.columns == {"brand": ("A", "B", "", "C")}


def table_fingerprint(path: Path) -> str:
    from extract.catalog.catalog import ids_fingerprint

    return ids_fingerprint(read_table(path).ids)


def test_columns_without_a_table_name_both_ways_and_draw_nothing(
    workspace: Path, photos: Path, run: Run
) -> None:
    (photos / "metadata.csv").unlink()
    for words in (("--images", "photos", "--id-column", "sku"), ("--label-column", "kind")):
        assert_one_line(run("extract", *words), 2, "--manifest CSV", "metadata.csv", "file_name")
    assert not (workspace / "cache").exists()
    assert_one_line(
        run("extract", "--images", "photos", "--image-column", "x"), 2, "--manifest CSV"
    )
