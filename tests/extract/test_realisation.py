"""How rows are computed: the file's way unless told, and what its device means elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_catalogs import fill

from extract.catalog import Catalog
from extract.embeddings import Provenance
from extract.embeddings_file import read_table
from extract.errors import UsageError
from extract.layout import lay_out
from extract.realisation import device_for


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file whose rows were computed on the device that the test names."""
    path = tmp_path / "x.h5"
    lay_out(
        path,
        Catalog("shop", tmp_path, ("a",), ("a",)),
        Provenance({}, ({"device": request.param},)),
        6,
    )
    return path


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("path", ["cpu"], indirect=True)
def test_auto_keeps_the_device_of_the_file(path: Path, tmp_path: Path) -> None:
    assert device_for(tmp_path / "none.h5", "auto") == "cuda"
    assert device_for(path, "auto") == "cpu"
    assert device_for(path, "cuda") == "cuda"


@pytest.mark.parametrize("path", ["cuda", "no such thing"], indirect=True)
def test_a_device_that_is_not_here_is_replaced_only_by_auto(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert device_for(path, "auto") == "cpu"
    with pytest.raises(UsageError, match="no cuda"):
        device_for(path, "cuda")


def test_the_way_of_most_rows_is_kept(tmp_path: Path) -> None:
    ids = tuple("abcdef")
    ways = ({"batch_size": 8, "device": "cpu"}, {"batch_size": 2, "device": "cuda"})
    path = tmp_path / "x.h5"
    lay_out(path, Catalog("shop", tmp_path, ids, ids), Provenance({}, ways), 6)
    assert read_table(path).usual_realisation() == ways[1]  # no row is finished: the last
    fill(path, [0, 1, 2])
    fill(path, [3, 4], way=1)
    assert read_table(path).usual_realisation() == ways[0]
    fill(path, [0, 5], way=1)
    assert read_table(path).usual_realisation() == ways[1]
