"""Tuning by Optuna on the training set; every finished trial is kept."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.head.training.head_training import Epoch, train_head
from analyze.head.training.plan import Progress
from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData
from analyze.head.tuning.search import (
    Choices,
    Space,
    Trial,
    best_of,
    settled,
    space_around,
    typed_settings,
    without_importance,
)
from analyze.head.tuning.trial_storage import open_kept, trials_file
from extract.errors import UsageError

if TYPE_CHECKING:
    import optuna

N_RANDOM = 10
"""Trials drawn evenly before those that learn from the earlier ones."""

N_UNPRUNED, N_WARMUP_EPOCHS = 5, 5
"""Finished trials, and epochs of each trial, before any is given up."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """The trials on one split, and what was taken.

    Parameters
    ----------
    trials : tuple of Trial
        In their order; trial 1 is what was typed.
    training : TrainingSpec
        Both with the best settings.
    importance : mapping of str to float
        Shares of what the settings explain of the validation loss, the most important first; they
        sum to 1, or are none where that cannot be had.
    lacks_importance : str or None
        Why it cannot.
    storage : Path or None
        None where the trials are not kept.
    """

    trials: tuple[Trial, ...]
    best: Trial
    head: HeadSpec
    training: TrainingSpec
    importance: Mapping[str, float]
    lacks_importance: str | None
    storage: Path | None

    @property
    def n_pruned(self) -> int:
        """How many trials were given up."""
        return sum(trial.pruned for trial in self.trials)

    @property
    def seconds(self) -> float:
        """What all trials took, in this run and in earlier ones."""
        return sum(trial.seconds for trial in self.trials)


class _GivenUp(Exception):
    """The others were better after as many epochs."""


def require_optuna() -> None:
    """Say in one line what to type where Optuna is missing.

    Raises
    ------
    UsageError
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError('--trials needs Optuna: pip install -e ".[head]"') from error


def tune_head(
    training_set: TrainingData,
    head: HeadSpec | None = None,
    training: TrainingSpec | None = None,
    *,
    n_trials: int,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Try settings on the train rows, and take the one with the lowest validation loss.

    A trial depends on the seed and on the trials before it alone, so that a run that was stopped
    goes on as if it had not been.

    Parameters
    ----------
    training_set : TrainingData
        All that is looked at.
    head, training : HeadSpec, TrainingSpec, optional
        Trial 1, and all that is not searched.
    n_trials : int
        In all, with those that were kept.
    seed : int
        Of the search and of every training.
    folder : Path, optional
        Where trials are kept, in a file named after all that they depend on.
    progress : callable, optional
        Called with the number of trials that are done.

    Raises
    ------
    UsageError
        When Optuna is missing, or no trial was finished.
    FileLocked
        When another run is at the same trials.
    """
    if n_trials < 1:
        raise UsageError(f"--trials must be 1 or more, not {n_trials}")
    require_optuna()
    import optuna

    head, training = head or HeadSpec(), training or TrainingSpec()
    space = space_around(head, training)
    path = (
        None if folder is None else trials_file(folder, training_set, head, training, space, seed)
    )

    def try_one(trial: optuna.Trial) -> None:
        _try_one(trial, training_set, settled(head, training, _drawn(trial, space)), seed)

    with _silenced(), open_kept(path) as kept:
        study = _study()
        for earlier in kept.trials()[:n_trials]:
            study.add_trial(earlier)
        for number in range(len(study.trials), n_trials):
            if progress is not None:
                progress(number, n_trials)
            study.sampler = _sampler(seed, number)
            if number == 0:
                study.enqueue_trial(typed_settings(head, training, space))
            _tell(study, try_one)
            kept.add(study.trials[-1])
        if progress is not None:
            progress(n_trials, n_trials)
        trials = tuple(_as_tried(trial) for trial in study.trials)
        lacking = without_importance(trials)
        shares = {} if lacking else optuna.importance.get_param_importances(study)
    best = best_of(trials)
    if best is None:
        raise UsageError("no trial's loss was a number: give a lower --learning-rate")
    chosen = settled(head, training, best.settings)
    importance = {name: float(share) for name, share in shares.items()}
    return Tuned(trials, best, *chosen, importance, lacking, kept.path)


def _study() -> optuna.Study:
    """Make a study in memory; its finished trials alone are copied to the file.

    So no half of a trial is ever on disk, and an epoch costs no write.
    """
    import optuna

    pruner = optuna.pruners.MedianPruner(N_UNPRUNED, N_WARMUP_EPOCHS)
    return optuna.create_study(direction="minimize", pruner=pruner)


def _sampler(seed: int, number: int) -> optuna.samplers.TPESampler:
    """Give each trial a random stream of its own: one for all would start again when resumed."""
    import optuna

    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(n_startup_trials=N_RANDOM, seed=own)


def _drawn(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for name, of in space.items():
        if isinstance(of, Choices):
            drawn[name] = trial.suggest_categorical(name, of.values)
        else:
            drawn[name] = trial.suggest_float(name, of.low, of.high, log=of.log)
    return drawn


def _try_one(
    trial: optuna.Trial,
    training_set: TrainingData,
    settings: tuple[HeadSpec, TrainingSpec],
    seed: int,
) -> None:
    """Train until validation, or the median of the others, stops it; the trial is informed."""

    def report(number: int, epoch: Epoch) -> None:
        trial.report(epoch.validation_loss, number)
        if trial.should_prune():
            raise _GivenUp

    head, training = settings
    train_head(training_set, head, replace(training, refit=False), seed=seed, on_epoch=report)


def _tell(study: optuna.Study, try_one: Callable[[optuna.Trial], None]) -> None:
    """Run the study's next trial; one with a loss that is no number is pruned like a poor one."""
    from optuna.trial import TrialState

    trial, began = study.ask(), time.perf_counter()
    state, value = TrialState.PRUNED, None
    try:
        try_one(trial)
    except (_GivenUp, UsageError):
        pass
    else:
        state = TrialState.COMPLETE
        value = min(study.trials[trial.number].intermediate_values.values())
    trial.set_user_attr("seconds", time.perf_counter() - began)
    study.tell(trial, value, state)


def _as_tried(trial: optuna.trial.FrozenTrial) -> Trial:
    from optuna.trial import TrialState

    losses = trial.intermediate_values
    return Trial(
        number=trial.number + 1,
        settings=dict(trial.params),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        n_epochs=len(losses),
        best_epoch=min(losses, key=lambda number: (losses[number], number), default=0),
        seconds=float(trial.user_attrs["seconds"]),
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Show our own progress bar alone."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
