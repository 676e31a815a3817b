"""Which pictures and which of their labels a head can be taught and tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.head.multilabel.splits import enough_pictures
from analyze.head.plan import Plan
from analyze.head.splits import N_PARTS
from analyze.head.usable import usable_rows
from analyze.pictures.near_duplicates import Copies
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """The pictures that can be taught and tested.

    Parameters
    ----------
    embeddings : EmbeddingSet
    features : ndarray of shape (n_views + 1, n_images, n_dims), float32
        The plain pictures first.
    labels : MultiLabel
        Of all pictures there are.
    has : ndarray of shape (n_images, n_classes), bool
        Of the classes that are kept.
    classes : tuple of str
    copies : Copies
    left_out : dict of str to int
    notes : tuple of str
    """

    embeddings: EmbeddingSet
    features: np.ndarray
    labels: MultiLabel
    has: np.ndarray
    classes: tuple[str, ...]
    copies: Copies
    left_out: dict[str, int]
    notes: tuple[str, ...]


def choose_multi_label(embeddings: EmbeddingSet, wanted: str | None) -> MultiLabel | None:
    """Find the column of several labels that is meant; None where a level is.

    Parameters
    ----------
    embeddings : EmbeddingSet
    wanted : str or None
        A name, or a number where there are no levels; without it the only column, if no level is
        there.

    Raises
    ------
    UsageError
        When there is none of that name and no level either, or several could be meant.
    """
    columns = embeddings.multi_labels
    by_name = {own.name: own for own in columns}
    if wanted in by_name:
        return by_name[wanted]
    if embeddings.levels or not columns:
        return None
    by_name = {str(number): own for number, own in enumerate(columns, start=1)}
    if wanted in by_name:
        return by_name[wanted]
    have = ", ".join(own.name for own in columns)
    if wanted is not None:
        raise UsageError(f"no level {wanted!r}: this catalogue has {have}; name one with --level")
    if len(columns) > 1:
        raise UsageError(f"several columns of labels, say which with --level: {have}")
    return columns[0]


def usable_pictures(
    embeddings: EmbeddingSet,
    views: np.ndarray | None,
    level: str | None,
    copies: Copies | None,
    plan: Plan,
) -> LabelledPictures:
    """Keep pictures with a label and a direction, and classes of enough pictures."""
    labels = choose_multi_label(embeddings, level)
    if labels is None:
        raise UsageError(
            "no column of several labels: give extract a --manifest with a --label-column and "
            "--multi-label-separator '|'"
        )
    has = labels.matrix()
    labelled: np.ndarray = np.asarray(has.any(axis=1))
    usable = usable_rows(embeddings, views, labelled, copies)
    kept, notes = _kept_classes(has[usable.rows], usable.copies.groups, plan)
    has = has[np.ix_(usable.rows, kept)]
    places = np.flatnonzero(has.any(axis=1))
    left_out = dict(usable.left_out)
    if n_lost := len(has) - len(places):
        left_out["labels of too few pictures"] = n_lost
    return LabelledPictures(
        embeddings=usable.embeddings.take(places),
        features=usable.features[:, places],
        labels=labels,
        has=has[places],
        classes=tuple(labels.categories[i] for i in kept.tolist()),
        copies=usable.copies.take(places),
        left_out=left_out,
        notes=notes,
    )


def _kept_classes(
    has: np.ndarray, groups: np.ndarray, plan: Plan
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes that can be taught and tested; say what is left out."""
    there = has.any(axis=0)
    if there.sum() < 2:
        raise UsageError("one class alone: there is nothing to tell apart")
    n_parts = 1 if plan.split_column else plan.n_folds or N_PARTS
    enough = enough_pictures(has, groups, n_parts)
    kept = np.flatnonzero(there & enough)
    if len(kept) < 2:
        raise UsageError(
            f"fewer than two classes of {n_parts} different pictures, which {n_parts} parts need: "
            "label more pictures"
        )
    n_lost = int((there & ~enough).sum())
    if not n_lost:
        return kept, ()
    return kept, (f"{n_lost} classes left out: they have fewer than {n_parts} different pictures",)
