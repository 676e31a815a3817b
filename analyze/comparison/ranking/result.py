"""Backbones ranked: the best first, as numbers, text, a table and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyze.comparison.ranking.criteria import WORDS
from analyze.comparison.ranking.scores import ModelSimilarity, RankedModel, RankPair, RankRow
from analyze.presentation import wording
from analyze.presentation.chart import Chart
from analyze.presentation.result import Draw, Result, Table, table_of
from extract.catalog.catalog import Level
from extract.command_line import counted_pictures
from extract.errors import one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Ranking(Result):
    """Several embeddings of the same pictures, the best first.

    Parameters
    ----------
    metric : str
        What they are ranked by.
    surrogate : bool
        Whether it knows nothing of the labels.
    models : tuple of RankedModel
        The best first.
    rows : tuple of RankRow
        By metric, that of the ranking first; the best first.
    pairs : tuple of RankPair
        Each embedding and the next.
    model_similarity : tuple of ModelSimilarity
        Each pair once, in the order of the ranking.
    ids : tuple of str
        The pictures ranked on.
    level : Level or None
    n_clusters : tuple of int
        Of each clustering that was scored; empty where none was.
    n_resamples, seed : int
    notes : tuple of str
    """

    metric: str
    surrogate: bool
    models: tuple[RankedModel, ...]
    rows: tuple[RankRow, ...]
    pairs: tuple[RankPair, ...]
    model_similarity: tuple[ModelSimilarity, ...]
    ids: tuple[str, ...]
    level: Level | None
    n_clusters: tuple[int, ...]
    n_resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    def of_metric(self, metric: str) -> tuple[RankRow, ...]:
        """Give the rows of one metric, the best first."""
        return tuple(row for row in self.rows if row.metric == metric)

    def to_json(self) -> dict[str, Any]:
        """Spell the ranking with the keys that programs read."""
        return {
            "n_images": len(self.ids),
            "level": self.level.name if self.level else None,
            "metric": self.metric,
            "surrogate": self.surrogate,
            "n_clusters": list(self.n_clusters),
            "n_resamples": self.n_resamples,
            "seed": self.seed,
            "rows": [row.to_json() for row in self.rows],
            "pairs": [pair.to_json() for pair in self.pairs],
            "likeness": [model_similarity.to_json() for model_similarity in self.model_similarity],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Return the ranking and how alike the backbones are, as lines for people."""
        lines = [f"{WORDS[self.metric]} · {self._subtitle()}"]
        lines += wording.lined_up(self._ranks(), left=[1])
        lines += [pair.verdict for pair in self.pairs]
        if self.model_similarity:
            lines.append(
                "right of the diagonal CKA (debiased), left of it the share of the 10 nearest "
                "neighbors in common"
            )
            lines += wording.lined_up(self._matrix(), left=[1])
        return "\n".join([*lines, *wording.notes(self.notes)])

    def tables(self) -> dict[str, Table]:
        """Return ``rank``, a row for each metric and embedding."""
        return {"rank": table_of([row.to_json() for row in self.rows])}

    def figures(self) -> dict[str, Draw]:
        """Return ``rank``: a dot for each backbone, the best on top."""
        return {"rank": self._chart(self.metric).figure}

    def plot_ranking(self, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Axes with a dot and an interval for each backbone, the best on top.

        Parameters
        ----------
        metric : str, optional
            One of those that were computed; that of the ranking without it.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When the metric was not computed.
        """
        there = dict.fromkeys(row.metric for row in self.rows)
        chosen = self.metric if metric is None else one_of(metric, there, "metric")
        return self._chart(chosen).plot(ax)

    def _chart(self, metric: str) -> Chart:
        from analyze.comparison.ranking.figure import ranking_chart

        rows = self.of_metric(metric)
        score = WORDS[metric]
        if rows[0].low is not None:
            score += ", 95 % interval over pictures"
        title = "Which backbone knows the classes best?"
        if self.surrogate:
            title = "Which backbone has the clearest clusters? A surrogate: no labels are used"
        return ranking_chart(rows, score=score, title=title, subtitle=self._subtitle())

    def _subtitle(self) -> str:
        parts = [counted_pictures(len(self.ids))]
        if self.level:
            parts.append(f"level {self.level.name}")
        if self.n_clusters:
            parts.append(f"k-means {', '.join(map(str, self.n_clusters))}")
        if self.rows[0].low is not None:
            parts.append(f"{self.n_resamples} resamples")
        parts.append(f"seed {self.seed}")
        return " · ".join([*parts, *wording.geometry(model.made for model in self.models)])

    def _ranks(self) -> list[list[str]]:
        """Spell a line a backbone: the score of the ranking, the others, and what it costs."""
        others = list(dict.fromkeys(row.metric for row in self.rows))[1:]
        value = {(row.model, row.metric): row.value for row in self.rows}
        about = ["pictures/s", "bytes a row", "numbers"]
        table = [["", "model", self.metric, "95 %", *others, *about]]
        for place, row in enumerate(self.of_metric(self.metric), start=1):
            model = row.model
            rate = "-" if model.images_per_second is None else f"{model.images_per_second:.1f}"
            table.append(
                [
                    str(place),
                    wording.elided(model.name),
                    wording.score(row.value),
                    _spread(row.low, row.high),
                    *(wording.score(value[model, name]) for name in others),
                    rate + ("*" if model.models_in_pass > 1 and rate != "-" else ""),
                    str(model.bytes_per_row),
                    str(model.n_dims),
                ]
            )
        return table

    def _matrix(self) -> list[list[str]]:
        models = self.models
        cells = {}
        for pair in self.model_similarity:
            cells[pair.a, pair.b] = wording.score_or_dash(pair.cka_debiased)
            cells[pair.b, pair.a] = wording.score_or_dash(pair.neighbor_overlap)
        table = [["", "model", *(str(i) for i in range(1, len(models) + 1))]]
        for place, one in enumerate(models, start=1):
            figures = [cells.get((one, other), "") for other in models]
            table.append([str(place), wording.elided(one.name), *figures])
        return table


def _spread(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    return f"{wording.score(low)} to {wording.score(high)}"
