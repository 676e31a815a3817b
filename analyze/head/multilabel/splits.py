"""Splits of pictures with several labels: every class spread evenly, copies together.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011): the class with the fewest pictures
left is dealt out first, each picture to the part that lacks most of that class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analyze.head.splits import N_PARTS, SIDES, VALIDATION_PARTS, Split, sides_of_column
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
    parts: np.ndarray = part[unit]
    return parts


def _neediest(lacking: np.ndarray, room: np.ndarray, random: np.random.Generator) -> int:
    """Choose the part that lacks most; of those the one with most room, of those any."""
    most = np.flatnonzero(lacking >= lacking.max() - 1e-9)
    most = most[room[most] >= room[most].max() - 1e-9]
    return int(most[0]) if len(most) == 1 else int(random.choice(most))


def enough_pictures(has: np.ndarray, groups: np.ndarray, n_parts: int) -> np.ndarray:
    """Say which classes have as many different pictures as there are parts; bool a class."""
    different = np.array([len(np.unique(groups[own])) for own in has.T], np.int64)
    enough: np.ndarray = different >= n_parts
    return enough


def several_split(has: np.ndarray, groups: np.ndarray, seed: int = 0) -> Split:
    """Part pictures 60/20/20.

    Parameters
    ----------
    has : ndarray of shape (n_images, n_classes), bool
    groups : ndarray of shape (n_images,), int
    seed : int
    """
    parts = iterative_parts(has, groups, SHARES, seed)
    train, validation, test = (np.flatnonzero(parts == number) for number in range(len(SIDES)))
    _check_sides(train, validation, test)
    method = "iteratively stratified 60/20/20"
    return _checked(Split(train, validation, test, method, seed), has)


def several_fold_splits(
    has: np.ndarray, groups: np.ndarray, n_folds: int, seed: int = 0
) -> tuple[Split, ...]:
    """Part pictures into folds, each tested once; a quarter of the others says when to stop.

    Raises
    ------
    UsageError
        When there are no more different pictures than folds.
    """
    if len(np.unique(groups)) <= n_folds:
        raise UsageError(
            f"--folds {n_folds} needs more different pictures than {len(np.unique(groups))}: give "
            "fewer, or label more pictures"
        )
    folds = iterative_parts(has, groups, [1 / n_folds] * n_folds, seed)
    splits = []
    for number in range(n_folds):
        tested = np.flatnonzero(folds == number)
        _check_sides(tested)
        train, validation = _parted(np.flatnonzero(folds != number), has, groups, seed)
        method = f"fold {number + 1} of {n_folds}"
        splits.append(_checked(Split(train, validation, tested, method, seed), has))
    return tuple(splits)


def several_taught_split(
    rows: np.ndarray, has: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Split:
    """Teach all of some pictures, a quarter of which says when to stop; none is tested."""
    train, validation = _parted(rows, has, groups, seed)
    nothing = np.zeros(0, np.int64)
    return _checked(Split(train, validation, nothing, "all pictures taught", seed), has)


def several_column_split(
    name: str, values: Sequence[str], has: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Split:
    """Take the sides that a column of the manifest names: train, validation (or val), test.

    Copies are kept apart as in :func:`analyze.head.splits.column_split`.

    Raises
    ------
    UsageError
        When the column holds other words, or a side would be empty.
    """
    labelled: np.ndarray = np.asarray(has.any(axis=1))
    sides, notes = sides_of_column(name, values, labelled, groups)
    train, validation, test = (np.flatnonzero(sides == side) for side in SIDES)
    for side, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise UsageError(f"column {name!r} has no labelled picture on side {side}")
    if not len(validation):
        train, validation = _parted(train, has, groups, seed)
        notes.append("no validation pictures in the column: a quarter of train is taken")
    return _checked(Split(train, validation, test, f"column {name}", seed, tuple(notes)), has)


def naive_several_splits(
    has: np.ndarray, n_folds: int | None, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Part pictures as if there were no copies, for what that would have leaked.

    Yields
    ------
    taught, tested : ndarray of int
        Of each fold; of the one split where there are no folds.
    """
    n = n_folds or N_PARTS
    folds = iterative_parts(has, np.arange(len(has)), [1 / n] * n, seed)
    for number in range(n_folds or 1):
        yield np.flatnonzero(folds != number), np.flatnonzero(folds == number)


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
        f"said there: {listed}{more}",
    )


def _parted(
    taught: np.ndarray, has: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Take a part of what is taught for validation."""
    if len(np.unique(groups[taught])) < 2:
        raise UsageError("all that is taught is copies of one picture: nothing says when to stop")
    share = 1 / VALIDATION_PARTS
    parts = iterative_parts(has[taught], groups[taught], (1 - share, share), seed)
    if len(np.unique(parts)) < 2:  # so few that one part takes all
        parts = (groups[taught] == groups[taught][-1]).astype(np.int64)
    return taught[parts == 0], taught[parts == 1]


def _check_sides(*sides: np.ndarray) -> None:
    if not all(map(len, sides)):
        raise UsageError("too few different pictures for so many parts: label more pictures")


def _checked(split: Split, has: np.ndarray) -> Split:
    """Refuse to teach what leaves nothing to tell."""
    taught = has[split.train]
    if (taught == taught[0]).all():
        raise UsageError(
            f"{split.method}: every train picture has the same labels, so there is nothing to tell "
            "apart: label more pictures"
        )
    return split
