"""How often intervals and p-values are right, on pictures drawn from joint tables that are known.

The truth is the score of the table of shares itself. The plain percentile interval is beside ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analyze.comparison.resampling import permuted_means
from analyze.measures.bootstrap import (
    interval,
    permutation_p_value,
    resampled_weights,
)
from analyze.measures.contingency_metrics import JointTables, ari

N_RESAMPLES = 2000
TRIALS_A_DRAW = 10
"""Trials that take the same resamples."""

LEVELS = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Case:
    """Pictures of so many classes and clusters, of a wanted ARI.

    Parameters
    ----------
    n_classes, n_images : int
    wanted : float
        0 for independent labels.
    asked : tuple of float
        What share of intervals is to hold the truth.
    """

    n_classes: int
    n_images: int
    wanted: float
    asked: tuple[float, float]


CASES = (
    *(Case(7, n, wanted, (0.93, 0.97)) for n in (500, 1050) for wanted in (0.2, 0.45, 0.7)),
    *(Case(62, 525, wanted, (0.92, 0.97)) for wanted in (0.2, 0.45, 0.7)),
    Case(7, 525, 0.0, (0.95, 1.0)),
    Case(62, 525, 0.0, (0.95, 1.0)),
)


def measure(trials: int, only: list[int] | None) -> None:
    """Print the coverage of each case, then how rare p-values are under chance, and of pairs."""
    for number, case in enumerate(CASES):
        if only and number not in only:
            continue
        ours, plain = coverage(case, trials)
        low, high = case.asked
        mark = "" if low <= ours <= high else "  (outside)"
        print(
            f"{number}: {case.n_classes} x {case.n_classes}, {case.n_images} pictures, ARI "
            f"{truth_of(table_of(case)):.3f}: {ours:.2%} of {trials} intervals hold it, "
            f"{low:.0%} to {high:.0%} asked; plain percentiles {plain:.2%}{mark}",
            flush=True,
        )
    if not only:
        _measure_chance(trials)
        _measure_pairs(min(trials, 200))


def table_of(case: Case) -> np.ndarray:
    """Build a table of shares: classes of unequal size, clusters that mix some more than others."""
    k = case.n_classes
    rng = np.random.default_rng(k)
    classes = 1 + rng.random(k)
    classes /= classes.sum()
    stray = rng.dirichlet(np.full(k, 0.5), k)  # where pictures of each class go astray to
    independent = np.outer(classes, classes)
    if not case.wanted:
        return independent
    low, high = 0.0, 1.0
    for _ in range(60):  # the share that keeps to its class, by halving
        kept = (low + high) / 2
        table = classes[:, None] * (kept * np.eye(k) + (1 - kept) * stray)
        low, high = (kept, high) if truth_of(table) < case.wanted else (low, kept)
    return table


def truth_of(table: np.ndarray) -> float:
    """Give the adjusted Rand index that endlessly many pictures of a table would have."""
    both, by_class, by_cluster = (
        float((each**2).sum()) for each in (table, table.sum(axis=1), table.sum(axis=0))
    )
    expected = by_class * by_cluster
    return (both - expected) / ((by_class + by_cluster) / 2 - expected)


def coverage(case: Case, trials: int) -> tuple[float, float]:
    """Say how many of our intervals, and of plain percentile intervals, hold the truth."""
    table = table_of(case)
    truth, units = truth_of(table), np.arange(case.n_images)
    ours = plain = 0
    for trial, weights in zip(range(trials), _weights(units, trials), strict=False):
        rng = np.random.default_rng([trial, case.n_classes, case.n_images])
        labels, assignments = np.divmod(
            rng.choice(table.size, case.n_images, p=table.ravel()), case.n_classes
        )
        estimate = float(ari(JointTables.of(labels, assignments))[0])
        resampled = ari(JointTables.of(labels, assignments, weights))
        found = interval(estimate, resampled)
        ours += found.low <= truth <= found.high
        low, high = np.quantile(resampled, [0.025, 0.975])
        plain += bool(low <= truth <= high)
    return ours / trials, plain / trials


def _weights(units: np.ndarray, trials: int) -> Iterator[np.ndarray]:
    for first in range(0, trials, TRIALS_A_DRAW):
        blocks = list(resampled_weights(units, N_RESAMPLES, seed=first))
        whole = np.concatenate(blocks, axis=1)
        yield from [whole] * TRIALS_A_DRAW


def _measure_chance(trials: int) -> None:
    """Print how often chance is called rare, by permutations, where labels mean nothing."""
    for n_classes, n_images in ((7, 500), (62, 525)):
        p_values = []
        for trial in range(trials):
            rng = np.random.default_rng([trial, n_classes])
            labels, assignments = rng.integers(0, n_classes, (2, n_images))
            observed = float(ari(JointTables.of(labels, assignments))[0])
            permuted = permuted_means(labels, [[assignments]], np.arange(n_images), 199, seed=trial)
            p_values.append(permutation_p_value(observed, permuted[0]))
        found = np.array(p_values)
        told = ", ".join(
            f"{a}: {(found <= a).mean():.4f} (error {(a * (1 - a) / trials) ** 0.5:.4f})"
            for a in LEVELS
        )
        print(f"chance, {n_classes} x {n_classes}, {n_images} pictures, P(p <= a): {told}")


def _measure_pairs(trials: int) -> None:
    """Print how wide paired and unpaired intervals are, of two clusterings that err alike."""
    ratios = []
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        labels = rng.integers(0, 7, 525)
        err = rng.random(525) < 0.3
        drawn = rng.integers(0, 7, (2, 525))
        one = np.where(err, drawn[0], labels)
        other = np.where(err | (rng.random(525) < 0.05), drawn[1], labels)
        (weights,) = resampled_weights(np.arange(525), N_RESAMPLES, seed=trial)
        a, b = (ari(JointTables.of(labels, each, weights)) for each in (one, other))
        paired = interval(float((a - b).mean()), a - b)
        shuffled = a - rng.permutation(b)
        apart = interval(float(shuffled.mean()), shuffled)
        ratios.append((paired.high - paired.low) / (apart.high - apart.low))
    print(
        f"pairs that err alike: paired intervals are {np.median(ratios):.2f} as wide as unpaired "
        f"ones, at most {max(ratios):.2f}, {trials} trials"
    )
