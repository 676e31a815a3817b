"""The head: stored vectors in, one row of logits a level out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.head.training.inputs import Scaling
from analyze.head.training.spec import HeadSpec
from analyze.ties import first_occurrence

if TYPE_CHECKING:
    import torch

TRUNK, OUTPUTS = "trunk", "outputs"
BLOCK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Head:
    """A trained head.

    Parameters
    ----------
    classes : tuple of ndarray of int
        Of each level the codes that its logits stand for, ascending.
    weights : mapping of str to ndarray
        The state of :func:`build_network`.
    """

    spec: HeadSpec
    scaling: Scaling
    classes: tuple[np.ndarray, ...]
    weights: Mapping[str, np.ndarray]

    @property
    def n_dims(self) -> int:
        """How many numbers a vector has that it takes."""
        return len(self.scaling.mean)

    def network(self) -> torch.nn.ModuleDict:
        """Build it as a module, to read, to explain or to train on; it takes scaled vectors."""
        import torch

        network = build_network(self.n_dims, [len(c) for c in self.classes], self.spec, seed=0)
        network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in self.weights.items()})
        return network.eval()

    def logits(self, vectors: np.ndarray) -> tuple[np.ndarray, ...]:
        """Answer for vectors as they are stored.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_dims), float32

        Returns
        -------
        tuple of ndarray of shape (n, n_classes), float32
            One a level; equal rows have equal ones.
        """
        import torch

        if vectors.shape[1:] != (self.n_dims,):
            raise ValueError(f"vectors must have shape (n, {self.n_dims}), got {vectors.shape}")
        network = self.network()
        # equal rows are one: products would differ by their place
        firsts, of_row = np.unique(first_occurrence(vectors), return_inverse=True)
        found = tuple(np.empty((len(firsts), len(own)), np.float32) for own in self.classes)
        with torch.inference_mode():
            for first in range(0, len(firsts), BLOCK_ROWS):
                some = firsts[first : first + BLOCK_ROWS]
                rows = torch.from_numpy(self.scaling.apply(vectors[some]))
                for into, answer in zip(found, forward(network, rows), strict=True):
                    into[first : first + BLOCK_ROWS] = answer.numpy()
        return tuple(each[of_row] for each in found)


def build_network(
    n_dims: int, n_classes: Sequence[int], spec: HeadSpec, seed: int
) -> torch.nn.ModuleDict:
    """Build an untrained head, its weights drawn from a seed; torch's own generator is kept.

    Parameters
    ----------
    n_classes : sequence of int
        Of each level: one output each, on a common trunk.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[torch.nn.Module] = []
        width = n_dims
        for _ in range(spec.depth):
            layers += [torch.nn.Linear(width, spec.width), torch.nn.ReLU()]
            layers += [torch.nn.Dropout(spec.dropout)]
            width = spec.width
        outputs = torch.nn.ModuleList([torch.nn.Linear(width, n) for n in n_classes])
        return torch.nn.ModuleDict({TRUNK: torch.nn.Sequential(*layers), OUTPUTS: outputs})


def forward(network: torch.nn.ModuleDict, rows: torch.Tensor) -> list[torch.Tensor]:
    """Run a head on scaled rows: one tensor of logits a level."""
    hidden = network[TRUNK](rows)
    outputs: Any = network[OUTPUTS]
    return [output(hidden) for output in outputs]
