"""Scores of backbones on corrupted pictures: cells, families, and backbones in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from analyze.comparison.pairwise_tests import SURE, spell_verdict
from analyze.comparison.ranking.scores import RankedModel
from analyze.comparison.resampling import resampled_means, why_no_interval
from analyze.measures.bootstrap import adjusted_by_holm, interval, p_value, resampled_averages
from analyze.measures.contingency_metrics import METRICS as CLUSTER_METRICS
from analyze.measures.contingency_metrics import JointTables
from analyze.measures.estimates import LEAST_UNITS, Estimate
from analyze.robustness.cells import FIGURES, NONE
from extract.catalog.catalog import Level
from extract.command_line import counted_pictures
from extract.images.corruptions import FAMILIES, Corruption

DRIFT, RECALL, ONE_NN, HEAD, ARI = "drift", "recall_at_1", "one_nn_accuracy", "head_accuracy", "ari"
METRICS = (RECALL, ONE_NN, HEAD, ARI, DRIFT)
COMPARED = (RECALL, ONE_NN, HEAD)
"""Metrics that backbones are compared by. Cosines of two backbones are spread differently, so that
a drift says nothing of which is better; and an ARI depends on a clustering's seed."""

WORDS = {
    RECALL: "share of pictures with their original found first (recall@1)",
    ONE_NN: "accuracy of the nearest other picture (1-NN)",
    HEAD: "accuracy of the head",
    ARI: "ARI of clusters",
    DRIFT: "mean cosine distance from the original (drift)",
}
OVERALL = "all"
"""In the place of a family: the mean over all of them."""


class Track(NamedTuple):
    """A score, and the same on resampled pictures.

    Parameters
    ----------
    value : float
    drawn : ndarray of shape (n_resamples,), or None
        None where too few pictures are known.
    n_images : int
    """

    value: float
    drawn: np.ndarray | None
    n_images: int

    def less(self, other: Track) -> Track:
        """Subtract another score on the same resamples."""
        drawn = None
        if self.drawn is not None and other.drawn is not None:
            drawn = self.drawn - other.drawn
        return Track(self.value - other.value, drawn, min(self.n_images, other.n_images))

    def estimate(self, least: float = -np.inf, most: float = np.inf) -> Estimate:
        """Give its 95 % interval, within what such a score can be."""
        if self.drawn is None:
            return Estimate(self.value, None, None)
        low, high = interval(self.value, self.drawn)
        return Estimate(self.value, float(max(low, least)), float(min(high, most)))


def averaged(tracks: list[Track]) -> Track:
    """Average scores on the same resamples."""
    known = [each.drawn for each in tracks if each.drawn is not None]
    drawn = np.mean(known, axis=0) if len(known) == len(tracks) else None
    value = float(np.mean([each.value for each in tracks]))
    return Track(value, drawn, max(each.n_images for each in tracks))


Cells = Mapping[Corruption | None, np.ndarray]
"""Figures of each corruption, and of none; ndarray of shape (5, n)."""

Key = tuple[str, int, str]
"""Family, severity (0: unaltered pictures that the family applies to) and metric."""


@dataclass(frozen=True)
class Sampling:
    """How scores are resampled.

    Parameters
    ----------
    units : ndarray of shape (n,), int
        Of the corrupted pictures; copies have one number.
    level : Level or None
        With the labels of all rows of the catalogue.
    rows : ndarray of shape (n,), int
        Which of them are corrupted.
    n_resamples, seed : int
    """

    units: np.ndarray
    level: Level | None
    rows: np.ndarray
    n_resamples: int
    seed: int

    @property
    def labels(self) -> np.ndarray | None:
        """Codes of the corrupted pictures, negative without a label."""
        return None if self.level is None else self.level.codes[self.rows]


def score_cells(cells: Cells, sampling: Sampling) -> dict[Key, Track]:
    """Score one backbone under every corruption.

    Returns
    -------
    dict of Key to Track
        Severity 0 is of unaltered pictures, of those alone that the family applies to.
    """
    places: list[Key] = []
    values: list[np.ndarray] = []
    found: dict[Key, Track] = {}
    for family in dict.fromkeys(each.family for each in cells if each):
        mine = {each.severity: cells[each] for each in cells if each and each.family == family}
        applies = ~np.isnan(next(iter(mine.values()))[0])
        mine[0] = np.where(applies, cells[None], np.nan)
        for severity, figures in sorted(mine.items()):
            for metric, own in _of_pictures(figures, sampling).items():
                if not np.isnan(own).all():
                    places.append((family, severity, metric))
                    values.append(own)
        found |= _aris(family, mine, sampling)
    if not values:
        return found
    drawn = resampled_averages(
        np.stack(values), sampling.units, sampling.n_resamples, sampling.seed
    )
    for key, own, resampled in zip(places, values, drawn, strict=True):
        found[key] = _track(own, resampled, sampling.units)
    return found


def _track(own: np.ndarray, resampled: np.ndarray, units: np.ndarray) -> Track:
    """Average the pictures that have a value; too few of them have no resamples."""
    known = ~np.isnan(own)
    few = len(np.unique(units[known])) < LEAST_UNITS or np.isnan(resampled).any()
    return Track(float(own[known].mean()), None if few else resampled, int(known.sum()))


def _of_pictures(figures: np.ndarray, sampling: Sampling) -> dict[str, np.ndarray]:
    """Give each metric of each picture; NaN where there is none."""
    cosine, found, nearest_other, _, head_right = figures
    scores = {RECALL: found, HEAD: head_right, DRIFT: 1 - cosine}
    level, labels = sampling.level, sampling.labels
    if level is not None and labels is not None:
        known = (labels >= 0) & ~np.isnan(nearest_other)
        other = np.where(known, nearest_other, NONE).astype(int)
        same = (other != NONE) & (level.codes[other] == labels)
        scores[ONE_NN] = np.where(known, same, np.nan)
    return scores


def _aris(
    family: str, by_severity: Mapping[int, np.ndarray], sampling: Sampling
) -> dict[Key, Track]:
    """Score the clusters of every severity of a family against the labels."""
    labels, cluster = sampling.labels, FIGURES.index("cluster")
    clusters = {severity: figures[cluster] for severity, figures in by_severity.items()}
    if labels is None:
        return {}
    known = (labels >= 0) & ~np.isnan(np.stack(list(clusters.values()))).any(axis=0)
    if known.sum() < 2:
        return {}
    labels, units = labels[known], sampling.units[known]
    cells = [each[known].astype(int) for each in clusters.values()]
    drawn: list[np.ndarray | None] = [None] * len(cells)
    if why_no_interval(labels, units, "") is None:
        seeds, n = [[each] for each in cells], sampling.n_resamples
        resampled = resampled_means(labels, seeds, units, n, metrics=[ARI], seed=sampling.seed)
        drawn = list(resampled[ARI])
    values = [float(CLUSTER_METRICS[ARI](JointTables.of(labels, own))[0]) for own in cells]
    return {
        (family, severity, ARI): Track(value, some, len(labels))
        for severity, value, some in zip(clusters, values, drawn, strict=True)
    }


@dataclass(frozen=True)
class CellScore:
    """One score of one backbone under one corruption.

    Parameters
    ----------
    model : RankedModel
    family : str
    severity : int
        0 for unaltered pictures, embedded again.
    metric : str
    value : Estimate
    n_images : int
    """

    model: RankedModel
    family: str
    severity: int
    metric: str
    value: Estimate
    n_images: int

    @property
    def amount(self) -> str:
        """What was done, in words."""
        return FAMILIES[self.family].amount(self.severity) if self.severity else "unaltered"

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            **self.model.key,
            "family": self.family,
            "severity": self.severity,
            "amount": self.amount,
            "metric": self.metric,
            "value": self.value.mean,
            "low": self.value.low,
            "high": self.value.high,
            "n_images": self.n_images,
            **self.model.made,
        }


@dataclass(frozen=True)
class FamilyScore:
    """One score of one backbone over the severities of a family, and what is lost.

    Parameters
    ----------
    model : RankedModel
    family : str
        Or ``all``: the mean over families.
    metric : str
    value : Estimate
    loss : Estimate
        Unaltered less corrupted, on the same pictures; of a drift the drift itself.
    n_images : int
    """

    model: RankedModel
    family: str
    metric: str
    value: Estimate
    loss: Estimate
    n_images: int

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        loss = self.loss.to_json()
        return {
            **self.model.key,
            "family": self.family,
            "metric": self.metric,
            "value": self.value.mean,
            "low": self.value.low,
            "high": self.value.high,
            "loss": loss["mean"],
            "loss_low": loss["low"],
            "loss_high": loss["high"],
            "n_images": self.n_images,
            **self.model.made,
        }


@dataclass(frozen=True)
class RobustnessPair:
    """Two backbones under one family.

    Parameters
    ----------
    a, b : RankedModel
    family, metric : str
    difference : Estimate or None
        a less b, on the pictures that both have a score of; None where there is none.
    p_adjusted : float or None
        Two-sided, adjusted for the pairs of the family (Holm); None with too few pictures.
    n_images : int
        That both have a score of.
    n_of_either : int
        That one of them has a score of, at least.
    n_pairs : int
        Of the family, that are tested.
    """

    a: RankedModel
    b: RankedModel
    family: str
    metric: str
    difference: Estimate | None
    p_adjusted: float | None
    n_images: int
    n_of_either: int
    n_pairs: int = 1

    @property
    def is_sure(self) -> bool:
        """Whether one of them is better."""
        return self.p_adjusted is not None and self.p_adjusted < SURE

    @property
    def verdict(self) -> str:
        """Which is better, as ``compare`` words it."""
        found = self.difference
        if found is None:
            words = f"{self.a.name} and {self.b.name} cannot be compared"
            return f"{words}: no picture has a score of both"
        if found.low is None or found.high is None:
            words = f"{self.a.name} and {self.b.name} are {abs(found.mean):.3f} apart"
            return f"{words}; too few pictures to test it"
        pictures = counted_pictures(self.n_images)
        if self.n_images < self.n_of_either:
            pictures += " that both have a score of"
        not_enough = "" if self.is_sure else pictures
        words = spell_verdict(
            self.a.name, self.b.name, found.mean, found.low, found.high, not_enough
        )
        if not_enough and found.low * found.high > 0:
            words += f", p {self.p_adjusted:.2f} among {self.n_pairs} pairs"
        if self.is_sure and self.n_images < self.n_of_either:
            words += f", on the {pictures}"
        return words

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "a": self.a.model,
            "b": self.b.model,
            "a_identity": self.a.identity,
            "b_identity": self.b.identity,
            "family": self.family,
            "metric": self.metric,
            "difference": self.difference.mean if self.difference else None,
            "low": self.difference.low if self.difference else None,
            "high": self.difference.high if self.difference else None,
            "p_adjusted": self.p_adjusted,
            "n_images": self.n_images,
            "verdict": self.verdict,
        }


Tracks = Mapping[Key, Track]


def family_tracks(tracks: Tracks, metric: str) -> dict[str, tuple[Track, Track]]:
    """Average a metric over the severities of each family, and over families as ``all``.

    Returns
    -------
    dict of str to tuple of Track
        The mean, and what is lost: unaltered less corrupted, or of a drift the drift.
    """
    found: dict[str, tuple[Track, Track]] = {}
    for family in dict.fromkeys(key[0] for key in tracks if key[2] == metric):
        mean = averaged([t for (f, s, m), t in tracks.items() if (f, m) == (family, metric) and s])
        clean = tracks[family, 0, metric]
        found[family] = mean, mean if metric == DRIFT else clean.less(mean)
    if len(found) > 1:
        means, losses = zip(*found.values(), strict=True)
        found[OVERALL] = averaged(list(means)), averaged(list(losses))
    return found


def cell_scores(model: RankedModel, tracks: Tracks) -> list[CellScore]:
    """Spell every score of a backbone, metric by metric."""
    return [
        CellScore(model, family, severity, metric, _estimate(track, metric), track.n_images)
        for wanted in METRICS
        for (family, severity, metric), track in sorted(
            tracks.items(), key=lambda item: (list(FAMILIES).index(item[0][0]), item[0][1])
        )
        if metric == wanted
    ]


def family_scores(model: RankedModel, tracks: Tracks) -> list[FamilyScore]:
    """Spell the scores of a backbone family by family."""
    return [
        FamilyScore(model, family, metric, _estimate(mean, metric), loss.estimate(), mean.n_images)
        for metric in METRICS
        for family, (mean, loss) in family_tracks(tracks, metric).items()
    ]


def compare_models(models: Mapping[RankedModel, Cells], sampling: Sampling) -> list[RobustnessPair]:
    """Hold backbones against each other under each family and overall, picture by picture.

    Backbones do not have scores of the same pictures: each head leaves out those that it was
    trained on, and what a backbone crops off decides whether a ground can be exchanged. A pair is
    compared on the pictures that both have a score of.
    """
    found: list[RobustnessPair] = []
    for metric in COMPARED:
        scores = {model: _family_means(cells, sampling, metric) for model, cells in models.items()}
        differences = _differences(scores, sampling)
        for family in dict.fromkeys(key[0] for key in differences):
            pairs = {(a, b): d for (name, a, b), d in differences.items() if name == family}
            p_values = {
                pair: p_value(d.value, d.drawn)
                for pair, (d, _) in pairs.items()
                if d and d.drawn is not None
            }
            adjusted = dict(zip(p_values, adjusted_by_holm(list(p_values.values())), strict=True))
            found += [
                RobustnessPair(
                    *(a, b, family, metric),
                    d.estimate() if d else None,
                    adjusted.get((a, b)),
                    d.n_images if d else 0,
                    n_of_either,
                    len(p_values),
                )
                for (a, b), (d, n_of_either) in pairs.items()
            ]
    return found


def _family_means(cells: Cells, sampling: Sampling, metric: str) -> dict[str, np.ndarray]:
    """Average a metric over the severities of each family, for each picture; NaN without one."""
    by_family: dict[str, list[np.ndarray]] = {}
    for corruption, figures in cells.items():
        own = _of_pictures(figures, sampling).get(metric)
        if corruption is not None and own is not None:
            by_family.setdefault(corruption.family, []).append(own)
    means = {family: np.mean(own, axis=0) for family, own in by_family.items()}
    return {family: own for family, own in means.items() if not np.isnan(own).all()}


def _differences(
    scores: Mapping[RankedModel, Mapping[str, np.ndarray]], sampling: Sampling
) -> dict[tuple[str, RankedModel, RankedModel], tuple[Track | None, int]]:
    """Subtract backbones in pairs, by family and as ``all``; None without a picture of both.

    Returns
    -------
    dict of (family, model, model) to (Track or None, int)
        The number: pictures that one of them has a score of, at least.
    """
    families = dict.fromkeys(family for own in scores.values() for family in own)
    places = [
        (family, a, b)
        for family in families
        for a, b in combinations(scores, 2)
        if family in scores[a] and family in scores[b]
    ]
    if not places:
        return {}
    values = np.stack([scores[a][family] - scores[b][family] for family, a, b in places])
    drawn = resampled_averages(values, sampling.units, sampling.n_resamples, sampling.seed)
    found: dict[tuple[str, RankedModel, RankedModel], tuple[Track | None, int]] = {}
    for (family, a, b), own, resampled in zip(places, values, drawn, strict=True):
        either = ~np.isnan(scores[a][family]) | ~np.isnan(scores[b][family])
        track = None if np.isnan(own).all() else _track(own, resampled, sampling.units)
        found[family, a, b] = track, int(either.sum())
    for a, b in combinations(scores, 2):
        own_pairs = [each for (_, *pair), each in found.items() if pair == [a, b]]
        if len(own_pairs) > 1:
            tracks = [track for track, _ in own_pairs if track]
            n_of_either = max(n for _, n in own_pairs)
            found[OVERALL, a, b] = averaged(tracks) if tracks else None, n_of_either
    return found


def _estimate(track: Track, metric: str) -> Estimate:
    return track.estimate(-1.0 if metric == ARI else 0.0, 2.0 if metric == DRIFT else 1.0)
