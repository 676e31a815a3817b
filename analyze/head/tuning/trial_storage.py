"""Finished trials in a file of Optuna's own kind, named after all that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData
from analyze.head.tuning.search import Space
from extract.errors import EmbeddingsFileError, FileLocked, in_one_line, of_later_format
from extract.files.file_lock import locked
from extract.files.strict_json import CHECK_SUM
from extract.storage.embeddings import sha256_of

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("sosie")

STUDY = "head"
FORMAT_VERSION = 1
REVISION = 1
"""Raised whenever a change of ours gives other trials for the same words."""

KEYED_PACKAGES = ("optuna", "torch", "numpy")


def trials_file(
    folder: Path,
    training_set: TrainingData,
    head: HeadSpec,
    training: TrainingSpec,
    space: Space,
    seed: int,
) -> Path:
    """Name the file after the training set, what is searched, the seed and the versions.

    Embeddings, views, level and split are in it as what they come to: the training rows.
    How many trials are wanted is not, so that more can be added.
    """
    digest = hashlib.sha256()
    for array in (
        training_set.features,
        *training_set.targets.arrays,
        training_set.train,
        training_set.validation,
    ):
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    key = {
        "taught": digest.hexdigest(),
        "head": asdict(head),
        "training": asdict(training),
        "space": {name: {type(of).__name__: asdict(of)} for name, of in space.items()},
        "stage": _stage_of(training_set, training),
        "seed": seed,
        "versions": {"sosie": REVISION, **{name: version(name) for name in KEYED_PACKAGES}},
    }
    return folder / f"{sha256_of(key)[:32]}.db"


def _stage_of(training_set: TrainingData, training: TrainingSpec) -> list[str] | None:
    """Name the last stage that may be trained, and where it is run."""
    if training.unfreeze == "none" or training_set.maps is None:
        return None
    from extract.backbones.partial_finetuning import state_sha256

    stage = training_set.maps.stage
    return [stage.name, state_sha256(stage.state()), training_set.maps.device]


class KeptTrials:
    """The trials of one file; of none where they cannot be kept."""

    def __init__(self, path: Path | None, study: optuna.Study | None) -> None:
        self.path, self._study = path, study
        self._trials = [] if study is None or path is None else _proven(study, path)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Give those that were finished when the file was opened, in their order."""
        return self._trials

    def add(self, trial: optuna.trial.FrozenTrial) -> None:
        """Keep a finished trial: all of it in one transaction, with its check sum."""
        import optuna

        if self._study is None:
            return
        kept = deepcopy(trial)
        kept.user_attrs = {**trial.user_attrs, CHECK_SUM: _check_sum(trial)}
        try:
            self._study.add_trial(kept)
        except optuna.exceptions.StorageInternalError as error:
            _warn(self.path, error)
            self.path, self._study = None, None


@contextmanager
def open_kept(path: Path | None) -> Iterator[KeptTrials]:
    """Open, or make, a file of trials for one run alone.

    Where it cannot be written or is damaged a warning reports it; the result is returned.

    Raises
    ------
    FileLocked
        When another run has it open.
    """
    with ExitStack() as open_until:
        kept = KeptTrials(None, None)
        if path is not None:
            try:
                open_until.enter_context(locked(path))
                kept = _kept(path, open_until)
            except FileLocked as error:
                raise FileLocked(f"another run is at the trials of {path}: wait for it") from error
            except (EmbeddingsFileError, OSError, sqlite3.Error) as error:
                _warn(path, error)
        yield kept


def _kept(path: Path, open_until: ExitStack) -> KeptTrials:
    """Open a file that this run has for itself, and read its trials.

    Raises
    ------
    OSError
        With what is wrong with it.
    """
    try:
        study = _stored_study(path, open_until)
        found = study.user_attrs.get("format_version", None if study.trials else 0)
        if found == 0:
            study.set_user_attr("format_version", FORMAT_VERSION)
        elif isinstance(found, int) and found > FORMAT_VERSION:
            raise OSError(of_later_format("it", found, FORMAT_VERSION))
        return KeptTrials(path, study)
    except OSError:
        raise
    except RuntimeError as error:  # of another version of Optuna, with advice
        raise OSError(in_one_line(error, 300)) from error
    except Exception as error:  # damaged rows end in errors of many kinds
        raise OSError(f"no file of trials ({in_one_line(error, 80)}): delete it") from error


def _stored_study(path: Path, open_until: ExitStack) -> optuna.Study:
    import optuna
    from sqlalchemy.pool import NullPool

    storage = optuna.storages.RDBStorage(
        "sqlite:///",  # a URL would give some letters of a path another meaning
        engine_kwargs={"creator": lambda: sqlite3.connect(path), "poolclass": NullPool},
    )
    open_until.callback(storage.remove_session)
    return optuna.create_study(
        storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True
    )


def _proven(study: optuna.Study, path: Path) -> list[optuna.trial.FrozenTrial]:
    """Give the trials of a study as they were added; one that was changed condemns its file.

    Raises
    ------
    ValueError
    """
    trials: list[optuna.trial.FrozenTrial] = study.get_trials()
    n_unproven = 0
    for number, trial in enumerate(trials):
        record = trial.user_attrs.pop(CHECK_SUM, None)
        n_unproven += record is None
        if not trial.state.is_finished() or trial.number != number:
            raise ValueError(f"trial {number + 1} is not whole")
        if record not in (None, _check_sum(trial)):
            raise ValueError(f"trial {number + 1} does not fit its check sum")
    if n_unproven:
        log.warning(
            "%d trials of %s are of an earlier version, without check sums: nothing proves them; "
            "delete the file to have them tried again",
            n_unproven,
            path,
        )
    return trials


def _check_sum(trial: optuna.trial.FrozenTrial) -> str:
    """Sum up all of a trial that is read again; a loss may be no number."""
    from optuna.distributions import distribution_to_json

    record = {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "space": {name: distribution_to_json(of) for name, of in trial.distributions.items()},
        "losses": trial.intermediate_values,
        "seconds": trial.user_attrs["seconds"],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _warn(path: Path | None, error: Exception) -> None:
    reason = getattr(error, "strerror", None) or error
    log.warning("trials are not kept in %s: %s", path, reason)
