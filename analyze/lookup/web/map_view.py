"""A stored map as it is drawn: where each row lies, its color, what is highlighted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyze.lookup.service.served_catalog import ServedCatalog
from analyze.lookup.web.view_models import color_name, name_shown
from analyze.neighbors.category_filter import Inside
from analyze.reduction.stored_maps import StoredMap
from extract.ids import shown

WIDTH, MARGIN = 1000.0, 24.0
"""In the units of the drawing."""

LONGEST_WORD = 60


@dataclass(frozen=True)
class Point:
    """One row on the map.

    Parameters
    ----------
    row : int
    x, y : str
        From the left and from the top, in the units of the drawing.
    code : int
        Its class's number; -1 without one.
    color : str
        Its class of style: the color that its class has everywhere.
    """

    row: int
    x: str
    y: str
    code: int
    color: str


@dataclass(frozen=True)
class LegendEntry:
    """One class in the legend: its number, name, number of pictures and class of style."""

    code: int
    word: str
    n_images: int
    color: str


@dataclass(frozen=True)
class DrawnMap:
    """A map with its highlighted rows.

    Parameters
    ----------
    stored : StoredMap
    points : tuple of Point
        Rows that are not highlighted.
    lit : tuple of Point
        Hits, the most similar first.
    query : Point or None
        The row of the query.
    names : dict of str by int
        The name of each row that is drawn.
    legend : tuple of LegendEntry
        The classes that have a color.
    level : str
        What the classes are of; empty without one.
    height : float
        Of the drawing, which is 1000 wide.
    n_more_classes, n_left_out : int
        Classes the legend does not name, which are gray; rows that are not drawn.
    """

    stored: StoredMap
    points: tuple[Point, ...]
    lit: tuple[Point, ...]
    query: Point | None
    names: dict[int, str]
    legend: tuple[LegendEntry, ...]
    level: str
    height: float
    n_more_classes: int
    n_left_out: int

    @property
    def n_drawn(self) -> int:
        """How many rows are drawn."""
        return len(self.names)


def draw_map(
    catalog: ServedCatalog,
    stored: StoredMap,
    *,
    query: int | None = None,
    hits: Sequence[int] = (),
    inside: Inside | None = None,
) -> DrawnMap:
    """Place the rows of a stored map.

    Parameters
    ----------
    catalog : ServedCatalog
    stored : StoredMap
        Of the very rows of the catalogue.
    query : int, optional
        The row of the query.
    hits : sequence of int
        Rows to highlight, the most similar first.
    inside : Inside, optional
        What the other rows are confined to.
    """
    lit = [row for row in dict.fromkeys(hits) if row != query]
    query_rows = [] if query is None else [query]
    special = {*lit, *query_rows}
    rows = stored.rows_drawn(np.array([*lit, *query_rows], int))
    if inside is not None:
        rows = np.intersect1d(rows, inside.rows)
    others = [row for row in rows.tolist() if row not in special]
    drawn = [*others, *lit, *query_rows]
    places, height = stored.within(WIDTH, MARGIN)
    level = catalog.level

    counts = np.zeros(0, int) if level is None else catalog.counts(level)
    listed = [k for k, n in enumerate(counts.tolist()) if n and catalog.places[k] >= 0]

    def at(row: int) -> Point:
        code = -1 if level is None else int(level.codes[row])
        x, y = (f"{place:.1f}" for place in places[row].tolist())
        return Point(row, x, y, code, color_name(catalog, code))

    return DrawnMap(
        stored,
        tuple(map(at, others)),
        tuple(map(at, lit)),
        None if query is None else at(query),
        {row: name_shown(catalog, row)[:LONGEST_WORD] for row in drawn},
        tuple(
            LegendEntry(
                code,
                shown(level.categories[code])[:LONGEST_WORD],
                int(counts[code]),
                color_name(catalog, code),
            )
            for code in listed
            if level is not None
        ),
        "" if level is None else level.name,
        round(height),
        int(np.count_nonzero(counts)) - len(listed),
        len(catalog.embeddings) - len(rows) if inside is None else 0,
    )
