"""How near a run's rows are to the reference path: measured, said, and said loudly where not."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_catalogs import StopAfter, draw_noise, embedded_alone, tiny_backbone

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.inference.fidelity import (
    FP32_FLOOR,
    HALF_FLOOR,
    MOST_RECOMPUTED,
    Fidelity,
    cosines,
    floor_of,
    is_reference,
    measure_fidelity,
)
from extract.inference.forward_pass import ForwardPass, Launched
from extract.inference.runtimes import can_run
from extract.pipeline import loop as one_pass
from extract.pipeline.embedded import fidelity_text
from extract.pipeline.extraction import Options, Report, extract_embeddings
from extract.storage.embeddings_file import read_table
from extract.transforms.preprocessing import RESIZES

FAST = Options(batch_size=4, threads=1, workers=2, decoder="fast")
REFERENCE = {"decoder": "reference", "resize": "pillow", "dtype": "fp32", "runtime": "eager"}


pytestmark = pytest.mark.usefixtures("all_recomputed")


@pytest.fixture
def right(pictures: Path, backbone: Backbone) -> np.ndarray:
    """The vector of every picture, by the reference path."""
    paths = list_folder(pictures).paths
    return np.stack([embedded_alone(backbone, pictures / path) for path in paths])


def measured(catalog: Catalog, backbone: Backbone, vectors: np.ndarray, **way: Any) -> Fidelity:
    found = measure_fidelity(
        catalog, backbone, {**REFERENCE, **way}, np.arange(len(vectors)), vectors
    )
    assert found is not None
    return found


def turned(vector: np.ndarray, cosine: float) -> np.ndarray:
    """Turn a vector until it has this cosine with itself as it was."""
    unit = vector / np.linalg.norm(vector)
    away = np.random.default_rng(0).normal(size=len(vector))
    away -= (away @ unit) * unit
    away /= np.linalg.norm(away)
    return (cosine * unit + np.sqrt(1 - cosine**2) * away) * np.linalg.norm(vector)


def test_a_wrong_row_among_right_ones_is_found_with_its_cosine(
    pictures: Path, backbone: Backbone, right: np.ndarray
) -> None:
    catalog = list_folder(pictures)
    found = measured(catalog, backbone, right, decoder="fast")
    assert found.n_rows == 21
    assert found.worst_cosine == pytest.approx(1, abs=1e-6)
    assert found.kept
    for cosine, kept in ((0.9994, False), (0.9996, True), (0.3, False)):
        wrong = right.copy()
        wrong[13] = turned(right[13], cosine)
        found = measured(catalog, backbone, wrong, decoder="fast")
        assert found.worst_cosine == pytest.approx(cosine, abs=1e-6)
        assert (found.floor, found.kept) == (FP32_FLOOR, kept)
    swapped = right.copy()
    swapped[[2, 3]] = right[[3, 2]]
    assert not measured(catalog, backbone, swapped, decoder="fast").kept


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_row_without_a_direction_is_no_equal(
    pictures: Path, backbone: Backbone, right: np.ndarray, value: float
) -> None:
    right[5] = value
    found = measured(list_folder(pictures), backbone, right, runtime="folded")
    assert (found.worst_cosine, found.kept) == (0, False)


def test_pictures_that_are_gone_are_left_out_and_without_any_nothing_is_said(
    pictures: Path, backbone: Backbone, right: np.ndarray
) -> None:
    catalog = list_folder(pictures)
    (pictures / catalog.paths[0]).unlink()
    (pictures / catalog.paths[4]).write_bytes(b"broken")
    found = measured(catalog, backbone, right, decoder="fast")
    assert (found.n_rows, found.kept) == (19, True)
    for path in pictures.rglob("*.png"):
        path.unlink()
    assert measure_fidelity(catalog, backbone, REFERENCE, np.arange(21), right) is None


def test_the_floor_is_that_of_the_way() -> None:
    for way in ({}, {"decoder": "fast", "runtime": "openvino"}, {"decoder": "gpu"}):
        assert floor_of({**REFERENCE, **way}) == FP32_FLOOR
    for way in ({"dtype": "bf16"}, {"dtype": "fp16"}, {"decoder": "scaled"}):
        assert floor_of({**REFERENCE, **way}) == HALF_FLOOR
    assert is_reference({})
    assert is_reference({**REFERENCE, "device": "cuda", "batch_size": 7})
    others = {"decoder": "fast", "resize": "torchvision", "dtype": "bf16", "runtime": "folded"}
    assert not any(is_reference({**REFERENCE, way: value}) for way, value in others.items())


def test_what_was_found_before_is_joined_and_never_excused_by_a_lower_floor() -> None:
    near, far = Fidelity(16, 0.99999, FP32_FLOOR), Fidelity(5, 0.9990, FP32_FLOOR)
    rough = Fidelity(3, 0.9985, HALF_FLOOR)
    assert near.worse_of(None) == near
    for one, other, worst in ((near, far, far), (near, rough, rough), (far, rough, far)):
        for joined in (one.worse_of(other.described()), other.worse_of(one.described())):
            assert joined == replace(worst, n_rows=one.n_rows + other.n_rows)


def extract(folder: Path, backbone: Backbone, path: Path, options: Options = FAST) -> Report:
    return extract_embeddings(list_folder(folder), backbone, path, options=options)


def test_a_run_records_it_and_joins_what_an_earlier_one_found(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    first = extract(pictures, backbone, path, replace(FAST, limit=8)).fidelity
    assert first is not None
    assert (first.n_rows, first.kept) == (8, True)
    assert read_table(path).provenance.record["fidelity"] == first.described()
    second = extract(pictures, backbone, path).fidelity
    assert second is not None
    assert second.n_rows == 8 + 13
    assert second.worst_cosine <= first.worst_cosine
    assert read_table(path).provenance.record["fidelity"] == second.described()
    assert extract(pictures, backbone, path).fidelity is None  # nothing was computed
    assert read_table(path).provenance.record["fidelity"] == second.described()
    anew = extract(pictures, backbone, path, replace(FAST, restart=True)).fidelity
    assert anew is not None
    assert anew.n_rows == MOST_RECOMPUTED
    assert read_table(path).provenance.record["fidelity"] == anew.described()


def test_it_is_kept_under_every_geometry_and_no_geometry_passes_for_another(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "shop"
    for i, size in enumerate([(90, 70), (60, 121), (200, 50), (33, 32), (20, 25), (40, 160)]):
        draw_noise(folder / f"{i}.{('jpg', 'png')[i % 2]}", i, size)
    of_geometry: dict[str, list[np.ndarray]] = {}
    for resize in RESIZES:
        seen = tiny_backbone().preprocessing.resized(resize)
        backbone = replace(tiny_backbone(), preprocessing=seen)
        for runtime in ("torch", "openvino"):
            if runtime == "openvino" and not can_run(runtime):
                continue
            path = tmp_path / f"{resize}-{runtime}.h5"
            report = extract(folder, backbone, path, replace(FAST, runtime=runtime))
            assert report.execution_config["decoder"] == "fast"
            assert report.fidelity is not None
            assert report.fidelity.n_rows == 6
            assert report.fidelity.worst_cosine >= FP32_FLOOR, (resize, runtime)
            of_geometry.setdefault(resize, []).append(np.array(read_table(path).rows.vectors))
    for one, other in combinations(of_geometry, 2):
        for rows in of_geometry[one]:
            assert cosines(rows, of_geometry[other][0]).min() < 0.99, (one, other)


def test_a_stopped_run_leaves_it_to_the_one_that_goes_on(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    stopped = extract_embeddings(
        list_folder(pictures), backbone, path, options=FAST, monitor=StopAfter(2)
    )
    assert (stopped.stopped, stopped.fidelity) == (True, None)
    assert extract(pictures, backbone, path).fidelity is not None


def test_it_is_not_measured_of_the_reference_path(
    pictures: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "measure_fidelity", lambda *_: pytest.fail("was measured"))
    options = replace(FAST, decoder="reference", runtime="eager")
    assert extract(pictures, backbone, tmp_path / "x.h5", options).fidelity is None
    assert "fidelity" not in read_table(tmp_path / "x.h5").provenance.record


class Turning(ForwardPass):
    """A fast path that is wrong: it moves every vector a little."""

    def __init__(self, backbone: Backbone, execution_config: Any) -> None:
        super().__init__(backbone, execution_config)
        self.launch = self._turned

    def _turned(self, pixels: np.ndarray, _batch: int = 0) -> Launched:
        vectors, seconds = self._at_once(pixels).wait()
        vectors = np.stack([turned(vector, 0.999) for vector in vectors]).astype(np.float32)
        return Launched(lambda: (vectors, seconds))


def test_a_path_that_is_wrong_is_found_by_a_run_of_it(
    pictures: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "ForwardPass", Turning)
    found = extract(pictures, backbone, tmp_path / "x.h5").fidelity
    assert found is not None
    assert (found.n_rows, found.kept) == (MOST_RECOMPUTED, False)
    assert found.worst_cosine == pytest.approx(0.999, abs=2e-4)
    assert not Fidelity(**read_table(tmp_path / "x.h5").provenance.record["fidelity"]).kept


@pytest.mark.parametrize("quiet", [False, True])
def test_the_command_says_loudly_what_is_below_the_floor_and_what_to_type(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    quiet: bool,
) -> None:
    named = replace(tiny_backbone(), name="efficientnet_lite0")
    monkeypatch.setattr("extract.backbones.registry.load_backbone", lambda *_, **__: named)
    words = ["--images", str(pictures), "--output", str(tmp_path / "x.h5"), "--json"]
    words += ["--root", str(tmp_path), "--batch-size", "4"] + ["--quiet"] * quiet
    assert warned(words, caplog) == []
    assert json.loads(capsys.readouterr().out)["fidelity"]["worst_cosine"] > FP32_FLOOR
    for i in range(4):
        draw_noise(pictures / "cups" / f"new{i}.png", 500 + i)
    monkeypatch.setattr(one_pass, "ForwardPass", Turning)
    (said,) = warned(words, caplog)
    assert said.startswith(str(tmp_path / "x.h5")) or said.startswith("x.h5")
    for word in ("WARNING", "worst cosine 0.99", "0.9995", "NOT", "--restart", "--runtime eager"):
        assert word in said
    assert json.loads(capsys.readouterr().out)["fidelity"]["worst_cosine"] < FP32_FLOOR
    monkeypatch.undo()
    assert fidelity_text(Fidelity(3, 0.99999, FP32_FLOOR)).count("WARNING") == 0


def warned(words: list[str], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Run the command; give what it warned of."""
    from extract.__main__ import build_app

    caplog.clear()
    build_app()(words, standalone_mode=False)
    return [record.getMessage() for record in caplog.records if record.levelname != "INFO"]


def test_cosines_are_those_of_rows() -> None:
    one = np.array([[1, 0], [1, 1], [0, 0], [np.nan, 1]], np.float32)
    other = np.array([[2, 0], [0, 3], [1, 1], [0, 1]], np.float32)
    np.testing.assert_allclose(cosines(one, other), [1, np.sqrt(0.5), 0, 0], atol=1e-7)
