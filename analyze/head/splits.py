"""Splits: which pictures are taught, which say when to stop, which are tested once at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyze.measures.probes import folds_of, parted
from extract.catalog.catalog import MISSING_LABEL
from extract.catalog.split_folders import SPLITS
from extract.errors import UsageError

N_PARTS = 5
"""Of the split 60/20/20: three parts are taught, one says when to stop, one is tested."""

VALIDATION_PARTS = 4
"""One in so many of what is taught says when to stop, which makes 60/20/20 of five folds too."""

SIDES = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of three sides, and how they came about; the test side alone may be empty.

    Parameters
    ----------
    train, validation, test : ndarray of int
        Ascending, no row on two sides.
    method : str
        ``stratified 60/20/20``, ``fold 2 of 5`` or ``column NAME``.
    seed : int
    notes : tuple of str
        What was left out or moved.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    method: str
    seed: int
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        rows = np.concatenate([getattr(self, side) for side in SIDES])
        if len(np.unique(rows)) < len(rows):
            raise ValueError("a split's sides must not share rows")
        for side in SIDES:
            own = getattr(self, side)
            if not len(own) and side != "test":
                raise ValueError(f"a split's {side} side must hold at least one row")
            if (np.diff(own) <= 0).any():
                raise ValueError(f"a split's {side} rows must ascend")

    @property
    def taught(self) -> np.ndarray:
        """Train and validation rows together, ascending."""
        both: np.ndarray = np.sort(np.concatenate([self.train, self.validation]))
        return both

    def sides(self, n_images: int) -> list[str]:
        """Name the side of each row, empty where it is on none."""
        named = np.full(n_images, "", dtype="<U10")
        for side in SIDES:
            named[getattr(self, side)] = side
        return [str(side) for side in named]

    def to_json(self) -> dict[str, Any]:
        """Spell how it was made and how large its sides are."""
        counts = {f"n_{side}": len(getattr(self, side)) for side in SIDES}
        return {"method": self.method, "seed": self.seed, **counts}


def stratified_split(labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> Split:
    """Part pictures 60/20/20, classes spread evenly, copies together.

    Parameters
    ----------
    labels : ndarray of shape (n_images,), int
        -1 where a picture has no label: it is on no side.
    groups : ndarray of shape (n_images,), int
        Copies have one number.

    Raises
    ------
    UsageError
        When fewer than two classes have five different pictures.
    """
    folds = _folds(labels, groups, N_PARTS, seed)
    return Split(
        np.flatnonzero(folds > 1),
        np.flatnonzero(folds == 1),
        np.flatnonzero(folds == 0),
        "stratified 60/20/20",
        seed,
        _left_out(labels, folds, N_PARTS),
    )


def fold_splits(
    labels: np.ndarray, groups: np.ndarray, n_folds: int, seed: int = 0
) -> tuple[Split, ...]:
    """Part pictures into folds, each tested once; a quarter of the others says when to stop.

    The folds are those of :func:`analyze.measures.probes.folds_of`.

    Raises
    ------
    UsageError
        When fewer than two classes have as many different pictures as there are folds.
    """
    folds = _folds(labels, groups, n_folds, seed)
    notes = _left_out(labels, folds, n_folds)
    splits = []
    for number in range(n_folds):
        taught = np.flatnonzero((folds != number) & (folds >= 0))
        train, validation = _parted(taught, labels, groups, seed)
        tested = np.flatnonzero(folds == number)
        method = f"fold {number + 1} of {n_folds}"
        splits.append(Split(train, validation, tested, method, seed, notes))
    return tuple(splits)


def taught_split(rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> Split:
    """Teach all of some pictures, a quarter of which says when to stop; none is tested.

    Parameters
    ----------
    rows : ndarray of int
        Ascending.
    labels, groups : ndarray of shape (n_images,), int
    """
    train, validation = _parted(rows, labels, groups, seed)
    return Split(train, validation, np.zeros(0, np.int64), "all pictures taught", seed)


def column_split(
    name: str, values: Sequence[str], labels: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Split:
    """Take the sides that a column of the manifest names: train, validation (or val), test.

    What is tested stays tested; its copies on other sides are left out, and copies of validation
    pictures are not trained on. Without validation rows a quarter of the train rows becomes that.

    Raises
    ------
    UsageError
        When the column holds other words, or a side would be empty.
    """
    sides, notes = sides_of_column(name, values, labels != MISSING_LABEL, groups)
    train, validation, test = (np.flatnonzero(sides == side) for side in SIDES)
    unseen = set(labels[test].tolist()) - set(labels[train].tolist())
    if unseen:
        n_lost = int(np.isin(labels[test], list(unseen)).sum())
        notes.append(
            f"{n_lost} tested pictures are of {len(unseen)} classes that no train picture has: "
            "they count as wrong"
        )
    untaught = ~np.isin(labels[validation], labels[train])
    if untaught.any():
        notes.append(
            f"{int(untaught.sum())} validation pictures left out: no train picture is of their "
            "class"
        )
        validation = validation[~untaught]
    for side, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise UsageError(f"column {name!r} has no labelled picture on side {side}")
    if len(np.unique(labels[train])) < 2:
        raise UsageError(f"column {name!r} trains on one class alone: nothing to tell apart")
    if not len(validation):
        train, validation = _parted(train, labels, groups, seed)
        notes.append("no validation pictures in the column: a quarter of train is taken")
    return Split(train, validation, test, f"column {name}", seed, tuple(notes))


def sides_of_column(
    name: str, values: Sequence[str], labelled: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Read the side of each picture; what is not labelled, or a copy of another side's, has none.

    Parameters
    ----------
    name : str
    values : sequence of str
    labelled : ndarray of shape (n_images,), bool
    groups : ndarray of shape (n_images,), int

    Returns
    -------
    sides : ndarray of shape (n_images,), str
    notes : list of str

    Raises
    ------
    UsageError
        When the column holds other words.
    """
    sides = np.array([SPLITS.get(v.strip().lower(), v.strip()) for v in values], dtype=object)
    other = sorted({str(s) for s in sides} - {*SIDES, ""})
    if other:
        raise UsageError(
            f"column {name!r} holds {other[0]!r}: a split's column says train, validation or test"
        )
    notes = []
    if n_blank := int((sides == "").sum()):
        notes.append(f"{n_blank} pictures without a side in column {name!r} are left out")
    sides[~labelled] = ""
    n_moved = 0
    for side, before in (("test", ("train", "validation")), ("validation", ("train",))):
        copied = np.isin(sides, before) & np.isin(groups, groups[sides == side])
        n_moved += int(copied.sum())
        sides[copied] = ""
    if n_moved:
        notes.append(
            f"{n_moved} pictures left out: column {name!r} has a copy of them on another side"
        )
    return sides, notes


def naive_splits(
    labels: np.ndarray, n_folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Part pictures as if there were no copies, for what that would have leaked.

    Yields
    ------
    taught, tested : ndarray of int
    """
    folds = folds_of(labels, np.arange(len(labels)), n_folds=n_folds, seed=seed)
    for number in range(n_folds):
        yield np.flatnonzero((folds != number) & (folds >= 0)), np.flatnonzero(folds == number)


def naive_column_split(values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Take what a column teaches and tests as if there were no copies; ndarrays of int."""
    words = np.char.lower(np.char.strip(np.array(values)))
    return np.flatnonzero((words != "test") & (words != "")), np.flatnonzero(words == "test")


def _folds(labels: np.ndarray, groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    present = np.unique(labels[labels != MISSING_LABEL])
    if not len(present):
        raise UsageError(
            "no labels, so there is nothing to teach: give extract a --manifest with a "
            "--label-column, or folders that are classes"
        )
    if len(present) == 1:
        raise UsageError("one class alone: there is nothing to tell apart")
    folds = folds_of(labels, groups, n_folds=n_folds, seed=seed)
    if (folds < 0).all():
        raise UsageError(
            f"fewer than two classes of {n_folds} different pictures, which {n_folds} parts need: "
            "label more pictures, or take a coarser --level"
        )
    return folds


def _left_out(labels: np.ndarray, folds: np.ndarray, n_folds: int) -> tuple[str, ...]:
    """Say which pictures are on no side though they have a label."""
    rows = (folds < 0) & (labels != MISSING_LABEL)
    if not rows.any():
        return ()
    return (
        f"{int(rows.sum())} pictures left out: their {len(np.unique(labels[rows]))} classes have "
        f"fewer than {n_folds} different pictures",
    )


def _parted(
    taught: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Take a part of what is taught for validation; a class is never in it alone."""
    n_groups = len(np.unique(groups[taught]))
    if n_groups < 2:
        raise UsageError("all that is taught is copies of one picture: nothing says when to stop")
    largest = int(np.bincount(labels[taught]).max())
    if largest < 2:
        raise UsageError("every class has one picture that is taught: label more pictures")
    parts = min(VALIDATION_PARTS, n_groups, largest)
    for train, validation in parted(labels[taught], groups[taught], parts, seed):
        seen = np.isin(labels[taught[validation]], labels[taught[train]])
        if len(train) and seen.any() and len(np.unique(labels[taught[train]])) > 1:
            return np.sort(np.concatenate([taught[train]])), np.sort(taught[validation[seen]])
    raise UsageError("too few different pictures are taught for a validation part: label more")
