"""Finished trials in a file of Optuna's own kind, named after all that they depend on."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyze.head.network import HeadSpec
from analyze.head.search import Space
from analyze.head.taught import Taught
from analyze.head.training import TrainingSpec
from extract.embeddings import sha256_of
from extract.errors import EmbeddingsFileError, FileLocked
from extract.file_lock import locked

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("sosie")

STUDY = "head"
REVISION = 1
"""Raised whenever a change of ours gives other trials for the same words."""

KEYED_PACKAGES = ("optuna", "torch", "numpy")


def trials_file(
    folder: Path, taught: Taught, head: HeadSpec, training: TrainingSpec, space: Space, seed: int
) -> Path:
    """Name the file after what is taught, what is searched, the seed and the versions.

    Embeddings, views, level and split are in it as what they come to: the rows that are taught.
    How many trials are wanted is not, so that more can be added.
    """
    digest = hashlib.sha256()
    for array in (taught.features, *taught.levels, taught.train, taught.validation):
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    key = {
        "taught": digest.hexdigest(),
        "head": asdict(head),
        "training": asdict(training),
        "space": {name: {type(of).__name__: asdict(of)} for name, of in space.items()},
        "stage": _stage_of(taught, training),
        "seed": seed,
        "versions": {"sosie": REVISION, **{name: version(name) for name in KEYED_PACKAGES}},
    }
    return folder / f"{sha256_of(key)[:32]}.db"


def _stage_of(taught: Taught, training: TrainingSpec) -> list[str] | None:
    """Name the last stage that may be trained, and where it is run."""
    if training.unfreeze == "none" or taught.maps is None:
        return None
    from extract.last_stage import state_sha256

    stage = taught.maps.stage
    return [stage.name, state_sha256(stage.state()), taught.maps.device]


class KeptTrials:
    """The trials of one file; of none where they cannot be kept."""

    def __init__(self, path: Path | None, study: optuna.Study | None) -> None:
        self.path, self._study = path, study

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Give those that were finished, in their order."""
        from optuna.trial import TrialState

        trials = [] if self._study is None else self._study.get_trials()
        return [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]

    def add(self, trial: optuna.trial.FrozenTrial) -> None:
        """Keep a finished trial: all of it in one transaction."""
        import optuna

        if self._study is None:
            return
        try:
            self._study.add_trial(trial)
        except optuna.exceptions.StorageInternalError as error:
            _warn(self.path, error)
            self.path, self._study = None, None


@contextmanager
def open_kept(path: Path | None) -> Iterator[KeptTrials]:
    """Open, or make, a file of trials for one run alone.

    Where it cannot be written or is damaged a warning says so: the answer is had all the same.

    Raises
    ------
    FileLocked
        When another run has it open.
    """
    with ExitStack() as open_until:
        study = None
        if path is not None:
            try:
                open_until.enter_context(locked(path))
                study = _stored_study(path, open_until)
            except FileLocked as error:
                raise FileLocked(f"another run is at the trials of {path}: wait for it") from error
            except (EmbeddingsFileError, OSError, sqlite3.Error) as error:
                _warn(path, error)
        yield KeptTrials(path if study else None, study)


def _stored_study(path: Path, open_until: ExitStack) -> optuna.Study:
    """Open the study of a file that this run has for itself."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        storage = optuna.storages.RDBStorage(
            "sqlite:///",  # a URL would give some letters of a path another meaning
            engine_kwargs={"creator": lambda: sqlite3.connect(path), "poolclass": NullPool},
        )
        open_until.callback(storage.remove_session)
        return optuna.create_study(
            storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise OSError(f"no file of trials ({type(error).__name__}): delete it") from error


def _warn(path: Path | None, error: Exception) -> None:
    reason = getattr(error, "strerror", None) or error
    log.warning("trials are not kept in %s: %s", path, reason)
