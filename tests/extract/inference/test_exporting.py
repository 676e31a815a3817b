"""An exported backbone stands for its own weights, and only where it was near to them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import draw_noise, need_openvino

from extract.backbones import exported_model, registry
from extract.backbones.exported_model import SUFFIX, read_exported
from extract.backbones.kept_backbones import (
    _is_requested,
    exported_models,
    load_from_provenance,
    load_kept,
)
from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.errors import UsageError, WeightsError
from extract.inference import exporting
from extract.inference.exporting import export
from extract.inference.runtimes import prepared_on_host
from extract.pipeline.extraction import extract_embeddings
from extract.pipeline.options import Options
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings

Change = Callable[[str, bytes], bytes]
NAME = "timm:test_resnet"
WAY = {"runtime": "openvino", "dtype": "fp32", "batch_size": 2, "threads": 1}


@pytest.fixture(autouse=True)
def few_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try an export on three drawn pictures: drawing them takes longest."""
    monkeypatch.setattr("extract.inference.fidelity.MOST_RECOMPUTED", 3)


def load(folder: Path, **how: object) -> Backbone:
    return load_kept(NAME, folder, **{"weights": "random", **how})  # type: ignore[arg-type]


@pytest.fixture
def folder(once: Callable[[str, Callable[[Path], None]], Path], tmp_path: Path) -> Path:
    """A folder with one exported backbone, and nothing else."""
    need_openvino()

    def make(place: Path) -> None:
        export(load(place / "known"), place / f"any name{SUFFIX}")

    kept = tmp_path / "kept"
    kept.mkdir()
    made = once("exported", make) / f"any name{SUFFIX}"
    (kept / made.name).write_bytes(made.read_bytes())
    return kept


def test_it_is_found_by_what_it_is_and_computes_without_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = registry.load_backbone(NAME, weights="random")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "load_backbone", None)
        found = load(folder)
        assert found.identity == built.identity
        side = found.preprocessing.size
        pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
        vectors = prepared_on_host(found, WAY)(pixels)
        stored = load_from_provenance(
            Provenance(built.identity, (), {"model": NAME}), kept_in=folder
        )
        assert stored.exported is not None
    expected = prepared_on_host(built, {**WAY, "runtime": "eager"})(pixels)
    np.testing.assert_allclose(vectors, expected, rtol=1e-3, atol=1e-4)
    for other in ({"seed": 1}, {"resize": "squash"}, {"pooling": "cls"}):
        how = {"weights": "random", "seed": 0, "pooling": "auto", "resize": "auto", **other}
        assert not [e for e in exported_models(folder) if _is_requested(e, NAME, how)]


def test_a_run_by_openvino_leaves_the_export_that_later_runs_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_openvino()
    for i in range(3):
        draw_noise(tmp_path / "shop" / f"{i}.png", i)
    kept = tmp_path / "kept"
    way = Options(runtime="openvino", batch_size=2)
    first = extract_embeddings(
        list_folder(tmp_path / "shop"), load(kept), tmp_path / "one.h5", options=way
    )
    assert first.fidelity is not None
    assert first.fidelity.exported is None
    monkeypatch.setattr(registry, "load_backbone", None)
    later = load(kept)
    second = extract_embeddings(list_folder(tmp_path / "shop"), later, tmp_path / "two.h5")
    assert (second.execution_config["runtime"], second.execution_config["decoder"]) == (
        "openvino",
        "light",
    )
    assert second.fidelity is not None
    assert second.fidelity.exported is not None
    one, two = (read_embeddings(tmp_path / name) for name in ("one.h5", "two.h5"))
    np.testing.assert_allclose(one.vectors, two.vectors, rtol=1e-2, atol=1e-3)


def test_what_is_not_near_to_the_reference_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_openvino()
    other = registry.load_backbone(NAME, weights="random", seed=9)
    convert = exporting._converted
    monkeypatch.setattr(exporting, "_converted", lambda _: convert(other))
    with pytest.raises(UsageError, match="is not exported: OpenVINO's vectors are at cosine"):
        export(load(tmp_path / "kept"), tmp_path / f"x{SUFFIX}")
    assert not (tmp_path / f"x{SUFFIX}").exists()
    # what a run converts is not kept either, and the run goes on
    exporting.converted_model(load(tmp_path / "kept"))
    assert not list((tmp_path / "kept").glob(f"*{SUFFIX}"))


def _rewritten(
    path: Path, change: Callable[[str, bytes], bytes], how: int = zipfile.ZIP_STORED
) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def _all_of(version: str) -> Callable[[tuple[str, ...]], dict[str, str]]:
    return lambda names: dict.fromkeys(names, version)


def test_a_damaged_export_is_refused_or_none_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = folder.glob(f"*{SUFFIX}")
    whole = path.read_bytes()
    _rewritten(path, lambda name, content: content[:-1] + b"!" if name == "model.bin" else content)
    with pytest.raises(WeightsError, match="is damaged: remove it"):
        prepared_on_host(load(folder), WAY)
    for spoil in (
        lambda: _rewritten(path, lambda _, content: content, zipfile.ZIP_DEFLATED),
        lambda: _rewritten(
            path, lambda name, c: c.replace(b"mean", b"cls") if ".json" in name else c
        ),
        lambda: path.write_bytes(whole[:500]),
        lambda: path.write_bytes(b""),
    ):
        path.write_bytes(whole)
        assert read_exported(path) is not None
        spoil()
        assert read_exported(path) is None
    path.write_bytes(whole)
    for here, holds in (("0.1", False), ("unknown", True)):  # other libraries, or none of them
        monkeypatch.setattr(exported_model, "versions_of", _all_of(here))
        assert (read_exported(path) is not None) == holds
