"""Splits of pictures with several labels: every class spread evenly, copies together.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011): the class with the fewest pictures
left is dealt out first, each picture to the part that lacks most of that class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyze.head.splitting.splits import SIDES, VALIDATION_PARTS, Split, Splitter
from extract.errors import UsageError

SHARES = (0.6, 0.2, 0.2)
"""Of train, validation and test."""


def iterative_parts(
    has: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int = 0
) -> np.ndarray:
    """Deal pictures out to parts, each class and the pictures themselves by the same shares.

    Parameters
    ----------
    has : ndarray of shape (n_images, n_classes), bool
    groups : ndarray of shape (n_images,), int
        Copies have one number, and go to one part.
    shares : sequence of float
        Of each part; they sum to 1.
    seed : int
        Of the order in which pictures that are alike are dealt out, and of ties.

    Returns
    -------
    ndarray of shape (n_images,), int
        Number of the part of each.
    """
    _, unit = np.unique(groups, return_inverse=True)
    sizes = np.bincount(unit)
    counts = np.zeros((len(sizes), has.shape[1]), np.int64)
    np.add.at(counts, unit, has)
    random = np.random.default_rng(seed)
    # chains of copies first: what comes last can still even out
    order = random.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    lacking = np.outer(shares, counts.sum(axis=0)).astype(np.float64)
    room = np.asarray(shares, np.float64) * len(has)
    part = np.full(len(sizes), -1)
    left = (counts > 0).sum(axis=0)
    while (left > 0).any():
        rarest = int(np.where(left > 0, left, len(sizes) + 1).argmin())
        for each in order[(part[order] < 0) & (counts[order, rarest] > 0)].tolist():
            part[each] = _neediest(lacking[:, rarest], room, random)
            lacking[part[each]] -= counts[each]
            room[part[each]] -= sizes[each]
            left -= counts[each] > 0
    for each in order[part[order] < 0].tolist():
        part[each] = _neediest(room, room, random)
        room[part[each]] -= sizes[each]
    return part[unit]


def _neediest(lacking: np.ndarray, room: np.ndarray, random: np.random.Generator) -> int:
    """Choose the part that lacks most; of those the one with most room, of those any."""
    most = np.flatnonzero(lacking >= lacking.max() - 1e-9)
    most = most[room[most] >= room[most].max() - 1e-9]
    return int(most[0]) if len(most) == 1 else int(random.choice(most))


def enough_pictures(has: np.ndarray, groups: np.ndarray, n_parts: int) -> np.ndarray:
    """Say which classes have as many different pictures as there are parts; bool a class."""
    different = np.array([len(np.unique(groups[own])) for own in has.T], np.int64)
    return different >= n_parts


class IterativeSplitter(Splitter):
    """Splits pictures of which each may have any of some classes.

    Parameters
    ----------
    has : ndarray of shape (n_images, n_classes), bool
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    """

    method = "iteratively stratified 60/20/20"

    def __init__(self, has: np.ndarray, groups: np.ndarray) -> None:
        super().__init__(groups, np.asarray(has.any(axis=1)))
        self.has = has

    def fold_numbers(self, groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
        """Deal classes out evenly."""
        if len(np.unique(groups)) <= n_folds:
            raise UsageError(
                f"--folds {n_folds} needs more different pictures than {len(np.unique(groups))}: "
                "give fewer, or label more pictures"
            )
        return iterative_parts(self.has, groups, [1 / n_folds] * n_folds, seed)

    def three_sides(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
        """Deal out parts of three sizes."""
        parts = iterative_parts(self.has, self.groups, SHARES, seed)
        train, validation, test = (np.flatnonzero(parts == number) for number in range(len(SIDES)))
        return train, validation, test, ()

    def part_validation(self, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Take a part of the training set for validation."""
        has, groups = self.has[rows], self.groups[rows]
        if len(np.unique(groups)) < 2:
            raise UsageError(
                "the whole training set is copies of one picture: nothing tells when to stop"
            )
        share = 1 / VALIDATION_PARTS
        parts = iterative_parts(has, groups, (1 - share, share), seed)
        if len(np.unique(parts)) < 2:  # so few that one part takes all
            parts = (groups == groups[-1]).astype(np.int64)
        return rows[parts == 0], rows[parts == 1]

    def check(self, split: Split) -> None:
        """Refuse train pictures that all have the same labels."""
        train_labels = self.has[split.train]
        if (train_labels == train_labels[0]).all():
            raise UsageError(
                f"{split.method}: every train picture has the same labels, so there is nothing to "
                "tell apart: label more pictures"
            )


def unseen_note(has: np.ndarray, splits: Sequence[Split], names: Sequence[str]) -> tuple[str, ...]:
    """Say which classes some split tests without having trained on them; nothing without any."""
    unseen = np.zeros(has.shape[1], bool)
    for split in splits:
        unseen |= has[split.test].any(axis=0) & ~has[split.train].any(axis=0)
    if not unseen.any():
        return ()
    listed = ", ".join(names[i] for i in np.flatnonzero(unseen)[:3].tolist())
    more = f" and {int(unseen.sum()) - 3} more" if unseen.sum() > 3 else ""
    return (
        f"{int(unseen.sum())} classes are tested where no train picture has them, and are never "
        f"predicted there: {listed}{more}",
    )
