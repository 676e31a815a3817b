"""Folding changes what is done and not what comes out; where it would, nothing is folded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import transformers
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import nn

from extract.backbones.registry import load_backbone
from extract.inference.weight_folding import AGREEMENT, fold

SIDE = 64


def pixels(n: int = 3, side: int = SIDE) -> torch.Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def lived_in(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms the numbers of a trained model: fresh ones change nothing."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: float, high: float, like: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.copy_(draw(-0.5, 0.5, module.running_mean))
            module.running_var.copy_(draw(0.5, 2, module.running_var))
            module.weight.data = draw(0.5, 1.5, module.weight)
            module.bias.data = draw(-0.5, 0.5, module.bias)
    return model.eval().requires_grad_(False)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def off(model: nn.Module, other: nn.Module, seen: torch.Tensor) -> float:
    with torch.inference_mode():
        one, two = model(seen), other(seen)
    return float((one - two).norm() / one.norm())


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "efficientnet_b0"])
def test_every_batch_norm_of_timms_networks_is_folded(name: str) -> None:
    model = lived_in(timm.create_model(name, num_classes=0))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert norms(model)
    folded = fold(model, pixels(1))
    assert norms(folded) == 0
    assert off(model, folded, pixels()) < AGREEMENT
    activations = [BatchNormAct2d, nn.Hardswish, nn.SiLU, nn.ReLU]
    acts = [m for m in folded.modules() if type(m) in activations]
    assert acts
    # the original is the reference
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_network_without_batch_norms_is_left_as_it_is() -> None:
    model = timm.create_model("convnext_atto", num_classes=0).eval()
    seen = pixels()
    assert off(model, fold(model, pixels(1)), seen) == 0


def test_the_projections_of_cvt_are_folded_in_the_copy_that_is_called() -> None:
    backbone = load_backbone("cvt_13", weights="random")
    lived_in(backbone.model)
    seen = pixels(1, 224)
    folded = fold(backbone.model, seen)
    assert norms(folded) == 0 < norms(backbone.model)
    assert off(backbone.model, folded, pixels(2, 224)) < AGREEMENT
    with torch.inference_mode():
        for parameter in folded.parameters():
            parameter.zero_()
        assert not folded(seen).any()


class Used(nn.Module):
    """A network of one convolution, and what a plant does with its output."""

    def __init__(self, after: Callable[[nn.Module, torch.Tensor, nn.Module], torch.Tensor]) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.after = after

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return self.after(self.norm, self.convolution(seen), self.convolution).mean(dim=(2, 3))


class Standardised(nn.Conv2d):
    """A convolution that undoes whatever scale its weights have."""

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        weight = self.weight / self.weight.norm()
        return nn.functional.conv2d(seen, weight, self.bias)


def standardised() -> nn.Module:
    return nn.Sequential(Standardised(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten())


def shared_norm() -> nn.Module:
    norm = nn.BatchNorm2d(3)
    return nn.Sequential(nn.Conv2d(3, 3, 3), norm, nn.Conv2d(3, 3, 3), norm, nn.Flatten())


def shared_convolution() -> nn.Module:
    convolution = nn.Conv2d(3, 3, 3)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(3), convolution, nn.BatchNorm2d(3), nn.Flatten()
    )


PLANTS: dict[str, Callable[[], nn.Module]] = {
    "read twice": lambda: Used(lambda norm, made, _: norm(made) + made),
    "read by two": lambda: Used(lambda norm, made, _: norm(made) * made.sigmoid()),
    "changed between": lambda: Used(lambda norm, made, _: norm(made * 2)),
    "changed in place": lambda: Used(lambda norm, made, _: norm(made.mul_(2))),
    "weights read": lambda: Used(lambda norm, made, made_by: norm(made) + made_by.weight.sum()),
    "norm first": lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3), nn.Flatten()),
    "batch statistics": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.Flatten()
    ),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.BatchNorm1d(8)),
    "standardised": standardised,
    "shared norm": shared_norm,
    "shared convolution": shared_convolution,
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_may_not_be_folded_is_not(plant: str) -> None:
    torch.manual_seed(0)
    model = PLANTS[plant]()
    model(pixels())  # lazy layers take their shapes
    model = lived_in(model)
    n_norms = norms(model)
    folded = fold(model, pixels(1))
    assert norms(folded) == n_norms
    assert off(model, folded, pixels()) == 0


def test_what_a_norm_of_timm_does_beside_norming_stays() -> None:
    torch.manual_seed(0)
    norm = BatchNormAct2d(8, act_layer=nn.Hardswish)
    model = lived_in(nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.Flatten()))
    folded = fold(model, pixels(1))
    assert norms(folded) == 0
    assert [type(m) for m in folded.children()] == [nn.Conv2d, nn.Hardswish, nn.Flatten]
    assert off(model, folded, pixels()) < AGREEMENT


def test_bias_groups_and_stride_are_folded_rightly() -> None:
    torch.manual_seed(0)
    model = lived_in(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3, bias=True),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 1, bias=False),
            nn.BatchNorm2d(8, affine=True, eps=1e-2),
            nn.Flatten(),
        )
    )
    folded = fold(model, pixels(1))
    assert norms(folded) == 0
    assert off(model, folded, pixels()) < 1e-6


@pytest.mark.parametrize("side", [31, 32, 33])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (4, 1), (2, 3), (1, 2)])
def test_uneven_padding_becomes_even(side: int, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    seen = torch.randn(2, 4, side, side + 1)
    uneven = nn.Sequential(Conv2dSame(4, 8, kernel, stride=stride, groups=2), nn.ReLU()).eval()
    folded = fold(uneven, seen)
    assert type(folded[0]) is nn.Conv2d
    torch.testing.assert_close(folded(seen), uneven(seen), atol=1e-6, rtol=1e-5)


def test_uneven_padding_of_spread_kernels_stays() -> None:
    model = nn.Sequential(Conv2dSame(3, 8, 3, stride=2, dilation=2), nn.Flatten()).eval()
    assert off(model, fold(model, pixels(1)), pixels()) == 0


def test_a_network_from_tensorflow_pads_nothing_any_more() -> None:
    model = lived_in(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    folded = fold(model, pixels(1))
    assert any(type(module) is Conv2dSame for module in model.modules())
    assert not any(type(module) is Conv2dSame for module in folded.modules())
    assert norms(folded) == 0
    assert off(model, folded, pixels()) < AGREEMENT


def test_transformers_resnet_is_folded_too() -> None:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    )
    body = lived_in(transformers.ResNetModel(config))

    class Vector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            return self.body(seen).pooler_output.flatten(1)

    model = Vector().eval()
    folded = fold(model, pixels(1))
    assert norms(folded) == 0 < norms(model)
    assert off(model, folded, pixels()) < AGREEMENT
