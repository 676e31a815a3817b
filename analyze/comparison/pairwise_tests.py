"""Pairs of what was compared: how far apart, how surely, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, groupby

import numpy as np

from analyze.comparison.scores import NOT_DISTINGUISHED, ComparedPair, Setting
from analyze.measures.bootstrap import adjusted_by_holm, interval, p_value

SURE = 0.05
"""An adjusted p-value below it tells two apart."""

SEED_ERRORS = 1.96
"""Standard errors over seeds that a difference must exceed, or it may be theirs."""


def compare_pairs(
    settings: Sequence[Setting],
    scores: Mapping[Setting, np.ndarray],
    resampled: Mapping[Setting, np.ndarray],
    *,
    level: str,
    metric: str,
    n_images: int,
    differing: str,
) -> tuple[ComparedPair, ...]:
    """Hold settings that differ in one field alone against each other, all of a family together.

    Parameters
    ----------
    settings : sequence of Setting
    scores : mapping of Setting to ndarray of shape (n_seeds,)
    resampled : mapping of Setting to ndarray of shape (n_resamples,)
        Means over seeds on the same resamples for all.
    level, metric : str
    n_images : int
    differing : str
        Field of Setting.

    Returns
    -------
    tuple of ComparedPair
        A family after the other: p-values are adjusted within it.
    """

    def family(setting: Setting) -> tuple[object, ...]:
        return tuple(getattr(setting, name) for name in Setting._fields if name != differing)

    order: dict[tuple[object, ...], int] = {}
    for setting in settings:
        order.setdefault(family(setting), len(order))
    found: list[ComparedPair] = []
    by_family = sorted(settings, key=lambda each: order[family(each)])
    for _, members in groupby(by_family, key=family):
        pairs = list(combinations(members, 2))
        p_values = [
            p_value(_difference(scores, a, b), resampled[a] - resampled[b]) for a, b in pairs
        ]
        for (a, b), adjusted in zip(pairs, adjusted_by_holm(p_values), strict=True):
            difference = _difference(scores, a, b)
            low, high = interval(difference, resampled[a] - resampled[b])
            seed_error = _seed_error(scores[a], scores[b])
            enough = f"{n_images} pictures"
            if adjusted < SURE and abs(difference) <= SEED_ERRORS * (seed_error or 0):
                enough = f"{len(scores[a])} seeds"
            elif adjusted < SURE:
                enough = ""
            words = spell_verdict(
                _name(a, differing), _name(b, differing), difference, low, high, enough
            )
            if enough and low * high > 0:
                words += f", p {adjusted:.2f} among {len(pairs)} pairs"
            found.append(
                ComparedPair(
                    a, b, level, metric, difference, low, high, seed_error, adjusted, words
                )
            )
    return tuple(found)


def spell_verdict(
    a: str, b: str, difference: float, low: float, high: float, not_enough: str = ""
) -> str:
    """Say which is better and by how much, or of what there is not enough to say so.

    Parameters
    ----------
    a, b : str
        For people.
    difference, low, high : float
        Of a minus b, with its interval.
    not_enough : str
        As in ``525 pictures``; empty where one is better.
    """
    if not_enough:
        spelled = _spelled(difference, low, high)
        return f"{a} and {b} {NOT_DISTINGUISHED} with {not_enough}: {spelled}"
    if difference < 0:
        a, b, difference, low, high = b, a, -difference, -high, -low
    return f"{a} is better than {b} by {_spelled(difference, low, high)}"


def _difference(scores: Mapping[Setting, np.ndarray], a: Setting, b: Setting) -> float:
    return float(scores[a].mean() - scores[b].mean())


def _seed_error(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2:
        return None
    return float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a)))


def _name(setting: Setting, differing: str) -> str:
    return setting.model.name if differing == "model" else str(getattr(setting, differing))


def _spelled(difference: float, low: float, high: float) -> str:
    """Spell a difference and its interval with as many digits as tell them apart."""
    digits = 2 if high - low >= 0.02 else 3
    one, two, three = (f"{round(v, digits) + 0:.{digits}f}" for v in (difference, low, high))
    return f"{one} ({two} to {three})"
