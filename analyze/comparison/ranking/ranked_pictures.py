"""The pictures that backbones are ranked on: those that all of them can be scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analyze.comparison.ranking.criteria import SPACES
from analyze.measures.alignment import SamePictures, align, align_pictures, groups_of_copies
from extract.catalog.catalog import Level
from extract.command_line import counted_pictures
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

MOST_RANKED = 20_000
"""Pictures: all against all grows with the square of the catalogue."""


def choose_pictures(
    embedding_sets: Sequence[EmbeddingSet], level: str | None, seed: int, *, labelled: bool
) -> tuple[SamePictures, Level | None, list[str]]:
    """Align, and leave out what cannot be scored: no label, no direction, too many.

    Returns
    -------
    same : SamePictures
        Without labels and columns.
    level : Level or None
        Of these pictures, each with a label.
    notes : list of str

    Raises
    ------
    UsageError
        When nothing is left to rank on, or the labels tell nothing apart.
    """
    aligned = align(embedding_sets, level) if labelled else None
    same = aligned or align_pictures(embedding_sets)
    notes = list(same.notes)
    there = np.ones(len(same.embedding_sets[0]), bool)
    if aligned:
        there = aligned.level.codes >= 0
        if not there.all():
            notes.append(f"{int((~there).sum())} pictures without a label are left out")
    directed = np.array([s.vectors.any(axis=1) for s in same.embedding_sets])
    zeros = there & ~directed.all(axis=0)
    if zeros.any():
        with_zeros = [n for n, d in zip(same.names, directed, strict=True) if not d[there].all()]
        notes.append(
            f"{int(zeros.sum())} pictures left out: rows of zeros by {', '.join(with_zeros)}"
        )
    rows = np.flatnonzero(there & ~zeros)
    if len(rows) > MOST_RANKED:
        notes.append(f"ranked on {MOST_RANKED} of {len(rows)} pictures, drawn by seed")
        drawn = np.random.default_rng(seed).choice(rows, MOST_RANKED, replace=False)
        rows = np.sort(drawn)
    if len(rows) < 2:
        raise UsageError(
            f"{counted_pictures(len(rows))} left to rank on: {'; '.join(notes)}; choose other "
            "files with --embeddings FILE"
        )
    sets = tuple(_bare(s.take(rows)) for s in same.embedding_sets)
    if len(np.unique(groups_of_copies(sets))) < 3:
        raise UsageError(
            f"{len(rows)} pictures, fewer than three of them different: there is nothing to rank on"
        )
    known = aligned.level.take(rows) if aligned else None
    if known:
        _check_classes(known)
    return SamePictures(sets, same.names, same.notes), known, notes


def _bare(embeddings: EmbeddingSet) -> EmbeddingSet:
    """Leave labels and all columns but that of groups: it may be sent to other processes."""
    group = embeddings.group_column
    columns = {} if group is None else {group: embeddings.columns[group]}
    return replace(embeddings, levels=(), columns=columns, paths=None, multi_labels=())


def _check_classes(level: Level) -> None:
    counts = np.unique(level.codes, return_counts=True)[1]
    others = f"name another level with --level, or rank by --metric {' or '.join(SPACES)}"
    if len(counts) < 2:
        raise UsageError(f"one class in level {level.name!r}, nothing to tell apart: {others}")
    if counts.max() < 2:
        raise UsageError(f"every picture a class of its own in level {level.name!r}: {others}")
