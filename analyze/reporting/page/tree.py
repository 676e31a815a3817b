"""How alike groups are: a tree of their mean vectors, as lines to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LINE = 18.0
WIDTH, NAMES = 720.0, 300.0


@dataclass(frozen=True)
class Tree:
    """A dendrogram, its leaves from the top down.

    Parameters
    ----------
    leaves : tuple of (float, str)
        How far down, and the name.
    lines : tuple of str
        Points of each line, in the units of the drawing.
    height, width, names : float
        Of the drawing, and where the names begin.
    ticks : tuple of (float, float)
        Places of cosine distances, and these.
    """

    leaves: tuple[tuple[float, str], ...]
    lines: tuple[str, ...]
    height: float
    ticks: tuple[tuple[float, float], ...]
    width: float = WIDTH + NAMES
    names: float = WIDTH + 8


def draw_tree(means: np.ndarray, names: Sequence[str]) -> Tree | None:
    """Join groups by average linkage of the cosine distances of their means.

    Parameters
    ----------
    means : ndarray of shape (n_groups, n_dims)
        Unit vectors.
    names : sequence of str

    Returns
    -------
    Tree or None
        None for fewer than three groups, or means without a direction.
    """
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import pdist

    if len(names) < 3 or not np.linalg.norm(means, axis=1).all():
        return None
    joined = linkage(np.maximum(pdist(means.astype(np.float64), "cosine"), 0), "average")
    drawn = dendrogram(joined, no_plot=True)
    most = max(float(joined[:, 2].max()), 1e-9)

    def across(distance: float) -> float:
        return 10 + (WIDTH - 20) * (1 - distance / most)

    lines = tuple(
        " ".join(f"{across(d):.1f},{LINE * i / 10:.1f}" for d, i in zip(ds, ys, strict=True))
        for ds, ys in zip(drawn["dcoord"], drawn["icoord"], strict=True)
    )
    leaves = tuple((LINE * (i + 0.5), names[leaf]) for i, leaf in enumerate(drawn["leaves"]))
    ticks = tuple((across(d), d) for d in (most, most / 2, 0.0))
    return Tree(leaves, lines, LINE * len(names), ticks)
