"""The trainings behind a report, and what they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.head.splitting.splits import Split
from analyze.head.training.head_training import Trained


@dataclass(frozen=True, eq=False)
class HeadRun:
    """One head, trained on one split with one seed.

    Parameters
    ----------
    place : int
        Of its answers in the report's arrays.
    shuffle, fold : int
        From 0; both 0 without folds.
    seed : int
        Of the training.
    n_unlike : int
        Of the tested rows: those unlike all that the head was trained on.
    """

    split: Split
    place: int
    shuffle: int
    fold: int
    seed: int
    trained: Trained
    n_unlike: int

    def to_json(self, right: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Spell it with the keys that programs read; by what head and baselines have right."""
        accuracy, *others = (
            float(own[self.place, self.split.test].mean()) for own in right.values()
        )
        return {
            **self.split.to_json(),
            "shuffle": self.shuffle,
            "fold": self.fold,
            "training_seed": self.seed,
            "accuracy": accuracy,
            "baselines": dict(zip(list(right)[1:], others, strict=True)),
            "n_unlike": self.n_unlike,
            "best_epoch": self.trained.best_epoch,
            "stopped_epoch": self.trained.stopped_epoch,
            "seconds": self.trained.seconds,
        }


def seconds_of(runs: Sequence[HeadRun]) -> float:
    """Add up what the trainings took, in seconds."""
    return sum(run.trained.seconds for run in runs)


def epochs_of(runs: Sequence[HeadRun]) -> dict[str, float]:
    """Average over the trainings: the best epoch, and the last that was run."""
    best = float(np.mean([run.trained.best_epoch for run in runs]))
    return {"best": best, "stopped": float(np.mean([run.trained.stopped_epoch for run in runs]))}
