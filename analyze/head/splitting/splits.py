"""Splits: pictures to train on, to stop by, and to test once at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from extract.catalog.split_folders import SPLITS
from extract.errors import UsageError

N_PARTS = 5
"""Of the split 60/20/20: three parts train, one validates, one is tested."""

VALIDATION_PARTS = 4
"""One in this many of the training set validates, which makes 60/20/20 of five folds too."""

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
    def training_set(self) -> np.ndarray:
        """Train and validation rows together, ascending."""
        return np.sort(np.concatenate([self.train, self.validation]))

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


class Splitter(ABC):
    """Splits pictures of one kind of labels: classes spread evenly, copies together.

    Parameters
    ----------
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    labelled : ndarray of shape (n_images,), bool
    """

    method: str
    """Of the one split 60/20/20."""

    def __init__(self, groups: np.ndarray, labelled: np.ndarray) -> None:
        self.groups, self.labelled = groups, labelled

    @abstractmethod
    def fold_numbers(self, groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
        """Give the fold of each picture, -1 where it is in none; ndarray of shape (n_images,)."""

    @abstractmethod
    def three_sides(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
        """Return train, validation and test rows of 60/20/20, and notes on them."""

    @abstractmethod
    def part_validation(self, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Split the training set into train and validation rows, three to one."""

    def left_out(self, folds: np.ndarray, n_folds: int) -> tuple[str, ...]:
        """Say which labelled pictures are in no fold."""
        return ()

    def of_column(
        self, name: str, train: np.ndarray, validation: np.ndarray, test: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Return the validation rows that can be used, and notes on the sides."""
        return validation, []

    def check(self, split: Split) -> None:  # noqa: B027 - some need not be
        """Refuse splits that leave nothing to train on or to test.

        Raises
        ------
        UsageError
        """

    def at_once(self, seed: int = 0) -> Split:
        """Split pictures 60/20/20.

        Raises
        ------
        UsageError
            When there are too few different pictures.
        """
        train, validation, test, notes = self.three_sides(seed)
        return self._checked(train, validation, test, self.method, seed, notes)

    def folds(self, n_folds: int, seed: int = 0) -> tuple[Split, ...]:
        """Test every picture once; a quarter of the training set validates.

        Raises
        ------
        UsageError
            When there are too few different pictures for this many folds.
        """
        folds = self.fold_numbers(self.groups, n_folds, seed)
        notes = self.left_out(folds, n_folds)
        splits = []
        for number in range(n_folds):
            tested = np.flatnonzero(folds == number)
            training_set = np.flatnonzero((folds != number) & (folds >= 0))
            sides = (*self.part_validation(training_set, seed), tested)
            method = f"fold {number + 1} of {n_folds}"
            splits.append(self._checked(*sides, method, seed, notes))
        return tuple(splits)

    def all_for_training(self, rows: np.ndarray, seed: int = 0) -> Split:
        """Train on all of some pictures, a quarter of which validates; none is tested."""
        train, validation = self.part_validation(rows, seed)
        split = Split(train, validation, rows[:0], "all pictures in training", seed)
        self.check(split)
        return split

    def by_column(self, name: str, values: Sequence[str], seed: int = 0) -> Split:
        """Take the sides that a column of the manifest names: train, validation (or val), test.

        What is tested stays tested; its copies on other sides are left out, and copies of
        validation pictures are not trained on. Without validation rows a quarter of the train rows
        becomes that.

        Raises
        ------
        UsageError
            When the column holds other words, or a side would be empty.
        """
        sides, notes = sides_of_column(name, values, self.labelled, self.groups)
        train, validation, test = (np.flatnonzero(sides == side) for side in SIDES)
        for side, rows in (("train", train), ("test", test)):
            if not len(rows):
                raise UsageError(f"column {name!r} has no labelled picture on side {side}")
        validation, more = self.of_column(name, train, validation, test)
        notes += more
        if not len(validation):
            train, validation = self.part_validation(train, seed)
            notes.append("no validation pictures in the column: a quarter of train is taken")
        return self._checked(train, validation, test, f"column {name}", seed, tuple(notes))

    def naive(self, n_folds: int | None, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Split as if there were no copies, for what that would have leaked.

        Yields
        ------
        training_set, tested : ndarray of int
            Of each fold; of the one split where there are no folds.
        """
        folds = self.fold_numbers(np.arange(len(self.groups)), n_folds or N_PARTS, seed)
        for number in range(n_folds or 1):
            yield np.flatnonzero((folds != number) & (folds >= 0)), np.flatnonzero(folds == number)

    def _checked(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        test: np.ndarray,
        method: str,
        seed: int,
        notes: tuple[str, ...],
    ) -> Split:
        if not (len(train) and len(validation) and len(test)):
            raise UsageError("too few different pictures for this many parts: label more pictures")
        split = Split(train, validation, test, method, seed, notes)
        self.check(split)
        return split


def sides_of_column(
    name: str, values: Sequence[str], labelled: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Read the side of each picture; what is not labelled, or a copy of another side's, has none.

    Parameters
    ----------
    labelled : ndarray of shape (n_images,), bool
    groups : ndarray of shape (n_images,), int

    Raises
    ------
    UsageError
        When the column holds other words.
    """
    sides = np.array([SPLITS.get(v.strip().lower(), v.strip()) for v in values], dtype=object)
    other = sorted({str(s) for s in sides} - {*SIDES, ""})
    if other:
        raise UsageError(
            f"column {name!r} holds {other[0]!r}: a split's column holds train, validation or test"
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


def naive_column_split(values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Take the training and test sets of a column as if there were no copies; ndarrays of int."""
    words = np.char.lower(np.char.strip(np.array(values)))
    return np.flatnonzero((words != "test") & (words != "")), np.flatnonzero(words == "test")
