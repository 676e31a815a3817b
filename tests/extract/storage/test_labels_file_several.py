"""Several labels a picture in the labels' file: kept, checked, and said where they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_catalogs import fill

from extract.catalog.catalog import Catalog, Level
from extract.catalog.multi_label import MultiLabel
from extract.errors import EmbeddingsFileError
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings
from extract.storage.exchange.export import export_embeddings
from extract.storage.labels_file import labels_path, read_labels, store_labels, write_labels
from extract.storage.layout import lay_out

IDS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
ROWS = (("red", "round"), (), ("round",), ("blue", "red", "round"))


def shop(folder: Path, **changed: object) -> Catalog:
    kinds = MultiLabel.from_values("kind", ROWS)
    catalog = Catalog("shop", folder, IDS, IDS, columns={"name": tuple("ABCD")})
    return replace(catalog, **{"multi_labels": (kinds,), **changed})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.h5"
    lay_out(path, shop(tmp_path), Provenance({"backbone": "tiny"}, ({"threads": 1},), {}), 6)
    fill(path, [0, 1, 3])
    write_labels(labels_path(path), shop(tmp_path))
    return path


def test_matrix_says_who_has_what() -> None:
    kinds = MultiLabel.from_values("kind", ROWS)
    assert kinds.categories == ("blue", "red", "round")
    expected = [[0, 1, 1], [0, 0, 0], [0, 0, 1], [1, 1, 1]]
    np.testing.assert_array_equal(kinds.matrix(), np.array(expected, bool))
    rows = np.array([3, 1, 3, 0])
    taken = kinds.take(rows)
    assert taken.values() == tuple(ROWS[i] for i in rows)
    np.testing.assert_array_equal(taken.matrix(), kinds.matrix()[rows])
    assert kinds.take(np.zeros(0, int)).values() == ()


@pytest.mark.parametrize(
    ("offsets", "codes"),
    [
        ([1, 2], [0, 1]),
        ([0, 1], [0, 1]),
        ([0, 2, 1, 3], [0, 1, 2]),
        ([0, 2], [0, 3]),
        ([0, 2], [-1, 0]),
        ([0, 2], [1, 0]),
        ([0, 2], [1, 1]),
        ([], []),
    ],
)
def test_offsets_and_codes_must_fit_each_other(offsets: list[int], codes: list[int]) -> None:
    with pytest.raises(ValueError, match="kind"):
        MultiLabel("kind", ("a", "b", "c"), np.array(offsets, np.int64), np.array(codes, np.int32))


def test_no_category_holds_the_separator() -> None:
    with pytest.raises(ValueError, match="may hold"):
        MultiLabel.from_values("kind", [("a|b",)])
    assert MultiLabel.from_values("kind", [("a|b", "c")], ";").texts() == ("a|b;c",)


def test_several_labels_come_back_with_their_rows(path: Path) -> None:
    vectors = read_embeddings(path)
    (kinds,) = vectors.multi_labels
    assert vectors.levels == ()
    assert kinds.values() == (ROWS[0], ROWS[1], ROWS[3])
    assert vectors.take(np.array([2])).multi_labels[0].values() == (ROWS[3],)
    assert vectors.columns == {"name": ("A", "B", "D")}


def test_levels_and_several_labels_stand_side_by_side(tmp_path: Path) -> None:
    catalog = shop(tmp_path, levels=(Level.from_values("class", ["x", "y", "x", None]),))
    write_labels(tmp_path / "x.labels.h5", catalog)
    found = read_labels(tmp_path / "x.labels.h5", catalog.ids_sha256, 4)
    assert found.levels[0].values() == ("x", "y", "x", None)
    assert found.multi_labels[0].values() == ROWS


def test_a_file_without_several_labels_is_laid_out_as_ever(tmp_path: Path) -> None:
    levels = (Level.from_values("class", ["x", "y", "x", None]),)
    write_labels(tmp_path / "x.labels.h5", shop(tmp_path, levels=levels, multi_labels=()))
    with h5py.File(tmp_path / "x.labels.h5") as file:
        assert sorted(file["levels/0"]) == ["categories", "codes"]
        assert list(file["levels/0"].attrs) == ["name"]
        assert int(file.attrs["content_crc32"]) == 2750546443  # of the version before


@pytest.mark.parametrize(
    "place", ["levels/0/codes", "levels/0/offsets", "levels/0/categories/bytes"]
)
def test_one_changed_byte_is_found(path: Path, place: str) -> None:
    labels = labels_path(path)
    content = bytearray(labels.read_bytes())
    with h5py.File(labels) as file:
        at = file[place].id.get_offset()
    content[at] ^= 1
    labels.write_bytes(content)
    with pytest.raises(EmbeddingsFileError, match="check sum"):
        read_embeddings(path)


def stored_as(name: str, values: object) -> Callable[[h5py.Group], None]:
    def spoil(group: h5py.Group) -> None:
        del group[name]
        group[name] = values

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        stored_as("offsets", np.array([0, 2, 2, 3], np.int64)),
        stored_as("offsets", np.array([0, 2, 2, 3, 5], np.int64)),
        stored_as("offsets", np.array([1, 2, 2, 3, 6], np.int64)),
        stored_as("offsets", np.array([0, 2, 1, 3, 6], np.int64)),
        stored_as("offsets", np.array([0, 2, 2, 3, 6], np.int32)),
        stored_as("codes", np.array([1, 2, 2, 0, 1, 3], np.int32)),
        stored_as("codes", np.array([1, 2, 2, 0, 1, 1], np.int32)),
        stored_as("offsets", h5py.ExternalLink("elsewhere.h5", "/")),
    ],
)
def test_what_a_forger_writes_is_refused_in_one_line(
    path: Path, spoil: Callable[[h5py.Group], None]
) -> None:
    with h5py.File(labels_path(path), "r+") as file:
        del file.attrs["content_crc32"]
        spoil(file["levels/0"])
    with pytest.raises(EmbeddingsFileError) as error:
        read_embeddings(path)
    assert "\n" not in str(error.value)


def test_changed_labels_are_said_and_equal_ones_are_not(path: Path, tmp_path: Path) -> None:
    labels = labels_path(path)
    assert store_labels(labels, shop(tmp_path)) is None
    moved = MultiLabel.from_values("kind", [(), *ROWS[1:]])
    assert store_labels(labels, shop(tmp_path, multi_labels=(moved,))) is not None
    said = store_labels(labels, shop(tmp_path, multi_labels=()))
    assert said is not None
    assert "levels none; before: kind, multi-label" in said


def test_export_joins_the_labels_of_a_picture(path: Path, tmp_path: Path) -> None:
    vectors = read_embeddings(path)
    export_embeddings(vectors, tmp_path / "x.npz", "npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as read:
        assert read["label_kind"].tolist() == ["red|round", "", "blue|red|round"]
    export_embeddings(vectors, tmp_path / "x.csv", "csv")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0].startswith("id,content_sha256,kind,name,v0")
    assert [line.split(",")[2] for line in lines[1:]] == ["red|round", "", "blue|red|round"]
