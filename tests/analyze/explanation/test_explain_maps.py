"""Maps are their formulas, held against the whole backbone run and derived in one piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import timm
import torch

from analyze.explanation.feature_taps import Tap, tap_of
from analyze.explanation.saliency_maps import METHODS, check_methods, map_spec, weigh
from extract.backbones.registry import Backbone, load_backbone
from extract.errors import UsageError

pytestmark = pytest.mark.slow

FAMILIES = ("efficientnet_b3", "efficientnet_lite0", "cvt_13", "convnext_base", "vgg16")
LESS: dict[str, dict[str, Any]] = {
    "convnext_base": {"depths": (1, 1, 1, 1)},
    "vgg16": {"mlp_ratio": 1 / 64},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1, 1, 1)},
}
"""Fewer blocks, or narrower ones, in front of the layer that is looked at and behind it."""

SIZE = {"vgg16": 112, "swin_tiny_patch4_window7_224": 224}
CELLS = {"convnext_base": 2, "efficientnet_b3": 2, "efficientnet_lite0": 2, "cvt_13": 4, "vgg16": 7}
"""A side of the map; VGG's is cut before its last pooling, where it is twice as fine."""

N_COLUMNS = 5


def small(name: str, **how: Any) -> Backbone:
    """A random backbone that sees small pictures and has no more than it takes."""
    architecture = name.removeprefix("timm:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            timm, "create_model", partial(timm.create_model, **LESS.get(architecture, {}))
        )
        backbone = load_backbone(name, weights="random", **how)
    size = SIZE.get(architecture, 64)
    return replace(backbone, preprocessing=replace(backbone.preprocessing, size=size))


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return small(request.param)


def seen_by(backbone: Backbone, n: int = 3) -> torch.Tensor:
    size = backbone.preprocessing.size
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def drawn_head(n_dims: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Values that bend: a linear map of the unit vector, squashed."""
    weights = torch.randn(
        n_dims, N_COLUMNS, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    return lambda vectors: torch.tanh(torch.nn.functional.normalize(vectors, dim=1) @ weights)


def in_one_piece(
    backbone: Backbone, pixels: torch.Tensor, values: Any, columns: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Run the whole backbone with a gradient; hold on to the feature map by the layer's name."""
    model: Any = backbone.model
    held: list[torch.Tensor] = []

    def hold(_: Any, given: Any, made: torch.Tensor | None = None) -> None:
        tensor = given[0] if made is None else made
        tensor.retain_grad()
        held.append(tensor)

    if backbone.name.startswith("cvt"):
        hook = model.model.cvt.encoder.stages[2].layers[-1].register_forward_pre_hook(hold)
    else:
        layers = {"convnext_base": "stages.3", "vgg16": "features.29"}
        layer = model.get_submodule(layers.get(backbone.name, "bn2"))
        hook = layer.register_forward_hook(hold)
    with torch.enable_grad():
        found = values(model(pixels.clone().requires_grad_()).double())
        found[torch.arange(len(columns)), torch.tensor(columns)].sum().backward()
    hook.remove()
    activations, gradients = held[0].detach().numpy(), held[0].grad.numpy()  # type: ignore[union-attr]
    if backbone.name.startswith("cvt"):
        side = int((activations.shape[1] - 1) ** 0.5)
        activations, gradients = (
            each[:, 1:].transpose(0, 2, 1).reshape(len(each), -1, side, side)
            for each in (activations, gradients)
        )
    return activations.astype(np.float64), gradients.astype(np.float64)


def test_maps_equal_their_formulas_on_each_family(backbone: Backbone) -> None:
    pixels, values, columns = seen_by(backbone), drawn_head(backbone.n_dims), [4, 0, 2]
    tap = tap_of(backbone)
    found = weigh(tap, values, pixels, columns, tuple(METHODS))
    activations, gradients = in_one_piece(backbone, pixels, values, columns)
    weights = gradients.mean(axis=(2, 3))
    expected = {
        "gradcam": np.einsum("nc,nchw->nhw", weights, activations),
        "hirescam": (gradients * activations).sum(axis=1),
        "layercam": (np.maximum(gradients, 0) * activations).sum(axis=1),
    }
    if tap.directions_alone:  # nothing but rounding errors, and refused
        del expected["hirescam"]
    terms = np.einsum("nc,nchw->nhw", np.abs(weights), np.abs(activations)).max(axis=(1, 2))
    for name, signed in expected.items():
        scale = np.abs(signed).max()
        np.testing.assert_allclose(found.signed[name] / scale, signed / scale, atol=1e-5)
        assert (np.abs(signed).max(axis=(1, 2)) > 0.01 * terms).all()
    assert found.moved.all()
    assert tap.n_rows == tap.n_columns == CELLS[backbone.name]
    assert tap.directions_alone == backbone.name.startswith("cvt")
    np.testing.assert_allclose(found.vectors, backbone.embed(pixels), rtol=1e-3, atol=1e-5)
    vectors = torch.from_numpy(found.vectors).double()
    np.testing.assert_allclose(found.values, values(vectors)[[0, 1, 2], columns].numpy())


def test_grad_cam_is_captums() -> None:
    captum = pytest.importorskip("captum.attr")
    backbone = small("efficientnet_lite0")
    pixels, values = seen_by(backbone), drawn_head(backbone.n_dims)
    with torch.enable_grad():  # captum asks for gradients of an input
        theirs = captum.LayerGradCam(
            lambda given: values(backbone.model(given).double()), backbone.model.bn2
        ).attribute(pixels.clone().requires_grad_(), target=3, relu_attributions=True)
    ours = weigh(tap_of(backbone), values, pixels, [3, 3, 3], ["gradcam"]).signed["gradcam"]
    theirs = theirs[:, 0].detach().numpy()
    np.testing.assert_allclose(np.maximum(ours, 0), theirs, atol=1e-5 * theirs.max())


def test_a_picture_is_explained_alike_alone_and_in_a_batch() -> None:
    backbone = small("efficientnet_lite0")
    tap, pixels, values = tap_of(backbone), seen_by(backbone), drawn_head(backbone.n_dims)
    together = weigh(tap, values, pixels, [0, 1, 2], ["gradcam"]).signed["gradcam"]
    for i in range(3):
        alone = weigh(tap, values, pixels[i : i + 1], [i], ["gradcam"]).signed["gradcam"]
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5 * np.abs(together).max())


def test_what_no_place_moves_is_said() -> None:
    backbone = small("efficientnet_lite0")
    found = weigh(
        tap_of(backbone),
        lambda vectors: vectors[:, :2] * 0,
        seen_by(backbone),
        [0] * 3,
        ["gradcam"],
    )
    assert not found.moved.any()


@pytest.mark.parametrize(
    ("name", "how", "cells"),
    [
        ("cvt_13", {"pooling": "mean"}, 4),
        ("timm:resnet18", {"pooling": "mean"}, 2),
        ("timm:swin_tiny_patch4_window7_224", {}, 7),
    ],
)
def test_other_cuts(name: str, how: dict[str, str], cells: int) -> None:
    backbone = small(name, **how)
    tap = tap_of(backbone)
    assert (tap.n_rows, tap.n_columns) == (cells, cells)
    pixels = seen_by(backbone, 2)
    maps, onward = tap.split(pixels)
    assert tuple(maps.shape[2:]) == (cells, cells)
    torch.testing.assert_close(onward(maps), torch.from_numpy(backbone.embed(pixels)))
    side = pixels.shape[-1] // cells
    pixels[:, :, :side, -side:] += 5
    moved = (tap.split(pixels)[0] - maps).norm(dim=1)
    assert (moved.flatten(1).argmax(dim=1) == cells - 1).all(), "the upper right moves most"


@pytest.mark.parametrize("name", ["timm:vit_tiny_patch16_224", "timm:mixer_s16_224"])
def test_a_backbone_without_a_map_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match=r"no map of features.*convnext_base.*vgg16") as caught:
        tap_of(load_backbone(name, weights="random"))
    assert "\n" not in str(caught.value)


def test_methods_are_looked_up() -> None:
    directions = Tap(lambda pixels: (pixels, lambda maps: maps), 7, 7, directions_alone=True)
    check_methods(["gradcam", "layercam"], directions, "cvt_13")
    with pytest.raises(UsageError, match="HiResCAM is zero at every place of cvt_13"):
        check_methods(["gradcam", "hirescam"], directions, "cvt_13")
    assert map_spec("layercam").title == "LayerCAM"
    with pytest.raises(UsageError, match=r"no method 'cam'.*gradcam, hirescam, layercam"):
        map_spec("cam")
