"""One clustering against every level of labels, and how far off it is in their tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.agreement import score_clusters
from analyze.measures.contingency_metrics import NOISE
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.ids import shown


@dataclass(frozen=True)
class LevelScores:
    """How a clustering agrees with one level of labels.

    Parameters
    ----------
    name : str
    n_classes : int
        With at least one row.
    n_labelled : int
    scores : mapping of str to float or None
        None where a score would not be informative.
    right_parent_wrong_leaf : float or None
        Share of the rows labelled at this level in a cluster of the right parent, but of another
        label; None where the level has no parent level.
    hierarchical_f1 : float or None
        Over the labels of a row and of its cluster with all their ancestors, up to this level;
        None where the level has no parent level.
    """

    name: str
    n_classes: int
    n_labelled: int
    scores: Mapping[str, float | None]
    right_parent_wrong_leaf: float | None = None
    hierarchical_f1: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {**vars(self), "scores": dict(self.scores)}


def no_labels(multi_labels: Sequence[MultiLabel]) -> str:
    """Return that there is no level, and which command reads the multi-label columns there are."""
    if not multi_labels:
        return "no labels"
    names = ", ".join(shown(column.name) for column in multi_labels)
    return (
        f"no level of one label a picture (column {names} lists several, which "
        "python -m analyze head learns)"
    )


def choose_level(
    levels: tuple[Level, ...], wanted: str | None, multi_labels: Sequence[MultiLabel] = ()
) -> Level | None:
    """Return a level by name or by number from 1; the first by default, None without labels.

    Parameters
    ----------
    levels : tuple of Level
    wanted : str or None
    multi_labels : sequence of MultiLabel
        Columns other than levels, for the error.

    Raises
    ------
    UsageError
        Listing the levels there are.
    """
    if wanted is None:
        return levels[0] if levels else None
    by_name = {level.name: level for level in levels}
    by_name |= {str(i): level for i, level in enumerate(levels, start=1) if str(i) not in by_name}
    if wanted not in by_name:
        have = ", ".join(f"{i} {level.name}" for i, level in enumerate(levels, start=1))
        raise UsageError(
            f"no level {wanted!r}: this catalogue has {have or no_labels(multi_labels)}; "
            "name one with --level"
        )
    return by_name[wanted]


def score_levels(levels: Sequence[Level], assignments: np.ndarray) -> tuple[LevelScores, ...]:
    """Hold one clustering against each level; nothing where there are fewer than two.

    Parameters
    ----------
    levels : sequence of Level
        From the top down where they are a tree.
    assignments : ndarray of shape (n_images,), int
    """
    if len(levels) < 2:
        return ()
    found = []
    chain: list[Level] = []
    for level in levels:
        chain = [*chain, level] if chain and is_parent(chain[-1], level) else [level]
        labelled = level.codes != MISSING_LABEL
        present = np.unique(level.codes[labelled])
        scores, _ = score_clusters(level.codes, assignments)
        off: tuple[float | None, float | None] = (None, None)
        if len(chain) > 1:
            paths = np.stack([one.codes for one in chain], axis=1)
            off = in_the_tree(paths, assignments)
        found.append(LevelScores(level.name, len(present), int(labelled.sum()), scores, *off))
    return tuple(found)


def is_parent(parent: Level, child: Level) -> bool:
    """Say whether a level's labels are paths that begin with the other's: ``a``, ``a >> b``.

    Every row labelled below is labelled above, and what stands between the two begins alike.
    """
    rows = np.flatnonzero(child.codes != MISSING_LABEL)
    pairs = np.unique(np.stack([parent.codes[rows], child.codes[rows]]), axis=1).T.tolist()
    if not pairs or any(above == MISSING_LABEL for above, _ in pairs):
        return False
    named = [(parent.categories[above], child.categories[below]) for above, below in pairs]
    if not all(path.startswith(start) for start, path in named):
        return False
    between = {path[len(start) :][:1] for start, path in named}
    return len(between) == 1 and not next(iter(between)).isalnum() and "" not in between


def parents_of_classes(levels: Sequence[Level], level: Level, most: int = 25) -> dict[str, str]:
    """Give the class above each class of a level, of the nearest level above with few classes.

    Parameters
    ----------
    levels : sequence of Level
        From the top down.
    level : Level
        One of them.
    most : int
        Classes that the level above may have; the topmost is taken where all have more.

    Returns
    -------
    dict of str to str
        Empty where no level is above it.
    """
    above: list[Level] = []
    below = level
    for other in reversed(levels[: [each.name for each in levels].index(level.name)]):
        if not is_parent(other, below):
            break
        above, below = [*above, other], other
    if not above:
        return {}
    taken = next((each for each in above if len(each.categories) <= most), above[-1])
    rows = np.flatnonzero(level.codes != MISSING_LABEL)
    pairs = np.unique(np.stack([level.codes[rows], taken.codes[rows]]), axis=1).T.tolist()
    return {level.categories[own]: taken.categories[parent] for own, parent in pairs}


def in_the_tree(paths: np.ndarray, assignments: np.ndarray) -> tuple[float | None, float | None]:
    """Say how clusters fare as predictions in a tree, each by its most frequent leaf.

    A row's leaf is its deepest label. Precision and recall are over the labels of prediction and
    row with all ancestors, summed over the rows (Kiritchenko et al. 2005).

    Parameters
    ----------
    paths : ndarray of shape (n_images, n_levels), int
        Codes from the top down; -1 from where a row has no label.
    assignments : ndarray of shape (n_images,), int

    Returns
    -------
    right_parent_wrong_leaf : float or None
        Of the rows that are labelled at the lowest level; None where there are none.
    hierarchical_f1 : float or None
        None where no row has a label.
    """
    labelled = paths[:, 0] != MISSING_LABEL
    paths, assignments = paths[labelled], assignments[labelled]
    if not len(paths):
        return None, None
    predicted = predicted_paths(paths, assignments)
    right = (paths == predicted) & (paths != MISSING_LABEL)
    both = int((paths != MISSING_LABEL).sum()) + int((predicted != MISSING_LABEL).sum())
    deepest = paths[:, -1] != MISSING_LABEL
    near = right[deepest, -2] & ~right[deepest, -1]
    return (float(near.mean()) if len(near) else None), 2 * int(right.sum()) / both


def predicted_paths(paths: np.ndarray, assignments: np.ndarray) -> np.ndarray:
    """Give each row its cluster's most frequent path, of several the first; none to noise."""
    leaves, leaf = np.unique(paths, axis=0, return_inverse=True)
    clusters, cluster = np.unique(assignments, return_inverse=True)
    counts = np.zeros((len(clusters), len(leaves)), np.int64)
    np.add.at(counts, (cluster, leaf.reshape(-1)), 1)
    predicted: np.ndarray = leaves[counts.argmax(axis=1)][cluster]
    predicted[assignments == NOISE] = MISSING_LABEL
    return predicted
