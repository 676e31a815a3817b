"""What tuning searches, and which of the trials it takes: decisions alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analyze.head.training.spec import UNFREEZE, HeadSpec, TrainingSpec

OF_THE_HEAD = ("width", "dropout", "depth")
OF_THE_TRAINING = ("learning_rate", "weight_decay", "unfreeze", "stage_rate")
WIDTHS = (32, 64, 128, 256, 512, 1024)
LEARNING_RATES = (1e-5, 1e-2)
WEIGHT_DECAYS = (1e-5, 1.0)
"""Decoupled from the gradient it is multiplied by the learning rate, so small values do nothing."""

DROPOUTS = (0.0, 0.8)
STAGE_RATES = (0.01, 1.0)
DEPTHS: tuple[int, ...] = (0, 1, 2)
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """Any number from ``low`` to ``high``, even on a logarithmic scale where that is set."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """One of a few values."""

    values: tuple[int, ...] | tuple[str, ...]


Space = Mapping[str, Interval | Choices]


def space_around(head: HeadSpec, training: TrainingSpec) -> dict[str, Interval | Choices]:
    """Say what is searched; it holds the settings as typed, so that trial 1 can be they.

    A weight decay of 0 stays 0: it is no point of a logarithmic scale. Whether the last stage is
    trained is searched where it was requested.
    """
    space: dict[str, Interval | Choices] = {
        "learning_rate": _around(LEARNING_RATES, training.learning_rate, log=True),
        "width": Choices(tuple(sorted({*WIDTHS, head.width}))),
        "dropout": _around(DROPOUTS, head.dropout),
        "depth": Choices(tuple(sorted({*DEPTHS, head.depth}))),
    }
    if training.weight_decay > 0:
        space["weight_decay"] = _around(WEIGHT_DECAYS, training.weight_decay, log=True)
    if training.unfreeze != "none":
        space["unfreeze"] = Choices(UNFREEZE)
        space["stage_rate"] = _around(STAGE_RATES, training.stage_rate, log=True)
    return space


def typed_settings(head: HeadSpec, training: TrainingSpec, space: Space) -> dict[str, Any]:
    """Give what was typed, or is the default, of what is searched: trial 1."""
    return {n: getattr(head if n in OF_THE_HEAD else training, n) for n in space}


def settled(
    head: HeadSpec, training: TrainingSpec, settings: Settings
) -> tuple[HeadSpec, TrainingSpec]:
    """Put a trial's settings in the place of what was typed; the rest stays."""
    unknown = sorted(settings.keys() - {*OF_THE_HEAD, *OF_THE_TRAINING})
    if unknown:
        raise ValueError(f"no setting that is searched: {', '.join(unknown)}")
    return (
        replace(head, **{n: settings[n] for n in OF_THE_HEAD if n in settings}),
        replace(training, **{n: settings[n] for n in OF_THE_TRAINING if n in settings}),
    )


@dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    Parameters
    ----------
    number : int
        From 1; the first is what was typed.
    value : float or None
        Lowest validation loss; None where the trial was given up.
    n_epochs : int
        Run so far.
    best_epoch : int
        From 1; 0 where the loss was not a number from the start.
    """

    number: int
    settings: Settings
    value: float | None
    n_epochs: int
    best_epoch: int
    seconds: float

    @property
    def pruned(self) -> bool:
        """Whether it was given up: the others were better after as many epochs."""
        return self.value is None


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Take the lowest validation loss, of equal ones the earlier; None where none was finished."""
    finished = [trial for trial in trials if trial.value is not None]
    return min(finished, key=lambda trial: (trial.value, trial.number), default=None)


def best_so_far(trials: Sequence[Trial]) -> list[float]:
    """Follow the lowest validation loss trial by trial; NaN before the first that was finished."""
    lowest, path = math.nan, []
    for trial in trials:
        if trial.value is not None and not trial.value >= lowest:
            lowest = trial.value
        path.append(lowest)
    return path


def without_importance(trials: Sequence[Trial]) -> str | None:
    """Say why no importance can be had, or None where it can."""
    values = [trial.value for trial in trials if trial.value is not None]
    if len(values) < 2:
        return f"{len(values)} finished trials: importance needs 2"
    if len(set(values)) < 2:
        return "all finished trials gave one validation loss: no setting matters more"
    return None


def _around(between: tuple[float, float], typed: float, *, log: bool = False) -> Interval:
    return Interval(min(between[0], typed), max(between[1], typed), log)
