"""Several embeddings of one catalogue, row by row about the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.levels import choose_level, no_labels
from analyze.pictures.duplicates import groups_of_equal_bytes
from analyze.pictures.near_duplicates import joined_groups
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import Level, check_row_counts
from extract.catalog.multi_label import MultiLabel
from extract.command_line import counted_pictures
from extract.errors import UsageError
from extract.ids import bytes_of, shown
from extract.storage.embeddings import UNKNOWN, EmbeddingSet, Provenance, geometry_words

NO_LABEL = (None, ())
"""Of one label a picture, and of several."""


@dataclass(frozen=True, eq=False)
class SamePictures:
    """Embeddings with the same picture in row i of each.

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
    """Embeddings with the same picture in row i of each, and the labels of the rows.

    Parameters
    ----------
    embedding_sets, names, notes
        As of :class:`SamePictures`.
    levels : tuple of Level
        Labels belong to pictures, so all sets are held against the same.
    multi_labels : tuple of MultiLabel
        Likewise.
    """

    levels: tuple[Level, ...]
    multi_labels: tuple[MultiLabel, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_row_counts(len(self.embedding_sets[0]), self.levels, {}, self.multi_labels)

    @property
    def level(self) -> Level:
        """The first level."""
        return self.levels[0]

    @property
    def labelled(self) -> np.ndarray:
        """Which rows have a label in the first column; ndarray of shape (n_images,), bool."""
        columns: tuple[Level | MultiLabel, ...] = (*self.levels, *self.multi_labels)
        return np.array([value not in NO_LABEL for value in columns[0].values()])


def align_pictures(embedding_sets: Sequence[EmbeddingSet]) -> SamePictures:
    """Keep the pictures that all sets hold, in id order, whether or not they have labels.

    Left out, with a note: pictures with other bytes in some sets.

    Raises
    ------
    UsageError
        When fewer than two pictures are left to compare on.
    """
    names, sets, notes = _in_all(embedding_sets)
    other_bytes = _other_bytes(sets)
    notes += _bytes_notes(other_bytes)
    return SamePictures(_kept(sets, ~other_bytes), names, tuple(notes))


def align(embedding_sets: Sequence[EmbeddingSet], level: str | None = None) -> Alignment:
    """Keep the pictures that all sets hold, in id order, and find their labels.

    Left out, with a note: pictures with other bytes or labels in some sets. A label
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
    columns = [level_meant(embedding_sets, level)] if embedding_sets else []
    return align_labels(embedding_sets, columns)


def align_labels(
    embedding_sets: Sequence[EmbeddingSet], columns: Sequence[Level | MultiLabel]
) -> Alignment:
    """Keep the pictures that all sets hold, in id order, and find their labels in some columns.

    Left out, with a note: as by :func:`align`.

    Parameters
    ----------
    embedding_sets : sequence of EmbeddingSet
    columns : sequence of Level or MultiLabel
        Those meant, as any of the sets knows them.

    Raises
    ------
    UsageError
        When no picture, or no label in the first column, is left to compare by.
    """
    names, sets, notes = _in_all(embedding_sets)
    other_bytes = _other_bytes(sets)
    found = [[_of_name(s, column) for s in sets] for column in columns]
    merged = [_merged_labels(own, len(other_bytes)) for own in found]
    notes += _bytes_notes(other_bytes)
    disagree = np.logical_or.reduce([rows for _, rows in merged]) & ~other_bytes
    if disagree.any():
        notes.append(
            f"{counted_pictures(int(disagree.sum()))} left out: files disagree on their labels"
        )
    for column, own in zip(columns, found, strict=True):
        lacking = [name for name, labels in zip(names, own, strict=True) if labels is None]
        if lacking:
            listed = ", ".join(lacking)
            notes.append(f"no {_spelled(column)} in {listed}: the others' labels are used")
    kept = ~(other_bytes | disagree)
    sets, rows = _kept(sets, kept), np.flatnonzero(kept)
    known = [
        _coded([labels for labels in own if labels is not None], [values[i] for i in rows])
        for own, (values, _) in zip(found, merged, strict=True)
    ]
    if not known[0].categories:
        meant = _spelled(columns[0])
        raise UsageError(f"no picture has a label of {meant}: name another with --level")
    levels = tuple(own for own in known if isinstance(own, Level))
    multi_labels = tuple(own for own in known if isinstance(own, MultiLabel))
    return Alignment(sets, names, (*notes, *alike_labels(known)), levels, multi_labels)


def _in_all(
    embedding_sets: Sequence[EmbeddingSet],
) -> tuple[tuple[str, ...], tuple[EmbeddingSet, ...], list[str]]:
    """Name the sets, keep the ids that all of them hold, in one order, and note what that costs."""
    if not embedding_sets:
        raise UsageError("nothing to compare: name files with --embeddings FILE or --model NAME")
    names = distinct_names(embedding_sets)
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


def _bytes_notes(other: np.ndarray) -> list[str]:
    if not other.any():
        return []
    return [
        f"{counted_pictures(int(other.sum()))} left out: files hold other pictures under their ids"
    ]


def _kept(sets: tuple[EmbeddingSet, ...], kept: np.ndarray) -> tuple[EmbeddingSet, ...]:
    """Keep some rows of all sets, if they are enough to compare on."""
    rows = np.flatnonzero(kept)
    if len(rows) < 2:
        raise UsageError(
            f"{counted_pictures(len(rows))} left to compare on: embed the same pictures with "
            "each backbone by python -m extract"
        )
    return sets if len(rows) == len(kept) else tuple(s.take(rows) for s in sets)


def equal_pictures(sets: Sequence[EmbeddingSet]) -> np.ndarray:
    """Number pictures, those of equal bytes alike, by the hashes that any of the files knows."""
    hashes = np.zeros((len(sets[0]), 32), np.uint8)
    for embeddings in sets:
        if embeddings.content_sha256 is not None:
            unknown = ~hashes.any(axis=1)
            hashes[unknown] = embeddings.content_sha256[unknown]
    return groups_of_equal_bytes(hashes, len(hashes))


def groups_of_copies(sets: Sequence[EmbeddingSet]) -> np.ndarray:
    """Number copies by the hashes that any of the files knows, and pictures of one product."""
    copies = equal_pictures(sets)
    grouped = [each.groups for each in sets if each.groups is not None]
    return joined_groups([copies, *grouped]) if grouped else copies


def distinct_names(embedding_sets: Sequence[EmbeddingSet]) -> tuple[str, ...]:
    """Return a distinct name of each set: its model, random weights, and more words where needed.

    The geometry is named too where it is not the same in all sets. Sets of the same words, such as
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
    """Return the words that distinguish vectors of one model, as few as needed.

    Parameters
    ----------
    made : sequence of Provenance
    at_least : int
        This many words of each.

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


def level_meant(embedding_sets: Sequence[EmbeddingSet], wanted: str | None) -> Level:
    """Return the level of this name in the first set that has it; the first level by default.

    Raises
    ------
    UsageError
        When there is none.
    """
    labelled = [s for s in embedding_sets if s.levels]
    if not labelled:
        none = no_labels(next((s.multi_labels for s in embedding_sets if s.multi_labels), ()))
        raise UsageError(
            f"{none}, so it is unknown which backbone is right: embed pictures in a folder a "
            "class, or with --manifest and --label-column; or cluster one file with "
            "python -m analyze --clusters auto"
        )
    by_name = (s for s in labelled if wanted in [own.name for own in s.levels])
    level = choose_level(next(by_name, labelled[0]).levels, wanted)
    assert level is not None
    return level


def _of_name(embeddings: EmbeddingSet, column: Level | MultiLabel) -> Level | MultiLabel | None:
    """Find a column as a set knows it; None where it does not."""
    kind, name = type(column), column.name
    alike = (own for own in embeddings.labels if type(own) is kind and own.name == name)
    return next(alike, None)


def _spelled(column: Level | MultiLabel) -> str:
    return f"{'level' if isinstance(column, Level) else 'column'} {column.name!r}"


def _in_order(embeddings: EmbeddingSet, ids: Sequence[str]) -> EmbeddingSet:
    if embeddings.ids == tuple(ids):
        return embeddings
    place = {row_id: i for i, row_id in enumerate(embeddings.ids)}
    return embeddings.take(np.array([place[row_id] for row_id in ids]))


def _other_bytes(embedding_sets: Sequence[EmbeddingSet]) -> np.ndarray:
    """Find the rows with other bytes of the picture in some of the sets that know them."""
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
    found: Sequence[Level | MultiLabel | None], n_images: int
) -> tuple[list[Any], np.ndarray]:
    """Return the label of each row by the sets that know it, and the rows that they disagree on."""
    merged: list[Any] = [None] * n_images
    disagree = np.zeros(n_images, dtype=bool)
    for labels in found:
        for i, value in enumerate(() if labels is None else labels.values()):
            if merged[i] is None and value not in NO_LABEL:
                merged[i] = value
            elif value not in (*NO_LABEL, merged[i]):
                disagree[i] = True
    return merged, disagree


def _coded(found: Sequence[Level | MultiLabel], values: Sequence[Any]) -> Level | MultiLabel:
    """Code merged labels; several of a picture are spelled as the first set does that can.

    Raises
    ------
    UsageError
        When every separator is in a label.
    """
    name = found[0].name
    if isinstance(found[0], Level):
        return Level.from_values(name, values)
    rows = [own or () for own in values]
    labels = {label for own in rows for label in own}
    for own in found:
        if isinstance(own, MultiLabel) and not any(own.separator in label for label in labels):
            return MultiLabel.from_values(name, rows, own.separator)
    raise UsageError(
        f"files list the labels of column {name!r} with separators that others have in labels: "
        "run python -m extract with one --multi-label-separator for all"
    )
