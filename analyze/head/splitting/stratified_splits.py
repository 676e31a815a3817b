"""Splits of pictures with one label: every class spread evenly, copies together."""

from __future__ import annotations

import numpy as np

from analyze.head.splitting.splits import N_PARTS, VALIDATION_PARTS, Splitter
from analyze.measures.probes import folds_of, group_folds
from extract.catalog.catalog import MISSING_LABEL
from extract.errors import UsageError


class StratifiedSplitter(Splitter):
    """Splits by folds of :func:`analyze.measures.probes.folds_of`.

    Parameters
    ----------
    labels : ndarray of shape (n_images,), int
        -1 where a picture has no label: it is on no side.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    """

    method = "stratified 60/20/20"

    def __init__(self, labels: np.ndarray, groups: np.ndarray) -> None:
        super().__init__(groups, labels != MISSING_LABEL)
        self.labels = labels

    def fold_numbers(self, groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
        """Deal classes out evenly; those of fewer different pictures than folds are in none."""
        present = np.unique(self.labels[self.labelled])
        if not len(present):
            raise UsageError(
                "no labels, so there is nothing to train on: give extract a --manifest with a "
                "--label-column, or folders that are classes"
            )
        if len(present) == 1:
            raise UsageError("one class alone: there is nothing to tell apart")
        folds = folds_of(self.labels, groups, n_folds=n_folds, seed=seed)
        if (folds < 0).all():
            raise UsageError(
                f"fewer than two classes of {n_folds} different pictures, which {n_folds} parts "
                "need: label more pictures, or take a coarser --level"
            )
        return folds

    def three_sides(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
        """Take three folds of five for training, one each for the other sides."""
        folds = self.fold_numbers(self.groups, N_PARTS, seed)
        sides = (np.flatnonzero(own) for own in (folds > 1, folds == 1, folds == 0))
        train, validation, test = sides
        return train, validation, test, self.left_out(folds, N_PARTS)

    def left_out(self, folds: np.ndarray, n_folds: int) -> tuple[str, ...]:
        """Say which labelled pictures are in no fold."""
        rows = (folds < 0) & self.labelled
        if not rows.any():
            return ()
        return (
            f"{int(rows.sum())} pictures left out: their {len(np.unique(self.labels[rows]))} "
            f"classes have fewer than {n_folds} different pictures",
        )

    def of_column(
        self, name: str, train: np.ndarray, validation: np.ndarray, test: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Leave out validation pictures of classes that are not trained, with notes."""
        labels, notes = self.labels, []
        unseen = set(labels[test].tolist()) - set(labels[train].tolist())
        if unseen:
            n_lost = int(np.isin(labels[test], list(unseen)).sum())
            notes.append(
                f"{n_lost} tested pictures are of {len(unseen)} classes that no train picture "
                "has: they count as wrong"
            )
        untrained = ~np.isin(labels[validation], labels[train])
        if untrained.any():
            notes.append(
                f"{int(untrained.sum())} validation pictures left out: no train picture is of "
                "their class"
            )
        if len(np.unique(labels[train])) < 2:
            raise UsageError(f"column {name!r} trains on one class alone: nothing to tell apart")
        return validation[~untrained], notes

    def part_validation(self, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Take a part of the training set for validation; a class is never in it alone."""
        labels, groups = self.labels[rows], self.groups[rows]
        n_groups = len(np.unique(groups))
        if n_groups < 2:
            raise UsageError(
                "the whole training set is copies of one picture: nothing tells when to stop"
            )
        largest = int(np.bincount(labels).max())
        if largest < 2:
            raise UsageError("every class has one training picture: label more pictures")
        for train, validation in group_folds(
            labels, groups, min(VALIDATION_PARTS, n_groups, largest), seed
        ):
            seen = np.isin(labels[validation], labels[train])
            if len(train) and seen.any() and len(np.unique(labels[train])) > 1:
                return np.sort(rows[train]), np.sort(rows[validation[seen]])
        raise UsageError("too few different training pictures for a validation part: label more")
