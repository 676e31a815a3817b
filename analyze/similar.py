"""Which products look alike: the most similar rows of a query, copies folded under one hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.duplicates import (
    LEAST_SIMILARITY,
    Fingerprint,
    fingerprint,
    groups_of_equal_bytes,
    near_equal,
)
from analyze.neighbors import ExactIndex
from analyze.pictures import PictureFolder
from analyze.query import Query
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError

MOST_LOOKED_AT = 20
"""Rows nearest to a hit among which its copies are looked for, again while there are some."""

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
) -> tuple[Answer, ...]:
    """Find the products most similar to each query, by cosine, exactly.

    By id, the product itself and those of its very bytes are left out; by picture, nothing is.
    Copies fold under the hit that they are copies of: equal bytes always, pictures that are equal
    to the eye where the pictures can be opened.

    Parameters
    ----------
    pictures : PictureFolder
    top : int
        Hits a query; copies do not count.

    Raises
    ------
    UsageError
        When ``top`` is not 1 or more.
    """
    if top < 1:
        raise UsageError(f"--top {top}: give 1 or more")
    index = ExactIndex(embeddings.vectors)
    copies = _Copies(embeddings, index, pictures)
    return tuple(_answer(index, copies, query, top) for query in queries)


def _answer(index: ExactIndex, copies: _Copies, query: Query, top: int) -> Answer:
    """Walk down the most similar rows; each that is no copy of a hit before it is a hit."""
    own = copies.of_equal_bytes(query.row) if query.row is not None else np.array([], int)
    hits: list[Hit] = []
    taken = set(own.tolist())
    wanted, seen = top, 0
    while len(hits) < top:
        found = index.find(query.vector[None], wanted, [own])
        ranked = list(zip(found.rows[0].tolist(), found.similarities[0].tolist(), strict=True))
        for row, similarity in ranked[seen:]:
            if row in taken or len(hits) == top:
                continue
            equal, near = copies.of(row, taken)
            taken |= {row, *equal, *near}
            is_copy = copies.is_of_query(query, row, similarity)
            hits.append(Hit(row, similarity, equal, near, is_copy))
        seen = len(ranked)
        if seen < wanted:
            break
        wanted *= 2
    left_out = tuple(row for row in own.tolist() if row != query.row)
    return Answer(query, tuple(hits), left_out)


class _Copies:
    """Which rows are copies of which; a picture is opened only when its vector is near enough."""

    def __init__(
        self, embeddings: EmbeddingSet, index: ExactIndex, pictures: PictureFolder
    ) -> None:
        self._vectors, self._index, self._pictures = embeddings.vectors, index, pictures
        self._groups = groups_of_equal_bytes(embeddings.content_sha256, len(embeddings))
        self._content_sha256 = embeddings.content_sha256
        self._known: dict[int, Fingerprint | None] = {}

    def of_equal_bytes(self, row: int) -> np.ndarray:
        """Give the rows of a picture's very bytes, itself among them."""
        rows: np.ndarray = np.flatnonzero(self._groups == self._groups[row])
        return rows

    def of(self, row: int, taken: set[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give a row's copies that are not taken: of equal bytes, and equal to the eye."""
        same = self.of_equal_bytes(row)
        equal = tuple(r for r in same.tolist() if r != row and r not in taken)
        near: list[int] = []
        passed = {*taken, *same.tolist()}
        while True:
            barred = np.array(sorted(passed), int)
            found = self._index.find(self._vectors[row][None], MOST_LOOKED_AT, [barred])
            others, cosines = found.rows[0].tolist(), found.similarities[0].tolist()
            before = len(near)
            for other, similarity in zip(others, cosines, strict=True):
                if other not in near and self._are_near(row, other, similarity):
                    # also those that cannot be opened: bytes that are equal are one picture
                    near += [r for r in self.of_equal_bytes(other).tolist() if r not in taken]
            passed |= {*others, *near}
            if len(near) == before:
                return equal, tuple(near)

    def is_of_query(self, query: Query, row: int, similarity: float) -> bool:
        """Say whether a hit is a copy of what was asked about."""
        if query.row is not None:
            return self._are_near(query.row, row, similarity)
        if query.content_sha256 is not None and query.content_sha256 == self._sha256(row):
            return True
        if query.picture is None or similarity < LEAST_SIMILARITY:
            return False
        known = self._fingerprint(row)
        return known is not None and near_equal(fingerprint(query.picture), known, similarity)

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
            picture = self._pictures.open(row)
            self._known[row] = None if picture is None else fingerprint(picture)
        return self._known[row]
