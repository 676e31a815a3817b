"""Which products look alike: the most similar rows of a query, copies folded under one hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.categories import Inside
from analyze.diversity import MarginalRelevance, check_weight
from analyze.duplicates import (
    LEAST_SIMILARITY,
    Fingerprint,
    groups_of_equal_bytes,
    near_equal,
)
from analyze.neighbors import ExactIndex, Index
from analyze.pictures import PictureFolder
from analyze.query import Query
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError

MOST_LOOKED_AT = 20
"""Rows nearest to a hit among which its copies are looked for, again while there are some."""

FIRST_LOOKED_AT = 10
"""Mostly enough: the last of them is too far to be a copy, and so are all beyond."""

LEAST_POOL, POOL_A_HIT = 50, 5
"""Rows most similar to the query among which diverse hits are chosen."""

NAME_COLUMNS = ("product_name", "name", "title", "product_title")


@dataclass(frozen=True)
class Hit:
    """One product among the most similar.

    Parameters
    ----------
    row : int
    similarity : float
        Cosine of the vectors.
    equal_bytes, near_equal : tuple of int
        Rows that are copies of it, and are therefore no hits of their own.
    copy_of_query : bool
        Whether it is equal to the query's picture to the eye, or byte for byte.
    """

    row: int
    similarity: float
    equal_bytes: tuple[int, ...] = ()
    near_equal: tuple[int, ...] = ()
    copy_of_query: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """The hits of one query, best first.

    Parameters
    ----------
    query : Query
    hits : tuple of Hit
    left_out : tuple of int
        Rows of the query's own bytes, which a look-up by id does not count as answers.
    """

    query: Query
    hits: tuple[Hit, ...]
    left_out: tuple[int, ...] = ()

    def to_json(self, embeddings: EmbeddingSet, names: str | None) -> dict[str, Any]:
        """Spell the answer with the keys that programs read.

        Parameters
        ----------
        embeddings : EmbeddingSet
            What was searched.
        names : str, optional
            The column of product names.
        """
        ids = embeddings.ids
        return {
            "query": self.query.text,
            "by": "picture" if self.query.row is None else "id",
            "copies": [ids[row] for row in self.left_out],
            "hits": [
                {
                    "rank": rank,
                    **row_json(embeddings, hit.row, names),
                    "similarity": hit.similarity,
                    "copies": [ids[row] for row in (*hit.equal_bytes, *hit.near_equal)],
                    "equal_bytes": [ids[row] for row in hit.equal_bytes],
                    "near_equal": [ids[row] for row in hit.near_equal],
                    "copy_of_query": hit.copy_of_query,
                }
                for rank, hit in enumerate(self.hits, start=1)
            ],
        }


def row_json(embeddings: EmbeddingSet, row: int, names: str | None) -> dict[str, Any]:
    """Spell what is known of a row: id, name, labels by level, other columns."""
    return {
        "id": embeddings.ids[row],
        "name": embeddings.columns[names][row] if names else None,
        "labels": {level.name: level.value(row) for level in embeddings.levels},
        "columns": {column: values[row] for column, values in embeddings.columns.items()},
    }


def name_column(embeddings: EmbeddingSet, wanted: str | None = None) -> str | None:
    """Find the column of product names; None where there is none.

    Raises
    ------
    UsageError
        When the one wanted is not there.
    """
    if wanted is not None:
        if wanted not in embeddings.columns:
            have = ", ".join(embeddings.columns) or "none"
            raise UsageError(f"no column {wanted!r}: there are {have}; name one with --name-column")
        return wanted
    lower = {column.lower(): column for column in reversed(tuple(embeddings.columns))}
    return next((lower[name] for name in NAME_COLUMNS if name in lower), None)


def find_similar(
    embeddings: EmbeddingSet,
    queries: Sequence[Query],
    pictures: PictureFolder,
    *,
    top: int = 10,
    index: Index | None = None,
    inside: Inside | None = None,
    diverse: float | None = None,
) -> tuple[Answer, ...]:
    """Find the products most similar to each query, by cosine.

    By id, the product itself and those of its very bytes are left out; by picture, nothing is.
    Copies fold under the hit that they are copies of: equal bytes always, pictures that are equal
    to the eye where the pictures can be opened.

    Parameters
    ----------
    pictures : PictureFolder
    top : int
        Hits a query; copies do not count.
    index, inside, diverse
        As of :class:`LookUp`.

    Raises
    ------
    UsageError
        When ``top`` is not 1 or more, or ``diverse`` not from 0 to 1.
    """
    look_up = LookUp(embeddings, pictures, index=index, inside=inside)
    return tuple(look_up.ask(query, top=top, diverse=diverse) for query in queries)


class LookUp:
    """A catalogue made ready to be asked many times which products look alike.

    Parameters
    ----------
    embeddings : EmbeddingSet
    pictures : PictureFolder
    index : Index, optional
        Of all rows; exact search without one.
    inside : Inside, optional
        Rows that alone may be answers. They are searched exactly, whatever the index.
    """

    def __init__(
        self,
        embeddings: EmbeddingSet,
        pictures: PictureFolder,
        *,
        index: Index | None = None,
        inside: Inside | None = None,
    ) -> None:
        self._embeddings = embeddings
        if inside is not None:
            index = ExactIndex(embeddings.vectors, inside.rows)
        self._index = index or ExactIndex(embeddings.vectors)
        self._copies = _Copies(embeddings, self._index, pictures, inside)

    def ask(self, query: Query, *, top: int = 10, diverse: float | None = None) -> Answer:
        """Find the products most similar to a query.

        Parameters
        ----------
        query : Query
        top : int
            Hits; copies do not count.
        diverse : float, optional
            What similarity to the query counts beside being unlike the hits before, 0 to 1; hits
            are ordered by similarity alone without it.

        Raises
        ------
        UsageError
            When ``top`` is not 1 or more, or ``diverse`` not from 0 to 1.
        """
        if top < 1:
            raise UsageError(f"--top {top}: give 1 or more")
        if diverse is not None:
            check_weight(diverse)
        own = np.array([], int)
        if query.row is not None:
            # the row itself may lie outside of what is searched
            own = np.union1d(self._copies.of_equal_bytes(query.row), [query.row])
        if diverse is None:
            hits = self._most_similar(query, own, top)
        else:
            hits = self._diverse(query, own, top, diverse)
        left_out = tuple(row for row in own.tolist() if row != query.row)
        return Answer(query, tuple(hits), left_out)

    def _ranked(self, query: Query, own: np.ndarray, n: int) -> list[tuple[int, float]]:
        found = self._index.find(query.vector[None], n, [own])
        return list(zip(found.rows[0].tolist(), found.similarities[0].tolist(), strict=True))

    def _most_similar(self, query: Query, own: np.ndarray, top: int) -> list[Hit]:
        """Walk down the most similar rows; each that is no copy of a hit before it is a hit.

        Begun anew where more rows are needed: a wider search may find some that go between.
        """
        wanted = top
        while True:
            ranked = self._ranked(query, own, wanted)
            hits: list[Hit] = []
            taken = set(own.tolist())
            near = self._copies.near([row for row, _ in ranked[:top]])
            for row, similarity in ranked:
                if row not in taken:
                    hits.append(self._hit(query, row, similarity, taken, near))
                    if len(hits) == top:
                        return hits
            if len(ranked) < wanted:
                return hits
            wanted *= 2

    def _diverse(self, query: Query, own: np.ndarray, top: int, weight: float) -> list[Hit]:
        """Take hits by marginal relevance from the rows most similar to the query."""
        wanted = pool_size(top)
        while True:
            ranked = self._ranked(query, own, wanted)
            rows = np.array([row for row, _ in ranked], int)
            relevance = np.array([similarity for _, similarity in ranked])
            marginal = MarginalRelevance(relevance, self._embeddings.vectors[rows], weight)
            hits: list[Hit] = []
            taken = set(own.tolist())
            while len(hits) < top:
                free = np.array([row not in taken for row in rows.tolist()], bool)
                place = marginal.take(free)
                if place is None:
                    break
                hits.append(self._hit(query, *ranked[place], taken, {}))
            if len(hits) == top or len(ranked) < wanted:
                return hits
            wanted *= 2

    def _hit(self, query: Query, row: int, similarity: float, taken: set[int], known: _Near) -> Hit:
        """Make a row a hit with its copies, all of which are taken by it."""
        equal, near = self._copies.of(row, taken, known.get(row))
        taken |= {row, *equal, *near}
        return Hit(row, similarity, equal, near, self._copies.is_of_query(query, row, similarity))


def pool_size(top: int) -> int:
    """Say among how many of the most similar rows diverse hits are chosen."""
    return max(LEAST_POOL, POOL_A_HIT * top)


_Near = Mapping[int, tuple[list[int], list[float]]]
"""Rows most similar to a row, none of its very bytes among them, and their cosines."""


def _ends_far(cosines: Sequence[float]) -> bool:
    """Say whether the last of a row's neighbors, best first, is too far to be a copy of it."""
    return not cosines or cosines[-1] < LEAST_SIMILARITY


class _Copies:
    """Which rows are copies of which; a picture is opened only when its vector is near enough."""

    def __init__(
        self,
        embeddings: EmbeddingSet,
        index: Index,
        pictures: PictureFolder,
        inside: Inside | None,
    ) -> None:
        self._vectors, self._index, self._pictures = embeddings.vectors, index, pictures
        self._inside = inside
        self._groups = groups_of_equal_bytes(embeddings.content_sha256, len(embeddings))
        self._by_group = np.argsort(self._groups, kind="stable")
        self._in_groups = self._groups[self._by_group]
        self._content_sha256 = embeddings.content_sha256
        self._known: dict[int, Fingerprint | None] = {}

    def of_equal_bytes(self, row: int) -> np.ndarray:
        """Give the rows of a picture's very bytes that may be answers, itself among them."""
        group = self._groups[row]
        first, end = np.searchsorted(self._in_groups, (group, group + 1))
        rows: np.ndarray = self._by_group[first:end]
        return rows if self._inside is None else np.intersect1d(rows, self._inside.rows)

    def near(self, rows: Sequence[int]) -> _Near:
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
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give a row's copies that are not taken: of equal bytes, and equal to the eye.

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
        passed = {*taken, *same.tolist()}
        while True:
            others, cosines = self._not_passed(row, passed, known)
            known = None
            before = len(near)
            for other, similarity in zip(others, cosines, strict=True):
                if other not in near and self._are_near(row, other, similarity):
                    # also those that cannot be opened: bytes that are equal are one picture
                    near += [r for r in self.of_equal_bytes(other).tolist() if r not in taken]
            passed |= {*others, *near}
            if len(near) == before:
                return equal, tuple(near)

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

    def is_of_query(self, query: Query, row: int, similarity: float) -> bool:
        """Say whether a hit is a copy of what was asked about."""
        if query.row is not None:
            return self._are_near(query.row, row, similarity)
        if query.content_sha256 is not None and query.content_sha256 == self._sha256(row):
            return True
        if query.fingerprint is None or similarity < LEAST_SIMILARITY:
            return False
        known = self._fingerprint(row)
        return known is not None and near_equal(query.fingerprint, known, similarity)

    def _sha256(self, row: int) -> bytes | None:
        known = self._content_sha256
        return None if known is None else known[row].tobytes()

    def _are_near(self, one: int, other: int, similarity: float) -> bool:
        if similarity < LEAST_SIMILARITY:
            return False
        a, b = self._fingerprint(one), self._fingerprint(other)
        return a is not None and b is not None and near_equal(a, b, similarity)

    def _fingerprint(self, row: int) -> Fingerprint | None:
        if row not in self._known:
            self._known[row] = self._pictures.fingerprint(row)
        return self._known[row]
