"""The categories to choose from, each level inside of what is chosen above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.lookup.http.parameters import SearchRequest
from analyze.lookup.service.served_catalog import ServedCatalog, level_counts
from analyze.lookup.web.view_models import LONGEST_NAME
from extract.ids import shown

MOST_VALUES = 1_000
"""Of a level, to choose from."""


@dataclass(frozen=True)
class Filter:
    """One level to choose a category of.

    Parameters
    ----------
    name : str
    values : tuple of (str, str, int, bool)
        The parameter, what is shown, how many pictures, whether it is chosen.
    n_more : int
        Values that are too many to show.
    """

    name: str
    values: tuple[tuple[str, str, int, bool], ...]
    n_more: int


def filters(catalog: ServedCatalog, search: SearchRequest) -> list[Filter]:
    """List the categories of each level, inside of what is chosen of the levels above."""
    found = []
    inside: np.ndarray | None = None
    for level in catalog.embeddings.levels:
        parameters = [f"{level.name}={category}" for category in level.categories]
        chosen = [code for code, each in enumerate(parameters) if each in search.where]
        counts = catalog.counts(level) if inside is None else level_counts(level, inside)
        there = [code for code, n in enumerate(counts.tolist()) if n or code in chosen]
        values = tuple(
            (
                parameters[code],
                shown(level.categories[code])[:LONGEST_NAME],
                int(counts[code]),
                code in chosen,
            )
            for code in there[:MOST_VALUES]
        )
        n_more = max(0, len(there) - MOST_VALUES)
        found.append(Filter(level.name, values, n_more))
        if chosen:
            fitting = np.isin(level.codes, chosen)
            inside = fitting if inside is None else inside & fitting
    return found
