"""What the first layer of a head is given while it is trained: stored vectors, or trained ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from analyze.unit_vectors import unit_rows

if TYPE_CHECKING:
    import torch

    from extract.backbones.partial_finetuning import LastStage

PLAIN = 0
"""Place of the picture as it is among its views."""

BLOCK_PICTURES = 64


@dataclass(frozen=True, eq=False)
class Scaling:
    """What is done to vectors before the first layer: length 1, a mean off, one common scale.

    One scale for all numbers keeps their importance in the backbone; it makes their
    mean square 1, so that one learning rate suits every backbone.

    Parameters
    ----------
    mean : ndarray of shape (n_dims,), float32
    """

    mean: np.ndarray
    factor: float

    @classmethod
    def learned(cls, vectors: np.ndarray) -> Scaling:
        """Learn mean and scale of what is trained on, and of nothing else."""
        return cls.of_directions(unit_rows(vectors))

    @classmethod
    def of_directions(cls, directions: np.ndarray) -> Scaling:
        """Learn from rows that are of length 1 already."""
        mean = directions.mean(axis=0, dtype=np.float64)
        square = float(np.square(directions - mean).mean())
        factor = 1 / math.sqrt(square) if square > 0 else 1.0
        return cls(mean.astype(np.float32), factor)

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Scale rows as they are stored; ndarray of the same shape (n, n_dims), float32."""
        return self.apply_to_directions(unit_rows(vectors))

    def apply_to_directions(self, directions: np.ndarray) -> np.ndarray:
        """Scale rows that are of length 1 already; any shape (..., n_dims)."""
        found: np.ndarray = (directions - self.mean) * np.float32(self.factor)
        return found


class Inputs(Protocol):
    """Scaled vectors of any rows and views, and what is trained to make them."""

    scaling: Scaling
    n_views: int

    def vectors(self, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Give scaled vectors of shape (n, n_dims)."""

    def trained(self) -> list[torch.nn.Parameter]:
        """Return what is trained together with the head."""

    def state(self) -> dict[str, np.ndarray] | None:
        """Copy what is trained as it is now; None of what is frozen."""


class StoredVectors:
    """The backbone is frozen: vectors are what they are.

    Parameters
    ----------
    directions : ndarray of shape (n_views + 1, n_train, n_dims), float32
        Of length 1.
    rows : ndarray of int
        Those that are trained on, of which the scale is learned.
    """

    def __init__(self, directions: np.ndarray, rows: np.ndarray) -> None:
        import torch

        self.scaling = Scaling.of_directions(directions[PLAIN, rows])
        self.n_views = len(directions) - 1
        self._features = torch.from_numpy(self.scaling.apply_to_directions(directions))

    def vectors(self, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Look them up."""
        return self._features[views, rows]

    def trained(self) -> list[torch.nn.Parameter]:
        """Nothing is."""
        return []

    def state(self) -> None:
        """Nothing was trained."""


@dataclass(frozen=True, eq=False)
class StageMaps:
    """What a backbone's last stage reads, of every picture and view.

    Parameters
    ----------
    stage : LastStage
        With the weights that the stored vectors were made with.
    maps : ndarray of shape (n_views + 1, n_images, ...), float32
        The plain pictures first.
    device : str
        Where the stage is run.
    """

    stage: LastStage
    maps: np.ndarray
    device: str = "cpu"

    def take(self, rows: np.ndarray, *, plain: bool = False) -> StageMaps:
        """Keep some pictures, of them the plain ones alone where that is wanted."""
        return replace(self, maps=self.maps[: 1 if plain else None, rows])

    def embedded(self, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """Give the plain pictures' vectors by a trained stage; ndarray of shape (n, n_dims)."""
        import torch

        stage = self.stage.restored(state)
        stage.model.to(self.device)
        found = []
        with torch.inference_mode():
            for first in range(0, self.maps.shape[1], BLOCK_PICTURES):
                some = torch.from_numpy(self.maps[PLAIN, first : first + BLOCK_PICTURES])
                found.append(stage.vectors(some.to(self.device)).float().cpu().numpy())
        return np.concatenate(found)


class StageVectors:
    """The last stage is trained too: vectors are computed by it each time.

    Parameters
    ----------
    directions : ndarray of shape (n_views + 1, n_train, n_dims), float32
        Of the stored vectors, of length 1: the scale is theirs.
    rows : ndarray of int
        Those that are trained on.
    """

    def __init__(self, maps: StageMaps, directions: np.ndarray, rows: np.ndarray) -> None:
        import torch

        self.scaling = Scaling.of_directions(directions[PLAIN, rows])
        self.n_views = len(maps.maps) - 1
        self._stage, self._device = maps.stage.fresh(), maps.device
        self._stage.model.to(maps.device)
        self._maps = torch.from_numpy(maps.maps)
        self._mean = torch.from_numpy(self.scaling.mean)

    def vectors(self, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Run the stage, on its device; the vectors come back to the head."""
        import torch

        some = self._maps[views, rows].to(self._device)
        blocks = [
            self._stage.vectors(some[first : first + BLOCK_PICTURES]).float().cpu()
            for first in range(0, len(some), BLOCK_PICTURES)
        ]
        directions = torch.nn.functional.normalize(torch.cat(blocks))
        return (directions - self._mean) * self.scaling.factor

    def trained(self) -> list[torch.nn.Parameter]:
        """Give the stage's weights."""
        return self._stage.trained()

    def state(self) -> dict[str, np.ndarray]:
        """Copy the stage's weights as they are now."""
        return self._stage.state()
