"""Maps of what speaks for an answer, from the activations and gradients at a backbone's tap.

All three weigh activations by gradients, add up the channels and keep what is positive. Where the
vector is a mean over places the gradient is the same at every place, and Grad-CAM and HiResCAM
are one map. Heads, clusters and neighbors read a vector's direction alone: of such a mean their
map, before the positive part is taken, adds up to zero, and shows what pulls more than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from extract.errors import UsageError, one_of

if TYPE_CHECKING:
    import torch

    from analyze.explanation.feature_taps import Tap

    Weighing = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class MapSpec:
    """One entry of the table of methods.

    Parameters
    ----------
    title : str
        For headings.
    description : str
        One line.
    weigh : callable
        Activations and gradients, both (n, channels, rows, columns) -> signed maps
        (n, rows, columns), of which the positive part is the map.
    """

    title: str
    description: str
    weigh: Weighing


def _gradcam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1)


def _hirescam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return (gradients * activations).sum(dim=1)


def _layercam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return (gradients.relu() * activations).sum(dim=1)


METHODS: dict[str, MapSpec] = {
    "gradcam": MapSpec(
        "Grad-CAM", "channels weighed by their mean gradient (Selvaraju 2017)", _gradcam
    ),
    "hirescam": MapSpec("HiResCAM", "activations weighed place by place (Draelos 2020)", _hirescam),
    "layercam": MapSpec(
        "LayerCAM", "weighed by positive gradients, place by place (Jiang 2021)", _layercam
    ),
}


def map_spec(name: str) -> MapSpec:
    """Look a method up.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    return METHODS[one_of(name, METHODS, "method")]


def check_methods(names: Sequence[str], tap: Tap, model: str) -> None:
    """Refuse a method that gives nothing but rounding errors at a backbone's tap.

    Raises
    ------
    UsageError
    """
    if "hirescam" in names and tap.directions_alone:
        raise UsageError(
            f"HiResCAM is zero at every place of {model}: its last block reads the direction of "
            "each token alone: take --method gradcam or layercam"
        )


@dataclass(frozen=True, eq=False)
class Weighed:
    """What a batch of pictures gave.

    Parameters
    ----------
    signed : mapping of str to ndarray of shape (n, rows, columns), float32
        Of each method, before the positive part is taken.
    vectors : ndarray of shape (n, n_dims), float32
    values : ndarray of shape (n,), float64
        What was explained: a logit, a probability or a similarity.
    moved : ndarray of shape (n,), bool
        Whether any place has a gradient.
    """

    signed: dict[str, np.ndarray]
    vectors: np.ndarray
    values: np.ndarray
    moved: np.ndarray


def weigh(
    tap: Tap,
    values: Callable[[torch.Tensor], torch.Tensor],
    pixels: torch.Tensor,
    columns: Sequence[int],
    methods: Sequence[str],
) -> Weighed:
    """Explain one value of each picture of a batch.

    Parameters
    ----------
    tap : Tap
    values : callable
        Vectors (n, n_dims), float64 on the CPU -> values (n, n_columns), by a way that can be
        differentiated.
    pixels : tensor of shape (n, 3, size, size), float32
        On the backbone's device.
    columns : sequence of int
        Which value of each picture.
    methods : sequence of str
        Names of :data:`METHODS`.
    """
    import torch

    activations, onward = tap.split(pixels)
    activations = activations.detach().requires_grad_()
    with torch.enable_grad():
        vectors = onward(activations)
        # in double: the slope of a probability near 1 is lost in single
        found = values(vectors.cpu().double())
        chosen = found[torch.arange(len(pixels)), torch.as_tensor(columns)]
    (gradients,) = torch.autograd.grad(chosen.sum(), activations)
    # a vector of zeros has no direction, and no slope either
    gradients[~vectors.detach().any(dim=1)] = 0
    with torch.no_grad():
        signed = {m: METHODS[m].weigh(activations, gradients).cpu().numpy() for m in methods}
    return Weighed(
        signed,
        vectors.detach().cpu().numpy(),
        chosen.detach().numpy(),
        gradients.flatten(1).any(dim=1).cpu().numpy(),
    )
