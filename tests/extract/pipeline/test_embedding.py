"""Embedding from Python: the vectors, the file and the resuming of the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_catalogs import Run

import extract
from extract.errors import UsageError
from extract.pipeline.options import Options


def test_a_folder_or_a_table_becomes_a_set_and_the_commands_file(
    pictures: Path, workspace: Path, run: Run
) -> None:
    e = extract.embed(pictures, workspace=workspace, options=Options(batch_size=4))
    assert (len(e), e.levels[0].name, e.provenance.model) == (21, "class", "efficientnet_lite0")
    (file,) = (workspace / "cache/embeddings/shop").glob("efficientnet_lite0-????????.h5")
    np.testing.assert_array_equal(extract.read_embeddings(file).vectors, e.vectors)
    before = file.stat().st_mtime_ns
    again = extract.embed(str(pictures), model="efficientnet_lite0", workspace=str(workspace))
    assert again.fingerprint == e.fingerprint
    assert file.stat().st_mtime_ns == before
    typed = run("extract", "--images", str(pictures), "--json")
    assert '"embedded": 0' in typed.stdout
    table = pictures / "table.csv"
    table.write_text("image,kind\ncups/1.png,a\nhats/2.png,b\n")
    some = extract.embed(
        workspace=workspace,
        source=extract.CatalogSource(manifest=table, label_column="kind", images_dir=pictures),
    )
    assert some.levels[0].values() == ("a", "b")
    np.testing.assert_allclose(some.vectors[0], e["cups/1.png"].vectors[0], atol=1e-4)


def test_what_cannot_be_embedded_is_one_line(tmp_path: Path, workspace: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        extract.embed(tmp_path / "none", workspace=workspace)
    (tmp_path / "empty.png").touch()
    with pytest.raises(UsageError, match="no backbone 'resnet'"):
        extract.embed(tmp_path, model="resnet", workspace=workspace)
