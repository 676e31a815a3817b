"""Which pictures are unlike all that a head was trained on: novelty by the nearest neighbor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.similarity import nearest_distances
from analyze.unit_vectors import unit_rows

ALIKE_PERCENT = 95
"""Of pictures like those of training this share passes: the threshold at which detectors of
pictures out of distribution are compared."""

MOST_BYTES = 32 << 20
"""Of the directions that are kept: more would make a head larger than its catalogue's file."""

NOT_ROUNDING = 1e-2
"""What float16 makes of a length is nearer to 1."""


@dataclass(frozen=True, eq=False)
class TrainingVectors:
    """Directions that a head was trained on (Sun et al. 2022, "deep nearest neighbors").

    Parameters
    ----------
    directions : ndarray of shape (n, n_dims), float16
        Rows of length 1.
    unlike_above : float
        A picture is unlike them where 1 - cosine to the nearest one is above it.
    """

    directions: np.ndarray
    unlike_above: float

    def __post_init__(self) -> None:
        lengths = np.linalg.norm(self.directions.astype(np.float32), axis=1)
        if not len(lengths) or not (np.abs(lengths - 1) < NOT_ROUNDING).all():
            raise ValueError("training vectors must be rows of length 1")
        if not 0 <= self.unlike_above <= 2:
            raise ValueError(f"unlike_above must be from 0 to 2, not {self.unlike_above}")

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Give 1 - cosine to the nearest; ndarray of shape (n_images,), float64."""
        return nearest_distances(self.directions.astype(np.float32), vectors)

    def unlike(self, vectors: np.ndarray) -> np.ndarray:
        """Say which pictures are unlike all of them; ndarray of shape (n_images,), bool."""
        far: np.ndarray = self.distances(vectors) > self.unlike_above
        return far


def kept_directions(vectors: np.ndarray) -> np.ndarray:
    """Round directions to float16; of more than fit into 32 MiB a seeded sample, in their order.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_dims), float32
    """
    most = max(1, MOST_BYTES // (2 * vectors.shape[1]))
    if len(vectors) > most:
        vectors = vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:most])]
    return unit_rows(vectors).astype(np.float16)


def threshold_of(distances: np.ndarray) -> float:
    """Choose the distance that 95 of 100 further pictures of the same kind stay below.

    Split conformal (Vovk et al. 2005); of fewer than 19 pictures it is the largest distance.

    Parameters
    ----------
    distances : ndarray of shape (n,)
        Of pictures that were not trained on.
    """
    place = -(-(len(distances) + 1) * ALIKE_PERCENT // 100)
    return float(np.sort(distances)[min(place, len(distances)) - 1])
