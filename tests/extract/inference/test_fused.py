"""ConvNeXt fused gives timm's vectors, by Triton's interpreter here; who takes it, and who not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interpreted_kernels import SHAPES, small_backbone, small_convnext
from small_catalogs import PROJECT, tiny_backbone

from extract.backbones.registry import Backbone
from extract.errors import UsageError
from extract.inference import execution_config
from extract.inference.execution_config import (
    COMPILES_FROM,
    ExecutionOptions,
    available_execution_config,
    choose_execution_config,
)
from extract.inference.fused_convnext import takes
from extract.inference.runtimes import choose_runtime

MANY = np.full(COMPILES_FROM, 9)


def interpret(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tests" / "interpreted_kernels.py")],
        env={
            **os.environ,
            "TRITON_INTERPRET": "1",
            "PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "tests"))),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "found.json").write_text(done.stdout)


@pytest.fixture(scope="module")
def interpreted(once: Callable[[str, Callable[[Path], None]], Path]) -> dict[str, Any]:
    """What the kernels compute, by Triton's interpreter."""
    found: dict[str, Any] = json.loads((once("interpreted", interpret) / "found.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHAPES)
def test_convolution_and_norm_are_torchs(interpreted: dict[str, Any], kind: str) -> None:
    assert max(interpreted["kernels"][kind]) < 1e-4


@pytest.mark.slow
def test_a_fused_model_is_the_model_also_with_outlier_channels(interpreted: dict[str, Any]) -> None:
    found = interpreted["model"]
    assert found["error"] < 1e-5
    assert found["left"], "the backbone's own weights were changed"


@pytest.mark.slow
def test_pictures_of_many_sizes_are_resized_to_pillows_last_bit(
    interpreted: dict[str, Any],
) -> None:
    assert interpreted["resize"] == {"crop": 0, "pad": 0}


@pytest.mark.slow
def test_drawn_pictures_tell_whether_fused_rows_are_near(interpreted: dict[str, Any]) -> None:
    right, other, failing = interpreted["wrong"]
    assert right is None
    assert "below 0.9995" in other
    assert failing == "the fused kernels do not work here (no such instruction)"


def test_only_a_convnext_of_plain_blocks_is_taken() -> None:
    assert takes(small_convnext())
    assert takes(torch.nn.Sequential(small_convnext()))  # as pooled otherwise
    assert takes(small_convnext(conv_mlp=True, ls_init_value=None))
    others = (
        {"use_grn": True},
        {"stem_type": "overlap"},
        {"kernel_sizes": 5},
        {"act_layer": "relu"},
        {"dims": (8, 12, 8, 8)},
        {"norm_layer": "rmsnorm2d"},
    )
    assert not any(takes(small_convnext(**other)) for other in others)
    assert not takes(tiny_backbone().model)


@pytest.fixture(scope="module")
def convnext() -> Backbone:
    return small_backbone()


@pytest.fixture
def elsewhere(convnext: Backbone, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """Say that it is on a GPU; nothing is computed with it."""
    monkeypatch.setattr("extract.inference.runtimes.is_installed", lambda name: name == "triton")
    monkeypatch.setattr(execution_config, "can_be_fused", lambda each: each is there)
    monkeypatch.setattr(execution_config, "why_not_fused", lambda *_: None)
    there = replace(convnext, device="cuda:0")
    return there


def runtime_of(backbone: Backbone, pictures: np.ndarray = MANY, **wanted: Any) -> str:
    asked = ExecutionOptions(batch_size=8, decoder="fast", **wanted)
    return str(choose_execution_config(backbone, None, asked, pictures)["runtime"])


def test_enough_pictures_of_a_convnext_are_fused_on_a_gpu(elsewhere: Backbone) -> None:
    assert runtime_of(elsewhere) == "fused"
    assert runtime_of(elsewhere, MANY[1:]) == "folded"
    assert runtime_of(elsewhere, MANY[1:], runtime="fused") == "fused"
    assert runtime_of(elsewhere, dtype="fp32") == "compiled"
    assert runtime_of(elsewhere, runtime="torch") == "compiled"
    assert runtime_of(elsewhere, compiled=True) == "compiled"
    assert runtime_of(elsewhere, compiled=False) == "folded"
    other = replace(elsewhere)
    assert runtime_of(other) == "compiled"
    with pytest.raises(UsageError, match="is no ConvNeXt of plain blocks on a GPU: use --runtime"):
        runtime_of(other, runtime="fused")


def test_rows_too_far_from_the_reference_are_torchs_and_a_note_says_so(
    elsewhere: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_config, "why_not_fused", lambda *_: "fused rows are far")
    notes: list[str] = []
    for runtime, pictures, chosen in (
        ("auto", MANY, "compiled"),
        ("fused", MANY, "compiled"),
        ("fused", MANY[1:], "folded"),
    ):
        asked = ExecutionOptions(batch_size=8, decoder="fast", runtime=runtime)
        found = choose_execution_config(elsewhere, None, asked, pictures, notes.append)
        assert found["runtime"] == chosen
    assert notes == ["fused rows are far: torch computes instead"] * 3


def test_a_query_of_fused_rows_is_computed_without_preparing_for_many(convnext: Backbone) -> None:
    stored = {"device": "cpu", "dtype": "bf16", "runtime": "fused", "decoder": "fast"}
    assert available_execution_config(convnext, [stored])["runtime"] == "folded"


def test_fused_is_refused_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extract.inference.runtimes.is_installed", lambda _: False)
    for device, dtype in (("cpu", "bf16"), ("cuda", "fp32")):
        with pytest.raises(UsageError, match="half precision on a CUDA device: use --device cuda"):
            choose_runtime("fused", "convnext_base", device, dtype)
    with pytest.raises(UsageError, match="need triton, which is not here: use --runtime torch"):
        choose_runtime("fused", "convnext_base", "cuda", "bf16")
