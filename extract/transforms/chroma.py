"""Chroma that a decoder in hardware repeated, interpolated as the reference's decoder does.

Most JPEGs keep one chroma value for two or four pixels. libjpeg interpolates between them (3/4 of
the nearer, 1/4 of the farther), nvJPEG's engine repeats them; at the edge of an object on white
that is tens of levels, and enough for a small network to see. What it repeated shows in
its pixels, but where they are clipped at black or white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

RED, GREEN, BLUE = 0.299, 0.587, 0.114
"""Of luma, as JPEG has it (ITU-R BT.601)."""

CLIPPED_WEIGHT = 1e-3
"""Weight of a clipped value, where 1 is that of a value as it was stored."""


def interpolate_chroma(
    pixels: torch.Tensor,
    heights: torch.Tensor,
    widths: torch.Tensor,
    sampling: tuple[int, int],
) -> torch.Tensor:
    """Interpolate repeated chroma in a padded batch; what lies past a picture comes out arbitrary.

    Parameters
    ----------
    pixels : tensor of uint8, (n, 3, height, width)
        Even sides; each picture begins at 0, 0, where a block of chroma begins.
    heights, widths : tensor of int, (n,)
        Of each picture.
    sampling : tuple of int
        Pixels down and across that share a chroma value: (1, 2) or (2, 2).

    Returns
    -------
    tensor of uint8, of the shape of ``pixels``
    """
    import torch

    n, _, height, width = pixels.shape
    down, across = sampling
    values = pixels.float()
    sure = (((values > 0) & (values < 255)).float() + CLIPPED_WEIGHT) / (1 + CLIPPED_WEIGHT)
    luma = RED * values[:, 0] + GREEN * values[:, 1] + BLUE * values[:, 2]
    here = (torch.arange(height, device=pixels.device) < heights[:, None])[:, :, None]
    here = here & (torch.arange(width, device=pixels.device) < widths[:, None])[:, None, :]
    trust = sure.amin(dim=1) * here + 1e-6  # past a picture: little, yet no division by nothing

    def of_blocks(of_pixels: torch.Tensor) -> torch.Tensor:
        return of_pixels.view(n, height // down, down, width // across, across).sum((2, 4))

    known = of_blocks(trust)
    red = of_blocks((values[:, 0] - luma) * trust) / known
    blue = of_blocks((values[:, 2] - luma) * trust) / known
    repeated = _rgb(
        *(plane.repeat_interleave(down, 1).repeat_interleave(across, 2) for plane in (red, blue))
    )
    # each channel that is not clipped gives the luma
    luma = ((values - repeated) * sure).sum(1, keepdim=True) / sure.sum(1, keepdim=True)
    smooth = []
    for plane in (red, blue):
        wide = _doubled(plane, (widths + 1) // 2 - 1)
        if down == 2:
            wide = _doubled(wide.transpose(1, 2), (heights + 1) // 2 - 1).transpose(1, 2)
        smooth.append(wide)
    return (luma.clamp(0.0, 255.0) + _rgb(*smooth) + 0.5).clamp(0.0, 255.0).to(torch.uint8)


def _rgb(red: torch.Tensor, blue: torch.Tensor) -> torch.Tensor:
    """Give what is added to luma, from what red and blue have beyond it."""
    import torch

    return torch.stack([red, (RED * red + BLUE * blue) * (-1 / GREEN), blue], dim=1)


def _doubled(values: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Double the last axis, each picture's values ending at its own ``last``."""
    import torch

    ends = torch.arange(values.shape[2], device=values.device) == last[:, None]
    before = torch.cat([values[:, :, :1], values[:, :, :-1]], dim=2)
    behind = torch.cat([values[:, :, 1:], values[:, :, -1:]], dim=2)
    behind = values.where(ends[:, None, :], behind)
    pair = torch.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * behind], dim=3)
    return pair.flatten(2)
