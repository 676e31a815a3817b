"""What follows from a plan: its splits, the seeds of their trainings, its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analyze.head.splitting.splits import Split, Splitter
from analyze.head.training.spec import Plan
from extract.errors import UsageError

Progress = Callable[[int, int], None]


def planned_splits(
    plan: Plan, columns: Mapping[str, Sequence[str]], splitter: Splitter
) -> list[tuple[int, int, Split]]:
    """Give shuffle, fold and rows of every split.

    Raises
    ------
    UsageError
        When the column of the plan is not there.
    """
    if plan.n_folds:
        return [
            (shuffle, fold, split)
            for shuffle in range(plan.n_shuffles)
            for fold, split in enumerate(
                splitter.folds(plan.n_folds, (plan.seed + shuffle) % 2**32)
            )
        ]
    name = plan.split_column
    if name is None:
        return [(0, 0, splitter.at_once(plan.seed))]
    if name not in columns:
        have = ", ".join(columns) or "none"
        raise UsageError(
            f"no column {name!r} next to the embeddings: there are {have}; a column of the "
            "--manifest becomes one when extract runs"
        )
    return [(0, 0, splitter.by_column(name, columns[name], plan.seed))]


def training_seeds(plan: Plan, shuffle: int, fold: int) -> list[int]:
    """Give each fold a seed of its own: one for all would share its luck among them."""
    if plan.n_folds:
        return [int(np.random.SeedSequence([plan.seed, shuffle, fold]).generate_state(1)[0])]
    return [(plan.seed + i) % 2**32 for i in range(plan.n_seeds)]


def described(plan: Plan, splits: Sequence[Split]) -> dict[str, Any]:
    """Describe the split strategy."""
    if not plan.n_folds:
        return {**splits[0].to_json(), "n_seeds": plan.n_seeds}
    return {
        "method": f"{plan.n_folds} folds x {plan.n_shuffles} shuffles",
        "seed": plan.seed,
        "n_folds": plan.n_folds,
        "n_shuffles": plan.n_shuffles,
        **{key: n for key, n in splits[0].to_json().items() if key.startswith("n_")},
    }
