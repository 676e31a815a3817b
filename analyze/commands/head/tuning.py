"""``--trials`` of ``analyze head``: what it prints and writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.head.training.plan import Progress
    from analyze.head.training.spec import Plan
    from analyze.head.tuning.tuning_report import HyperparameterSearch

STOPPED = "stopped; the trials that were finished are kept: the same command goes on from them"


def make_tuners(
    workspace: Workspace, plan: Plan, trials: int | None, n_backbones: int, progress: Progress
) -> list[HyperparameterSearch]:
    """Make what tunes each split of each backbone; nothing where that is not wanted.

    Raises
    ------
    UsageError
        When Optuna is missing.
    """
    if trials is None:
        return []
    from analyze.head.rivals import part_of
    from analyze.head.tuning.trials import require_optuna
    from analyze.head.tuning.tuning_report import HyperparameterSearch

    require_optuna()
    n_splits = plan.n_folds * plan.n_shuffles if plan.n_folds else 1
    tuners = []
    for number in range(n_backbones):
        # of folds the head that is kept is tuned too, on all that they tested; rivals keep none
        n_studies = n_splits + (1 if plan.n_folds and not number else 0)
        reported = part_of(progress, number, n_backbones)
        settings = (plan.head, plan.training, trials, n_studies)
        tuners.append(HyperparameterSearch(*settings, workspace.cached_head_trials, reported))
    return tuners


def say_tuning(
    workspace: Workspace, tuners: list[HyperparameterSearch], result: dict[str, Any]
) -> None:
    """Add what was tuned to the results of the heads and of their rivals."""
    result["tuning"] = None
    if not tuners:
        return
    from analyze.head.tuning.tuning_report import tuning_json

    tuning, *others = (tuning_json(tuner.studies, workspace.relative) for tuner in tuners)
    result["tuning"] = tuning
    for rival, own in zip(result["against"], others, strict=True):
        rival["tuning"] = own
    if tuning["best"] is not None:
        result["settings"] = {**result["settings"], **tuning["best"]}


def write_tuning(folder: Path, tuners: list[HyperparameterSearch], result: dict[str, Any]) -> None:
    """Write the trials as a table and as a figure, those of rivals as tables."""
    if not tuners:
        return
    from analyze.head.tuning.tuning_figure import draw_studies
    from analyze.head.tuning.tuning_report import trial_tables
    from analyze.presentation.figure_style import save
    from extract.files.results import write_tables

    write_tables(folder, trial_tables(tuners))
    save(draw_studies(tuners[0].studies, result["tuning"], result), folder, "tuning")
