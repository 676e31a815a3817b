"""The list of refused pictures: no line is lost to a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.pipeline.extraction import Options, extract_embeddings
from extract.storage.embeddings_file import read_table
from extract.storage.failures import failures_path, read_refusals

WHOLE = b'{"id": "cups/0.png", "code": "empty", "status": 4, "message": "an empty file"}\n'


@pytest.mark.parametrize("kept", [1, 20, len(WHOLE) - 1, len(WHOLE)])
def test_a_line_torn_by_a_kill_does_not_spoil_the_next_one(
    pictures: Path, backbone: Backbone, tmp_path: Path, kept: int
) -> None:
    for name in ("cups/0.png", "rugs/2.png"):
        (pictures / name).write_bytes(b"")
    path = tmp_path / "x.h5"
    failures_path(path).write_bytes(WHOLE[:kept])
    extract_embeddings(list_folder(pictures), backbone, path, options=Options(4, 1))
    refusals = read_refusals(read_table(path))
    assert [(r["id"], r["message"]) for r in refusals] == [
        ("cups/0.png", "an empty file"),
        ("rugs/2.png", "an empty file"),
    ]
