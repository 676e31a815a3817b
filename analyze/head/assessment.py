"""A head compared with its baselines, on pictures that none of them was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analyze.head.reporting.report import HEAD, HeadReport
from analyze.head.reporting.runs import HeadRun
from analyze.head.splitting.leaks import count_leaks, leak_note
from analyze.head.splitting.splits import Split, naive_column_split
from analyze.head.tasks.label_task import BASELINES, FROZEN, UNLIKE, LabelTask, finding_unlike
from analyze.head.tasks.label_tree import LabelTree
from analyze.head.tasks.multi_label import MultipleLabels, choose_multi_label
from analyze.head.tasks.single_label import SingleLabel
from analyze.head.training.head_training import Trained, train_head
from analyze.head.training.inputs import StageMaps
from analyze.head.training.plan import Progress, described, planned_splits, training_seeds
from analyze.head.training.spec import HeadSpec, Plan, TrainingSpec
from analyze.head.training.training_set import TrainingData, hold_out
from analyze.neighbors.novelty import TrainingVectors
from analyze.pictures.near_duplicates import Copies
from extract.storage.embeddings import EmbeddingSet

Chooser = Callable[[TrainingData, Split, int], tuple[HeadSpec, TrainingSpec]]


def assess_head(
    embeddings: EmbeddingSet,
    views: np.ndarray | None = None,
    *,
    level: str | None = None,
    plan: Plan | None = None,
    choose: Chooser | None = None,
    maps: StageMaps | None = None,
    progress: Progress | None = None,
) -> HeadReport:
    """How good a head is on pictures that it was not trained on, next to baselines on the same.

    Parameters
    ----------
    views : ndarray of shape (n_views, n_images, n_dims), float32, optional
        Augmented views of the same pictures, for training alone.
    level : str, optional
        Name or number of a level of labels, or of a column of several; default the first.
    choose : callable, optional
        (training set, its split, a seed) -> the head and the training of that split; default
        those of the plan.
    maps : StageMaps, optional
        Of the same pictures and views, to train the backbone's last stage too.
    progress : callable, optional
        Called with the number of trainings that are done.

    Returns
    -------
    ClassReport, or SetReport where pictures have several labels

    Raises
    ------
    UsageError
        When there is nothing to train on: no labels, one class, too few pictures of each.
    """
    plan = plan or Plan()
    task = choose_task(embeddings, views, level, plan, maps=maps)
    return assess_task(task, plan, choose, progress=progress)


def assess_task(
    task: LabelTask,
    plan: Plan,
    choose: Chooser | None = None,
    *,
    keep: bool = True,
    progress: Progress | None = None,
) -> HeadReport:
    """Do what :func:`assess_head` does, once it is settled what is to be learned.

    Parameters
    ----------
    keep : bool
        Whether, where there are folds, one more head is trained on all that they tested.
    """
    of_plan = (plan.head, plan.training)
    choose = choose or (lambda *_: of_plan)
    splits = planned_splits(plan, task.pictures.embeddings.columns, task.splitter)
    baselines = (*BASELINES, *([] if task.pictures.maps is None else [FROZEN]))
    answers = task.answers(plan.n_shuffles if plan.n_folds else plan.n_seeds, baselines)
    runs: list[HeadRun] = []
    for number, (shuffle, fold, split) in enumerate(splits):
        seeds = training_seeds(plan, shuffle, fold)
        for i, (trained, predictions) in enumerate(_test_split(task, split, seeds, choose)):
            place = shuffle if plan.n_folds else i
            n_unlike = int(predictions.pop(UNLIKE).sum())
            answers.record(place, split.test, predictions)
            runs.append(HeadRun(split, place, shuffle, fold, seeds[i], trained, n_unlike))
        if progress is not None:
            progress(number + 1, len(splits))
    right = {name: answers.right(name) for name in (HEAD, *baselines)}
    own_splits = [split for *_, split in splits]
    kept = _final(task, plan, runs, choose) if keep or not plan.n_folds else (None,) * 3
    return task.report(answers, _known(task, plan, own_splits, runs, right, *kept))


def choose_task(
    embeddings: EmbeddingSet,
    views: np.ndarray | None,
    level: str | None,
    plan: Plan,
    copies: Copies | None = None,
    maps: StageMaps | None = None,
) -> LabelTask:
    """Give what is to be learned: one label a picture, levels of a tree, or several labels.

    Parameters
    ----------
    copies : Copies, optional
        Of all rows, where more is known of them than these vectors tell; splits follow from
        labels, copies and seed alone.

    Raises
    ------
    UsageError
        When there is no such label.
    """
    labels = choose_multi_label(embeddings, level, plan.n_levels)
    if labels is not None:
        return MultipleLabels.of(embeddings, views, labels, plan, copies, maps)
    if plan.n_levels > 1:
        return LabelTree.of_levels(embeddings, views, level, plan.n_levels, copies, maps)
    return SingleLabel.of(embeddings, views, level, copies, maps)


def _test_split(
    task: LabelTask, split: Split, seeds: list[int], choose: Chooser
) -> list[tuple[Trained, dict[str, Any]]]:
    """Train all there is on one split, and only then ask about its tested rows."""
    pictures = task.pictures
    training_set, held_out = hold_out(pictures.features, task.targets, split, pictures.maps)
    head, training = choose(training_set, split, seeds[0])
    found = [train_head(training_set, head, training, seed=seed) for seed in seeds]
    shared = task.baselines(training_set, pictures.groups[split.training_set], split.seed)
    if pictures.maps is not None:
        frozen = train_head(training_set, head, replace(training, unfreeze="none"), seed=seeds[0])
        shared.append(task.predictor(frozen, FROZEN))
    own = [
        [
            task.predictor(trained, HEAD),
            *task.alone(training_set, head, training, seed),
            finding_unlike(trained, training_set),
        ]
        for trained, seed in zip(found, seeds, strict=True)
    ]
    predictions = iter(held_out.ask([*shared, *(each for some in own for each in some)]))
    of_all = {name: answer for _ in shared for name, answer in next(predictions).items()}
    of_each = [{n: a for _ in some for n, a in next(predictions).items()} for some in own]
    return [(one, {**of_all, **each}) for one, each in zip(found, of_each, strict=True)]


def _final(
    task: LabelTask, plan: Plan, runs: Sequence[HeadRun], choose: Chooser
) -> tuple[Trained, Split, TrainingVectors]:
    """Return the head to keep: of folds one more, trained on every picture that they tested."""
    split = runs[0].split
    if plan.n_folds:
        rows = np.sort(np.concatenate([run.split.test for run in runs if run.place == 0]))
        split = task.splitter.all_for_training(rows, plan.seed)
    training_set, _ = hold_out(task.pictures.features, task.targets, split, task.pictures.maps)
    trained = runs[0].trained
    if plan.n_folds:
        trained = train_head(training_set, *choose(training_set, split, plan.seed), seed=plan.seed)
    return trained, split, trained.training_vectors(training_set)


def _known(
    task: LabelTask,
    plan: Plan,
    splits: list[Split],
    runs: list[HeadRun],
    right: dict[str, np.ndarray],
    final: Trained | None,
    final_split: Split | None,
    final_vectors: TrainingVectors | None,
) -> dict[str, Any]:
    """Gather what reports of all kinds share."""
    pictures = task.pictures
    naive = list(_naive(task, plan, splits))
    leaks = count_leaks(pictures.copies, naive)
    notes = [*pictures.notes, *leak_note(leaks), *(n for s in splits for n in s.notes)]
    notes += [*task.notes(splits, final), *_unfinished_note(runs, plan)]
    notes += [*_cold_note(runs), *_sampled_note(final, final_vectors)]
    return {
        "provenance": pictures.embeddings.provenance,
        "plan": plan,
        "level": task.level,
        "classes": task.classes,
        "ids": pictures.embeddings.ids,
        "groups": pictures.groups,
        "runs": tuple(runs),
        "right": right,
        "leaks": leaks,
        "split": described(plan, splits),
        "n_views": len(pictures.features) - 1,
        "left_out": pictures.left_out,
        "final": final,
        "final_split": final_split,
        "final_vectors": final_vectors,
        "final_labels": {} if final is None else task.labels_of_head(final),
        "notes": tuple(dict.fromkeys(notes)),
    }


def _naive(
    task: LabelTask, plan: Plan, splits: list[Split]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the splits of the same seeds that know nothing of copies."""
    if plan.split_column is not None:
        yield naive_column_split(task.pictures.embeddings.columns[plan.split_column])
        return
    for seed in dict.fromkeys(split.seed for split in splits):
        yield from task.splitter.naive(plan.n_folds, seed)


def _cold_note(runs: Sequence[HeadRun]) -> tuple[str, ...]:
    """Say how many outputs' probabilities are as they are, since a temperature made them worse."""
    chosen = [each for run in runs for each in run.trained.temperatures]
    n_cold = chosen.count(1.0)
    if not n_cold:
        return ()
    return (
        f"no temperature for {n_cold} of {len(chosen)} outputs of heads: cross-validation finds "
        "that it makes the labels of validation pictures less probable",
    )


def _sampled_note(final: Trained | None, vectors: TrainingVectors | None) -> tuple[str, ...]:
    """Say where a head keeps a sample alone of what it was trained on."""
    if final is None or vectors is None or len(vectors.directions) == len(final.rows):
        return ()
    return (
        f"of {len(final.rows)} training vectors the head keeps {len(vectors.directions)}, drawn by "
        "seed 0, to tell what is unlike them",
    )


def _unfinished_note(runs: Sequence[HeadRun], plan: Plan) -> tuple[str, ...]:
    """Say how many heads were stopped by the number of epochs alone; nothing without any."""
    n_cut = sum(run.trained.best_epoch == plan.training.epochs for run in runs)
    if not n_cut:
        return ()
    return (
        f"{n_cut} of {len(runs)} heads were still getting better at their last epoch: give "
        f"more than --epochs {plan.training.epochs}",
    )
