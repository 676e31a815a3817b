"""Where a backbone's last map of features is, and how the vector comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from extract.errors import UsageError

if TYPE_CHECKING:
    import torch

    from extract.backbones.registry import Backbone

    Onward = Callable[[torch.Tensor], torch.Tensor]

HAVE_MAPS = "convnext_base, efficientnet_b3, efficientnet_lite0, cvt_13, vgg16 or a timm: name"

NOTHING_LEFT = 1e-3
"""Of products that add up to zero: 2e-6 of their size is left for CvT, 0.01 or more for others."""


@dataclass(frozen=True, eq=False)
class Tap:
    """A backbone cut in two at its last map of features.

    Parameters
    ----------
    split : callable
        Pixels (n, 3, size, size) -> maps (n, channels, rows, columns) without a gradient, and
        what turns such maps into vectors (n, n_dims).
    n_rows, n_columns : int
        Of the map.
    directions_alone : bool
        Whether the length of what stands at a place counts for nothing, as before a layer norm:
        then activations times gradients add up to zero at each place.
    """

    split: Callable[[torch.Tensor], tuple[torch.Tensor, Onward]]
    n_rows: int
    n_columns: int
    directions_alone: bool = False


def tap_of(backbone: Backbone) -> Tap:
    """Find where a backbone is cut, and try it out.

    A convolutional model is cut before its pooling. CvT's vector is its class token, which gets
    nothing from the other tokens after the last block, so it is cut before that block.

    Raises
    ------
    UsageError
        When the backbone has no map of features on the way to its vector.
    """
    import torch

    split = _split_of(backbone)
    size = backbone.preprocessing.size
    drawn = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, 3, size, size, generator=drawn).to(backbone.device)
    maps, onward = split(pixels)
    if maps.ndim != 4 or maps.shape[2] * maps.shape[3] < 2:
        raise _no_map(backbone)
    maps = maps.detach().requires_grad_()
    with torch.enable_grad():
        vectors = onward(maps)
    with torch.no_grad():
        whole = backbone.model(pixels)
    if not torch.allclose(vectors, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max())):
        raise _no_map(backbone)
    # a random direction: the sum of what a layer norm gives is the same whatever the map
    direction = torch.randn(vectors.shape, generator=drawn).to(backbone.device)
    (gradient,) = torch.autograd.grad((vectors * direction).sum(), maps)
    if not bool(gradient.any()):
        raise _no_map(backbone)
    products = (maps * gradient).detach()
    left = products.sum(dim=1).abs().max() / products.abs().sum(dim=1).max()
    return Tap(split, maps.shape[2], maps.shape[3], float(left) < NOTHING_LEFT)


def _no_map(backbone: Backbone) -> UsageError:
    return UsageError(
        f"{backbone.name} makes its vector of no map of features, so no place of a picture can be "
        f"held to account: take {HAVE_MAPS} of a convolutional model"
    )


def _split_of(backbone: Backbone) -> Callable[[torch.Tensor], tuple[torch.Tensor, Onward]]:
    from extract.backbones.pooling import Pooled

    model: Any = backbone.model
    inner: Any = model.model if isinstance(model, Pooled) else model
    if getattr(getattr(inner, "config", None), "model_type", None) == "cvt":
        return partial(_split_cvt, model)
    if not hasattr(inner, "forward_features"):
        raise _no_map(backbone)
    pooled = isinstance(model, Pooled)
    features = model.features if pooled else inner.forward_features
    pool = model.pool if pooled else inner.forward_head
    if getattr(inner, "output_fmt", "NCHW") == "NHWC":
        return partial(_split_channels_last, features, pool)
    return partial(_split_before_pooling, inner, features, pool)


def _split_before_pooling(
    inner: Any, features: Onward, pool: Onward, pixels: torch.Tensor
) -> tuple[torch.Tensor, Onward]:
    """Cut between features and pooling; VGG's features end in a pooling, which stays behind."""
    import torch

    layers = getattr(inner, "features", None)
    with torch.no_grad():
        if not isinstance(layers, torch.nn.Sequential):
            return features(pixels), lambda maps: pool(maps.clone())
        *before, last = layers
        if not isinstance(last, torch.nn.MaxPool2d):
            return features(pixels), lambda maps: pool(maps.clone())
        return torch.nn.Sequential(*before)(pixels), lambda maps: pool(last(maps))


def _split_channels_last(
    features: Onward, pool: Onward, pixels: torch.Tensor
) -> tuple[torch.Tensor, Onward]:
    import torch

    with torch.no_grad():
        maps = features(pixels).permute(0, 3, 1, 2)
    return maps, lambda maps: pool(maps.permute(0, 2, 3, 1))


def _split_cvt(model: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, Onward]:
    """Cut before the last block: its input tokens, the class token set apart."""
    import torch

    last = model.model.cvt.encoder.stages[-1].layers[-1]
    seen: list[Any] = []
    hook = last.register_forward_pre_hook(lambda _, given: seen.extend(given))
    try:
        with torch.no_grad():
            model.features(pixels)
    finally:
        hook.remove()
    tokens, height, width = seen
    n_before = tokens.shape[1] - height * width
    before, places = tokens[:, :n_before], tokens[:, n_before:]

    def onward(maps: torch.Tensor) -> torch.Tensor:
        given = torch.cat([before, maps.flatten(2).transpose(1, 2)], dim=1)
        found = last(given, height, width)
        of_places = found[:, n_before:].transpose(1, 2).unflatten(2, (height, width))
        parts = SimpleNamespace(last_hidden_state=of_places, cls_token_value=found[:, :n_before])
        vectors: torch.Tensor = model.pool(parts)
        return vectors

    return places.transpose(1, 2).unflatten(2, (height, width)), onward
