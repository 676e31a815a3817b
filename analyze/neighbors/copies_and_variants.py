"""Relatives of a row: which rows are copies of it, and which show its shape but look otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analyze.neighbors.category_filter import Inside
from analyze.neighbors.indexes.exact_search import Index
from analyze.neighbors.query import Query
from analyze.pictures.duplicates import (
    LEAST_SIMILARITY,
    Relation,
    groups_of_equal_bytes,
    relation,
)
from analyze.pictures.picture_folder import PictureFolder
from extract.storage.embeddings import EmbeddingSet

MOST_LOOKED_AT = 20
"""Rows nearest to a hit among which its copies are looked for, again while there are some."""

FIRST_LOOKED_AT = 10
"""Mostly enough: the last of them is too far to be a copy, and so are all beyond."""

MOST_KEPT = 2000
"""Fingerprints, of 32 KB each."""

MOST_COMPARED = 20_000
"""Pairs of which is known what they are."""

LEAST_OF_NEIGHBORS = 0.7
"""Cosine from which on neighbors of a hit are opened: each hit has many. Hits themselves are held
against the query from a lower one on."""

Near = Mapping[int, tuple[list[int], list[float]]]
"""Rows most similar to a row, none of its very bytes among them, and their cosines."""


@dataclass(frozen=True)
class Found:
    """The relatives of a row.

    Parameters
    ----------
    equal_bytes, near_equal : tuple of int
        Its copies: byte for byte, and equal to the eye.
    variants : tuple of int
        Its variants: no copies, but the same picture in another lightness, color or print.
    """

    equal_bytes: tuple[int, ...]
    near_equal: tuple[int, ...]
    variants: tuple[int, ...]


class Relatives:
    """Which rows are copies or variants of which; a picture is opened only when it may be one."""

    def __init__(
        self,
        embeddings: EmbeddingSet,
        index: Index,
        pictures: PictureFolder,
        inside: Inside | None,
    ) -> None:
        self._vectors, self._index, self._inside = embeddings.vectors, index, inside
        self._groups = groups_of_equal_bytes(embeddings.content_sha256, len(embeddings))
        self._by_group = np.argsort(self._groups, kind="stable")
        self._in_groups = self._groups[self._by_group]
        self._content_sha256 = embeddings.content_sha256
        self._fingerprint = lru_cache(MOST_KEPT)(pictures.fingerprint)
        self._compared = lru_cache(MOST_COMPARED)(self._compare)

    def of_equal_bytes(self, row: int) -> np.ndarray:
        """Give the rows of a picture's very bytes that may be answers, itself among them."""
        group = self._groups[row]
        first, end = np.searchsorted(self._in_groups, (group, group + 1))
        rows: np.ndarray = self._by_group[first:end]
        return rows if self._inside is None else np.intersect1d(rows, self._inside.rows)

    def near(self, rows: Sequence[int]) -> Near:
        """Look for the neighbors of several rows at once: it takes little longer than for one."""
        if not rows:
            return {}
        barred = [self.of_equal_bytes(row) for row in rows]
        found = self._index.find(self._vectors[list(rows)], FIRST_LOOKED_AT, barred)
        lists = (
            (each.tolist() for each in found.rows),
            (each.tolist() for each in found.similarities),
        )
        return {row: (near, cosines) for row, near, cosines in zip(rows, *lists, strict=True)}

    def of(
        self, row: int, taken: set[int], known: tuple[list[int], list[float]] | None = None
    ) -> Found:
        """Give a row's copies and variants that are not taken.

        Parameters
        ----------
        row : int
        taken : set of int
        known : tuple of list, optional
            What :meth:`near` found.
        """
        same = self.of_equal_bytes(row)
        equal = tuple(r for r in same.tolist() if r != row and r not in taken)
        near: list[int] = []
        variants: list[int] = []
        passed = {*taken, *same.tolist()}
        while True:
            others, cosines = self._not_passed(row, passed, known)
            known = None
            before = len(near)
            for other, similarity in zip(others, cosines, strict=True):
                if similarity < LEAST_OF_NEIGHBORS or other in near or other in variants:
                    continue
                seen = self._compared(min(row, other), max(row, other))
                if seen is not None:
                    # also those that cannot be opened: bytes that are equal are one picture
                    group = [r for r in self.of_equal_bytes(other).tolist() if r not in taken]
                    (near if seen is Relation.COPY else variants).extend(group)
            passed |= {*others, *near}
            if len(near) == before:
                return Found(equal, tuple(near), tuple(variants))

    def _not_passed(
        self, row: int, passed: set[int], known: tuple[list[int], list[float]] | None
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Give the rows most similar to a row but for those passed, as far as is looked."""
        if known is not None:
            left = [pair for pair in zip(*known, strict=True) if pair[0] not in passed]
            if len(left) >= MOST_LOOKED_AT or _ends_far(known[1]):
                return [other for other, _ in left], [cosine for _, cosine in left]
        barred = np.array(sorted(passed), int)
        found = self._index.find(self._vectors[row][None], MOST_LOOKED_AT, [barred])
        return found.rows[0].tolist(), found.similarities[0].tolist()

    def to_query(self, query: Query, row: int, similarity: float) -> Relation | None:
        """Return whether a hit is a copy or a variant of the query."""
        if query.row is not None:
            pair = min(query.row, row), max(query.row, row)
            return None if similarity < LEAST_SIMILARITY else self._compared(*pair)
        if query.content_sha256 is not None and query.content_sha256 == self._sha256(row):
            return Relation.COPY
        if query.fingerprint is None or similarity < LEAST_SIMILARITY:
            return None
        known = self._fingerprint(row)
        return None if known is None else relation(query.fingerprint, known, similarity)

    def _sha256(self, row: int) -> bytes | None:
        known = self._content_sha256
        return None if known is None else known[row].tobytes()

    def _compare(self, one: int, other: int) -> Relation | None:
        a, b = self._fingerprint(one), self._fingerprint(other)
        return None if a is None or b is None else relation(a, b)


def _ends_far(cosines: Sequence[float]) -> bool:
    """Say whether the last of a row's neighbors, best first, is too far to be a copy of it."""
    return not cosines or cosines[-1] < LEAST_OF_NEIGHBORS
