"""Where rows lie in the plane of a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.reduction.reduction import Reduced, parse_steps, reduce

AXIS_NAMES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PC"}


@dataclass(frozen=True, eq=False)
class Plane:
    """Two coordinates a row.

    Parameters
    ----------
    points : ndarray of shape (n_images, 2)
    axis_names : tuple of str
    """

    points: np.ndarray
    axis_names: tuple[str, str]


def plane(reduced: Reduced) -> Plane | None:
    """Give two coordinates a row: the reduction's own if it has two, else principal components.

    None when the rows do not span a plane: one row, or all equal.
    """
    coordinates = reduced.coordinates
    different = len(coordinates) > 2 and (coordinates != coordinates[0]).any()
    if not different or coordinates.shape[1] < 2:
        return None
    steps = parse_steps(reduced.reduction)
    if coordinates.shape[1] == 2:
        name = AXIS_NAMES.get(steps[-1].method if steps else "", "axis")
        return Plane(coordinates, (f"{name} 1", f"{name} 2"))
    flat = reduce(reduced, "pca:2", reduced.seed)
    return Plane(flat.coordinates, ("first principal component", "second principal component"))
