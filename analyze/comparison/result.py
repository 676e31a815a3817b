"""Backbones compared: what is known of them, as numbers, text, tables and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.clustering.runs import PLAIN, Execution
from analyze.comparison.reproduction import Reproduction
from analyze.comparison.scores import (
    ComparedModel,
    ComparedPair,
    ComparisonCell,
    ComparisonRow,
    Setting,
)
from analyze.presentation import wording
from analyze.presentation.chart import Chart
from analyze.presentation.result import Draw, Result, Table, table_of
from extract.catalog.catalog import Level
from extract.errors import UsageError, one_of
from extract.recipe import Recipe
from extract.storage.embeddings import EmbeddingSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ANSWERS = 30
TITLES = {"ari": "ARI", "ami": "AMI", "nmi": "NMI"}

UNCERTAINTY = (
    "low and high: 95 % interval over pictures (clusterings fixed, pictures a sample of those the "
    "catalogue could hold; bootstrap, shifted by its own bias); std, seed_low and seed_high: over "
    "seeds of the reduction and the clustering"
)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
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
    pairs, reduction_pairs, clustering_pairs : tuple of ComparedPair
        Two embeddings within one reduction and clustering; two reductions, or two clusterings, of
        one embedding.
    n_resamples : int
        Of each cell's interval; 0 where none can be had.
    notes : tuple of str
        What was lowered, left out or not informative.
    reproduction : Reproduction, optional
        Where a recipe fixed how to compare.
    """

    models: tuple[ComparedModel, ...]
    reductions: tuple[str, ...]
    seeds: tuple[int, ...]
    ids: tuple[str, ...]
    level: Level
    n_clusters: int
    rows: tuple[ComparisonRow, ...]
    cells: tuple[ComparisonCell, ...]
    clusterings: tuple[str, ...] = ("kmeans",)
    pairs: tuple[ComparedPair, ...] = ()
    reduction_pairs: tuple[ComparedPair, ...] = ()
    clustering_pairs: tuple[ComparedPair, ...] = ()
    n_resamples: int = 0
    notes: tuple[str, ...] = ()
    reproduction: Reproduction | None = None

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Reductions, each with each clustering."""
        return [(r, c) for r in self.reductions for c in self.clusterings]

    def cell(self, setting: Setting, metric: str) -> ComparisonCell:
        """Find a cell."""
        return next(c for c in self.cells if c.setting == setting and c.metric == metric)

    def as_good_as_best(self, setting: Setting, metric: str) -> bool:
        """Whether it is the best embedding of its reduction, or not distinguished from it."""
        column = [Setting(model, *setting[1:]) for model in self.models]
        best = max(column, key=lambda each: self.cell(each, metric).mean or -np.inf)
        wanted = {best, setting}
        apart = (p.distinguished for p in self.pairs if {p.a, p.b} == wanted and p.metric == metric)
        return best == setting or not next(apart, True)

    def over_seeds(self, metric: str) -> np.ndarray:
        """Give one score of all rows.

        Returns
        -------
        ndarray of shape (n_models, n_reductions * n_clusterings, n_seeds), float64
            NaN where the score is not informative.
        """
        scores = [row.scores[metric] for row in self.rows]
        shape = (len(self.models), -1, len(self.seeds))
        return np.array(scores, dtype=np.float64).reshape(shape)

    def intervals(self, metric: str) -> np.ndarray | None:
        """Give the interval of each mean, or None where there are none.

        Returns
        -------
        ndarray of shape (n_models, n_reductions * n_clusterings, 2), float64
        """
        found = [(c.low, c.high) for c in self.cells if c.metric == metric]
        if None in found[0]:
            return None
        return np.array(found, dtype=np.float64).reshape(len(self.models), -1, 2)

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
            "pairs": [pair.to_json() for pair in self.pairs],
            "reduction_pairs": [pair.to_json() for pair in self.reduction_pairs],
            "clustering_pairs": [pair.to_json() for pair in self.clustering_pairs],
            "doubt": UNCERTAINTY if self.n_resamples else None,
            "n_resamples": self.n_resamples,
            "notes": list(self.notes),
            **({"recipe": self.reproduction.to_json()} if self.reproduction else {}),
        }

    def with_published(
        self,
        recipe: Recipe,
        embedding_sets: Sequence[EmbeddingSet],
        execution: Execution = PLAIN,
    ) -> Comparison:
        """Return the comparison with what others published of the recipe that it follows."""
        cells = [cell for cell in self.cells if cell.metric == "ari"]
        found = Reproduction.of(recipe, cells, embedding_sets, self.seeds[0], execution.kept)
        return replace(self, reproduction=found)

    def text(self) -> str:
        """Return the table of scores and which is better, as lines for people."""
        lines = [f"ARI · {self._subtitle()}", *self._table(), *self._legend(), *self._answers()]
        lines += self.reproduction.lines() if self.reproduction else []
        return "\n".join([*lines, *wording.notes(self.notes)])

    def tables(self) -> dict[str, Table]:
        """Return ``comparison``, a row for each seed, and ``pairs``, where there are any."""
        tables = {"comparison": table_of([row.to_json() for row in self.rows])}
        all_pairs = (*self.pairs, *self.reduction_pairs, *self.clustering_pairs)
        if all_pairs:
            pairs = [pair.to_json() for pair in all_pairs]
            header = list(dict.fromkeys(name for pair in pairs for name in pair))
            header.sort(key=lambda name: name.endswith(("resize", "pooling")))  # they stand last
            tables["pairs"] = table_of(pairs, header)
        return tables

    def figures(self) -> dict[str, Draw]:
        """Return ``ari``: a bar for each backbone and reduction, where there are scores."""
        if self.cells[0].mean is None:
            return {}
        return {"ari": self._chart("ari").figure}

    def plot_scores(self, metric: str = "ari", ax: Axes | None = None) -> Axes:
        """Axes with a bar for each backbone and reduction: mean over seeds, interval, each seed.

        Parameters
        ----------
        metric : str
            A name of the scores in :meth:`to_frame`.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When there is no such score, or scores against the labels are not informative.
        """
        one_of(metric, dict.fromkeys(cell.metric for cell in self.cells), "score")
        if not np.isfinite(self.over_seeds(metric)).all():
            raise UsageError(f"no chart: {metric} is not informative for these labels")
        return self._chart(metric).plot(ax)

    def _chart(self, metric: str) -> Chart:
        from analyze.comparison.figure import comparison_chart

        return comparison_chart(
            self.over_seeds(metric),
            [model.name for model in self.models],
            [self._column_name(column) for column in self.columns],
            self.intervals(metric),
            score=TITLES.get(metric, metric.replace("_", " ")),
            title="Do clusters agree with classes? By backbone and reduction",
            subtitle=self._subtitle(drawn=True),
        )

    def _column_name(self, column: tuple[str, ...]) -> str:
        return column[0] if len(self.clusterings) == 1 else " · ".join(column)

    def _subtitle(self, *, drawn: bool = False) -> str:
        seeds = self.seeds
        over = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
        clustered = "k-means" if self.clusterings == ("kmeans",) else "clusters"
        parts = [
            f"{len(self.ids)} pictures",
            f"level {self.level.name}",
            f"{clustered} {self.n_clusters}",
            over,
            *wording.geometry(model.made for model in self.models),
        ]
        if drawn and len(seeds) > 1:
            parts.append("dots: seeds")
        if drawn and self.n_resamples:
            parts.append("whiskers: 95 % over pictures")
        return " · ".join(parts)

    def _table(self) -> list[str]:
        from extract.ids import shown

        names = [shown(self._column_name(column)) for column in self.columns]
        rows = [["model", "numbers", "1-NN", *names]]
        rows += [
            [
                wording.elided(model.name),
                str(model.n_dims),
                wording.score_or_dash(model.one_nn_accuracy),
                *(self._cell(Setting(model, *column)) for column in self.columns),
            ]
            for model in self.models
        ]
        return wording.lined_up(rows, left=[0])

    def _cell(self, setting: Setting) -> str:
        """Spell a mean, its deviation over seeds, its interval, and whether it may be the best."""
        cell = self.cell(setting, "ari")
        spelled = wording.score_or_dash(cell.mean)
        if cell.std is not None:
            spelled += f" ± {cell.std:.3f}"
        if cell.low is not None and cell.high is not None:
            spelled += f" ({wording.score(cell.low)} to {wording.score(cell.high)})"
        if self.pairs:
            spelled += " =" if self.as_good_as_best(setting, "ari") else "  "
        return spelled

    def _legend(self) -> list[str]:
        lines = []
        if len(self.seeds) > 1:
            lines.append("±: standard deviation over seeds of reduction and clustering")
        if self.n_resamples:
            lines.append(
                f"(low to high): 95 % over pictures, {self.n_resamples} resamples; the "
                "clusterings are fixed, the pictures a sample of those the catalogue could hold"
            )
        if self.pairs:
            lines.append("=: the best of its column, or cannot be distinguished from it")
        return lines

    def _answers(self) -> list[str]:
        """Say which is better: backbones, if there are several; else reductions or clusterings."""
        kinds = self.pairs, self.reduction_pairs, self.clustering_pairs
        pairs = [pair for pair in next(filter(None, kinds), ()) if pair.metric == "ari"]
        answers = [self._answer(pair) for pair in pairs[:MOST_ANSWERS]]
        if len(pairs) > MOST_ANSWERS:
            answers.append(f"and {len(pairs) - MOST_ANSWERS} more pairs in pairs.csv")
        return answers

    def _answer(self, pair: ComparedPair) -> str:
        if pair.a.model == pair.b.model:
            return pair.verdict
        return f"{self._column_name(pair.a[1:])}: {pair.verdict}"
