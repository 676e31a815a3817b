"""What a look-up found, as JSON, text, a table and sheets: one shape for command and page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from analyze.neighbors.category_filter import Inside
from analyze.neighbors.indexes.index_cache import OpenedIndex
from analyze.neighbors.indexes.index_types import FLAT
from analyze.neighbors.similar import Answer, pool_size
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation import wording
from analyze.presentation.result import Draw, Result, Table
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet, titled
from extract.tables import column_names


@dataclass(frozen=True, eq=False, repr=False)
class SimilarProducts(Result):
    """The products most similar to each query, and how they were searched.

    Parameters
    ----------
    embeddings : EmbeddingSet
    names : str or None
        The column of product names.
    opened : OpenedIndex
        What was searched.
    answers : tuple of Answer
        A query each.
    top : int
    inside, diverse : optional
        As of :class:`analyze.neighbors.similar.LookUp`.
    notes : tuple of str
        Notes on the search.
    pictures : PictureFolder, optional
        Where sheets are to be drawn.
    level : Level, optional
        Gives the frames on sheets.
    """

    embeddings: EmbeddingSet
    names: str | None
    opened: OpenedIndex
    answers: tuple[Answer, ...]
    top: int
    inside: Inside | None = None
    diverse: float | None = None
    notes: tuple[str, ...] = ()
    pictures: PictureFolder | None = None
    level: Level | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the queries, how they were searched, and the hits of each.

        ``recall_at_10`` is that of products of the catalogue where all queries are, else that of
        new pictures, which is lower.
        """
        embeddings, opened, inside = self.embeddings, self.opened, self.inside
        by_rows = bool(self.answers) and all(each.query.row is not None for each in self.answers)
        where = inside.where.items() if inside else ()
        return {
            **embeddings.provenance.to_json(),
            "n_images": len(embeddings),
            "left_out": sum(embeddings.left_out.values()),
            "name_column": self.names,
            "index": opened.index.name if opened.index else FLAT,
            "index_why": opened.why,
            "index_about": opened.about,
            "recall_at_10": opened.recall_of_rows if by_rows else opened.recall,
            "recall_at_10_held_out": opened.recall,
            "recall_at_10_rows": opened.recall_of_rows,
            "recall_queries": opened.n_queries,
            "where": {name: list(values) for name, values in where},
            "n_searched": len(inside.rows) if inside else len(embeddings),
            "diverse": self.diverse,
            "pool": pool_size(self.top) if self.diverse is not None else None,
            "queries": [answer.to_json(embeddings, self.names) for answer in self.answers],
            "notes": [*self.notes, *self._of_pictures()],
        }

    def text(self) -> str:
        """Return the hits of each query as lines for people."""
        from extract.ids import shown

        result = self.to_json()
        lines = [
            f"{titled(result)} · {self._search(result)}",
            f"index {result['index']}: {result['index_why']}",
        ]
        for found in result["queries"]:
            lines.append(f"similar to {shown(found['query'])} (taken as {found['by']}):")
            if found["copies"]:
                lines.append(
                    f"  left out, equal byte for byte: {', '.join(map(shown, found['copies']))}"
                )
            lines += [_line(hit) for hit in found["hits"]]
            if not found["hits"]:
                lines.append("  nothing: no other picture is there to be like it")
        return "\n".join([*lines, *wording.notes(result["notes"])])

    def tables(self) -> dict[str, Table]:
        """Return ``similar``, a row for each hit."""
        return {"similar": similar_table(self.to_json(), self.embeddings)}

    def figures(self) -> dict[str, Draw]:
        """Return a contact sheet for each query, where there are pictures."""
        from analyze.neighbors.similar_sheet import draw_answer

        if self.pictures is None:
            return {}
        shown = self.pictures, self.level, self.names
        names = [f"similar-{i}" for i in range(1, len(self.answers) + 1)]
        return {
            name: partial(draw_answer, self.embeddings, answer, *shown, self._how())
            for name, answer in zip(
                names if len(names) > 1 else ["similar"], self.answers, strict=True
            )
        }

    def _how(self) -> str:
        """Say how hits were found and ordered, as a sheet's heading has it."""
        result = self.to_json()
        exact = result["index"] == FLAT
        parts = ["exact" if exact else f"{result['index']}, recall {result['recall_at_10']:.3f}"]
        if self.inside:
            parts.append(f"inside {self.inside.text} ({result['n_searched']})")
        if self.diverse is not None:
            parts.append(f"diverse, weight {self.diverse:g}")
        return " · ".join(parts)

    def _search(self, result: Mapping[str, Any]) -> str:
        """Say how was searched, in what, and how the hits are ordered."""
        n_images = f"{result['n_searched']} pictures"
        if self.inside:
            n_images = f"the {n_images} inside {self.inside.text}"
        found = f"exact search by cosine in {n_images}"
        if result["index"] != FLAT:
            found = (
                f"search by cosine in {n_images}: recall@10 "
                f"{result['recall_at_10_held_out']:.4f} for new pictures, measured on "
                f"{result['recall_queries']} held-out rows, {result['recall_at_10_rows']:.4f} for "
                "products of the catalogue"
            )
        if self.diverse is not None:
            found += (
                f"; diverse, by maximal marginal relevance with {self.diverse:g} of similarity, "
                f"from the {result['pool']} most similar"
            )
        return found

    def _of_pictures(self) -> list[str]:
        """Return notes on the pictures that were compared and drawn so far."""
        if self.pictures is None:
            return []
        notes = [*self.pictures.notes()]
        if self.pictures.missed:
            notes.append(
                "of pictures that are not opened only equal bytes fold, and variants are not found"
            )
        return notes


def similar_table(result: Mapping[str, Any], embeddings: EmbeddingSet) -> Iterator[Sequence[Any]]:
    """Give the rows of the table of hits, its header first.

    Parameters
    ----------
    result : mapping
        As :class:`SimilarProducts` spells it.
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


def _line(hit: Mapping[str, Any]) -> str:
    from extract.ids import shown

    label = next(iter(hit["labels"].values()), None)
    parts = [hit["id"], *([hit["name"]] if hit["name"] else []), *([label] if label else [])]
    line = f"{hit['rank']:>4}  {hit['similarity']:.4f}  " + "  ".join(shown(p)[:60] for p in parts)
    if hit["copy_of_query"]:
        line += "  (a copy of the query)"
    if hit["variant_of_query"]:
        line += "  (a variant of the query)"
    for key in ("copies", "variants"):
        if hit[key]:
            line += f"  ({key}: {', '.join(map(shown, hit[key]))})"
    return line
