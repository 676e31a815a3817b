"""Several embeddings of one catalogue, row by row about the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.levels import choose_level, no_labels
from analyze.pictures.duplicates import groups_of_equal_bytes
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.ids import bytes_of, shown
from extract.storage.embeddings import UNKNOWN, EmbeddingSet, Provenance, geometry_words


@dataclass(frozen=True, eq=False)
class SamePictures:
    """Embeddings whose row i is about the same picture.

    Parameters
    ----------
    embedding_sets : tuple of EmbeddingSet
        All with the same ids.
    names : tuple of str
        One an embedding set, all different.
    notes : tuple of str
    """

    embedding_sets: tuple[EmbeddingSet, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len({s.ids for s in self.embedding_sets}) != 1:
            raise ValueError("all embedding sets must have the same ids")
        if len(set(self.names)) != len(self.embedding_sets):
            raise ValueError(f"each embedding set must have a name of its own, got {self.names}")


@dataclass(frozen=True, eq=False)
class Alignment(SamePictures):
    """Embeddings whose row i is about the same picture, and the labels of the rows.

    Parameters
    ----------
    embedding_sets, names, notes
        As of :class:`SamePictures`.
    level : Level
        Labels belong to pictures, so all sets are held against the same.
    """

    level: Level

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.level.codes) != len(self.embedding_sets[0]):
            raise ValueError(f"level {self.level.name!r} must hold one code a row")


def align_pictures(embedding_sets: Sequence[EmbeddingSet]) -> SamePictures:
    """Keep the pictures that all sets hold, in id order, whether or not they have labels.

    Left out, and said: pictures whose bytes are not the same in all sets.

    Raises
    ------
    UsageError
        When fewer than two pictures are left to compare on.
    """
    names, sets, notes = _in_all(embedding_sets)
    other_bytes = _other_bytes(sets)
    notes += _said_of_bytes(other_bytes)
    return SamePictures(_kept(sets, ~other_bytes), names, tuple(notes))


def align(embedding_sets: Sequence[EmbeddingSet], level: str | None = None) -> Alignment:
    """Keep the pictures that all sets hold, in id order, and find their labels.

    Left out, and said: pictures whose bytes or whose labels are not the same in all sets. A label
    that only some sets know is taken from those.

    Parameters
    ----------
    embedding_sets : sequence of EmbeddingSet
    level : str, optional
        Name or number of a level of labels; the first of the first set that has labels.

    Raises
    ------
    UsageError
        When no picture, or no label, is left to compare by.
    """
    chosen = _level_name(embedding_sets, level) if embedding_sets else ""
    names, sets, notes = _in_all(embedding_sets)
    other_bytes = _other_bytes(sets)
    values, disagree = _merged_labels(sets, chosen)
    notes += _said_of_bytes(other_bytes)
    disagree &= ~other_bytes
    if disagree.any():
        notes.append(f"{int(disagree.sum())} pictures left out: files disagree on their labels")
    lacking = [n for n, s in zip(names, sets, strict=True) if chosen not in _level_names(s)]
    if lacking:
        notes.append(f"no level {chosen!r} in {', '.join(lacking)}: the others' labels are used")
    kept = ~(other_bytes | disagree)
    sets = _kept(sets, kept)
    known = Level.from_values(chosen, [values[i] for i in np.flatnonzero(kept)])
    if not known.categories:
        raise UsageError(f"no picture has a label of level {chosen!r}: name another with --level")
    return Alignment(sets, names, (*notes, *alike_labels([known])), known)


def _in_all(
    embedding_sets: Sequence[EmbeddingSet],
) -> tuple[tuple[str, ...], tuple[EmbeddingSet, ...], list[str]]:
    """Name the sets, keep the ids that all of them hold, in one order, and say what that costs."""
    if not embedding_sets:
        raise UsageError("nothing to compare: name files with --embeddings FILE or --model NAME")
    names = told_apart(embedding_sets)
    ids = sorted(set.intersection(*(set(s.ids) for s in embedding_sets)), key=bytes_of)
    counts = ", ".join(f"{name} {len(s)}" for name, s in zip(names, embedding_sets, strict=True))
    if not ids:
        raise UsageError(
            f"no picture is in all of them ({counts}): compare files of one catalogue, with "
            "--catalog NAME or --embeddings FILE"
        )
    notes = []
    if any(len(s) != len(ids) for s in embedding_sets):
        notes.append(f"compared on the {len(ids)} pictures that all files hold: {counts}")
    return names, tuple(_in_order(s, ids) for s in embedding_sets), notes


def _said_of_bytes(other: np.ndarray) -> list[str]:
    if not other.any():
        return []
    return [f"{int(other.sum())} pictures left out: files hold other pictures under their ids"]


def _kept(sets: tuple[EmbeddingSet, ...], kept: np.ndarray) -> tuple[EmbeddingSet, ...]:
    """Keep some rows of all sets, if they are enough to compare on."""
    rows = np.flatnonzero(kept)
    if len(rows) < 2:
        raise UsageError(
            f"{len(rows)} pictures left to compare on: embed the same pictures with each backbone "
            "by python -m extract"
        )
    return sets if len(rows) == len(kept) else tuple(s.take(rows) for s in sets)


def groups_of_copies(sets: Sequence[EmbeddingSet]) -> np.ndarray:
    """Number copies by the hashes that any of the files knows."""
    hashes = np.zeros((len(sets[0]), 32), np.uint8)
    for embeddings in sets:
        if embeddings.content_sha256 is not None:
            unknown = ~hashes.any(axis=1)
            hashes[unknown] = embeddings.content_sha256[unknown]
    return groups_of_equal_bytes(hashes, len(hashes))


def told_apart(embedding_sets: Sequence[EmbeddingSet]) -> tuple[str, ...]:
    """Name each set by its model, with random weights said, and words where those are needed.

    The geometry is said too where it is not the same in all sets. Sets of the same words, such as
    those of one identity in two catalogues, are counted.
    """
    made = [embeddings.provenance for embeddings in embedding_sets]
    geometries = set(geometry_words(made))
    names = []
    for each, words in zip(made, words_apart(made, at_least=len(geometries) > 1), strict=True):
        random = " (random weights)" if each.weights == "random" else ""
        names.append(" ".join([shown(each.model), *words]) + random)
    return tuple(
        name if names.count(name) == 1 else f"{name}, {names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    )


def words_apart(made: Sequence[Provenance], at_least: int = 0) -> list[tuple[str, ...]]:
    """Give the words that tell vectors of one model apart, as few as that takes.

    Parameters
    ----------
    made : sequence of Provenance
    at_least : int
        So many words of each.

    Returns
    -------
    list of tuple of str
        Of geometry, pooling and weights the first ones; equal where none of them differ.
    """
    known: list[tuple[Any, ...]] = [
        ((m.model, m.weights == "random"), geometry, m.pooling, m.weights)
        for m, geometry in zip(made, geometry_words(made), strict=True)
    ]

    def needed(own: tuple[Any, ...]) -> int:
        enough = (n for n in range(4) if [o[: n + 1] for o in known].count(own[: n + 1]) == 1)
        return max(at_least, next(enough, 1))

    return [tuple(w for w in own[1 : 1 + needed(own)] if w != UNKNOWN) for own in known]


def _level_names(embeddings: EmbeddingSet) -> list[str]:
    return [level.name for level in embeddings.levels]


def _level_name(embedding_sets: Sequence[EmbeddingSet], wanted: str | None) -> str:
    """Find the level that is meant, in the first set that has it."""
    labelled = [s for s in embedding_sets if s.levels]
    if not labelled:
        none = no_labels(next((s.multi_labels for s in embedding_sets if s.multi_labels), ()))
        raise UsageError(
            f"{none}, so nothing says which backbone is right: embed pictures in a folder a "
            "class, or with --manifest and --label-column; or cluster one file with "
            "python -m analyze --clusters 7"
        )
    by_name = (s for s in labelled if wanted in _level_names(s))
    level = choose_level(next(by_name, labelled[0]).levels, wanted)
    assert level is not None
    return level.name


def _in_order(embeddings: EmbeddingSet, ids: Sequence[str]) -> EmbeddingSet:
    if embeddings.ids == tuple(ids):
        return embeddings
    place = {row_id: i for i, row_id in enumerate(embeddings.ids)}
    return embeddings.take(np.array([place[row_id] for row_id in ids]))


def _other_bytes(embedding_sets: Sequence[EmbeddingSet]) -> np.ndarray:
    """Find rows whose picture is not the same bytes in all sets that know them."""
    differ = np.zeros(len(embedding_sets[0]), dtype=bool)
    first = np.zeros((len(differ), 32), dtype=np.uint8)
    for embeddings in embedding_sets:
        hashes = embeddings.content_sha256
        if hashes is None:
            continue
        known = hashes.any(axis=1)
        seen = first.any(axis=1)
        differ |= known & seen & (hashes != first).any(axis=1)
        first[~seen] = hashes[~seen]
    return differ


def _merged_labels(
    embedding_sets: Sequence[EmbeddingSet], level: str
) -> tuple[list[str | None], np.ndarray]:
    """Give the label of each row by the sets that know it, and the rows on which they disagree."""
    merged: list[str | None] = [None] * len(embedding_sets[0])
    disagree = np.zeros(len(merged), dtype=bool)
    for embeddings in embedding_sets:
        for found in embeddings.levels:
            if found.name != level:
                continue
            for i, value in enumerate(found.values()):
                if merged[i] is None:
                    merged[i] = value
                elif value is not None and value != merged[i]:
                    disagree[i] = True
    return merged, disagree
