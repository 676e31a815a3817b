"""Several levels of labels as one tree: every picture has a place in it at every level."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyze.measures.levels import is_parent
from extract.catalog.catalog import Level
from extract.errors import UsageError


@dataclass(frozen=True, eq=False)
class Tree:
    """Levels from the top down, and who stands above whom.

    Parameters
    ----------
    levels : tuple of Level
        Of a picture with a label ending above a level, that label: so every picture that
        has a label at the first level has one at each.
    parents : tuple of ndarray of shape (n_categories,), int
        Of every level but the first: the code at the level above of each of its categories.
    """

    levels: tuple[Level, ...]
    parents: tuple[np.ndarray, ...]

    def climbed(self, codes: np.ndarray, level: int) -> np.ndarray:
        """Give the codes at a level that stand above codes of the last one; -1 stays -1."""
        for parents in reversed(self.parents[level:]):
            codes = np.where(codes < 0, codes, parents[codes])
        return codes

    def own_labels(self) -> np.ndarray:
        """Count the different labels on the way to each category of the last level.

        Returns
        -------
        ndarray of shape (n_levels, n_categories), bool
            Whether its label at a level is another than the one above.
        """
        leaves = np.arange(len(self.levels[-1].categories))
        paths = [self.climbed(leaves, number) for number in range(len(self.levels))]
        names = [[v.categories[c] for c in p] for v, p in zip(self.levels, paths, strict=True)]
        new = [[True] * len(leaves)]
        new += [[a != b for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(names)]
        return np.array(new)


def fill_level(above: Level, below: Level) -> Level:
    """Give rows that end at a level the label of the level above, as a tree is learned."""
    named = zip(below.values(), above.values(), strict=True)
    return Level.from_values(below.name, [own or end for own, end in named])


def grow_tree(levels: Sequence[Level]) -> Tree:
    """Make a tree of levels, of which each but the first divides the one above.

    Raises
    ------
    UsageError
        When a level does not.
    """
    grown = [levels[0]]
    parents = []
    for above, below in itertools.pairwise(levels):
        if not is_parent(above, below):
            raise UsageError(
                f"level {below.name} does not divide level {above.name}, so they cannot be trained "
                "together: name one with --level"
            )
        last = grown[-1]
        filled = fill_level(last, below)
        parent = np.zeros(len(filled.categories), np.int64)
        labelled = filled.codes >= 0
        parent[filled.codes[labelled]] = last.codes[labelled]
        grown.append(filled)
        parents.append(parent)
    return Tree(tuple(grown), tuple(parents))


def parent_places(
    classes: Sequence[np.ndarray], parents: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Number the parent of each class a head knows by its place among those it knows above.

    Parameters
    ----------
    classes : sequence of ndarray of int
        Codes of each level, ascending, those of all parents among them.
    parents : sequence of ndarray of int
        Of :class:`Tree`.
    """
    return tuple(
        np.searchsorted(above, parent[below])
        for (above, below), parent in zip(itertools.pairwise(classes), parents, strict=True)
    )


def summed_upwards(
    probabilities: np.ndarray, places: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Add the probabilities of the last level up to those of every level above it.

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
        Of the last level.
    places : sequence of ndarray of int
        Of :func:`parent_places`.

    Returns
    -------
    tuple of ndarray
        The first level first.
    """
    found = [probabilities]
    for parent in reversed(places):
        above = np.zeros((len(probabilities), int(parent.max()) + 1))
        np.add.at(above.T, parent, found[0].T)
        found.insert(0, above)
    return tuple(found)


def likeliest_path(
    probabilities: Sequence[np.ndarray], places: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Walk down the tree: the likeliest class at the top, then the likeliest below it.

    So the answers of a picture never contradict each other, and none is likelier than the one
    above it.

    Parameters
    ----------
    probabilities : sequence of ndarray
        Of :func:`summed_upwards`.
    places : sequence of ndarray of int

    Returns
    -------
    tuple of ndarray of shape (n_images,), int
        Places among the classes of each level.
    """
    path = [probabilities[0].argmax(axis=1)]
    for own, parent in zip(probabilities[1:], places, strict=True):
        below = parent[None, :] == path[-1][:, None]
        path.append(np.where(below, own, -1.0).argmax(axis=1))
    return tuple(path)
