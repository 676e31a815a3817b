"""What a file records of how its pictures were read, and what the next version does with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from heif_files import HEIC
from icc_profiles import rgb_profile
from PIL import Image
from small_catalogs import CountingBackbone, embedded_alone

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.formats import extra_formats
from extract.images import decoding
from extract.images.decoding import READING
from extract.images.sample_formats import USUAL
from extract.inference import execution_config
from extract.inference.execution_config import described
from extract.pipeline import extraction
from extract.pipeline.extraction import Options, Report, extract_embeddings
from extract.storage.embeddings_file import read_table
from tests.faults import picture_bytes as pb

COLORS = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
PROFILED = ["cups/profiled.jpg", "cups/profiled.png"]


def moved(folder: Path) -> list[str]:
    """Rename one profiled picture and touch all others: as in a copy of a workspace."""
    (folder / PROFILED[0]).rename(folder / "cups/renamed.jpg")
    for picture in folder.rglob("*.*"):
        os.utime(picture, ns=(1, 1))
    return ["cups/renamed.jpg", PROFILED[1]]


@pytest.mark.parametrize(
    ("decoder", "meanwhile"),
    [("reference", lambda _: PROFILED), ("fast", lambda _: PROFILED), ("fast", moved)],
    ids=["reference", "fast", "moved"],
)
def test_a_file_of_an_earlier_version_has_its_few_pictures_read_anew(
    pictures: Path,
    backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decoder: str,
    meanwhile: Callable[[Path], list[str]],
) -> None:
    """Those alone whose profile or header it passed over; the others keep row, bytes and all."""
    path = tmp_path / "x.h5"
    options = Options(batch_size=4, threads=1, workers=2, decoder=decoder, runtime="eager")
    for name in PROFILED:
        kind = "PNG" if name.endswith("png") else "JPEG"
        content = pb.saved(Image.fromarray(COLORS), kind, icc_profile=rgb_profile(), quality=95)
        (pictures / name).write_bytes(content)

    def extract() -> tuple[Report, int]:
        counting = CountingBackbone(backbone)
        report = extract_embeddings(
            list_folder(pictures),
            counting,  # type: ignore[arg-type]
            path,
            options=options,
        )
        return report, report.embedded

    def without(how: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        return tuple(way for way in execution_config.variants(how) if "reading" not in way)

    with monkeypatch.context() as earlier:
        earlier.setattr(decoding, "stored_numbers", lambda *_, **__: USUAL)
        earlier.setattr(extraction, "variants", without)
        extract()
    before = read_table(path)
    vectors, statuses = np.array(before.rows.vectors), np.array(before.rows.status)
    assert (statuses == 1).all()

    names = meanwhile(pictures)
    report, embedded = extract()
    assert embedded == len(PROFILED)
    assert any("2 pictures are read otherwise" in note for note in report.notes)
    table = read_table(path)
    rows = [table.ids.index(name) for name in names]
    for row in rows:
        way = table.provenance.execution_configs[table.rows.execution_config[row]]
        assert way["reading"] == READING
        assert "by the header" in described(way)
        expected = embedded_alone(backbone, pictures / table.ids[row])
        assert not np.allclose(vectors[row], expected, rtol=1e-3)
        tolerance = 1e-5 if decoder == "reference" else 5e-2
        np.testing.assert_allclose(
            table.rows.vectors[row], expected, rtol=tolerance, atol=tolerance
        )
    others = np.setdiff1d(np.arange(len(table)), rows)
    same = [before.ids.index(table.ids[row]) for row in others]
    np.testing.assert_array_equal(table.rows.vectors[others], vectors[same])
    assert not any(
        "reading" in table.provenance.execution_configs[i]
        for i in table.rows.execution_config[others]
    )

    looked = []
    monkeypatch.setattr(extraction, "read_by_header", lambda *a: looked.append(a) or [])
    report, embedded = extract()
    assert (embedded, looked) == (0, [])
    assert not any("otherwise" in note for note in report.notes)


def test_each_row_names_the_library_that_read_it_where_another_may_see_other_levels(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One library comes or goes between two runs: rows stay, and the file says which is whose."""
    heif = pytest.importorskip("pi_heif")
    folder, path = tmp_path / "shop", tmp_path / "x.h5"
    folder.mkdir()
    planes = torch.zeros(3, 32, 32, dtype=torch.uint8)
    torchcodec = SimpleNamespace(decode_heic=lambda *_, **__: planes)
    both = {"torchcodec.decoders": torchcodec, "pi_heif": heif}
    options = Options(batch_size=4, threads=1, workers=2, runtime="eager")
    notes = ()
    for name, installed in (("a", both), ("b", {"pi_heif": heif})):
        (folder / f"{name}.heic").write_bytes(HEIC + name.encode())
        (folder / f"{name}.png").write_bytes(pb.saved(Image.fromarray(COLORS + ord(name)), "PNG"))
        with monkeypatch.context() as here:
            here.setattr(extra_formats, "_installed", installed.get)
            notes = extract_embeddings(list_folder(folder), backbone, path, options=options).notes
    table = read_table(path)
    said = [
        table.provenance.execution_configs[i].get("reading") for i in table.rows.execution_config
    ]
    expected = {
        "a.heic": f"{READING}; HEIC by torchcodec",
        "a.png": None,
        "b.heic": f"{READING}; HEIC by pi-heif",
        "b.png": None,
    }
    assert dict(zip(table.ids, said, strict=True)) == expected
    assert any("HEIC by torchcodec" in note and "HEIC by pi-heif" in note for note in notes)
