"""Weights are found where the hubs' caches keep them, for every family and both kinds of file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from small_catalogs import offline_environment

from extract.backbones.hub import cached_on_hub
from extract.backbones.registry import load_backbone
from extract.errors import SosieError, WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Full = Callable[[], torch.nn.Module]
PIXELS_SCRIPT = "torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))"


@dataclass(frozen=True)
class Case:
    """A repository of a hub, and the vector that its own classifier reads."""

    name: str
    repo: str
    file: str
    full: Full
    vector: Callable[[Any, torch.Tensor], torch.Tensor]
    processor: Any = None


def timms(architecture: str) -> Full:
    return lambda: timm.create_model(architecture, pretrained=False)


def timms_vector(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    vector: torch.Tensor = model.forward_head(model.forward_features(pixels), pre_logits=True)
    return vector


def cvts_vector(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    vector: torch.Tensor = model.layernorm(model.cvt(pixels).cls_token_value).mean(dim=1)
    return vector


def cvt_13() -> torch.nn.Module:
    return transformers.CvtForImageClassification(transformers.CvtConfig(num_labels=1000))


def tiny_vit() -> torch.nn.Module:
    """A checkpoint with a classifier and without a pooler, as most are."""
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        num_labels=5,
    )
    return transformers.ViTForImageClassification(config)


def tiny_convnext() -> torch.nn.Module:
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], num_labels=3
    )
    return transformers.ConvNextForImageClassification(config)


VIT_SEES = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
CONVNEXT_SEES = transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875)
CASES = [
    Case(
        "efficientnet_b3",
        "timm/efficientnet_b3.ra2_in1k",
        "model.safetensors",
        timms("efficientnet_b3"),
        timms_vector,
    ),
    Case(
        "timm:test_resnet",
        "timm/test_resnet.r160_in1k",
        "model.safetensors",
        timms("test_resnet"),
        timms_vector,
    ),
    Case(
        "timm:test_vit.r160_in1k",
        "timm/test_vit.r160_in1k",
        "pytorch_model.bin",
        timms("test_vit"),
        timms_vector,
    ),
    Case("cvt_13", "microsoft/cvt-13", "pytorch_model.bin", cvt_13, cvts_vector),
    Case(
        "hf:acme/vit",
        "acme/vit",
        "pytorch_model.bin",
        tiny_vit,
        lambda model, pixels: model.vit(pixels).last_hidden_state[:, 0],
        VIT_SEES,
    ),
    Case(
        "hf:acme/convnext",
        "acme/convnext",
        "model.safetensors",
        tiny_convnext,
        lambda model, pixels: model.convnext(pixels).pooler_output,
        CONVNEXT_SEES,
    ),
]


def lay_out_repository(hub: Path, case: Case, model: Any) -> None:
    """Write a repository as huggingface_hub keeps it below HF_HOME."""
    repo = hub / f"models--{case.repo.replace('/', '--')}"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    save = save_file if case.file.endswith(".safetensors") else torch.save
    save(model.state_dict(), snapshot / case.file)
    if case.processor is not None:
        model.config.save_pretrained(snapshot)
        case.processor.save_pretrained(snapshot)


SCRIPT = f"""
import json, sys, numpy, torch
from extract.backbones.registry import load_backbone
said, vectors = {{}}, {{}}
for name in sys.argv[2:]:
    backbone = load_backbone(name, resize="model")
    size = backbone.preprocessing.size
    vectors[name.replace("/", "|")] = backbone.embed({PIXELS_SCRIPT})
    said[name] = {{**backbone.weights, "pooling": backbone.pooling}}
numpy.savez(sys.argv[1], **vectors)
print(json.dumps(said))
"""
Loaded = dict[str, tuple[dict[str, Any], Any, Any]]


def load_every_case(home: Path) -> None:
    """Load every case from one hub's cache in one process; keep what its own library gives too."""
    expected = {}
    for seed, case in enumerate(CASES):
        torch.manual_seed(1000 + seed)  # weights that no seed of ours draws
        full = case.full().eval()
        lay_out_repository(home / "hub", case, full)
        size = {"hf:acme/vit": 64, "efficientnet_b3": 288}.get(case.name) or (
            160 if "test_" in case.name else 224
        )
        pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected[case.name.replace("/", "|")] = case.vector(full, pixels).numpy()
    np.savez(home / "expected.npz", **expected)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home / "v.npz"), *(case.name for case in CASES)],
        env={**offline_environment(home), "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (home / "said.json").write_text(done.stdout)


@pytest.fixture(scope="module")
def loaded(once: Callable[[str, Callable[[Path], None]], Path]) -> Loaded:
    """Give what was said, found and expected of every case."""
    home = once("hub", load_every_case)
    said = json.loads((home / "said.json").read_text())
    with np.load(home / "v.npz") as vectors, np.load(home / "expected.npz") as expected:
        return {
            name: (said[name], vectors[key], expected[key])
            for name, key in ((case.name, case.name.replace("/", "|")) for case in CASES)
        }


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vectors_from_a_hubs_cache_are_those_of_its_own_library(case: Case, loaded: Loaded) -> None:
    said, vectors, expected = loaded[case.name]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)
    assert said["source"] == "pretrained"
    assert said["tag"] == case.repo.removeprefix("timm/")


@pytest.mark.slow
def test_a_pooler_that_the_checkpoint_lacks_is_not_drawn_at_random(loaded: Loaded) -> None:
    assert loaded["hf:acme/vit"][0]["pooling"] == "cls"
    assert loaded["hf:acme/convnext"][0]["pooling"] == "pooler"


@pytest.mark.parametrize("name", ["convnext_base", "cvt_13", "hf:acme/unknown"])
def test_without_network_and_cache_one_line_says_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.backbones.hub.cached_on_hub", lambda *_: None)
    monkeypatch.setattr("extract.backbones.hub._why_hub_is_out_of_reach", lambda: "no route")
    with pytest.raises(WeightsError) as error:
        load_backbone(name)
    said = str(error.value)
    repo = {"convnext_base": "timm/convnext_base.fb_in22k_ft_in1k", "cvt_13": "microsoft/cvt-13"}
    assert repo.get(name, "acme/unknown") in said
    assert "no route" in said or "HF_HUB_OFFLINE" in said
    assert said.endswith("python -m extract --model efficientnet_lite0")
    assert "\n" not in said


def test_an_address_without_a_hub_is_looked_up_in_torchs_own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nineteen of timm's tags have an address and no repository."""
    from extract.backbones.hub import download_to_torch_home

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints" / "tiny-01234567.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    assert download_to_torch_home("https://example.invalid/tiny-01234567.pth", "tiny") == kept
    monkeypatch.setattr("timm.models._hub.download_cached_file", _no_network)
    with pytest.raises(
        WeightsError, match=r"other\.pth cannot be fetched \(no route\).*TORCH_HOME"
    ):
        download_to_torch_home("https://example.invalid/other.pth", "other")


def _no_network(*_: object) -> None:
    raise OSError("no route")


@pytest.mark.parametrize(
    "name", ["hf:../../etc", "hf:/etc/passwd", "hf:https://x.invalid/a", "hf:a"]
)
def test_what_names_no_repository_is_said_in_one_line(name: str) -> None:
    with pytest.raises(SosieError) as error:
        load_backbone(name)
    assert "\n" not in str(error.value)


def test_a_damaged_hub_cache_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.file_download

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.file_download.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--acme--vit"
    (repo / "refs" / "main").mkdir(parents=True)
    (repo / "snapshots").mkdir()
    assert cached_on_hub("acme/vit") is None
    (repo / "refs" / "main").rmdir()
    for said in (b"../../..", b"\xff\xfe", b"no such commit"):
        (repo / "refs" / "main").write_bytes(said)
        assert cached_on_hub("acme/vit") is None
