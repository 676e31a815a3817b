"""Scores of compared backbones: a row for each seed, their summary, differences of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from extract.storage.embeddings import UNKNOWN

NOT_DISTINGUISHED = "cannot be distinguished"


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
    resize, pooling : str
    """

    name: str
    model: str
    identity: str
    weights: str
    n_dims: int
    one_nn_accuracy: float | None
    resize: str = UNKNOWN
    pooling: str = UNKNOWN

    @property
    def key(self) -> dict[str, Any]:
        """What tells it apart, with the keys that programs read."""
        return {"model": self.model, "identity": self.identity, "weights": self.weights}

    @property
    def made(self) -> dict[str, Any]:
        """How its vectors were made, with the keys that programs read: they stand last."""
        return {"resize": self.resize, "pooling": self.pooling}

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        own = {"n_dims": self.n_dims, "one_nn_accuracy": self.one_nn_accuracy}
        return {**self.key, **own, **self.made}


class Setting(NamedTuple):
    """What is compared: one embedding, reduced and clustered."""

    model: ComparedModel
    reduction: str
    clustering: str


@dataclass(frozen=True)
class ComparedPair:
    """Two settings that differ in one thing, on the same resamples of pictures.

    Parameters
    ----------
    a, b : Setting
    level, metric : str
    difference : float
        Of the means over seeds, a minus b.
    low, high : float
        Its 95 % interval over pictures.
    seed_error : float or None
        Its standard error over seeds; None for one seed.
    p_adjusted : float
        Two-sided, adjusted by Holm for all pairs of one reduction (or of one embedding).
    verdict : str
        In words.
    """

    a: Setting
    b: Setting
    level: str
    metric: str
    difference: float
    low: float
    high: float
    seed_error: float | None
    p_adjusted: float
    verdict: str

    @property
    def distinguished(self) -> bool:
        """Whether one is better."""
        return NOT_DISTINGUISHED not in self.verdict

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read: what differs as a and b, the rest by name."""
        known = vars(self)
        own = {k: known[k] for k in known if k not in ("a", "b")}
        one, other = self.a, self.b
        if one.model != other.model:
            two = {"a": one.model.model, "b": other.model.model}
            identities = {"a_identity": one.model.identity, "b_identity": other.model.identity}
            made = {f"a_{key}": value for key, value in one.model.made.items()}
            made |= {f"b_{key}": value for key, value in other.model.made.items()}
            return {**two, **identities, **_same(one, "reduction", "clustering"), **own, **made}
        if one.reduction != other.reduction:
            two = {"a": one.reduction, "b": other.reduction}
            return {**two, **one.model.key, **_same(one, "clustering"), **own, **one.model.made}
        two = {"a": one.clustering, "b": other.clustering}
        return {**two, **one.model.key, **_same(one, "reduction"), **own, **one.model.made}


def _same(setting: Setting, *names: str) -> dict[str, str]:
    return {name: getattr(setting, name) for name in names}


@dataclass(frozen=True)
class ComparisonRow:
    """The scores of one embedding, one reduction and one seed.

    Parameters
    ----------
    model : ComparedModel
    reduction, clustering : str
    n_clusters : int
        Clusters that hold at least one row.
    n_noise : int
        Rows that are in no cluster.
    reduction_seed, clustering_seed : int
    level : str
    scores : mapping of str to float or None
        By the names of :data:`analyze.measures.contingency_metrics.METRICS`.
    """

    model: ComparedModel
    reduction: str
    clustering: str
    n_clusters: int
    n_noise: int
    reduction_seed: int
    clustering_seed: int
    level: str
    scores: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        own = {k: v for k, v in vars(self).items() if k not in ("model", "scores", "n_noise")}
        scores = {**self.scores, "n_noise": self.n_noise}
        return {**self.model.key, **own, **scores, **self.model.made}


@dataclass(frozen=True)
class ComparisonCell:
    """One score of one embedding, reduction and clustering: its mean over seeds, its uncertainty.

    Parameters
    ----------
    model : ComparedModel
    reduction, clustering, level, metric : str
    mean : float or None
        Over seeds; None where the score is not informative.
    low, high : float or None
        95 % interval of that mean over pictures: the clusterings are fixed, and the pictures a
        sample of those that the catalogue could hold. None where no such interval can be had.
    std : float or None
        Sample standard deviation over seeds; None for one seed.
    seed_low, seed_high : float or None
        2.5 and 97.5 percentiles over seeds.
    p_chance : float or None
        How rarely shuffled labels score as high; of the ARI alone.
    n_seeds : int
    """

    model: ComparedModel
    reduction: str
    clustering: str
    level: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    std: float | None
    seed_low: float | None
    seed_high: float | None
    p_chance: float | None
    n_seeds: int

    @property
    def setting(self) -> Setting:
        """What was scored."""
        return Setting(self.model, self.reduction, self.clustering)

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        own = {k: v for k, v in vars(self).items() if k != "model"}
        return {**self.model.key, **own, **self.model.made}
