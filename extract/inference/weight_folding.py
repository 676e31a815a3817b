"""Work folded away before a run: batch norms into convolutions, uneven padding into kernels."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

AGREEMENT = 1e-4
"""How far, of the vectors' length, a folded model may be off its original: rounding, no more."""


def fold(model: torch.nn.Module, pixels: torch.Tensor) -> torch.nn.Module:
    """Fold what can be folded into the convolutions, on a copy.

    Every batch norm that reads a convolution goes into its weights. On a CPU, so does padding that
    is uneven, as TensorFlow's is: it costs a copy of the whole map, and a kernel with one more row
    and column of zeros costs next to nothing.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode; left as it is.
    pixels : tensor of shape (n, 3, size, size), float32
        A sample of the size that is to come: it shows which module reads which.

    Returns
    -------
    torch.nn.Module
        The copy: folded where that agrees with the original on the sample, else as it was.
    """
    import torch

    folded = copy.deepcopy(model)
    with torch.inference_mode():
        expected = model(pixels)
        watched = _watch(folded, pixels)
    others: dict[Any, torch.nn.Module] = {}
    for convolution, norm in watched.pairs:
        _put_into(convolution, norm)
        others[norm] = _rest_of(norm)
    if pixels.device.type == "cpu":
        others |= {each: _evenly_padded(each, *size) for each, size in watched.uneven.items()}
    _replace(folded, others)
    with torch.inference_mode():
        off = (folded(pixels) - expected).norm() / expected.norm()
    # not "off > AGREEMENT": NaN does not agree either
    return folded if float(off) <= AGREEMENT else copy.deepcopy(model)


@dataclass
class _Watched:
    """What a forward pass showed.

    Parameters
    ----------
    pairs : list of (convolution, batch norm)
        Where the norm's input is the very tensor that the convolution gave.
    uneven : mapping of convolution to (height, width)
        Of the input of those that pad as TensorFlow does.
    """

    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    uneven: dict[Any, tuple[int, int]] = field(default_factory=dict)


def _watch(model: torch.nn.Module, pixels: torch.Tensor) -> _Watched:
    """See what reads what; a module that is called twice is left out."""
    import torch
    from timm.layers import Conv2dSame

    watched, times = _Watched(), Counter[torch.nn.Module]()
    gave: dict[int, tuple[torch.nn.Module, torch.Tensor]] = {}

    def after(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        times[module] += 1
        gave[id(output)] = module, output  # held, so that no other tensor takes its id
        if type(module) is Conv2dSame and set(module.dilation) == {1}:
            watched.uneven[module] = (inputs[0].shape[2], inputs[0].shape[3])

    def before(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        times[module] += 1
        if inputs and id(inputs[0]) in gave:
            watched.pairs.append((gave[id(inputs[0])][0], module))

    hooks = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            hooks.append(module.register_forward_hook(after))
        elif _can_be_folded(module):
            hooks.append(module.register_forward_pre_hook(before))
    try:
        model(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    watched.pairs = [pair for pair in watched.pairs if all(times[each] == 1 for each in pair)]
    watched.uneven = {each: size for each, size in watched.uneven.items() if times[each] == 1}
    return watched


def _can_be_folded(module: torch.nn.Module) -> bool:
    """Say whether a module is a batch norm of numbers that stand, and nothing we do not know."""
    import torch
    from timm.layers import BatchNormAct2d

    known = type(module) in (torch.nn.BatchNorm2d, BatchNormAct2d)
    return known and getattr(module, "running_mean", None) is not None


def _put_into(convolution: Any, norm: Any) -> None:
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    fused = fuse_conv_bn_eval(convolution, norm)
    convolution.weight, convolution.bias = fused.weight, fused.bias


def _rest_of(norm: Any) -> torch.nn.Module:
    """Take what a batch norm of timm's does besides norming: dropout and activation."""
    import torch

    kept = [part for part in norm.children() if not isinstance(part, torch.nn.Identity)]
    return kept[0] if len(kept) == 1 else torch.nn.Sequential(*kept)


def _evenly_padded(convolution: Any, height: int, width: int) -> torch.nn.Module:
    """Give a convolution with one more padding after than before as much of it before.

    The kernel grows by a first row or column of zeros, which reads what was added.
    """
    import torch

    grown, padding = [], []
    sides = zip((height, width), convolution.kernel_size, convolution.stride, strict=True)
    for side, kernel, stride in sides:
        missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        grown.append(missing % 2)
        padding.append(math.ceil(missing / 2))
    weight = torch.nn.functional.pad(convolution.weight, (grown[1], 0, grown[0], 0))
    even = torch.nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (weight.shape[2], weight.shape[3]),
        convolution.stride,
        (padding[0], padding[1]),
        groups=convolution.groups,
        bias=convolution.bias is not None,
        device="meta",
    )
    even.weight, even.bias = torch.nn.Parameter(weight, requires_grad=False), convolution.bias
    return even.eval()


def _replace(model: torch.nn.Module, others: dict[Any, torch.nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in others:
                setattr(parent, name, others[child])
