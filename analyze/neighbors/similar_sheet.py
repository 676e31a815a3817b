"""The contact sheet of a look-up: the query first, then its hits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from analyze.neighbors.similar import Answer
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.contact_sheet import Tile, draw_sheet
from analyze.presentation.palette import styles_of
from extract.catalog.catalog import Level
from extract.command_line import counted_pictures
from extract.storage.embeddings import EmbeddingSet


def draw_answer(
    vectors: EmbeddingSet,
    answer: Answer,
    pictures: PictureFolder,
    level: Level | None,
    names: str | None,
    how: str = "exact",
) -> Any:
    """Draw the query, then its hits by rank, each framed in the color of its class.

    Parameters
    ----------
    level : Level, optional
        Gives the frames; none without it.
    names : str, optional
        The column of product names; ids stand in its place.
    how : str
        How the hits were found and ordered.
    """

    def tile(row: int, heading: str, n_copies: int) -> Tile:
        label = level.value(row) if level else None
        name = vectors.columns[names][row] if names else ""
        copies = [f"+ {n_copies} {'copy' if n_copies == 1 else 'copies'}"] if n_copies else []
        color = styles[label][0] if label else None
        lines = [*copies, name or vectors.ids[row], *([label] if label else [])]
        picture = pictures.show(row)
        return Tile(picture, heading, [*pictures.part_seen(row), *lines], color)

    query, styles = answer.query, styles_of(level)
    if query.row is None:
        sha256 = query.content_sha256 or b""
        new = query.picture and pictures.shown(query.picture, sha256)
        first = Tile(new, "query", [*pictures.part_seen(sha256), Path(query.text).name])
    else:
        first = tile(query.row, "query", len(answer.left_out))
    tiles = [replace(first, is_query=True)]
    for rank, hit in enumerate(answer.hits, start=1):
        mark = " · copy" if hit.copy_of_query else " · variant" if hit.variant_of_query else ""
        heading = f"{rank} · {hit.similarity:.3f}{mark}"
        tiles.append(tile(hit.row, heading, len(hit.equal_bytes) + len(hit.near_equal)))
    provenance = vectors.provenance
    frames = f" · frames: {level.name}" if level else ""
    return draw_sheet(
        tiles,
        title=f"Similar to {query.text}",
        subtitle=f"{provenance.title} · cosine, {how} · {counted_pictures(len(vectors))}{frames}"
        + pictures.how_shown,
    )
