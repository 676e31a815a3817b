"""What is true of the pictures that are explained: one label each, or any number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyze.head.prediction.head_file import StoredHead
from analyze.head.prediction.tree import fill_level
from extract.catalog.catalog import Level
from extract.catalog.multi_label import MultiLabel

Truth = Level | MultiLabel


def truth_of_head(
    stored: StoredHead, number: int, levels: Sequence[Level], multi_labels: Sequence[MultiLabel]
) -> Truth | None:
    """Find the labels that a level of a head is held against; None where there are none.

    Of a tree a picture with labels that end above the level has that end as its label, as in the
    training of the head.
    """
    if stored.multilabel is not None:
        return next((own for own in multi_labels if own.name == stored.levels[number]), None)
    there = {level.name: level for level in levels}
    if stored.levels[number] not in there:
        return None
    found: Level | None = None
    for name in stored.levels[: number + 1]:
        own = there.get(name)
        found = own if own is None or found is None else fill_level(found, own)
    return found


def spelled(truth: Truth, row: int) -> str | None:
    """Spell the label of a row, or its labels as one text; None without any."""
    if isinstance(truth, MultiLabel):
        return truth.separator.join(truth.value(row)) or None
    return truth.value(row)


def labels_of(truth: Truth | None, row: int) -> tuple[str, ...] | None:
    """List the labels of a row that may have several; None of any other."""
    return truth.value(row) if isinstance(truth, MultiLabel) else None


def rows_of_classes(truth: Truth) -> list[np.ndarray]:
    """Number the rows of each class that has some; a row of several stands under each."""
    if isinstance(truth, MultiLabel):
        rows = [np.flatnonzero(has) for has in truth.matrix().T]
    else:
        rows = [np.flatnonzero(truth.codes == code) for code in range(len(truth.categories))]
    return [own for own in rows if len(own)]
