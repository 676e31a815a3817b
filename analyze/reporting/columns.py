"""What points of a map are colored by: labels, clusters, and other columns of the catalogue."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analyze.measures.contingency_metrics import NOISE
from analyze.presentation.palette import colored_places, places_of
from analyze.reporting.backbones import Backbone
from analyze.reporting.messages import Words
from extract.catalog.catalog import Level
from extract.ids import shown
from extract.storage.embeddings import EmbeddingSet

MOST_VALUES = 300
STEPS = 6
"""Into which numbers are split, each of as many pictures."""

LONGEST = 80


@dataclass(frozen=True, eq=False)
class Column:
    """A value for each picture.

    Parameters
    ----------
    title : str
    kind : str
        ``label``, ``cluster``, ``other`` or ``number`` (steps, the lowest first).
    categories : tuple of str
    codes : ndarray of shape (n_images,), int32
        -1 without a value.
    styles : tuple of int
        The place of each category among the colors; -1 is gray, as beyond the 20 largest.
    """

    title: str
    kind: Literal["label", "cluster", "other", "number"]
    categories: tuple[str, ...]
    codes: np.ndarray
    styles: tuple[int, ...]


def columns_of(
    levels: Sequence[Level],
    backbones: Sequence[Backbone],
    level: Level | None,
    embeddings: EmbeddingSet,
    words: Words,
) -> tuple[Column, ...]:
    """Find all columns: the level of the report first, then clusters, other levels, other columns.

    Parameters
    ----------
    levels : sequence of Level
    backbones : sequence of Backbone
    level : Level or None
        Of the report.
    embeddings : EmbeddingSet
        Has the other columns.
    words : Words
    """
    found = [_of_level(each) for each in levels if each is level]
    found += [_of_clusters(each, level, words) for each in backbones if each.clustered]
    found += [_of_level(each) for each in levels if each is not level]
    for title, values in embeddings.columns.items():
        column = _of_values(shown(title)[:LONGEST], values)
        found += [column] if column else []
    return tuple(found)


def _of_level(level: Level) -> Column:
    names = tuple(shown(name)[:LONGEST] for name in level.categories)
    codes = level.codes.astype(np.int32)
    return Column(shown(level.name), "label", names, codes, tuple(places_of(level)))


def _of_clusters(backbone: Backbone, level: Level | None, words: Words) -> Column:
    assert backbone.clustered is not None
    clustered = backbone.clustered
    place = dict(zip(level.categories, places_of(level), strict=True)) if level else {}
    matched = {number: (name, place[name]) for number, name in clustered.matched.items()}
    title = words("clusters_of", model=backbone.name)
    return column_of_clusters(title, clustered.assignments, matched, words)


def column_of_clusters(
    title: str, assignments: np.ndarray, matched: Mapping[int, tuple[str, int]], words: Words
) -> Column:
    """Make the column of a clustering.

    Parameters
    ----------
    title : str
    assignments : ndarray of shape (n_images,), int
    matched : mapping of int to (str, int)
        The class of a cluster, and its place among the colors: where there are any, clusters have
        the colors of their classes.
    words : Words
    """
    numbers = [int(c) for c in np.unique(assignments)]
    names, styles = [], []
    own = [number for number in numbers if number != NOISE]
    sizes = [int((assignments == number).sum()) for number in own]
    place = {} if matched else dict(zip(own, colored_places(sizes), strict=True))
    for number in numbers:
        name = words("noise") if number == NOISE else words("cluster", n=number)
        label, style = matched.get(number, ("", place.get(number, -1)))
        names.append(f"{name} · {shown(label)[:LONGEST]}" if label else name)
        styles.append(style)
    codes = np.searchsorted(numbers, assignments).astype(np.int32)
    return Column(title, "cluster", tuple(names), codes, tuple(styles))


def _of_values(title: str, values: Sequence[str]) -> Column | None:
    """Take a column of numbers or of few values; names and other texts are none."""
    distinct = sorted({*values} - {""})
    if len(distinct) > 2 * STEPS and (column := _of_numbers(title, values)):
        return column
    if len(distinct) < 2 or len(distinct) > min(MOST_VALUES, max(20, len(values) // 2)):
        return None
    place = {value: i for i, value in enumerate(distinct)}
    codes = np.array([place.get(value, -1) for value in values], np.int32)
    names = tuple(shown(value)[:LONGEST] for value in distinct)
    sizes = np.bincount(codes[codes >= 0], minlength=len(names)).tolist()
    return Column(title, "other", names, codes, tuple(colored_places(sizes)))


def _of_numbers(title: str, values: Sequence[str]) -> Column | None:
    numbers = np.array([_number(value) for value in values])
    known = np.isfinite(numbers)
    if known.sum() < 0.9 * sum(value != "" for value in values) or not known.any():
        return None
    bounds = np.unique(np.quantile(numbers[known], np.linspace(0, 1, STEPS + 1)))
    if len(bounds) < 3:
        return None
    codes = np.full(len(numbers), -1, np.int32)
    codes[known] = np.clip(np.searchsorted(bounds, numbers[known], "right") - 1, 0, len(bounds) - 2)
    names = tuple(f"{low:g} – {high:g}" for low, high in itertools.pairwise(bounds))
    return Column(title, "number", names, codes, tuple(range(len(names))))


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")
