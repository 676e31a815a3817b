"""``--unfreeze last`` of ``analyze head``: the pictures it needs, and the hours that it takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.head.rivals import Contender
    from analyze.head.training.inputs import StageMaps
    from analyze.head.training.plan import Progress
    from analyze.head.training.spec import Plan

log = logging.getLogger("sosie")

FEW_HOURS = 0.05
"""Below it no note is needed."""


def check_unfrozen(plan: Plan, against: Sequence[str], join: Sequence[str]) -> None:
    """Refuse what does not go with a trained last stage, before anything is read.

    Raises
    ------
    UsageError
    """
    if plan.training.unfreeze == "none":
        return
    for option, given in (("--against", against), ("--join", join)):
        if given:
            raise UsageError(
                f"--unfreeze {plan.training.unfreeze} trains one backbone: leave {option} out; the "
                "head on the frozen backbone is reported with it anyway"
            )


def picture(
    workspace: Workspace,
    path: Path,
    contender: Contender,
    images: Path | None,
    device: str,
    progress: Progress,
) -> tuple[Contender, StageMaps, tuple[str, ...]]:
    """Run the pictures up to the last stage of the backbone that a file was embedded with.

    Returns
    -------
    contender : Contender
        Of the pictures that could be opened.
    maps : StageMaps
    notes : tuple of str

    Raises
    ------
    UsageError
        When no picture can be opened, or the backbone cannot be split.
    """
    from analyze.head.rivals import Contender
    from analyze.head.training.stage_maps import read_stage_maps
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.pictures.stored_views import find_views
    from extract.backbones.kept_backbones import load_from_provenance
    from extract.images.augmentation import view_of
    from extract.inference.execution_config import device_for
    from extract.storage.embeddings_file import read_provenance

    embeddings, views = contender
    embeddings.refuse_means("--unfreeze")
    backbone = load_from_provenance(embeddings.provenance, device=device_for(path, device))
    wanted = []
    for each in find_views(path, embeddings.provenance) if views is not None else ():
        view = view_of(read_provenance(each).identity)
        wanted += [view] if view is not None else []
    folder = PictureFolder.of(embeddings, workspace, images)
    maps, rows = read_stage_maps(backbone, folder, wanted, progress)
    lost = len(embeddings) - len(rows)
    kept = embeddings.take(rows)
    if lost:
        left_out = {**embeddings.left_out, "picture not opened": lost}
        kept = replace(kept, left_out=left_out)
    shown = None if views is None else views[:, rows]
    return Contender(kept, shown), maps, folder.notes()


def warn_of_hours(maps: StageMaps, plan: Plan, n_trials: int) -> None:
    """Say what all trainings take at most, where that is long: on a CPU."""
    from analyze.head.training.stage_maps import count_trainings, seconds_of_step

    if maps.device != "cpu":
        return
    n_images = maps.maps.shape[1]
    n_rows = min(n_images, plan.training.batch_size)
    trainings = count_trainings(plan, n_trials)
    epochs = trainings * plan.training.epochs * (2 if plan.training.refit else 1)
    hours = epochs * seconds_of_step(maps, n_rows) * n_images / n_rows / 3600
    if hours > FEW_HOURS:
        log.warning(
            "the last stage is trained on the CPU: %d trainings of at most %d epochs take at most "
            "%s; a GPU takes minutes (--device cuda)",
            trainings,
            plan.training.epochs,
            f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(60 * hours))} minutes",
        )
