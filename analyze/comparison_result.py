"""What a comparison of backbones says: its rows, their summary, the keys that programs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from extract.catalog import Level


@dataclass(frozen=True)
class ComparedModel:
    """One embedding that was compared.

    Parameters
    ----------
    name : str
        For people; different from that of every other.
    model, identity, weights : str
    n_dims : int
    one_nn_accuracy : float or None
        Of the vectors as they are, whatever the reduction; None where it is not informative.
    """

    name: str
    model: str
    identity: str
    weights: str
    n_dims: int
    one_nn_accuracy: float | None

    @property
    def key(self) -> dict[str, Any]:
        """What tells it apart, with the keys that programs read."""
        return {"model": self.model, "identity": self.identity, "weights": self.weights}

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {**self.key, "n_dims": self.n_dims, "one_nn_accuracy": self.one_nn_accuracy}


@dataclass(frozen=True)
class ComparisonRow:
    """The scores of one embedding, one reduction and one seed.

    Parameters
    ----------
    model : ComparedModel
    reduction, clustering : str
    n_clusters : int
        Clusters that hold at least one row.
    reduction_seed, clustering_seed : int
    level : str
    scores : mapping of str to float or None
        By the names of :data:`analyze.joint_tables.METRICS`.
    """

    model: ComparedModel
    reduction: str
    clustering: str
    n_clusters: int
    reduction_seed: int
    clustering_seed: int
    level: str
    scores: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        own = {k: v for k, v in vars(self).items() if k not in ("model", "scores")}
        return {**self.model.key, **own, **self.scores}


@dataclass(frozen=True)
class ComparisonCell:
    """One score of one embedding and one reduction, over seeds.

    Parameters
    ----------
    model : ComparedModel
    reduction, clustering, level, metric : str
    mean : float or None
        None where the score is not informative.
    std : float or None
        Sample standard deviation over seeds; None for one seed.
    low, high : float or None
        2.5 and 97.5 percentiles over seeds: how far chance in the computation moves the score,
        not a confidence interval for other pictures of the kind.
    n_seeds : int
    """

    model: ComparedModel
    reduction: str
    clustering: str
    level: str
    metric: str
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    n_seeds: int

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {**self.model.key, **{k: v for k, v in vars(self).items() if k != "model"}}


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is known of several embeddings of the same pictures.

    Parameters
    ----------
    models : tuple of ComparedModel
    reductions : tuple of str
    seeds : tuple of int
        Each seeds the reduction and the clustering alike.
    ids : tuple of str
        The pictures compared on.
    level : Level
    n_clusters : int
    rows : tuple of ComparisonRow
        By model, reduction, seed.
    cells : tuple of ComparisonCell
        By model, reduction, metric.
    pairs : tuple
        Empty: no test says yet whether two backbones differ.
    notes : tuple of str
        What was lowered, left out or not informative.
    """

    models: tuple[ComparedModel, ...]
    reductions: tuple[str, ...]
    seeds: tuple[int, ...]
    ids: tuple[str, ...]
    level: Level
    n_clusters: int
    rows: tuple[ComparisonRow, ...]
    cells: tuple[ComparisonCell, ...]
    pairs: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()

    def cell(self, model: ComparedModel, reduction: str, metric: str) -> ComparisonCell:
        """Find a cell."""
        wanted = (model, reduction, metric)
        return next(c for c in self.cells if (c.model, c.reduction, c.metric) == wanted)

    def over_seeds(self, metric: str) -> np.ndarray:
        """Give one score of all rows.

        Returns
        -------
        ndarray of shape (n_models, n_reductions, n_seeds), float64
            NaN where the score is not informative.
        """
        scores = [row.scores[metric] for row in self.rows]
        shape = (len(self.models), len(self.reductions), len(self.seeds))
        return np.array(scores, dtype=np.float64).reshape(shape)

    def to_json(self) -> dict[str, Any]:
        """Spell the comparison with the keys that programs read."""
        return {
            "n_images": len(self.ids),
            "level": self.level.name,
            "n_clusters": self.n_clusters,
            "seeds": list(self.seeds),
            "models": [model.to_json() for model in self.models],
            "rows": [row.to_json() for row in self.rows],
            "cells": [cell.to_json() for cell in self.cells],
            "pairs": list(self.pairs),
            "notes": list(self.notes),
        }
