"""Shares of all pictures together: by place, by class, by number of the embedding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.explanation.faithfulness import reduced
from analyze.explanation.shapley.shap_values import PEAK_CELLS, Shares
from analyze.explanation.targets import Target

Table = Iterator[list[Any]]


@dataclass(frozen=True, eq=False)
class Totals:
    """What shares come to, class by class.

    Parameters
    ----------
    places : mapping of str to ndarray of shape (14, 14)
        Mean |share| of each cell of what the model sees.
    counts : mapping of str to int
        Pictures of each class.
    absolute, signed : mapping of str to float
        Mean over pictures of the sum of |share|, and of the sum.
    """

    places: Mapping[str, np.ndarray]
    counts: Mapping[str, int]
    absolute: Mapping[str, float]
    signed: Mapping[str, float]


def total(shares: Sequence[Shares], target: Target) -> Totals:
    """Average the SHAP values of pictures explained for one column."""
    by_class: dict[str, list[np.ndarray]] = {}
    for each in shares:
        name = target.columns[each.question.column]
        by_class.setdefault(name, []).append(each.attribution.signed)
    size = PEAK_CELLS
    return Totals(
        {
            name: np.mean([reduced(np.abs(own), size, size) for own in of], axis=0)
            for name, of in by_class.items()
        },
        {name: len(of) for name, of in by_class.items()},
        {name: float(np.mean([np.abs(own).sum() for own in of])) for name, of in by_class.items()},
        {name: float(np.mean([own.sum() for own in of])) for name, of in by_class.items()},
    )


def class_rows(totals: Totals) -> Table:
    """A row a class: pictures, mean sum of |share|, mean sum."""
    yield ["class", "n_images", "mean_absolute", "mean_signed"]
    for name, n in totals.counts.items():
        yield [name, n, totals.absolute[name], totals.signed[name]]


def place_rows(totals: Totals) -> Table:
    """A row a class and cell, from the top left: mean |share|."""
    yield ["class", "row", "column", "mean_absolute"]
    for name, cells in totals.places.items():
        for (row, column), value in np.ndenumerate(cells):
            yield [name, row, column, float(value)]


def of_features(
    shares: np.ndarray, columns: np.ndarray, target: Target
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Average what each number of the embedding adds, class by class.

    Parameters
    ----------
    shares : ndarray of shape (n_images, n_dims)
    columns : ndarray of shape (n_images,), int
    target : Target

    Returns
    -------
    absolute, signed : dict of str to ndarray of shape (n_dims,)
    """
    absolute, signed = {}, {}
    for column in np.unique(columns).tolist():
        own, name = shares[columns == column], target.columns[column]
        absolute[name], signed[name] = np.abs(own).mean(axis=0), own.mean(axis=0)
    return absolute, signed


def feature_rows(absolute: Mapping[str, np.ndarray], signed: Mapping[str, np.ndarray]) -> Table:
    """A row a class and number of the embedding, the largest mean |share| of a class first."""
    yield ["class", "feature", "mean_absolute", "mean_signed"]
    for name, own in absolute.items():
        for feature in np.argsort(-own, kind="stable").tolist():
            yield [name, feature, float(own[feature]), float(signed[name][feature])]
