"""Report of a tuning: its studies, each on the training set of its split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analyze.head.splitting.splits import Split
from analyze.head.training.plan import Progress
from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData
from analyze.head.tuning.search import best_so_far
from analyze.head.tuning.trials import Tuned, tune_head

Spelling = Callable[[Path], str]


@dataclass(eq=False)
class HyperparameterSearch:
    """Chooses the settings of every split from its own training set.

    Parameters
    ----------
    training : TrainingSpec
        Trial 1 of each split, and all that is not searched.
    folder : Path, optional
        Where trials are kept.
    progress : callable, optional
        Called with the number of trials of all splits that are done.
    studies : list of (Split, Tuned)
        Those that were requested so far.
    """

    head: HeadSpec
    training: TrainingSpec
    n_trials: int
    n_splits: int
    folder: Path | None = None
    progress: Progress | None = None
    studies: list[tuple[Split, Tuned]] = field(default_factory=list)

    def __call__(
        self, training_set: TrainingData, split: Split, seed: int
    ) -> tuple[HeadSpec, TrainingSpec]:
        """Tune on one split's training set."""
        before = len(self.studies) * self.n_trials

        def progress(done: int, _total: int) -> None:
            if self.progress is not None:
                self.progress(before + done, self.n_splits * self.n_trials)

        tuned = tune_head(
            training_set,
            self.head,
            self.training,
            n_trials=self.n_trials,
            seed=seed,
            folder=self.folder,
            progress=progress,
        )
        self.studies.append((split, tuned))
        return tuned.head, tuned.training


def mean_importance(studies: list[tuple[Split, Tuned]]) -> dict[str, float]:
    """Average over the studies that have any, the most important setting first."""
    known = [tuned.importance for _, tuned in studies if tuned.importance]
    names = dict.fromkeys(name for shares in known for name in shares)
    means = {n: sum(shares.get(n, 0.0) for shares in known) / len(known) for n in names}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def tuning_json(studies: list[tuple[Split, Tuned]], spelled: Spelling = str) -> dict[str, Any]:
    """Spell a tuning with the keys that programs read.

    Of several splits each has a best of its own, so that none stands for all: ``best`` and
    ``storage`` are null there, ``value`` is the mean, and ``studies`` has the rest.

    Parameters
    ----------
    spelled : callable
        How a path is written.
    """
    each = [_study_json(split, tuned, spelled) for split, tuned in studies]
    alone = each[0] if len(each) == 1 else {}
    return {
        "n_trials": sum(study["n_trials"] for study in each),
        "n_pruned": sum(study["n_pruned"] for study in each),
        "best": alone.get("best"),
        "value": sum(study["value"] for study in each) / len(each),
        "typed_value": _mean([study["typed_value"] for study in each]),
        "seconds": sum(study["seconds"] for study in each),
        "importance": mean_importance(studies),
        "storage": alone.get("storage"),
        "studies": each,
    }


def trial_rows(studies: list[tuple[Split, Tuned]]) -> Iterator[list[Any]]:
    """A row a trial: its split, its settings, how it ended, the best until then."""
    names = list(studies[0][1].trials[0].settings)
    ends = ["validation_loss", "best_so_far", "best_epoch", "epochs", "seconds"]
    yield ["split", "split_seed", "trial", "state", *names, *ends]
    for split, tuned in studies:
        path = best_so_far(tuned.trials)
        for trial, lowest in zip(tuned.trials, path, strict=True):
            state = "pruned" if trial.pruned else "finished"
            yield [
                *(split.method, split.seed, trial.number, state),
                *(trial.settings[name] for name in names),
                *(trial.value, None if lowest != lowest else lowest),
                *(trial.best_epoch, trial.n_epochs, trial.seconds),
            ]


def trial_tables(tuners: Sequence[HyperparameterSearch]) -> dict[str, Iterator[list[Any]]]:
    """Give the trials of a head, and of its rivals, by the names of their files."""
    names = ["trials.csv", *(f"against_trials_{i}.csv" for i in range(1, len(tuners)))]
    return {name: trial_rows(tuner.studies) for name, tuner in zip(names, tuners, strict=True)}


def _study_json(split: Split, tuned: Tuned, spelled: Spelling) -> dict[str, Any]:
    return {
        "split": split.method,
        "split_seed": split.seed,
        "n_trials": len(tuned.trials),
        "n_pruned": tuned.n_pruned,
        "best": dict(tuned.best.settings),
        "best_trial": tuned.best.number,
        "value": tuned.best.value,
        "typed_value": tuned.trials[0].value,
        "seconds": tuned.seconds,
        "importance": dict(tuned.importance),
        "no_importance": tuned.lacks_importance,
        "storage": None if tuned.storage is None else spelled(tuned.storage),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def tuning_lines(tuning: Mapping[str, Any]) -> list[str]:
    """Say in a line or two what a tuning found, as :func:`tuning_json` spells it."""
    studies = tuning["studies"]
    where = f" on {len(studies)} splits" if len(studies) > 1 else ""
    typed = tuning["typed_value"]
    against = "" if typed is None else f", as typed {typed:.3f}"
    lines = [
        f"tuned{where}: {tuning['n_trials']} trials, {tuning['n_pruned']} given up, in "
        f"{tuning['seconds']:.0f} s; validation loss {tuning['value']:.3f}{against}"
    ]
    if tuning["best"] is not None:
        spelled = (f"{name.replace('_', ' ')} {_short(v)}" for name, v in tuning["best"].items())
        lines.append(f"trial {studies[0]['best_trial']} is best: {', '.join(spelled)}")
    if tuning["importance"]:
        name, share = next(iter(tuning["importance"].items()))
        lines.append(f"most important: {name.replace('_', ' ')}, {share:.0%}")
    else:
        lines.append(f"no importance: {studies[0]['no_importance']}")
    return lines


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
