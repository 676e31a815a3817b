"""Vectors with their ids, labels and provenance: what the analysis starts from."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.catalog.catalog import (
    Level,
    check_group,
    check_row_counts,
    refuse_labels_that_differ,
)
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.ids import bytes_of, shown
from extract.storage.arrays import (
    Labels,
    Vectors,
    finite_rows,
    frame_index,
    read_arrays,
    read_levels,
)

if TYPE_CHECKING:
    import pandas as pd

PROFILED = (
    "converted to RGB; by ICC profile to sRGB in rows with an execution config that names a reading"
)
"""The identity's rule of color in files that record which rows those are: its own words are hashed,
they name the file, and state that profiles are not applied."""

UNKNOWN = "unknown"
"""Stands for what vectors from elsewhere do not record."""


def canonical_json(value: Any) -> str:
    """Spell a value as JSON in one way only: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(value: Any) -> str:
    """Hash a JSON value: sha256 over its canonical spelling."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True)
class Provenance:
    """Where vectors come from.

    Parameters
    ----------
    identity : mapping
        What a number means: backbone, weights, pooling, geometry. Another identity, another file.
    execution_configs : tuple of mapping
        How rows were computed: decoder, dtype, device, batch size, threads.
    record : mapping
        Versions, command, dates, where the pictures lie. Never invalidates anything.
    """

    identity: Mapping[str, Any]
    execution_configs: tuple[Mapping[str, Any], ...]
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = self.identity.get("weights", {}) if isinstance(self.identity, Mapping) else None
        for what, value in (
            ("identity", self.identity),
            ("identity's weights", weights),
            ("record", self.record),
            *(("realisations", r) for r in self.execution_configs),
        ):
            if not isinstance(value, Mapping):
                raise ValueError(f"{what} must be a mapping, got {type(value).__name__}")

    @property
    def identity_sha256(self) -> str:
        """sha256 over the identity's canonical JSON."""
        return sha256_of(self.identity)

    @property
    def short_identity(self) -> str:
        """The eight hex digits that stand in the file's name."""
        return self.identity_sha256[:8]

    @property
    def is_augmented(self) -> bool:
        """Whether its vectors are of augmented views, and not of pictures as they are."""
        return "view" in self.identity

    @property
    def names_readings(self) -> bool:
        """Whether its rows record readings of pictures that their mode alone does not imply."""
        return any("reading" in way for way in self.execution_configs)

    @property
    def rules(self) -> dict[str, Any]:
        """What was done to all pictures, as it is true of this file's."""
        rules = self.identity.get("rules")
        if not isinstance(rules, Mapping):
            return {}
        return {**rules, "color": PROFILED} if self.names_readings else dict(rules)

    @property
    def model(self) -> str:
        """The model's name as it was typed; a file may hold what is meant for a terminal."""
        return shown(str(self.record.get("model") or self.identity.get("backbone", UNKNOWN)))

    @property
    def weights(self) -> str:
        """``pretrained``, ``random`` or ``file``."""
        return shown(str(self.identity.get("weights", {}).get("source", UNKNOWN)))

    @property
    def resize(self) -> str:
        """What made pictures square: ``crop``, ``squash`` or ``pad``."""
        return self._of_each(_resize_of)

    @property
    def size(self) -> str:
        """How many pixels a side the backbone sees."""
        return self._of_each(_size_of)

    @property
    def pooling(self) -> str:
        """What gives the vector, as in ``mean`` or ``cls``."""
        return self._of_each(lambda identity: identity.get("pooling"))

    @property
    def words(self) -> str:
        """What distinguishes vectors of one backbone, as in ``pretrained, crop, mean``."""
        return self.worded(self.resize)

    def worded(self, geometry: str) -> str:
        """Give those words with another geometry, as in ``pretrained, pad 256``."""
        words = [w for w in (self.weights, geometry, self.pooling) if w != UNKNOWN]
        return ", ".join(words) or "imported"

    @property
    def name(self) -> str:
        """Backbone and geometry for people, as in ``efficientnet_lite0 pad``."""
        return name_of(self.to_json())

    @property
    def title(self) -> str:
        """The name, with a note where weights are random."""
        return titled(self.to_json())

    def to_json(self) -> dict[str, str]:
        """Give what identifies the vectors, with the keys that programs read."""
        return {
            "model": self.model,
            "weights": self.weights,
            "identity": self.short_identity,
            "resize": self.resize,
            "pooling": self.pooling,
        }

    def _of_each(self, value_of: Callable[[Mapping[str, Any]], Any]) -> str:
        """Spell a value of the identity; of concatenated backbones once if it is equal in all."""
        joined = self.identity.get("joined")
        parts = joined if isinstance(joined, list) and joined else [self.identity]
        words = [str((value_of(p) if isinstance(p, Mapping) else None) or UNKNOWN) for p in parts]
        return shown(" + ".join(words if len(set(words)) > 1 else words[:1]))


def name_of(summary: Mapping[str, Any]) -> str:
    """Name vectors for people by what :meth:`Provenance.to_json` gives: backbone and geometry."""
    models, resizes = summary["model"].split(" + "), summary["resize"].split(" + ")
    if resizes == [UNKNOWN]:
        return str(summary["model"])
    if len(resizes) > 1 and len(resizes) == len(models):
        return " + ".join(f"{m} {r}" for m, r in zip(models, resizes, strict=True))
    return f"{summary['model']} {summary['resize']}"


def titled(summary: Mapping[str, Any]) -> str:
    """Name vectors as :func:`name_of` does, with a note where weights are random."""
    return name_of(summary) + (", random weights" if summary["weights"] == "random" else "")


def geometry_words(made: Sequence[Provenance]) -> list[str]:
    """Give crop, squash or pad of each, with the size in pixels where two sizes share the word.

    Parameters
    ----------
    made : sequence of Provenance
        Vectors of one backbone are distinguished.
    """
    sizes: dict[tuple[str, str], set[str]] = {}
    for each in made:
        sizes.setdefault((each.model, each.resize), set()).add(each.size)
    ambiguous = {key for key, found in sizes.items() if len(found - {UNKNOWN}) > 1}
    return [
        f"{each.resize} {each.size}" if (each.model, each.resize) in ambiguous else each.resize
        for each in made
    ]


def _size_of(identity: Mapping[str, Any]) -> Any:
    geometry = identity.get("geometry")
    return geometry.get("size") if isinstance(geometry, Mapping) else None


def _resize_of(identity: Mapping[str, Any]) -> Any:
    geometry = identity.get("geometry")
    return geometry.get("resize") if isinstance(geometry, Mapping) else None


@dataclass(frozen=True, eq=False)
class EmbeddingSet:
    """Row i of every array belongs to ``ids[i]``.

    Parameters
    ----------
    ids : tuple of str
    vectors : ndarray of shape (n_images, n_dims), float32
        Finite, not normalised.
    levels : tuple of Level
    columns : mapping of str to tuple of str
        The manifest's other columns.
    provenance : Provenance
    left_out : mapping of str to int
        How many rows of the file are not here, by reason (``to_do``, ``missing``, ...).
    content_sha256 : ndarray of shape (n_images, 32), uint8, or None
        Over the bytes of each picture, zeros where that is not known; None where it is of none.
    paths : tuple of str, or None
        Of the pictures, relative to their folder; None where they are the ids.
    multi_labels : tuple of MultiLabel
        Multi-label columns; levels hold one label a picture.
    group_column : str, optional
        Of ``columns``: rows with one text in it, such as the pictures of a product, stay together
        in every split.
    n_pictures : ndarray of shape (n_images,), int, or None
        Of how many pictures each vector is the mean; None where each is of one.

    Examples
    --------
    >>> from extract import EmbeddingSet
    >>> EmbeddingSet.from_arrays([[1, 0], [0, 1]], ids=["a", "b"])
    EmbeddingSet(2 x 2, vectors)
    """

    ids: tuple[str, ...]
    vectors: np.ndarray
    provenance: Provenance
    levels: tuple[Level, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    content_sha256: np.ndarray | None = None
    paths: tuple[str, ...] | None = None
    multi_labels: tuple[MultiLabel, ...] = ()
    group_column: str | None = None
    n_pictures: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids):
            raise ValueError(
                f"vectors must have shape ({len(self.ids)}, n_dims), got {self.vectors.shape}"
            )
        if self.vectors.dtype != np.float32:
            raise ValueError(f"vectors must be float32, got {self.vectors.dtype}")
        if not finite_rows(self.vectors).all():
            raise ValueError("vectors must be finite; leave other rows out and report them")
        paths = {} if self.paths is None else {"paths": self.paths}
        columns = {**paths, **self.columns}
        check_row_counts(len(self.ids), self.levels, columns, self.multi_labels)
        check_group(self.group_column, self.columns)
        shape = (len(self.ids), 32)
        if self.content_sha256 is not None and self.content_sha256.shape != shape:
            raise ValueError(
                f"content_sha256 must have shape {shape}, got {self.content_sha256.shape}"
            )

    @classmethod
    def from_arrays(
        cls,
        vectors: Vectors,
        ids: Sequence[Any] | None = None,
        labels: Labels | None = None,
        *,
        name: str = "vectors",
    ) -> EmbeddingSet:
        """Vectors that one has already, with their ids and labels, in the order given.

        Parameters
        ----------
        vectors : array_like of shape (n, n_dims), or DataFrame
            Finite numbers, kept as float32. The index of a frame gives the ids, unless it only
            counts.
        ids : sequence, optional
            All different; kept as text. Without them rows are called ``0`` to ``n - 1``.
        labels : sequence, mapping, Series or DataFrame, optional
            A label a row; or a mapping or a frame of such columns, each a level; or labels by id:
            a mapping of ids to labels, or a Series or frame with ids as index. None and NaN are
            rows without a label.
        name : str
            Stands for the backbone, where results name it.

        Raises
        ------
        UsageError
            Naming the first row, id or label that cannot be taken.

        Examples
        --------
        >>> from extract import EmbeddingSet
        >>> e = EmbeddingSet.from_arrays([[1, 0], [0, 1], [2, 0]], labels=["cup", "hat", "cup"])
        >>> e
        EmbeddingSet(3 x 2, vectors, label of 2)
        >>> e.to_frame()
           label   d0   d1
        id
        0    cup  1.0  0.0
        1    hat  0.0  1.0
        2    cup  2.0  0.0
        """
        own_ids, numbers, levels = read_arrays(vectors, ids, labels)
        digest = hashlib.sha256(repr(numbers.shape).encode())
        digest.update(np.ascontiguousarray(numbers).data)
        identity = {"imported": name, "named": True, "sha256": digest.hexdigest()}
        return cls(own_ids, numbers, Provenance(identity, (), {"model": name}), levels)

    def take(self, rows: np.ndarray) -> EmbeddingSet:
        """Keep some rows, in the order given; what was left out before stays counted."""
        kept = rows.tolist()
        return replace(
            self,
            ids=tuple(self.ids[i] for i in kept),
            vectors=self.vectors[rows],
            levels=tuple(level.take(rows) for level in self.levels),
            columns={name: tuple(v[i] for i in kept) for name, v in self.columns.items()},
            content_sha256=None if self.content_sha256 is None else self.content_sha256[rows],
            paths=None if self.paths is None else tuple(self.paths[i] for i in kept),
            multi_labels=tuple(column.take(rows) for column in self.multi_labels),
            n_pictures=None if self.n_pictures is None else self.n_pictures[rows],
        )

    def mean_of_groups(self, position_column: str | None = None) -> EmbeddingSet:
        """One row for each group, such as the pictures of a product: the mean of its vectors.

        Ids are the texts of the group column, sorted by their bytes. Labels, other columns and the
        picture's path are those of a group's first row; its check sum is unknown where there are
        several.

        Parameters
        ----------
        position_column : str, optional
            Which picture of its group a row is, as whole numbers; it is left out of the result.
            Without it rows of a group stand in their order.

        Raises
        ------
        UsageError
            Without a group column.
        CatalogError
            When rows of a group have different labels.

        Examples
        --------
        >>> from dataclasses import replace
        >>> from extract import EmbeddingSet
        >>> e = EmbeddingSet.from_arrays([[1, 0], [0, 4], [3, 2]], ids=["a1", "b1", "a2"])
        >>> e = replace(e, columns={"sku": ("a", "b", "a")}, group_column="sku")
        >>> e.mean_of_groups().to_frame()
           sku   d0   d1
        id
        a    a  2.0  1.0
        b    b  0.0  4.0
        """
        if self.group_column is None:
            raise UsageError("no groups to average: name their column as group_column")
        names = self.columns[self.group_column]
        groups = [name or own for name, own in zip(names, self.ids, strict=True)]
        refuse_labels_that_differ(groups, self.labels)
        places = self.columns[position_column] if position_column else [""] * len(self)
        order = np.array(
            sorted(
                range(len(self)),
                key=lambda row: (bytes_of(groups[row]), len(places[row]), places[row]),
            )
        )
        starts = np.array(
            [i for i, row in enumerate(order) if not i or groups[row] != groups[order[i - 1]]]
        )
        counts = np.diff(np.append(starts, len(self)))
        sums = np.add.reduceat(self.vectors[order], starts, axis=0, dtype=np.float64)
        first = self.take(order[starts])
        content = first.content_sha256
        if content is not None:
            content = np.where(counts[:, None] > 1, np.uint8(0), content)
        return replace(
            first,
            ids=tuple(groups[row] for row in order[starts]),
            vectors=(sums / counts[:, None]).astype(np.float32),
            columns={k: v for k, v in first.columns.items() if k != position_column},
            content_sha256=content if content is not None and content.any() else None,
            paths=first.paths or first.ids,
            group_column=None,
            n_pictures=counts if (counts > 1).any() else None,
        )

    def refuse_means(self, what: str) -> None:
        """Refuse what looks at the one picture of a row, where rows are means of several.

        Parameters
        ----------
        what : str
            As a user types it.

        Raises
        ------
        UsageError
        """
        if self.n_pictures is not None:
            n_means = int((self.n_pictures > 1).sum())
            raise UsageError(
                f"{what} needs a row for each picture, and {n_means} rows are means of several: "
                "list the table with --pictures each under another name (--catalog NAME)"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(
        self, rows: str | slice | Sequence[str] | Sequence[int] | np.ndarray
    ) -> EmbeddingSet:
        """Some rows as a set of their own, in the order given.

        Parameters
        ----------
        rows : slice, ndarray of bool or int, id, or sequence of ids
            A mask holds one value a row.

        Raises
        ------
        KeyError
            When no row has an id.
        IndexError
            When a mask has another length, or there is no row of a number.

        Examples
        --------
        >>> from extract import EmbeddingSet
        >>> e = EmbeddingSet.from_arrays([[1, 0], [0, 1], [2, 0]], ids=["a", "b", "c"])
        >>> e[["c", "a"]].ids, e[e.vectors[:, 0] > 0].ids, e[1:].ids
        (('c', 'a'), ('a', 'c'), ('b', 'c'))
        """
        if isinstance(rows, slice):
            return self.take(np.arange(len(self))[rows])
        chosen = np.asarray([rows] if isinstance(rows, str) else rows)
        if chosen.dtype.kind == "U":
            row_of = {row_id: row for row, row_id in enumerate(self.ids)}
            chosen = np.array([row_of[row_id] for row_id in chosen.tolist()])
        elif not len(chosen):
            chosen = chosen.astype(int)
        return self.take(np.arange(len(self))[chosen])

    def __repr__(self) -> str:
        """How many vectors of how many dimensions, of which backbone, with labels of how many."""
        n, n_dims = self.vectors.shape
        labels = [f"{shown(own.name)} of {len(own.categories)}" for own in self.labels]
        words = [f"{n} x {n_dims}", self.provenance.title, *labels]
        return f"{type(self).__name__}({', '.join(words)})"

    def to_frame(self, *, vectors: bool = True) -> pd.DataFrame:
        """A pandas frame of labels, other columns and vectors, a row a picture, by id.

        Ids that only count the rows, ``0`` to ``n - 1``, are an index of whole numbers.

        Parameters
        ----------
        vectors : bool
            Whether the dimensions follow, as ``d0``, ``d1``, ...; they are copied.
        """
        import pandas as pd

        columns: dict[str, Any] = {own.name: own.values() for own in self.labels}
        columns |= {name: values for name, values in self.columns.items() if name not in columns}
        frame = pd.DataFrame(columns, index=frame_index(self.ids))
        if not vectors:
            return frame
        names = [f"d{i}" for i in range(self.vectors.shape[1])]
        return frame.join(pd.DataFrame(self.vectors, index=frame.index, columns=names))

    @property
    def labels(self) -> tuple[Level | MultiLabel, ...]:
        """All columns of labels, those of one label a picture first."""
        return (*self.levels, *self.multi_labels)

    @property
    def groups(self) -> np.ndarray | None:
        """A number for each text of the group column; ndarray of shape (n_images,), int, or None.

        An empty cell is a group of its own.
        """
        if self.group_column is None:
            return None
        values = self.columns[self.group_column]
        number = {value: i for i, value in enumerate(dict.fromkeys(values))}
        own = len(number)
        return np.array([number[v] if v else own + i for i, v in enumerate(values)], np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over identity, ids and vectors: what a cached result depends on."""
        digest = hashlib.sha256(self.provenance.identity_sha256.encode())
        for row_id in self.ids:
            digest.update(bytes_of(row_id) + b"\0")
        digest.update(np.ascontiguousarray(self.vectors).data)
        return digest.hexdigest()


def row_crc32(row_id: str, content_sha256: bytes, vector: memoryview) -> int:
    """Check sum of one row: CRC-32 over id, picture hash and the vector's bytes.

    The id is part of it, so that two rows swapped are found. The vector is given as the memory of
    its float32 numbers.
    """
    return zlib.crc32(vector, zlib.crc32(content_sha256, zlib.crc32(bytes_of(row_id))))


def as_embeddings(vectors: EmbeddingSet | Vectors, labels: Labels | None = None) -> EmbeddingSet:
    """An embedding set as it is, or one of plain vectors.

    Parameters
    ----------
    labels : optional
        As of :meth:`EmbeddingSet.from_arrays`; in place of those that a set has.
    """
    if not isinstance(vectors, EmbeddingSet):
        return EmbeddingSet.from_arrays(vectors, labels=labels)
    if labels is None:
        return vectors
    return replace(vectors, levels=read_levels(labels, vectors.ids), multi_labels=())


def first_level(labels: EmbeddingSet | Level | Labels, ids: tuple[str, ...]) -> Level:
    """The one level of labels, or the first, of rows of these ids.

    Raises
    ------
    UsageError
        When there is none, or it is of another number of rows.
    """
    level: Level | None = labels if isinstance(labels, Level) else None
    if level is None:
        levels = labels.levels if isinstance(labels, EmbeddingSet) else read_levels(labels, ids)
        level = next(iter(levels), None)
    if level is None:
        raise UsageError("labels: there is no column of them")
    if len(level.codes) != len(ids):
        raise UsageError(f"labels: {len(level.codes)} of {level.name!r} for {len(ids)} rows")
    return level
