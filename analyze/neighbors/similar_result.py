"""What a look-up found, as JSON and as a table: one shape of each for command and page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analyze.neighbors.category_filter import Inside
from analyze.neighbors.indexes.index_cache import OpenedIndex
from analyze.neighbors.indexes.index_types import FLAT
from analyze.neighbors.similar import Answer, pool_size
from extract.storage.embeddings import EmbeddingSet
from extract.tables import column_names


def similar_json(
    file: str,
    embeddings: EmbeddingSet,
    names: str | None,
    opened: OpenedIndex,
    answers: Sequence[Answer],
    *,
    top: int,
    inside: Inside | None = None,
    diverse: float | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the JSON of the queries, how they were searched, and the hits of each.

    ``recall_at_10`` is that of products of the catalogue where all queries are, else that of new
    pictures, which is lower.

    Parameters
    ----------
    file : str
        The embeddings file, relative to the workspace.
    embeddings : EmbeddingSet
    names : str, optional
        The column of product names.
    opened : OpenedIndex
        What was searched.
    answers : sequence of Answer
    top : int
    inside, diverse
        As of :class:`analyze.neighbors.similar.LookUp`.
    notes : sequence of str
        Notes on the search.
    """
    provenance = embeddings.provenance
    by_rows = bool(answers) and all(answer.query.row is not None for answer in answers)
    return {
        "file": file,
        **provenance.to_json(),
        "n_images": len(embeddings),
        "left_out": sum(embeddings.left_out.values()),
        "name_column": names,
        "index": opened.index.name if opened.index else FLAT,
        "index_why": opened.why,
        "index_about": opened.about,
        "recall_at_10": opened.recall_of_rows if by_rows else opened.recall,
        "recall_at_10_held_out": opened.recall,
        "recall_at_10_rows": opened.recall_of_rows,
        "recall_queries": opened.n_queries,
        "where": {name: list(values) for name, values in inside.where.items()} if inside else {},
        "n_searched": len(inside.rows) if inside else len(embeddings),
        "diverse": diverse,
        "pool": pool_size(top) if diverse is not None else None,
        "queries": [answer.to_json(embeddings, names) for answer in answers],
        "notes": list(notes),
    }


def similar_table(result: Mapping[str, Any], embeddings: EmbeddingSet) -> Iterator[Sequence[Any]]:
    """Give the rows of the table of hits, its header first.

    Parameters
    ----------
    result : mapping
        Of :func:`similar_json`.
    embeddings : EmbeddingSet
        With the levels and columns of the table.
    """
    header = ["query", "rank", "id", "similarity", "copy_of_query", "copies"]
    levels = [level.name for level in embeddings.levels]
    names = column_names(header, levels, embeddings.columns)
    # behind the catalogue's own columns, which keep their names
    names += column_names([*header, *names], (), ("variant_of_query", "variants"))
    yield [*header, *names]
    for query in result["queries"]:
        for hit in query["hits"]:
            yield [
                query["query"],
                hit["rank"],
                hit["id"],
                hit["similarity"],
                int(hit["copy_of_query"]),
                " | ".join(hit["copies"]),
                *hit["labels"].values(),
                *hit["columns"].values(),
                int(hit["variant_of_query"]),
                " | ".join(hit["variants"]),
            ]
