"""Pictures run up to the backbone's last stage, once, as they are and in their views."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.head.training.inputs import StageMaps
from analyze.head.training.plan import Progress
from analyze.head.training.spec import Plan
from analyze.pictures.picture_folder import PictureFolder
from analyze.threads import one_thread_of_torch
from extract.errors import UsageError
from extract.files.private_memory import free_memory
from extract.images.augmentation import View, augment
from extract.inference.execution_config import usable_cores
from extract.machine.allocation import keep_freed_memory

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone

PICTURES_AT_ONCE = 16
MOST_SHARE = 0.6
"""Of the memory that is free: training holds copies of the training set."""


def read_stage_maps(
    backbone: Backbone,
    folder: PictureFolder,
    views: Sequence[View] = (),
    progress: Progress | None = None,
) -> tuple[StageMaps, np.ndarray]:
    """Compute what the last stage reads, of every picture that can be opened.

    Parameters
    ----------
    backbone : Backbone
        That gave the folder's vectors, on the device where the stage is to be trained.
    folder : PictureFolder
        Which notes the pictures that cannot be opened.
    progress : callable, optional
        Called with the number of pictures that are done.

    Returns
    -------
    maps : StageMaps
        Of the pictures that were opened.
    rows : ndarray of int
        Their rows, ascending.

    Raises
    ------
    UsageError
        When the backbone cannot be split, no picture can be opened, or all do not fit in memory.
    """
    import torch

    from extract.backbones.partial_finetuning import find_last_stage, stage_inputs

    keep_freed_memory()
    stage, n_images = find_last_stage(backbone), len(folder.embeddings)
    maps: np.ndarray | None = None
    opened: list[int] = []
    for rows, pixels in _prepared(backbone, folder, views):
        if progress is not None:
            progress(rows[-1] + 1, n_images)
        there = [(row, own) for row, own in zip(rows, pixels, strict=True) if own is not None]
        if not there:
            continue
        stacked = torch.stack([each for _, own in there for each in own])
        found = stage_inputs(backbone, stage.name, stacked).float().cpu().numpy()
        if maps is None:
            maps = _room_for((len(views) + 1, n_images, *found.shape[1:]))
        places = slice(len(opened), len(opened) + len(there))
        by_picture = found.reshape(len(there), len(views) + 1, *found.shape[1:])
        maps[:, places] = by_picture.swapaxes(0, 1)
        opened += [row for row, _ in there]
    if maps is None:
        why = "; ".join(folder.notes())
        raise UsageError(f"--unfreeze last needs the pictures, and none could be opened: {why}")
    return StageMaps(stage, maps[:, : len(opened)], backbone.device), np.array(opened)


def seconds_of_step(maps: StageMaps, n_rows: int) -> float:
    """Time one training step of the stage on some pictures, on a CPU."""
    import torch

    some, stage = torch.from_numpy(maps.maps[0, :n_rows]), maps.stage.fresh()
    with one_thread_of_torch():
        for _ in range(2):  # the first one also sets things up
            began = time.perf_counter()
            stage.vectors(some).sum().backward()  # type: ignore[no-untyped-call]
            seconds = time.perf_counter() - began
    return seconds


def count_trainings(plan: Plan, n_trials: int) -> int:
    """Count the trainings of a plan, each split of which has a number of trials first."""
    splits = plan.n_folds * plan.n_shuffles + 1 if plan.n_folds else 1
    trainings = splits * (n_trials + 1) if plan.n_folds else n_trials + plan.n_seeds
    # a head of each level alone, for every one that is tested
    tested = splits - 1 if plan.n_folds else plan.n_seeds
    return trainings + (plan.n_levels * tested if plan.n_levels > 1 else 0)


def _prepared(
    backbone: Backbone, folder: PictureFolder, views: Sequence[View]
) -> Iterator[tuple[list[int], list[Any]]]:
    """Decode pictures side by side, some at a time; None where one cannot be opened."""
    seen = backbone.preprocessing

    def prepared(row: int) -> Any:
        picture = folder.open(row)
        if picture is None:
            return None
        plain = [seen.transform()(picture)]
        if not views:
            return plain
        placed, known = seen.placed(picture), folder.embeddings.content_sha256
        content = known[row].tobytes() if known is not None else b""
        return [*plain, *(seen.scaled(augment(placed, view, content)) for view in views)]

    n_images = len(folder.embeddings)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for first in range(0, n_images, PICTURES_AT_ONCE):
            rows = list(range(first, min(n_images, first + PICTURES_AT_ONCE)))
            yield rows, list(pool.map(prepared, rows))


def _room_for(shape: tuple[int, ...]) -> np.ndarray:
    """Make room in memory for maps; refuse what would not fit."""
    wanted, free = 4 * int(np.prod(shape)), free_memory()
    if free is not None and wanted > MOST_SHARE * free:
        raise UsageError(
            f"what the last stage reads of {shape[1]} pictures and {shape[0] - 1} views takes "
            f"{wanted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: take fewer views, or leave "
            "--unfreeze out"
        )
    return np.empty(shape, np.float32)
