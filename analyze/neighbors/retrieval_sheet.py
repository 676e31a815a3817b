"""The contact sheet of queries that were answered worst: a row a query."""

from __future__ import annotations

from typing import Any

from analyze.neighbors.retrieval_scores import Retrieved
from analyze.neighbors.similar import name_column
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.contact_sheet import Tile, draw_sheet
from analyze.presentation.palette import styles_of


def draw_worst(found: Retrieved, n_queries: int, pictures: PictureFolder) -> Any:
    """Draw each query, then its first answers, framed in the colors of the classes."""
    names = name_column(found.embeddings)
    called = found.embeddings.columns[names] if names else found.embeddings.ids
    queries = found.worst(n_queries)
    across = 1 + min(len(query["hits"]) for query in queries)
    tiles, styles = [], styles_of(found.level)

    def tile(row: int, heading: str, lines: list[str], **marked: Any) -> Tile:
        picture = pictures.show(row)
        return Tile(picture, heading, [*pictures.part_seen(row), *lines], **marked)

    for query in queries:
        place = f"query · first right at {query['first_right']}"
        lines = [called[query["row"]] or query["id"], query["class"]]
        tiles.append(tile(query["row"], place, lines, is_query=True))
        for hit in query["hits"][: across - 1]:
            color = styles[hit["class"]][0]
            mark = " · right" if hit["right"] else ""
            heading = f"{hit['rank']} · {hit['similarity']:.3f}{mark}"
            lines = [called[hit["row"]] or hit["id"], hit["class"]]
            tiles.append(tile(hit["row"], heading, lines, color=color))
    return draw_sheet(
        tiles,
        title=f"The worst queries: {found.name}",
        subtitle=f"a row a query, lowest average precision first · level {found.level.name}"
        + pictures.how_shown,
        columns=across,
    )
