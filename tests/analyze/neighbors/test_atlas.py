"""What embedding-atlas is given: a map, true neighbors in its layout, paths and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from typed_commands import Typist

from analyze import reduce
from analyze.__main__ import main
from analyze.neighbors.atlas import nearest_rows, write_atlas
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

N = 30


@pytest.fixture
def embeddings() -> EmbeddingSet:
    """Thirty rows, one of zeros, with a label and columns of names that are taken."""
    vectors = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    vectors[4] = 0
    return EmbeddingSet(
        tuple(f"{i:02}.jpg" for i in range(N)),
        vectors,
        Provenance({"backbone": "tiny"}, ()),
        levels=(Level.from_values("class", [None, *"ab" * 14, "a"]),),
        columns={"x": ("left",) * N, "neighbors": ("two",) * N},
    )


def test_neighbors_are_those_of_all_against_all(embeddings: EmbeddingSet) -> None:
    rows, distances = nearest_rows(embeddings.vectors, 5)
    assert rows.shape == distances.shape == (N, 6)
    exact = embeddings.vectors.astype(np.float64)
    directions = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-300)
    apart = 1 - directions @ directions.T
    apart[:, 4] = 9
    for row in set(range(N)) - {4}:
        own = apart[row].copy()
        own[row] = -1
        expected = np.argsort(own)[:6]
        assert rows[row].tolist() == expected.tolist()
        np.testing.assert_allclose(distances[row, 1:], own[expected[1:]], atol=1e-6)
    assert rows[4].tolist() == [4] * 6
    assert not distances[:, 0].any()
    assert nearest_rows(embeddings.vectors, 100)[0].shape == (N, N - 1)


def test_a_table_holds_what_embedding_atlas_reads(embeddings: EmbeddingSet, tmp_path: Path) -> None:
    reduced = reduce(embeddings, "pca:2")
    written = write_atlas(
        tmp_path / "a.parquet", embeddings, reduced, images=tmp_path / "img", n_neighbors=3
    )
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == [
        *("id", "vector", "image", "x", "y", "neighbors"),
        *("class", "x_column", "neighbors_column"),
    ]
    assert table["image"][0].as_py() == str(tmp_path / "img" / "00.jpg")
    found = np.array([table["x"].to_pylist(), table["y"].to_pylist()], np.float32).T
    np.testing.assert_array_equal(found, reduced.coordinates)
    neighbors = table["neighbors"].to_pylist()
    assert [each["ids"][0] for each in neighbors] == list(range(N))
    assert {len(each["distances"]) for each in neighbors} == {4}
    assert written.to_json()["n_neighbors"] == 3
    assert "1 rows of zeros" in written.text()
    with pytest.raises(UsageError, match="is there already"):
        write_atlas(tmp_path / "a.parquet", embeddings, reduced)


def test_without_a_plane_nothing_is_written(embeddings: EmbeddingSet, tmp_path: Path) -> None:
    two = embeddings[:2]
    with pytest.raises(UsageError, match="do not span a plane"):
        write_atlas(tmp_path / "a.parquet", two, reduce(two, "none"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def root(own_shop: Path) -> Path:
    return own_shop


def test_it_is_typed_as_any_command(root: Path, typist: Typist) -> None:
    (file,) = (root / "cache/embeddings/photos").glob("efficientnet_lite0-????????.h5")
    words = ("--embeddings", str(file), "--reduce", "pca:3", "--neighbors", "4")
    said = typist(main, "export", *words, "--json")
    table = pyarrow.parquet.read_table(root / said.json["file"])
    assert said.json["n_images"] == table.num_rows
    assert {len(each["ids"]) for each in table["neighbors"].to_pylist()} == {5}
    assert all(Path(each).is_file() for each in table["image"].to_pylist())
    assert "class" in table.column_names
