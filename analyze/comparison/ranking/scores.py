"""Scores of ranked backbones, differences of neighbors in the ranking, and how alike they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from extract.storage.embeddings import UNKNOWN, EmbeddingSet

ALPHA = 0.05


@dataclass(frozen=True)
class RankedModel:
    """One embedding that was ranked.

    Parameters
    ----------
    name : str
        For people; different from that of every other.
    model, identity, weights : str
    n_dims, bytes_per_row : int
        Of its vectors.
    images_per_second : float or None
        Of the run that embedded, on its machine; None where the file does not say.
    models_in_pass : int
        How many backbones that run embedded by together; their rate is one.
    number : int
        Its place among the embeddings that were given, from 0.
    resize, pooling : str
    """

    name: str
    model: str
    identity: str
    weights: str
    n_dims: int
    bytes_per_row: int
    images_per_second: float | None
    models_in_pass: int
    number: int
    resize: str = UNKNOWN
    pooling: str = UNKNOWN

    @classmethod
    def of(cls, number: int, name: str, embeddings: EmbeddingSet) -> RankedModel:
        """Describe an embedding by its file's own record."""
        made, n_dims = embeddings.provenance, int(embeddings.vectors.shape[1])
        together = made.record.get("models_in_pass")
        return cls(
            name=name,
            model=made.model,
            identity=made.short_identity,
            weights=made.weights,
            n_dims=n_dims,
            bytes_per_row=n_dims * embeddings.vectors.itemsize,
            images_per_second=_rate(made.record.get("images_per_second")),
            models_in_pass=together if type(together) is int and together > 0 else 1,
            number=number,
            resize=made.resize,
            pooling=made.pooling,
        )

    @property
    def key(self) -> dict[str, Any]:
        """What tells it apart, with the keys that programs read."""
        return {"model": self.model, "identity": self.identity, "weights": self.weights}

    @property
    def made(self) -> dict[str, Any]:
        """How its vectors were made, with the keys that programs read: they stand last."""
        return {"resize": self.resize, "pooling": self.pooling}


@dataclass(frozen=True)
class RankRow:
    """One score of one embedding.

    Parameters
    ----------
    model : RankedModel
    metric : str
    value : float
    low, high : float or None
        Of the 95 % interval over pictures; None where too few pictures tell.
    """

    model: RankedModel
    metric: str
    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        own = {"metric": self.metric, "value": self.value, "low": self.low, "high": self.high}
        names = ("images_per_second", "models_in_pass", "bytes_per_row", "n_dims")
        about = {name: getattr(self.model, name) for name in names}
        return {**self.model.key, **own, **about, **self.model.made}


@dataclass(frozen=True)
class RankPair:
    """Two neighbors in the ranking, the better first.

    Parameters
    ----------
    a, b : RankedModel
    metric : str
    difference : float
        a minus b, on the same pictures.
    low, high : float or None
        Of its 95 % interval over pictures.
    p_adjusted : float or None
        Two-sided, adjusted for all pairs (Holm); None where too few pictures tell.
    n_images : int
    surrogate : bool
        Whether the metric knows nothing of the labels, so that higher need not be better.
    """

    a: RankedModel
    b: RankedModel
    metric: str
    difference: float
    low: float | None
    high: float | None
    p_adjusted: float | None
    n_images: int
    surrogate: bool = False

    @property
    def verdict(self) -> str:
        """Say it in words."""
        a, b = self.a.name, self.b.name
        if self.p_adjusted is None:
            return f"{a} and {b} are {self.difference:.3f} apart; too few pictures to test it"
        spread = f"{self.difference:.3f} ({_plain(self.low)} to {_plain(self.high)})"
        if self.p_adjusted < ALPHA:
            ahead = "scores higher than" if self.surrogate else "is better than"
            return f"{a} {ahead} {b} by {spread}"
        return f"{a} and {b} cannot be distinguished with {self.n_images} pictures: {spread}"

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "a": self.a.model,
            "b": self.b.model,
            "a_identity": self.a.identity,
            "b_identity": self.b.identity,
            "metric": self.metric,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "p_adjusted": self.p_adjusted,
            "verdict": self.verdict,
            **_made(self.a, self.b),
        }


@dataclass(frozen=True)
class ModelSimilarity:
    """How alike two embeddings see the same pictures.

    Parameters
    ----------
    a, b : RankedModel
    cka, cka_debiased : float or None
        See :func:`analyze.measures.representation_similarity.linear_cka`.
    neighbor_overlap : float or None
        See :func:`analyze.measures.representation_similarity.neighbor_overlap`.
    """

    a: RankedModel
    b: RankedModel
    cka: float | None
    cka_debiased: float | None
    neighbor_overlap: float | None

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "a": self.a.model,
            "b": self.b.model,
            "a_identity": self.a.identity,
            "b_identity": self.b.identity,
            "cka": self.cka,
            "cka_debiased": self.cka_debiased,
            "neighbor_overlap": self.neighbor_overlap,
            **_made(self.a, self.b),
        }


def _made(a: RankedModel, b: RankedModel) -> dict[str, Any]:
    """Say of both how their vectors were made."""
    return {f"{side}_{k}": v for side, each in (("a", a), ("b", b)) for k, v in each.made.items()}


def _rate(noted: object) -> float | None:
    """Read a record's pictures a second; a file may say anything there."""
    if isinstance(noted, bool) or not isinstance(noted, int | float):
        return None
    return float(noted) if 0 < noted < math.inf else None


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value + 0:.3f}"
