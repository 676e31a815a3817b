"""Search inside a category: the rows with the labels that are requested."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyze.measures.levels import no_labels
from analyze.neighbors.indexes.index_cache import OpenedIndex
from extract.errors import UsageError
from extract.ids import shown
from extract.storage.embeddings import EmbeddingSet

MOST_COMPARED = 100_000


@dataclass(frozen=True, eq=False)
class Inside:
    """The rows that a search is confined to.

    Parameters
    ----------
    rows : ndarray of int
        Ascending.
    where : mapping of str to tuple of str
        The values of each level, one of which a row must have.
    """

    rows: np.ndarray
    where: dict[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        """Spell it for people."""
        return ", ".join(
            f"{shown(level)} = {' or '.join(map(shown, values))}"
            for level, values in self.where.items()
        )


def exact_inside(inside: Inside, n_images: int, unused: str | None = None) -> OpenedIndex:
    """Return exact search inside a category; ``unused`` is an index that was requested."""
    why = f"{len(inside.rows)} of {n_images} pictures are inside: all are compared"
    notes = (f"inside a category --index {unused} is not used",) if unused else ()
    return OpenedIndex(None, why, notes=notes)


def rows_inside(embeddings: EmbeddingSet, wanted: Sequence[str]) -> Inside | None:
    """Return the rows with the requested labels; None where none are requested.

    Values of one level widen the search, those of another narrow it.

    Parameters
    ----------
    wanted : sequence of str
        Each ``LEVEL=VALUE``.

    Raises
    ------
    UsageError
        When a level or a value is not there, or no row has all of them.
    """
    if not wanted:
        return None
    where: dict[str, tuple[str, ...]] = {}
    for text in wanted:
        level, value = _level_and_value(embeddings, text)
        where[level] = tuple(dict.fromkeys([*where.get(level, ()), value]))
    there = np.ones(len(embeddings), bool)
    for each in embeddings.levels:
        if each.name in where:
            codes = [each.categories.index(value) for value in where[each.name]]
            there &= np.isin(each.codes, codes)
    inside = Inside(np.flatnonzero(there), where)
    if not len(inside.rows):
        raise UsageError(f"no picture is inside {inside.text}: leave a --where out")
    return inside


def _level_and_value(embeddings: EmbeddingSet, text: str) -> tuple[str, str]:
    """Split ``LEVEL=VALUE``; either may hold a ``=``."""
    levels = embeddings.levels
    if not levels:
        raise UsageError(
            f"--where {shown(text)}: this file has {no_labels(embeddings.multi_labels)}"
        )
    fitting = [level for level in levels if text.startswith(f"{level.name}=")]
    if not fitting:
        have = ", ".join(shown(level.name) for level in levels)
        raise UsageError(
            f"--where {shown(text)}: give LEVEL=VALUE, of the levels there are: {have}"
        )
    level = max(fitting, key=lambda level: len(level.name))
    value = text[len(level.name) + 1 :]
    if value not in level.categories or level.categories.index(value) not in level.codes:
        some = level.categories[:MOST_COMPARED]
        near = difflib.get_close_matches(value, some, n=3, cutoff=0.4) or some[:3]
        raise UsageError(
            f"no picture has {shown(level.name)} {value!r}: there are such as "
            f"{', '.join(repr(shown(each)) for each in near)}; give one with --where"
        )
    return level.name, value
