"""Which products look alike: the most similar rows of a query, copies folded under one hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.neighbors.category_filter import Inside
from analyze.neighbors.copies_and_variants import Near, Relatives
from analyze.neighbors.diversity import MarginalRelevance, check_weight
from analyze.neighbors.indexes.exact_search import ExactIndex, Index
from analyze.neighbors.query import Query
from analyze.pictures.duplicates import Relation
from analyze.pictures.picture_folder import PictureFolder
from extract.errors import UsageError, one_of
from extract.storage.embeddings import EmbeddingSet

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
    variants : tuple of int
        Rows that show the same picture in another lightness, color or print: no copies, so that
        each may be a hit of its own.
    variant_of_query : bool
        Whether it is a variant of the query's picture.
    """

    row: int
    similarity: float
    equal_bytes: tuple[int, ...] = ()
    near_equal: tuple[int, ...] = ()
    copy_of_query: bool = False
    variants: tuple[int, ...] = ()
    variant_of_query: bool = False


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
                    "variants": [ids[row] for row in hit.variants],
                    "variant_of_query": hit.variant_of_query,
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
        When the one requested is not there.
    """
    if wanted is not None:
        have = embeddings.columns
        return one_of(wanted, have, "column", "there are", "; name one with --name-column")
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
    """A catalogue made ready for many searches of similar products.

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
        self._relatives = Relatives(embeddings, self._index, pictures, inside)

    def ask(self, query: Query, *, top: int = 10, diverse: float | None = None) -> Answer:
        """Find the products most similar to a query.

        Parameters
        ----------
        query : Query
        top : int
            Hits; copies do not count.
        diverse : float, optional
            Weight of similarity to the query against novelty among the hits, 0 to 1; hits
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
            own = np.union1d(self._relatives.of_equal_bytes(query.row), [query.row])
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

        Begun again where more rows are needed: a wider search may find some that go between.
        """
        wanted = top
        while True:
            ranked = self._ranked(query, own, wanted)
            hits: list[Hit] = []
            taken = set(own.tolist())
            near = self._relatives.near([row for row, _ in ranked[:top]])
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

    def _hit(self, query: Query, row: int, similarity: float, taken: set[int], known: Near) -> Hit:
        """Make a row a hit with its copies, all of which are taken by it."""
        found = self._relatives.of(row, taken, known.get(row))
        taken |= {row, *found.equal_bytes, *found.near_equal}
        to_query = self._relatives.to_query(query, row, similarity)
        return Hit(
            row,
            similarity,
            found.equal_bytes,
            found.near_equal,
            to_query is Relation.COPY,
            found.variants,
            to_query is Relation.VARIANT,
        )


def pool_size(top: int) -> int:
    """Return the number of most similar rows that diverse hits are chosen from."""
    return max(LEAST_POOL, POOL_A_HIT * top)
