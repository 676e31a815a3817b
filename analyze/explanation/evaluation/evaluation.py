"""Methods held against each other and against a map of noise, on the same pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.explanation.faithfulness import RANDOM, Curves, agreements, rank_agreement
from analyze.measures.bootstrap import p_value, resampled_weights
from analyze.measures.estimates import LEAST_UNITS, Estimate, mean_over_pictures

N_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class MapsOfMethod:
    """What one method drew of the pictures, and what came of following it.

    Parameters
    ----------
    method : str
    curves : tuple of Curves
        A picture each.
    cells : tuple of ndarray of shape (n_rows, n_columns)
        Its maps, on the cells of the backbone's own.
    randomized : tuple of pairs of ndarray of shape (n_rows, n_columns)
        Of some pictures its map, and that of a backbone with random weights.
    hits : tuple of bool
        Whether the highest place lies in the picture's box; of those that have one.
    n_empty : int
        Maps with nothing in them, which are followed as they are: in the order of rows.
    seconds : float
        What the maps of all pictures took.
    errors : tuple of float
        How far shares are off their sum, where they should add up.
    """

    method: str
    curves: tuple[Curves, ...]
    cells: tuple[np.ndarray, ...]
    randomized: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    hits: tuple[bool, ...] = ()
    n_empty: int = 0
    seconds: float = 0.0
    errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Score:
    """What a method's maps are worth; intervals are over pictures.

    Parameters
    ----------
    method : str
    n_images : int
    deletion, insertion : Estimate
        Areas under the curves; of deletion less is better, of insertion more.
    deletion_gain, insertion_gain : Estimate or None
        By how much they are better than those of a map of noise; None for the noise itself.
    deletion_p, insertion_p : float or None
        How rarely resampled pictures put that gain on the other side of 0; None of few pictures.
    pointing : Estimate or None
        Share of boxes that the highest place lies in.
    unchanged : Estimate or None
        Rank correlation of its maps with those of random weights: a map that does not change shows
        nothing of the model.
    n_empty : int
    error : float or None
        Median of how far shares are off their sum.
    seconds_per_image : float
    """

    method: str
    n_images: int
    deletion: Estimate
    insertion: Estimate
    deletion_gain: Estimate | None
    insertion_gain: Estimate | None
    deletion_p: float | None
    insertion_p: float | None
    pointing: Estimate | None
    unchanged: Estimate | None
    n_empty: int
    error: float | None
    seconds_per_image: float

    def to_json(self) -> dict[str, Any]:
        """Return it with the keys that programs read: each number with its interval."""
        spelled: dict[str, Any] = {"method": self.method, "n_images": self.n_images}
        for name in (
            *("deletion", "insertion", "deletion_gain", "insertion_gain"),
            *("pointing", "unchanged"),
        ):
            found: Estimate | None = getattr(self, name)
            spelled[name] = found.mean if found else None
            spelled[f"{name}_low"] = found.low if found else None
            spelled[f"{name}_high"] = found.high if found else None
        return {
            **spelled,
            "deletion_p": self.deletion_p,
            "insertion_p": self.insertion_p,
            "n_empty": self.n_empty,
            "additivity_error": self.error,
            "seconds_per_image": self.seconds_per_image,
        }


def score_methods(
    drawn: Sequence[MapsOfMethod], groups: np.ndarray, seed: int = 0
) -> tuple[Score, ...]:
    """Score each method against the map of noise among them, picture by picture.

    Parameters
    ----------
    drawn : sequence of MapsOfMethod
        That of ``RANDOM`` among them.
    groups : ndarray of shape (n_images,), int
        Copies have one number, and are resampled together.
    seed : int
    """
    floor = next(each for each in drawn if each.method == RANDOM)
    return tuple(_score(each, floor, groups, seed) for each in drawn)


def _score(own: MapsOfMethod, floor: MapsOfMethod, groups: np.ndarray, seed: int) -> Score:
    words: dict[str, Any] = {"n_resamples": N_RESAMPLES, "seed": seed}
    areas = {name: _areas(own, name) for name in ("deletion", "insertion")}
    gains: dict[str, Estimate | None] = {"deletion": None, "insertion": None}
    p: dict[str, float | None] = {"deletion": None, "insertion": None}
    if own is not floor:
        for name, sign in (("deletion", -1), ("insertion", 1)):
            gain = sign * (areas[name] - _areas(floor, name))
            gains[name] = mean_over_pictures(gain[None], groups, least=-np.inf, **words)
            if len(np.unique(groups)) >= LEAST_UNITS:
                p[name] = _p_of(gain, groups, seed)
    changed = [rank_agreement(a.ravel(), b.ravel()) for a, b in own.randomized]
    hits = np.array(own.hits, np.float64)
    return Score(
        method=own.method,
        n_images=len(own.curves),
        deletion=mean_over_pictures(areas["deletion"][None], groups, least=-np.inf, **words),
        insertion=mean_over_pictures(areas["insertion"][None], groups, least=-np.inf, **words),
        deletion_gain=gains["deletion"],
        insertion_gain=gains["insertion"],
        deletion_p=p["deletion"],
        insertion_p=p["insertion"],
        pointing=_of_some(hits, least=0.0, **words) if len(hits) else None,
        unchanged=_of_some(np.array(changed), **words) if changed else None,
        n_empty=own.n_empty,
        error=float(np.median(own.errors)) if own.errors else None,
        seconds_per_image=own.seconds / len(own.curves),
    )


def _areas(own: MapsOfMethod, name: str) -> np.ndarray:
    return np.array([getattr(each, f"{name}_area") for each in own.curves])


def _of_some(values: np.ndarray, **words: Any) -> Estimate:
    return mean_over_pictures(values[None], np.arange(len(values)), **words)


def _p_of(gain: np.ndarray, groups: np.ndarray, seed: int) -> float:
    drawn = [
        (gain @ weights) / weights.sum(axis=0)
        for weights in resampled_weights(groups, N_RESAMPLES, seed)
    ]
    return p_value(float(gain.mean()), np.concatenate(drawn))


def agreement_rows(drawn: Sequence[MapsOfMethod]) -> list[dict[str, Any]]:
    """Say how far each two methods name the same places first, in the mean over pictures."""
    maps: Mapping[str, Sequence[np.ndarray]] = {each.method: each.cells for each in drawn}
    return [
        {"a": a, "b": b, "rank_correlation": float(np.mean(ranks))}
        for (a, b), ranks in agreements(maps).items()
    ]
