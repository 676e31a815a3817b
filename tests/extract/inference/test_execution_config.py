"""How rows are computed: the file's way unless told, and what its device means elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_catalogs import draw_noise, embedded_alone, fill, need_openvino

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog
from extract.errors import UsageError
from extract.images.decoding import READINGS
from extract.inference.execution_config import (
    WAYS_OF_DECODING,
    ExecutionOptions,
    available_execution_config,
    choose_execution_config,
    device_for,
    requested_decoder,
    variants,
)
from extract.inference.fidelity import is_reference
from extract.inference.forward_pass import PictureEmbedder
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.layout import lay_out


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
    monkeypatch.setattr("extract.backbones.registry.may_have_gpu", lambda: True)
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
    monkeypatch.setattr("extract.backbones.registry.may_have_gpu", lambda: True)
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
    assert (
        read_table(path).most_common_execution_config() == ways[1]
    )  # no row is finished: the last
    fill(path, [0, 1, 2])
    fill(path, [3, 4], way=1)
    assert read_table(path).most_common_execution_config() == ways[0]
    fill(path, [0, 5], way=1)
    assert read_table(path).most_common_execution_config() == ways[1]


# what is chosen


CPU = {"batch_size": 16, "threads": 1, "device": "cpu", "dtype": "fp32"}
FAST = {**CPU, "decoder": "fast", "resize": "torchvision", "runtime": "folded"}
REFERENCE = {**CPU, "decoder": "reference", "resize": "pillow", "runtime": "eager"}


def file_of(folder: Path, *rows_by_way: tuple[Mapping[str, Any], int]) -> EmbeddingsTable:
    """A file of 20 rows, so many of them computed in each way, in turn."""
    ids = tuple(f"{i:02}" for i in range(20))
    catalog = Catalog("shop", folder, ids, ids)
    path, done = folder / f"{len(list(folder.iterdir()))}.h5", 0
    lay_out(path, catalog, Provenance({}, tuple(way for way, _ in rows_by_way)), 6)
    for number, (_, rows) in enumerate(rows_by_way):
        if rows:
            fill(path, list(range(done, done + rows)), way=number)
        done += rows
    return read_table(path)


@pytest.fixture
def elsewhere(backbone: Backbone) -> Backbone:
    """A backbone that says it is on a GPU; nothing is computed with it."""
    return replace(backbone, device="cuda:0")


def test_a_new_file_on_a_cpu_is_computed_in_the_fast_way(backbone: Backbone) -> None:
    chosen = choose_execution_config(backbone, None)
    assert chosen == {**FAST, "threads": torch.get_num_threads()}
    assert (
        choose_execution_config(backbone, None, file_bytes=np.full(10**6, 9))["runtime"] == "folded"
    )


@pytest.mark.parametrize(
    "way",
    [
        REFERENCE,
        {**REFERENCE, "batch_size": 3, "threads": 2},
        {**FAST, "dtype": "bf16", "batch_size": 5},
        {**FAST, "decoder": "scaled", "runtime": "openvino"},
    ],
)
def test_auto_keeps_how_a_file_was_begun(
    tmp_path: Path, backbone: Backbone, way: dict[str, Any]
) -> None:
    if way["runtime"] == "openvino":
        need_openvino()
    table = file_of(tmp_path, *((each, 0) for each in variants(way)))
    assert (
        choose_execution_config(backbone, table) == way
    )  # laid out, and stopped before its first row
    table = file_of(tmp_path, (way, 3))
    assert choose_execution_config(backbone, table) == way
    told = ExecutionOptions(batch_size=7, threads=1, decoder="fast", dtype="fp32", runtime="torch")
    assert choose_execution_config(backbone, table, told) == {**FAST, "batch_size": 7}


def test_most_rows_decide_but_for_the_decoder_that_leaves_pictures_to_others(
    tmp_path: Path, backbone: Backbone
) -> None:
    scaled = {**FAST, "decoder": "scaled"}
    fast, other, reference = variants(scaled)[1:4]
    table = file_of(tmp_path, (scaled, 1), (fast, 5), (other, 9), (reference, 0))
    assert choose_execution_config(backbone, table) == scaled
    table = file_of(tmp_path, (FAST, 0), (other, 20))  # nothing but PNGs
    assert choose_execution_config(backbone, table) == FAST
    table = file_of(tmp_path, (REFERENCE, 11), ({**FAST, "batch_size": 4}, 9))
    chosen = choose_execution_config(backbone, table)
    assert (chosen["decoder"], chosen["runtime"], chosen["batch_size"]) == ("fast", "eager", 16)


def test_the_dtype_and_runtime_of_another_device_are_not_kept(
    tmp_path: Path, backbone: Backbone, elsewhere: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.images.gpu_decoding.gpu_decoder", lambda _: "torchvision")
    far = {**FAST, "device": "cuda", "dtype": "fp16", "runtime": "compiled", "decoder": "gpu"}
    here = choose_execution_config(backbone, file_of(tmp_path, (far, 4)))
    assert here == FAST
    table = file_of(tmp_path, (FAST, 4))
    there = choose_execution_config(elsewhere, table, ExecutionOptions(compiled=False))
    assert (there["device"], there["dtype"], there["runtime"]) == ("cuda", "bf16", "folded")
    assert there["decoder"] == "fast"  # as the file's, not the GPU's


def test_what_is_typed_wins_over_what_the_file_has_and_the_rest_follows(
    tmp_path: Path, backbone: Backbone
) -> None:
    half = file_of(tmp_path, ({**FAST, "dtype": "bf16"}, 4))
    eager = choose_execution_config(
        backbone, half, ExecutionOptions(runtime="eager", decoder="reference")
    )
    assert eager == REFERENCE  # of fp32, whatever the file has
    exact = file_of(tmp_path, (REFERENCE, 4))
    chosen = choose_execution_config(backbone, exact, ExecutionOptions(dtype="bf16"))
    assert (chosen["dtype"], chosen["runtime"]) == ("bf16", "folded")
    with pytest.raises(UsageError, match="use --runtime torch for bf16"):
        choose_execution_config(backbone, half, ExecutionOptions(dtype="bf16", runtime="eager"))


def test_the_gpu_decodes_only_beside_a_gpu_that_can(
    tmp_path: Path, backbone: Backbone, elsewhere: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--decoder gpu needs --device cuda: choose --decoder"):
        choose_execution_config(backbone, None, ExecutionOptions(decoder="gpu"))
    wanted, auto = (
        ExecutionOptions(batch_size=8, compiled=False, decoder=d) for d in ("gpu", "auto")
    )
    monkeypatch.setattr("extract.images.gpu_decoding.gpu_decoder", lambda _: "torchvision")
    for asked in (wanted, auto):
        assert choose_execution_config(elsewhere, None, asked)["decoder"] == "gpu"
        assert choose_execution_config(elsewhere, None, asked)["resize"] == "gpu"
    # in fp32 it would lose more than fp32 may, so it has to be asked for
    full = {d: replace(w, dtype="fp32") for d, w in (("gpu", wanted), ("fast", auto))}
    assert all(choose_execution_config(elsewhere, None, w)["decoder"] == d for d, w in full.items())

    def none_works(device: torch.device) -> str:
        raise UsageError(f"no JPEG decoder works on {device}")

    monkeypatch.setattr("extract.images.gpu_decoding.gpu_decoder", none_works)
    assert choose_execution_config(elsewhere, None, auto)["decoder"] == "fast"
    with pytest.raises(UsageError, match="no JPEG decoder works on cuda:0"):
        choose_execution_config(elsewhere, None, wanted)


@pytest.mark.parametrize("by_engine", [False, True])
def test_with_cores_enough_a_gpu_decodes_only_in_its_engine(
    elsewhere: Backbone, monkeypatch: pytest.MonkeyPatch, by_engine: bool
) -> None:
    monkeypatch.setattr("extract.inference.execution_config.usable_cores", lambda: 16)
    monkeypatch.setattr("extract.images.gpu_decoding.gpu_decoder", lambda _: "any")
    monkeypatch.setattr("extract.images.gpu_decoding.has_engine", lambda _: by_engine)
    small, large = np.full(9, 40_000), np.full(9, 400_000)
    auto = ExecutionOptions(batch_size=8, compiled=False)
    chosen = [
        choose_execution_config(elsewhere, None, auto, each)["decoder"] for each in (small, large)
    ]
    assert chosen == ["gpu" if by_engine else "fast", "gpu"]
    full = replace(auto, dtype="fp32")
    assert choose_execution_config(elsewhere, None, full, small)["decoder"] == "fast"


@pytest.mark.parametrize("triton", [False, True])
def test_compiling_is_for_many_pictures_on_a_gpu_where_it_can_be_had(
    backbone: Backbone, elsewhere: Backbone, monkeypatch: pytest.MonkeyPatch, triton: bool
) -> None:
    monkeypatch.setattr(
        "extract.inference.runtimes.is_installed", lambda name: triton and name == "triton"
    )

    def runtime(where: Backbone, n_images: int, **wanted: Any) -> str:
        asked = ExecutionOptions(batch_size=8, decoder="fast", **wanted)
        return str(choose_execution_config(where, None, asked, np.full(n_images, 9))["runtime"])

    assert [runtime(backbone, n) for n in (1, 49_999, 50_000, 10**6)] == ["folded"] * 4
    assert runtime(elsewhere, 49_999) == runtime(elsewhere, 10**6, compiled=False) == "folded"
    assert runtime(elsewhere, 50_000) == ("compiled" if triton else "folded")
    if triton:
        assert runtime(elsewhere, 1, compiled=True) == "compiled"
    else:
        with pytest.raises(UsageError, match="leave out --compile"):
            runtime(elsewhere, 1, compiled=True)
    with pytest.raises(UsageError, match="--compile is for"):
        runtime(backbone, 10**6, compiled=True)


def test_a_file_of_fused_rows_goes_on_fused_in_half_precision_alone(
    tmp_path: Path, backbone: Backbone, elsewhere: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.inference.runtimes.is_installed", lambda name: name == "triton")
    monkeypatch.setattr("extract.inference.execution_config.can_be_fused", lambda _: True)
    monkeypatch.setattr("extract.inference.execution_config.why_not_fused", lambda *_: None)
    half = {**FAST, "device": "cuda", "dtype": "bf16", "runtime": "fused"}
    table = file_of(tmp_path, (half, 4))
    assert choose_execution_config(elsewhere, table) == half
    assert (
        choose_execution_config(elsewhere, table, ExecutionOptions(dtype="fp32"))["runtime"]
        == "folded"
    )
    assert (
        choose_execution_config(elsewhere, table, ExecutionOptions(runtime="torch"))["runtime"]
        == "folded"
    )
    assert choose_execution_config(backbone, table)["runtime"] == "folded"


# what a row's realisation says of the run's


def test_variants_are_all_that_a_picture_of_a_run_may_come_to() -> None:
    for decoder, ways in WAYS_OF_DECODING.items():
        asked = {**FAST, "decoder": decoder, "resize": ways[0][1], "batch_size": 3}
        found = variants(asked)
        assert found[0] == asked
        said = [(way["decoder"], way["resize"], way.get("reading")) for way in found]
        left = [way for way in ways if way[0] == "reference"]
        by_header = [(*way, reading) for reading in READINGS.values() for way in left]
        assert said == [*((*way, None) for way in ways), *by_header]
        assert len(set(said)) == len(said)
        made_ready = ("decoder", "resize", "reading")
        rest = [{k: v for k, v in way.items() if k not in made_ready} for way in found]
        assert all(each == rest[0] for each in rest)


def test_the_policy_of_a_picture_that_was_left_to_the_reference_decoder_is_fast() -> None:
    assert requested_decoder({}) == "reference"
    assert requested_decoder(REFERENCE) == "reference"
    assert requested_decoder({**FAST, "decoder": "reference"}) == "fast"
    assert [requested_decoder({**FAST, "decoder": d}) for d in ("fast", "scaled")] == [
        "fast",
        "scaled",
    ]
    assert requested_decoder({**FAST, "decoder": "gpu", "resize": "gpu"}) == "gpu"


# a query of the file


def test_a_query_takes_the_first_way_that_can_be_had_here(backbone: Backbone) -> None:
    threads = torch.get_num_threads()
    compiled = {**FAST, "runtime": "compiled", "dtype": "bf16"}
    far = {**FAST, "device": "cuda"}
    assert available_execution_config(backbone, ()) == {
        **REFERENCE,
        "batch_size": 1,
        "threads": threads,
    }
    assert available_execution_config(backbone, [far]) == available_execution_config(backbone, ())
    here = available_execution_config(backbone, [far, compiled, REFERENCE])
    assert here == {**compiled, "runtime": "folded", "threads": threads}
    fell_back = {**FAST, "decoder": "reference"}
    assert available_execution_config(backbone, [fell_back])["decoder"] == "fast"
    for unknown in ({**FAST, "decoder": "later"}, {**FAST, "dtype": "fp4"}):
        assert available_execution_config(backbone, [unknown]) == available_execution_config(
            backbone, ()
        )
    older = available_execution_config(backbone, [{"device": "cpu", "batch_size": 8}])
    assert is_reference(older)


def test_a_query_without_the_files_runtime_takes_the_reference(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.inference.runtimes.is_installed", lambda _: False)
    assert is_reference(available_execution_config(backbone, [{**FAST, "runtime": "openvino"}]))


def test_a_query_of_a_file_that_a_gpu_decoded_is_decoded_on_the_host(
    tmp_path: Path, backbone: Backbone
) -> None:
    draw_noise(tmp_path / "1.jpg", 1, (90, 70))
    content = (tmp_path / "1.jpg").read_bytes()
    asked = {**FAST, "decoder": "gpu", "resize": "gpu", "batch_size": 1}
    found = PictureEmbedder(backbone, asked).embed(content)
    expected = embedded_alone(backbone, tmp_path / "1.jpg")
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.9995
