"""All that an audit measures, once; its checks only look at it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analyze.auditing.copy_groups import CopyGroup, Link, find_links, group_copies
from analyze.auditing.label_errors import LabelScores, score_labels
from analyze.auditing.nearest import Nearest, find_nearest
from analyze.auditing.outliers import class_distances, neighbor_distances
from analyze.auditing.picture_measures import PictureMeasures, measure_pictures
from analyze.neighbors.indexes.exact_search import Index
from analyze.pictures.duplicates import LEAST_SIMILARITY, groups_of_equal_bytes
from analyze.pictures.near_duplicates import (
    LEAST_CHAIN,
    MOST_IN_A_CHAIN,
    NEAR_COSINE,
    find_copies,
    joined_groups,
)
from analyze.pictures.picture_folder import PictureFolder
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.storage.embeddings import EmbeddingSet

Progress = Callable[[int, int], None]
Bars = Callable[[str], AbstractContextManager[Progress | None]]
"""What is counted -> a bar that shows it."""


def no_bars(_what: str) -> AbstractContextManager[Progress | None]:
    """Show nothing."""
    return nullcontext()


MOST_BY_VECTORS = 20_000
"""Pictures of which near copies by vectors, all against all, are kept in one fold too."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """What is known of a catalogue.

    Parameters
    ----------
    embeddings : EmbeddingSet
    level : Level or None
        Of which the labels are judged.
    by_bytes : ndarray of shape (n_images,), int
        Byte-identical pictures have one number.
    nearest : Nearest
        Neighbors of other bytes.
    links : tuple of Link
        Pairs that are copies, or variants.
    copies : tuple of CopyGroup
    labels : LabelScores or None
        None where no label can be judged.
    pictures : PictureMeasures or None
        None where pictures are not looked at.
    notes : tuple of str
    together : ndarray of shape (n_images,), int, optional
        Pictures that do not judge each other's label have one number: copies, near ones by vectors
        too, and pictures of one product. Copies alone without it.
    """

    embeddings: EmbeddingSet
    level: Level | None
    by_bytes: np.ndarray
    nearest: Nearest
    links: tuple[Link, ...]
    copies: tuple[CopyGroup, ...]
    labels: LabelScores | None
    pictures: PictureMeasures | None
    notes: tuple[str, ...] = ()
    together: np.ndarray | None = None

    @cached_property
    def copy_numbers(self) -> np.ndarray:
        """Number pictures so that copies have one number; ndarray of shape (n_images,), int."""
        numbers = np.arange(len(self.embeddings))
        for group in self.copies:
            numbers[list(group.rows)] = group.rows[0]
        return numbers

    @cached_property
    def others(self) -> Nearest:
        """The neighbors of each picture, its copies left out."""
        return self.nearest.without(self.copy_numbers)

    @cached_property
    def voters(self) -> Nearest:
        """The neighbors that judge the label of each picture: none of its product, nor a copy."""
        return self.others if self.together is None else self.nearest.without(self.together)

    @cached_property
    def distances(self) -> np.ndarray:
        """Mean distance to the nearest neighbors; ndarray of shape (n_images,)."""
        return neighbor_distances(self.others)

    @cached_property
    def in_class(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean distance to the nearest of the same label, and those neighbors."""
        if self.level is None:
            raise ValueError("there are no labels")
        return class_distances(self.embeddings.vectors, self.level.codes, self.copy_numbers)

    def quality(self, name: str) -> np.ndarray:
        """Give a number of each picture, NaN where it was not opened."""
        if self.pictures is None:
            raise ValueError("no picture was opened")
        return self.pictures.numbers[name]


def measure_catalog(
    embeddings: EmbeddingSet,
    level: Level | None,
    pictures: PictureFolder | None,
    *,
    index: Index | None = None,
    seed: int = 0,
    bars: Bars = no_bars,
) -> Measurements:
    """Measure a catalogue: pictures opened, neighbors found, copies compared, labels judged.

    Parameters
    ----------
    embeddings : EmbeddingSet
    level : Level or None
        Of labels.
    pictures : PictureFolder or None
        Without one, copies are found by vectors alone, and quality is not measured.
    index : Index, optional
        Over all rows; exact search without one.
    seed : int
        Of folds and clusters.
    bars : callable, optional
        Shows how far each part is.
    """
    by_bytes = groups_of_equal_bytes(embeddings.content_sha256, len(embeddings))
    measures = None
    if pictures is not None and pictures.root is not None:
        with bars("pictures") as progress:
            measures = measure_pictures(pictures, by_bytes, progress)
    with bars("neighbors") as progress:
        nearest = find_nearest(embeddings.vectors, by_bytes, index, progress)
    least = NEAR_COSINE if measures is None else LEAST_SIMILARITY
    pairs = nearest.pairs(least)
    with bars("pairs") as progress:
        counted = None if progress is None else lambda done: progress(done, len(pairs))
        links = find_links(pairs, measures, counted)
    copies = group_copies(links, by_bytes, measures)
    largest = max((len(np.unique(by_bytes[list(group.rows)])) for group in copies), default=0)
    notes: tuple[str, ...] = ()
    if measures is None and largest > max(LEAST_CHAIN, MOST_IN_A_CHAIN * len(embeddings)):
        notes = (
            f"{largest} pictures hang together by a cosine of {NEAR_COSINE} or more: these vectors "
            "are too alike to find copies, so only those of equal bytes are listed",
        )
        links, copies = (), group_copies((), by_bytes, measures)
    found = Measurements(embeddings, level, by_bytes, nearest, links, copies, None, measures, notes)
    if level is None or not _has_another_judge(level, embeddings.groups):
        return found
    together = _together(found)
    found = replace(found, together=together)
    labels = score_labels(embeddings.vectors, level, found.voters, together, seed)
    return replace(found, labels=labels)


def _has_another_judge(level: Level, grouped: np.ndarray | None) -> bool:
    """Say whether some class has pictures of two products, of which one can judge the other."""
    if grouped is None:
        return True
    classes = np.unique(np.stack([level.codes, grouped]), axis=1)[0]
    return bool((np.bincount(classes[classes != MISSING_LABEL]) > 1).any())


def _together(found: Measurements) -> np.ndarray:
    """Number pictures so that copies and those of one product have one number."""
    embeddings, grouped = found.embeddings, found.embeddings.groups
    if len(embeddings) <= MOST_BY_VECTORS:
        return find_copies(embeddings.vectors, embeddings.content_sha256, grouped).groups
    return found.copy_numbers if grouped is None else joined_groups([found.copy_numbers, grouped])
