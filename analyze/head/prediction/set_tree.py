"""Columns of several labels as one tree: what has a class has the class above it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyze.head.prediction.tree import parent_places
from extract.errors import UsageError
from extract.ids import shown

MOST_LISTED = 3


@dataclass(frozen=True, eq=False)
class SetTree:
    """Columns from the top down, and which class stands above which; one column is a tree too.

    Parameters
    ----------
    classes : tuple of tuple of str
        Of each level; one after the other they are what a head gives probabilities of.
    parents : tuple of ndarray of int
        Of every level but the first: the place of each class's parent among those above.
    """

    levels: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    parents: tuple[np.ndarray, ...] = ()

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where the classes of each level stand among all."""
        ends = itertools.accumulate(map(len, self.classes))
        return tuple(slice(e - len(own), e) for e, own in zip(ends, self.classes, strict=True))

    @property
    def spelled(self) -> tuple[str, ...]:
        """Name each class; of several levels its level too, since two may have one name."""
        if len(self.levels) == 1:
            return self.classes[0]
        both = zip(self.levels, self.classes, strict=True)
        return tuple(f"{level}: {name}" for level, own in both for name in own)

    def take(self, places: np.ndarray) -> SetTree:
        """Keep some classes, ascending, with all that stand above them."""
        own = [places[(places >= p.start) & (places < p.stop)] - p.start for p in self.parts]
        both = zip(self.classes, own, strict=True)
        classes = tuple(tuple(names[i] for i in kept.tolist()) for names, kept in both)
        parents = parent_places(own, self.parents) if self.parents else ()
        return SetTree(self.levels, classes, parents)

    def raised(self, values: np.ndarray) -> np.ndarray:
        """Give each class the greatest of its own value and of those below it.

        Parameters
        ----------
        values : ndarray of shape (..., n_classes), number or bool
            Probabilities: none is then less than one below it; or predictions: a class is where
            one below it is.
        """
        found = values.copy()
        pairs = zip(self.parts, self.parts[1:], self.parents, strict=False)
        for above, below, parents in reversed(list(pairs)):
            for i, parent in enumerate(parents.tolist()):
                own = found[..., above.start + parent]
                np.maximum(own, found[..., below.start + i], out=own)
        return found


def grow_set_tree(tree: SetTree, has: np.ndarray, ids: Sequence[str]) -> SetTree:
    """Find the class above each: the one that every picture with the class has, too.

    Of several such, that through which the class's name leads, as paths do: ``a`` of ``a >> b``.

    Parameters
    ----------
    tree : SetTree
        Without parents.
    has : ndarray of shape (n_images, n_classes), bool

    Raises
    ------
    UsageError
        When a class has none, or several could be meant, or a level has no class.
    """
    for level, classes in zip(tree.levels, tree.classes, strict=True):
        if not classes:
            raise UsageError(f"no class of column {level} has enough pictures: give fewer --levels")
    parents = []
    for number, (above, below) in enumerate(itertools.pairwise(tree.parts)):
        upper, lower = has[:, above], has[:, below]
        shared = lower.T.astype(np.float64) @ upper
        always = shared == lower.sum(axis=0)[:, None]
        names = tree.classes[number]
        found = []
        for place, name in enumerate(tree.classes[number + 1]):
            places = _on_path(np.flatnonzero(always[place]).tolist(), names, name)
            if len(places) != 1:
                which = ", ".join(shown(names[i]) for i in places[:MOST_LISTED])
                why = f"several classes above are in all its pictures, such as {which}"
                if not places:
                    near = int(shared[place].argmax())
                    row = int((lower[:, place] & ~upper[:, near]).argmax())
                    lacking = f"{shown(ids[row])} lacks {shown(names[near])}"
                    why = f"no class above is in all its pictures: {lacking}"
                raise UsageError(
                    f"columns {tree.levels[number]} and {tree.levels[number + 1]} are no tree: of "
                    f"class {shown(name)} {why}; mend the labels, or leave --levels out"
                )
            found += places
        parents.append(np.array(found, np.int64))
    return replace(tree, parents=tuple(parents))


def _on_path(places: list[int], names: Sequence[str], path: str) -> list[int]:
    """Of several classes keep the last that a path of labels leads through; without it all."""
    through = [i for i in places if re.match(re.escape(names[i]) + r"(?!\w)", path)]
    return sorted(through, key=lambda i: len(names[i]))[-1:] or places
