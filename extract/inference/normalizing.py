"""From uint8 pixels to what a backbone sees: exactly as timm has it, and in one step."""

from __future__ import annotations

from collections.abc import Callable

import torch

from extract.transforms.preprocessing import Preprocessing


def exact_normalisation(
    preprocessing: Preprocessing, device: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make the normalisation that gives the bits of timm's own transform.

    Returns
    -------
    callable
        uint8 (n, size, size, 3) -> float32 (n, 3, size, size).
    """
    # tensors, not numbers: a GPU multiplies by the reciprocal of a number, which rounds otherwise
    most = torch.tensor(255.0, device=device)
    mean, std = (
        torch.tensor(each, device=device).view(3, 1, 1)
        for each in (preprocessing.mean, preprocessing.std)
    )

    def normalise(pixels: torch.Tensor) -> torch.Tensor:
        return pixels.permute(0, 3, 1, 2).contiguous().float().div(most).sub_(mean).div_(std)

    return normalise


class FromPixels(torch.nn.Module):
    """A model with its normalisation before it, as one multiplication and one addition.

    Parameters
    ----------
    model : torch.nn.Module
    preprocessing : Preprocessing
    dtype : torch.dtype
        What the model computes in; the normalisation itself is of float32.
    memory_format : torch.memory_format
        Of what the model gets.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        model: torch.nn.Module,
        preprocessing: Preprocessing,
        dtype: torch.dtype = torch.float32,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.model, self._dtype, self._memory_format = model, dtype, memory_format
        mean, std = (
            torch.tensor(each, dtype=torch.float64).view(1, 3, 1, 1)
            for each in (preprocessing.mean, preprocessing.std)
        )
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give float32 (n, n_dims) for uint8 pixels of shape (n, size, size, 3)."""
        floats = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
        seen = floats.to(dtype=self._dtype, memory_format=self._memory_format)
        vectors: torch.Tensor = self.model(seen)
        return vectors.float()
