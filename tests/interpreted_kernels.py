"""A program of test_fused.py: what the fused kernels compute in Triton's interpreter, as JSON.

It is a process of its own: Triton asks whether it is to interpret when it is first imported.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from small_catalogs import tiny_backbone
from timm.models.convnext import ConvNeXt

from extract.backbones.registry import Backbone
from extract.inference import fused_check, fused_convnext
from extract.inference.depthwise_norm import convolve_and_norm, norm
from extract.inference.normalizing import FromPixels
from extract.transforms import fused_resize
from extract.transforms.fast_geometry import _cut_out
from extract.transforms.fused_resize import StoredPicture, resize_stored
from extract.transforms.pillow_geometry import FILTERS
from extract.transforms.preprocessing import Preprocessing, resized_size
from tests.benchmarks.fused import plant_outliers

SHAPES = {"tiles over the border, channels in parts": (1, 9, 3, 24), "whole maps": (2, 5, 1, 8)}
"""Pictures, height, width, channels."""


def small_convnext(**changed: Any) -> ConvNeXt:
    """Build one of random weights, outliers among them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"depths": (2, 1, 1, 1), "dims": (8, 16, 8, 8), "num_classes": 0, **changed}
        model = ConvNeXt(**settings).eval().requires_grad_(False)
    plant_outliers(model)
    return model


def small_backbone() -> Backbone:
    """Build one of it that sees 32 pixels a side."""
    tiny = tiny_backbone()
    seen = replace(tiny.preprocessing, size=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    return replace(tiny, network=small_convnext(), preprocessing=seen)


def errors_of_kernels(n: int, height: int, width: int, channels: int) -> list[float]:
    """Largest differences from torch's convolution with norm, and its norm alone."""
    draw = torch.Generator().manual_seed(n)
    shapes = (n, height, width, channels), (49, channels), (height, width, channels)
    maps, weight, bias = (torch.randn(*shape, generator=draw) for shape in shapes)
    scale, shift, plus = torch.randn(3, channels, generator=draw)
    taps, seen = weight.t().reshape(channels, 1, 7, 7), maps.permute(0, 3, 1, 2)
    summed = torch.nn.functional.conv2d(seen, taps, padding=3, groups=channels)
    summed = (summed.permute(0, 2, 3, 1) + bias).contiguous()
    pairs = (
        (convolve_and_norm(maps, weight, bias, scale, shift, 1e-6), summed),
        (norm(summed, plus, scale, shift, 1e-6), summed + plus),
    )
    return [
        float(
            (found - torch.nn.functional.layer_norm(x, (channels,), scale, shift, 1e-6)).abs().max()
        )
        for found, x in pairs
    ]


def errors_of_model(backbone: Backbone) -> dict[str, Any]:
    """How far a fused model is off its original, in float32."""
    model, seen = backbone.model, backbone.preprocessing
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8, generator=draw)
    with torch.inference_mode():
        expected = FromPixels(model, seen)(pixels)
        exact = fused_convnext.fuse(model, seen, torch.float32)(pixels)
    return {
        "error": float((exact - expected).norm() / expected.norm()),
        "left": all(torch.equal(before[k], value) for k, value in model.state_dict().items()),
    }


def levels_of_resize() -> dict[str, int]:
    """How far pictures resized in few launches are off Pillow's, at most."""
    draw = np.random.default_rng(0)
    sizes = [(19, 26), (8, 5), (6, 6)]
    pictures = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    tensors = [torch.from_numpy(picture) for picture in pictures]
    stored = [StoredPicture(each.data_ptr(), *each.shape[:2], each) for each in tensors]
    found = {}
    for resize, by, down_first in (("crop", "bicubic", False), ("pad", "bilinear", True)):
        seen = Preprocessing(6, resize, 0.875, by, (0.5,) * 3, (0.5,) * 3)
        with mock.patch.object(fused_resize, "rows_first", return_value=down_first):
            placed = resize_stored(stored, seen, torch.device("cpu")).numpy()
        expected = np.stack([_in_two_passes(each, seen, down_first) for each in pictures])
        found[resize] = int(np.abs(placed.astype(int) - expected).max())
    return found


def _in_two_passes(pixels: np.ndarray, seen: Preprocessing, down_first: bool) -> np.ndarray:
    """Resize by Pillow, one axis after the other, and cut."""
    picture = Image.fromarray(pixels)
    height, width = resized_size(seen, *pixels.shape[:2])
    between = (picture.width, height) if down_first else (width, picture.height)
    for size in (between, (width, height)):
        picture = picture.resize(size, FILTERS[seen.interpolation])
    return _cut_out(np.asarray(picture), seen)


def what_is_wrong(backbone: Backbone) -> list[str | None]:
    """Ask what is wrong with a fused model, with one of other numbers, and with one that fails."""
    fused_check.MOST_RECOMPUTED = 1
    said = [fused_check.why_not_fused(backbone, "fp16")]
    other = small_convnext(dims=(16, 8, 8, 8))

    def fail(*_: Any) -> Any:
        raise RuntimeError("no such\ninstruction")

    for fuse in (lambda _, seen, __: FromPixels(other, seen), fail):
        fused_convnext.fuse = fuse
        said.append(fused_check.why_not_fused(backbone, "fp16"))
    return said


if __name__ == "__main__":
    backbone = small_backbone()
    found = {
        "kernels": {name: errors_of_kernels(*shape) for name, shape in SHAPES.items()},
        "model": errors_of_model(backbone),
        "resize": levels_of_resize(),
        "wrong": what_is_wrong(backbone),
    }
    json.dump(found, sys.stdout)
