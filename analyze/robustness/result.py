"""The card of backbones: as numbers, text, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from analyze.comparison.ranking.scores import RankedModel
from analyze.measures.estimates import Estimate
from analyze.presentation import wording
from analyze.presentation.result import Draw, Result, Table, table_of
from analyze.robustness.scores import (
    METRICS,
    OVERALL,
    RECALL,
    CellScore,
    FamilyScore,
    RobustnessPair,
    Tracks,
    cell_scores,
    family_scores,
)
from analyze.robustness.sheet import Shown, draw_corruptions
from analyze.robustness.verdicts import advice, verdict
from extract.catalog.catalog import Level
from extract.errors import one_of
from extract.images.corruptions import N_SEVERITIES


@dataclass(frozen=True, eq=False, repr=False)
class Robustness(Result):
    """What corrupted pictures do to the vectors of one or more backbones.

    Parameters
    ----------
    tracks : mapping of RankedModel to mapping of Key to Track
        Scores of each backbone on the same pictures, and on resamples of them.
    pairs : tuple of RobustnessPair
        Backbones in pairs, family by family.
    ids : tuple of str
        The pictures that were corrupted.
    n_catalog : int
        Pictures that their originals were looked for among.
    level : Level or None
        Of the corrupted pictures.
    n_resamples, seed : int
    shown : Shown or None
        A picture under every corruption, for a sheet.
    notes : tuple of str
    """

    tracks: Mapping[RankedModel, Tracks]
    pairs: tuple[RobustnessPair, ...]
    ids: tuple[str, ...]
    n_catalog: int
    level: Level | None
    n_resamples: int
    seed: int
    shown: Shown | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def models(self) -> tuple[RankedModel, ...]:
        """The backbones, as they were given."""
        return tuple(self.tracks)

    @cached_property
    def rows(self) -> tuple[CellScore, ...]:
        """Every metric of every backbone under every corruption; severity 0 is of none."""
        return tuple(row for model, own in self.tracks.items() for row in cell_scores(model, own))

    @cached_property
    def families(self) -> tuple[FamilyScore, ...]:
        """Every metric of every backbone, the mean over the severities of a family."""
        found = (family_scores(model, own) for model, own in self.tracks.items())
        return tuple(row for own in found for row in own)

    @property
    def verdicts(self) -> dict[str, str]:
        """What each backbone loses most by, in words, by the backbone's name."""
        return {model.name: verdict(model, own) for model, own in self.tracks.items()}

    @property
    def advice(self) -> str | None:
        """Which views to train a head with; None where nothing costs much."""
        return advice(self.tracks)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured."""
        there = {row.metric for row in self.rows}
        return tuple(metric for metric in METRICS if metric in there)

    def to_json(self) -> dict[str, Any]:
        """Spell the card with the keys that programs read."""
        return {
            "n_images": len(self.ids),
            "n_catalog": self.n_catalog,
            "level": self.level.name if self.level else None,
            "n_resamples": self.n_resamples,
            "seed": self.seed,
            "rows": [row.to_json() for row in self.rows],
            "families": [row.to_json() for row in self.families],
            "pairs": [pair.to_json() for pair in self.pairs],
            "verdicts": [
                {**model.key, "verdict": verdict(model, own)} for model, own in self.tracks.items()
            ],
            "advice": self.advice,
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Return the card, verdicts, pairs and advice as lines for people."""
        lines = [f"how often the original of a picture is found first · {self.subtitle}"]
        lines += wording.lined_up(self._card(), left=[0])
        lines += self.verdicts.values()
        lines += [
            f"{'all families' if pair.family == OVERALL else pair.family}: {pair.verdict}"
            for pair in self.pairs
            if pair.metric == RECALL
            and (pair.family == OVERALL or pair.is_sure or not pair.difference)
        ][:MOST_PAIRS]
        lines += [self.advice] if self.advice else []
        return "\n".join([*lines, *wording.notes(self.notes)])

    def tables(self) -> dict[str, Table]:
        """Return ``robustness``, a row for each score, ``families`` and ``pairs``."""
        found = {
            "robustness": table_of([row.to_json() for row in self.rows]),
            "families": table_of([row.to_json() for row in self.families]),
        }
        if self.pairs:
            found["pairs"] = table_of([pair.to_json() for pair in self.pairs])
        return found

    def figures(self) -> dict[str, Draw]:
        """Return ``robustness``, the card; ``drift``; and ``corruptions``, a picture under all."""
        found: dict[str, Draw] = {
            "robustness": partial(self._draw, self.metrics[0]),
            "drift": partial(self._draw, METRICS[-1]),
        }
        if self.shown is not None:
            found["corruptions"] = partial(draw_corruptions, self.shown)
        return found

    def draw_card(self, metric: str = RECALL) -> Any:
        """A figure with a panel for each family and a line for each backbone, the worst first.

        Parameters
        ----------
        metric : str
            One of those that were measured.

        Raises
        ------
        UsageError
            When it was not.
        """
        return self._draw(one_of(metric, self.metrics, "metric"))

    def _draw(self, metric: str) -> Any:
        from analyze.robustness.figure import draw_card

        rows = [row for row in self.rows if row.metric == metric]
        losses = [row for row in self.families if row.metric == metric and row.family != OVERALL]
        return draw_card(rows, losses, metric=metric, subtitle=self.subtitle)

    @property
    def subtitle(self) -> str:
        """What was measured, in a line."""
        parts = [f"{len(self.ids):,} pictures among {self.n_catalog:,}"]
        if self.level:
            parts.append(f"level {self.level.name}")
        parts.append(f"seed {self.seed}")
        return " · ".join([*parts, *wording.geometry(model.made for model in self.models)])

    def _card(self) -> list[list[str]]:
        """Spell a line a family, the costliest first: each severity, or each backbone's mean."""
        means = {(r.model, r.family): r for r in self.families if r.metric == RECALL}
        families = [f for f in dict.fromkeys(f for _, f in means) if f != OVERALL]
        worst = {f: max(r.loss.mean for (_, g), r in means.items() if g == f) for f in families}
        families.sort(key=lambda family: -worst[family])
        families += [OVERALL] if (self.models[0], OVERALL) in means else []
        if len(self.models) > 1:
            header = ["mean of severities", *(wording.elided(m.name) for m in self.models)]
            spelled = [[self._mean(means.get((m, f))) for m in self.models] for f in families]
        else:
            header = ["severity", *map(str, range(1, N_SEVERITIES + 1)), "mean"]
            spelled = [self._severities(means[self.models[0], f].value, f) for f in families]
        return [header, *([f, *cells] for f, cells in zip(families, spelled, strict=True))]

    def _mean(self, row: FamilyScore | None) -> str:
        """Spell a mean; with its interval while there is room. None: the family never applies."""
        if row is None:
            return "-"
        few = len(self.models) <= MOST_WITH_INTERVALS
        return wording.estimate(row.value) if few else wording.score(row.value.mean)

    def _severities(self, mean: Estimate, family: str) -> list[str]:
        values = {r.severity: r.value.mean for r in self.rows
                  if (r.family, r.metric) == (family, RECALL)}  # fmt: skip
        cells = [wording.score_or_dash(values.get(s)) for s in range(1, N_SEVERITIES + 1)]
        return [*cells, wording.estimate(mean)]


MOST_WITH_INTERVALS = 3
"""Backbones with intervals on a line of a terminal; all of them are in the table."""

MOST_PAIRS = 12
"""Sentences that are printed; all of them are in the table."""
