"""Nearest neighbors of vectors, from Python: an index that is built once and searched often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.neighbors.indexes.exact_search import ExactIndex, Index, Neighbors
from analyze.neighbors.indexes.index_cache import open_index
from analyze.neighbors.indexes.index_choice import wanted_index
from extract.errors import UsageError
from extract.ids import shown
from extract.storage.arrays import Vectors
from extract.storage.embeddings import EmbeddingSet, as_embeddings

if TYPE_CHECKING:
    import pandas as pd


class NeighborIndex:
    """The most similar rows of a set, by cosine similarity, ties by row.

    Parameters
    ----------
    vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
        Rows of zeros have no direction and are nobody's neighbors.
    kind : str
        ``auto`` (exact below 100,000 rows), or one of
        :data:`analyze.neighbors.indexes.index_types.NAMES`.
    recall : float
        Of the true ten most similar, where the index is approximate.

    Raises
    ------
    UsageError
        When there is no such index, or the recall is not between 0 and 1.

    Examples
    --------
    >>> from analyze import NeighborIndex
    >>> index = NeighborIndex([[1, 0], [3, 1], [0, 1]])
    >>> index
    NeighborIndex(3 x 2, flat)
    >>> index.search("0", k=1)
      query  rank id  similarity
    0     0     1  1    0.948683
    """

    def __init__(
        self, vectors: EmbeddingSet | Vectors, kind: str = "auto", *, recall: float = 0.98
    ) -> None:
        self._embeddings = as_embeddings(vectors)
        choice = wanted_index(kind, None, *self._embeddings.vectors.shape, recall=recall)
        with TemporaryDirectory() as folder:  # of an index that is stored for no one
            opened = open_index(self._embeddings, Path("vectors"), Path(folder), choice, recall)
        self._index: Index = opened.index or ExactIndex(self._embeddings.vectors)
        self.why = opened.why
        self.recall = opened.recall
        self.notes = opened.notes
        self._row_of = {row_id: row for row, row_id in enumerate(self._embeddings.ids)}

    @property
    def kind(self) -> str:
        """The name of the index, ``flat`` where all rows are compared."""
        return self._index.name

    def __len__(self) -> int:
        return len(self._embeddings)

    def __repr__(self) -> str:
        """How many rows of how many dimensions, by which index."""
        rows, n_dims = self._embeddings.vectors.shape
        return f"{type(self).__name__}({rows} x {n_dims}, {self.kind})"

    def search(
        self, queries: str | Sequence[str] | EmbeddingSet | Vectors, k: int = 10
    ) -> pd.DataFrame:
        """A frame of the k rows most similar to each query: query, rank, id, similarity.

        Parameters
        ----------
        queries : id, sequence of ids, or vectors of shape (n, n_dims)
            An id is not its own answer. Vectors without ids are called ``0`` to ``n - 1``.
        k : int
            Of fewer rows all are given.

        Raises
        ------
        UsageError
            When no row has an id, or a query has no direction or other dimensions.
        """
        if k < 1:
            raise UsageError(f"k {k}: give 1 or more")
        ids = _ids_of(queries)
        if ids is not None:
            return self._by_id(ids, k)
        given = as_embeddings(queries)
        n_dims = self._embeddings.vectors.shape[1]
        if given.vectors.shape[1] != n_dims:
            dims = f"{given.vectors.shape[1]} dimensions, and the index has {n_dims}"
            raise UsageError(f"queries of {dims}")
        return self._framed(given.ids, self._found(given.ids, given.vectors, k, None))

    def _by_id(self, ids: list[str], k: int) -> pd.DataFrame:
        missing = [each for each in ids if each not in self._row_of]
        if missing:
            raise UsageError(f"no row has the id '{shown(missing[0])}': see .ids of the vectors")
        rows = np.array([self._row_of[each] for each in ids])
        own = [rows[i : i + 1] for i in range(len(rows))]
        return self._framed(ids, self._found(ids, self._embeddings.vectors[rows], k, own))

    def _found(
        self, ids: Sequence[str], vectors: np.ndarray, k: int, own: list[np.ndarray] | None
    ) -> Neighbors:
        blank = ~vectors.any(axis=1)
        if blank.any():
            first = shown(ids[int(blank.argmax())])
            raise UsageError(f"query '{first}' is a row of zeros, which has no direction")
        return self._index.find(vectors, k, own)

    def _framed(self, ids: Sequence[str], found: Neighbors) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            [
                (query, rank, self._embeddings.ids[row], float(cosine))
                for query, rows, cosines in zip(ids, found.rows, found.similarities, strict=True)
                for rank, (row, cosine) in enumerate(zip(rows, cosines, strict=True), start=1)
            ],
            columns=["query", "rank", "id", "similarity"],
        )


def _ids_of(queries: Any) -> list[str] | None:
    """Ids as they were given; None of vectors."""
    if isinstance(queries, str):
        return [queries]
    if isinstance(queries, np.ndarray) and queries.dtype.kind == "U":
        return [str(each) for each in queries]
    if isinstance(queries, Sequence) and len(queries) and isinstance(queries[0], str):
        return list(queries)
    return None
