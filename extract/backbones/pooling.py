"""From a feature map or tokens to one vector a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from extract.errors import UsageError


class Pooled(torch.nn.Module):
    """A model with its features pooled in another way than its own.

    Parameters
    ----------
    model : torch.nn.Module
        What holds the weights.
    features : callable
        Pixels -> a map of shape (n, channels, height, width), or tokens (n, n_tokens, n_dims).
    pool : callable
        Those -> vectors of shape (n, n_dims).
    """

    def __init__(
        self,
        model: torch.nn.Module,
        features: Callable[[torch.Tensor], Any],
        pool: Callable[[Any], torch.Tensor],
    ) -> None:
        super().__init__()
        self.model, self.features, self.pool = model, features, pool

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give vectors of shape (n, n_dims)."""
        return self.pool(self.features(pixels))


def mean_over_places(
    features: torch.Tensor, *, n_prefix_tokens: int = 0, channels_last: bool = False
) -> torch.Tensor:
    """Average over height and width of a map, or over the tokens that stand for places.

    Parameters
    ----------
    features : tensor of shape (n, channels, height, width) or (n, n_tokens, n_dims)
    n_prefix_tokens : int
        Class and register tokens, which stand for no place.
    channels_last : bool
        Whether a map is (n, height, width, channels).
    """
    if features.ndim == 4:
        return features.mean(dim=(1, 2) if channels_last else (2, 3))
    if features.ndim == 3:
        return features[:, n_prefix_tokens:].mean(dim=1)
    raise UsageError("this backbone has no map of features to average: use --pooling auto")


def class_token(features: torch.Tensor) -> torch.Tensor:
    """Take the first token of tokens of shape (n, n_tokens, n_dims)."""
    return features[:, 0]


def no_pooling(name: str, pooling: str) -> UsageError:
    """Make the error of a pooling that a backbone does not have."""
    return UsageError(f"{name} has no pooling {pooling!r}: use --pooling auto, cls or mean")


def no_class_token(name: str) -> UsageError:
    """Make the error of a backbone that has none."""
    return UsageError(f"{name} has no class token: use --pooling auto or mean")
