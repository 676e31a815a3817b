"""ConvNeXt for a GPU in half precision: three kernels a block where torch takes seven or more."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from extract.inference.depthwise_norm import convolve_and_norm, norm

if TYPE_CHECKING:
    from extract.transforms.preprocessing import Preprocessing

GELU = ("GELU", "GELUTanh")
"""Of timm and torch: both are computed by the tanh form, as the product's own epilogue does."""


def takes(model: torch.nn.Module) -> bool:
    """Say whether a model is a ConvNeXt with stages that can all be fused."""
    from timm.models.convnext import ConvNeXt

    found = [each for each in model.modules() if isinstance(each, ConvNeXt)]
    return len(found) == 1 and _can_be_fused(found[0])


def fuse(
    model: torch.nn.Module, preprocessing: Preprocessing, dtype: torch.dtype
) -> torch.nn.Module:
    """Fuse a ConvNeXt with its normalisation, on a copy.

    Parameters
    ----------
    model : torch.nn.Module
        One that :func:`takes` takes; left as it is.
    preprocessing : Preprocessing
    dtype : torch.dtype
        What the copy computes in.

    Returns
    -------
    torch.nn.Module
        uint8 (n, size, size, 3) -> float32 (n, n_dims).
    """
    from timm.models.convnext import ConvNeXt

    fused = copy.deepcopy(model).to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours, theirs = (
        next(each for each in whole.modules() if isinstance(each, ConvNeXt))
        for whole in (fused, model)
    )
    # each part is made of the numbers before they were rounded
    ours.stem = Stem(theirs.stem, preprocessing, dtype)
    lacking = torch.zeros_like(theirs.stem[-1].bias)
    for stage, original in zip(ours.stages, theirs.stages, strict=True):
        if list(stage.downsample.children()):
            stage.downsample[0] = PixelNorm(original.downsample[0], lacking)
            stage.downsample[1].bias, lacking = None, original.downsample[1].bias
        stage.blocks = FusedBlocks(original.blocks, lacking, dtype)
        lacking = stage.blocks.lacking
    ours.stages.append(Plus(lacking.to(dtype)))
    return FromBytes(fused).eval()


class FromBytes(torch.nn.Module):
    """A model with a stem that takes pixels as they are."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give float32 (n, n_dims) for uint8 pixels of shape (n, size, size, 3)."""
        vectors: torch.Tensor = self.model(pixels)
        return vectors.float()


class Stem(torch.nn.Module):
    """The stem, a product over patches, with the normalisation in its weights and its norm.

    Pixels less 128 are exact in every dtype, and as small as normalised ones.
    """

    weight: torch.Tensor

    def __init__(self, stem: Any, preprocessing: Preprocessing, dtype: torch.dtype) -> None:
        super().__init__()
        convolution, norm = stem
        weight = convolution.weight.permute(0, 2, 3, 1)  # of one picture's bytes, in their order
        mean, std = (weight.new_tensor(each) for each in (preprocessing.mean, preprocessing.std))
        self._side = convolution.kernel_size[0]
        self.register_buffer("weight", (weight / (255 * std)).flatten(1).to(dtype))
        plus = (weight * ((128 / 255 - mean) / std)).sum((1, 2, 3)) + convolution.bias
        self.norm = PixelNorm(norm, plus)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give maps of shape (n, channels, size / 4, size / 4) for uint8 (n, size, size, 3)."""
        n, size, side = len(pixels), pixels.shape[1] // self._side, self._side
        cut = pixels.view(n, size, side, size, side, 3).transpose(2, 3)
        patches = torch.empty(cut.shape, dtype=self.weight.dtype, device=pixels.device)
        patches.copy_(cut).sub_(128)
        maps = torch.nn.functional.linear(patches.view(n, size, size, -1), self.weight)
        normed: torch.Tensor = self.norm(maps.permute(0, 3, 1, 2))
        return normed


class PixelNorm(torch.nn.Module):
    """timm's ``LayerNorm2d`` of maps to which a constant for each channel is added."""

    plus: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, layer: Any, plus: torch.Tensor) -> None:
        super().__init__()
        self._eps = layer.eps
        for name, values in {"plus": plus, "scale": layer.weight, "shift": layer.bias}.items():
            self.register_buffer(name, values.detach())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Give maps of shape (n, channels, height, width) for such."""
        maps = maps.permute(0, 2, 3, 1).contiguous()
        return norm(maps, self.plus, self.scale, self.shift, self._eps).permute(0, 3, 1, 2)


class Plus(torch.nn.Module):
    """Adds a constant for each channel."""

    constant: torch.Tensor

    def __init__(self, constant: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("constant", constant[:, None, None])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Give maps of shape (n, channels, height, width) for such."""
        return maps + self.constant


class FusedBlocks(torch.nn.Module):
    """The blocks of one stage: convolution with norm, product with GELU, product onto the maps.

    The layer scale goes into the second product's weights. Biases of what gives maps are not added
    to them, which would be a pass of its own: maps lack a constant for each channel, which the next
    convolution makes up for in its bias, and which the norm behind the stage adds.

    Parameters
    ----------
    blocks : torch.nn.Sequential
        timm's.
    lacking : tensor of shape (channels,), float32
        What the maps lack that come in; as an attribute, what those lack that go out.
    dtype : torch.dtype
    """

    def __init__(self, blocks: Any, lacking: torch.Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList()
        for block in blocks:
            self.blocks.append(FusedBlock(block, lacking, dtype))
            lacking = lacking + _scale(block) * block.mlp.fc2.bias
        self.lacking = lacking

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Give maps of shape (n, channels, height, width) for such; theirs are written over."""
        maps = maps.permute(0, 2, 3, 1).contiguous()
        for block in self.blocks:
            block(maps)
        return maps.permute(0, 3, 1, 2)


class FusedBlock(torch.nn.Module):
    """One block, which adds to its maps.

    Parameters
    ----------
    block : torch.nn.Module
        timm's.
    lacking : tensor of shape (channels,), float32
        What the maps lack in every pixel.
    dtype : torch.dtype
    """

    first: torch.Tensor
    first_bias: torch.Tensor
    second: torch.Tensor

    def __init__(self, block: Any, lacking: torch.Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self._convolution, self._norm, self._lacking = block.conv_dw, block.norm, lacking
        self._taps = block.conv_dw.weight.flatten(1).t().contiguous()
        self._bias = torch.empty(0)
        first, second, scale = block.mlp.fc1, block.mlp.fc2, _scale(block)
        for name, values in {
            "first": first.weight.flatten(1),
            "first_bias": first.bias,
            "second": second.weight.flatten(1) * scale[:, None],
        }.items():
            self.register_buffer(name, values.detach().to(dtype))

    def forward(self, maps: torch.Tensor) -> None:
        """Add to maps of shape (n, height, width, channels)."""
        bias, layer = self._bias_of(maps.shape[1], maps.shape[2]), self._norm
        normed = convolve_and_norm(maps, self._taps, bias, layer.weight, layer.bias, layer.eps)
        hidden = torch._addmm_activation(
            self.first_bias, normed.flatten(0, 2), self.first.t(), use_gelu=True
        )
        maps.view(len(hidden), -1).addmm_(hidden, self.second.t())

    def _bias_of(self, height: int, width: int) -> torch.Tensor:
        """Give the convolution of what the maps lack: near the border less of it is seen."""
        if self._bias.shape[:2] != (height, width):
            lacking = self._lacking[None, :, None, None].expand(1, -1, height, width)
            self._bias = self._convolution(lacking)[0].permute(1, 2, 0).contiguous()
        return self._bias


def _can_be_fused(model: Any) -> bool:
    from timm.layers import LayerNorm2d

    convolution, *norms = model.stem
    norms += [each for stage in model.stages for each in stage.downsample.children()][::2]
    return (
        convolution.kernel_size == convolution.stride
        and convolution.padding == (0, 0)
        and all(isinstance(norm, LayerNorm2d) and norm.bias is not None for norm in norms)
        and all(_block_can_be_fused(block) for stage in model.stages for block in stage.blocks)
    )


def _block_can_be_fused(block: Any) -> bool:
    from timm.layers import Mlp

    convolution, channels = block.conv_dw, block.conv_dw.out_channels
    return (
        convolution.kernel_size == (7, 7)
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.groups == convolution.in_channels == channels
        and convolution.bias is not None
        and channels % 8 == 0
        and isinstance(block.norm, torch.nn.LayerNorm)
        and block.norm.bias is not None
        and type(block.mlp) is Mlp
        and type(block.mlp.act).__name__ in GELU
        and all(isinstance(each, torch.nn.Identity) for each in (block.shortcut, block.mlp.norm))
    )


def _scale(block: Any) -> torch.Tensor:
    ones = torch.ones_like(block.mlp.fc2.bias)
    return ones if block.gamma is None else block.gamma.detach()
