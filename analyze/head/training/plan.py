"""What is planned: which splits, which head, how it is trained; and the splits that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyze.head.splitting.splits import Split, Splitter
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from extract.errors import UsageError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Which splits, which head, how it is trained.

    Parameters
    ----------
    n_folds : int, optional
        Without it there is one split: 60/20/20, or that of a column.
    n_shuffles : int
        How often the pictures are parted into folds.
    n_seeds : int
        Of the training, where there is one split.
    split_column : str, optional
    n_levels : int
        Levels taught together, from the one chosen downwards.
    head : HeadSpec
    training : TrainingSpec
    n_resamples : int
    seed : int
        Of splits, trainings and resamples.
    """

    n_folds: int | None = None
    n_shuffles: int = 3
    n_seeds: int = 10
    split_column: str | None = None
    n_levels: int = 1
    head: HeadSpec = field(default_factory=HeadSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    n_resamples: int = 2000
    seed: int = 0

    @property
    def resampling(self) -> dict[str, Any]:
        """How intervals are reckoned, as keyword arguments."""
        return {"n_resamples": self.n_resamples, "seed": self.seed}

    def __post_init__(self) -> None:
        if self.n_folds is not None and self.n_folds < 2:
            raise UsageError(f"--folds must be 2 or more, not {self.n_folds}")
        if self.n_folds is not None and self.split_column is not None:
            raise UsageError("--folds and --split-column are two splits: leave one of them out")
        if self.n_shuffles < 1 or self.n_seeds < 1:
            raise UsageError("--shuffles and --seeds must be 1 or more")
        if self.n_levels < 1:
            raise UsageError(f"--levels must be 1 or more, not {self.n_levels}")


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
            f"no column {name!r} beside the embeddings: there are {have}; a column of the "
            "--manifest becomes one when extract runs"
        )
    return [(0, 0, splitter.by_column(name, columns[name], plan.seed))]


def training_seeds(plan: Plan, shuffle: int, fold: int) -> list[int]:
    """Give each fold a seed of its own: one for all would share its luck among them."""
    if plan.n_folds:
        return [int(np.random.SeedSequence([plan.seed, shuffle, fold]).generate_state(1)[0])]
    return [(plan.seed + i) % 2**32 for i in range(plan.n_seeds)]


def described(plan: Plan, splits: Sequence[Split]) -> dict[str, Any]:
    """Describe how pictures were parted."""
    if not plan.n_folds:
        return {**splits[0].to_json(), "n_seeds": plan.n_seeds}
    return {
        "method": f"{plan.n_folds} folds x {plan.n_shuffles} shuffles",
        "seed": plan.seed,
        "n_folds": plan.n_folds,
        "n_shuffles": plan.n_shuffles,
        **{key: n for key, n in splits[0].to_json().items() if key.startswith("n_")},
    }
