"""Whether a map is to be believed: what happens to the answer when the places it names go.

Deletion and insertion after Petsiuk, Das and Saenko (RISE, 2018); what is taken away is blurred, so
that no edge of the gap speaks for anything. Randomized weights after Adebayo et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

STEPS = 16
"""Parts of a picture that are taken away, or put back, one after the other."""

BLUR_SHARE = 0.08
RANDOM = "random"
"""The floor: a map of noise, as coarse as the backbone's own."""

Asking = Callable[["torch.Tensor"], np.ndarray]


@dataclass(frozen=True, eq=False)
class Curves:
    """What is left of an answer, step by step.

    Parameters
    ----------
    deletion : ndarray of shape (STEPS + 1,), float64
        The value as the places that the map names first are blurred; from the picture to its blur.
    insertion : ndarray of shape (STEPS + 1,), float64
        The value as they are put back; from the blur to the picture.
    """

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> float:
        """Area under the curve of deletion: the lower, the better the map."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """Area under the curve of insertion: the higher, the better the map."""
        return _area(self.insertion)


def follow(ask: Asking, pixels: torch.Tensor, heat: np.ndarray) -> Curves:
    """Take a picture away and put it back in the order of a map, and ask at each step.

    Parameters
    ----------
    ask : callable
        Pixels of shape (n, 3, size, size) -> values of shape (n,).
    pixels : tensor of shape (3, size, size), float32
    heat : ndarray of shape (size, size)
        Equal places go in the order of the picture's rows.
    """
    import torch

    hidden = blurred(pixels)
    order = np.argsort(-heat.ravel(), kind="stable")
    step = np.empty(order.size, np.int64)
    step[order] = np.arange(order.size) * STEPS // order.size
    step_of = torch.from_numpy(step.reshape(heat.shape))
    numbers = torch.arange(STEPS + 1)[:, None, None, None]
    gone = step_of[None, None] < numbers
    deleted = torch.where(gone, hidden[None], pixels[None])
    inserted = torch.where(gone, pixels[None], hidden[None])
    both = ask(torch.cat([deleted, inserted]))
    return Curves(both[: STEPS + 1], both[STEPS + 1 :])


def random_heat(n_rows: int, n_columns: int, size: int, seed: Sequence[int]) -> np.ndarray:
    """Draw a map that knows nothing, as coarse as a backbone's; ndarray of shape (size, size)."""
    cells = np.random.default_rng(list(seed)).random((n_rows, n_columns))
    return enlarged(cells, size)


def enlarged(cells: np.ndarray, size: int) -> np.ndarray:
    """Draw cells out over what the model sees, linearly between their middles."""
    down, across = (_weights(n, size) for n in cells.shape)
    drawn: np.ndarray = down @ cells.astype(np.float64) @ across.T
    return drawn


def reduced(heat: np.ndarray, n_rows: int, n_columns: int) -> np.ndarray:
    """Average a map of pixels over the cells of a coarser one."""
    rows = np.linspace(0, heat.shape[0], n_rows + 1).round().astype(int)[:-1]
    columns = np.linspace(0, heat.shape[1], n_columns + 1).round().astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(heat.astype(np.float64), rows, 0), columns, 1)
    heights = np.diff([*rows, heat.shape[0]])
    widths = np.diff([*columns, heat.shape[1]])
    means: np.ndarray = sums / np.outer(heights, widths)
    return means


def rank_agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate the order of two maps' places (Spearman); 0 where a map is all of one value."""
    from scipy.stats import rankdata

    a, b = rankdata(one), rankdata(other)
    a, b = a - a.mean(), b - b.mean()
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / lengths if lengths else 0.0


def blurred(pixels: torch.Tensor) -> torch.Tensor:
    """Blur what a model sees until little is left to know it by; tensor of the same shape."""
    import torch
    from scipy.ndimage import gaussian_filter

    sigma = BLUR_SHARE * pixels.shape[-1]
    return torch.from_numpy(gaussian_filter(pixels.numpy(), (0, sigma, sigma), mode="nearest"))


def agreements(maps: Mapping[str, Sequence[np.ndarray]]) -> dict[tuple[str, str], list[float]]:
    """Correlate the maps of each two methods, picture by picture.

    Parameters
    ----------
    maps : mapping of str to sequence of ndarray of shape (n_rows, n_columns)
        Of each method, one a picture, all on the same cells.
    """
    names = list(maps)
    return {
        (a, b): [
            rank_agreement(x.ravel(), y.ravel()) for x, y in zip(maps[a], maps[b], strict=True)
        ]
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }


def _area(curve: np.ndarray) -> float:
    return float((curve[1:] + curve[:-1]).mean() / 2)


def _weights(n: int, size: int) -> np.ndarray:
    places = (np.arange(size) + 0.5) / size * n - 0.5
    near = np.clip(places, 0, n - 1)
    weights: np.ndarray = np.maximum(0, 1 - np.abs(near[:, None] - np.arange(n)))
    return weights
