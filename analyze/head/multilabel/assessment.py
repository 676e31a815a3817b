"""Heads of several labels held against their baselines, on pictures that none was taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import numpy as np

from analyze.head.assessment import BASELINES
from analyze.head.multilabel.answers import Answers
from analyze.head.multilabel.baselines import SeveralPredictor, fit_several_baselines
from analyze.head.multilabel.pictures import LabelledPictures, usable_pictures
from analyze.head.multilabel.report import SeveralReport, several_report
from analyze.head.multilabel.splits import (
    naive_several_splits,
    several_column_split,
    several_fold_splits,
    several_split,
    several_taught_split,
    unseen_note,
)
from analyze.head.multilabel.taught import TaughtSeveral, hold_out_several
from analyze.head.multilabel.thresholds import LEAST_POSITIVES, choose_thresholds, sigmoid
from analyze.head.multilabel.thresholds import fit_shared_temperature as fit_temperature
from analyze.head.network import HeadSpec
from analyze.head.plan import (
    Parting,
    Plan,
    Progress,
    described,
    planned_splits,
    training_seeds,
    unfinished_note,
)
from analyze.head.report import HeadRun
from analyze.head.splits import Split, naive_column_split
from analyze.head.training import Trained, TrainingSpec, train_head
from analyze.pictures.near_duplicates import Copies, count_leaks, leak_note
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

Chooser = Callable[[TaughtSeveral, Split, int], tuple[HeadSpec, TrainingSpec]]
NEVER = 1.0
"""The threshold of a class that a head was not taught: its probability is 0."""


def assess_several(
    embeddings: EmbeddingSet,
    views: np.ndarray | None = None,
    *,
    level: str | None = None,
    plan: Plan | None = None,
    choose: Chooser | None = None,
    copies: Copies | None = None,
    progress: Progress | None = None,
) -> SeveralReport:
    """Train heads and baselines on the same rows, and ask each about the rest, once.

    As :func:`analyze.head.assessment.assess_head`, of pictures that have several labels.

    Parameters
    ----------
    embeddings : EmbeddingSet
    views : ndarray of shape (n_views, n_images, n_dims), float32, optional
        Augmented views of the same pictures, for training alone.
    level : str, optional
        Name of the column of labels; default the only one.
    plan : Plan, optional
    choose : callable, optional
        (what is taught, its split, a seed) -> the head and the training of that split.
    copies : Copies, optional
        Of all rows, where more is known of them than these vectors tell.
    progress : callable, optional
        Told how many of the trainings are done.

    Raises
    ------
    UsageError
        When there is nothing to teach: no such column, one class, too few pictures of each.
    """
    plan = plan or Plan()
    if plan.n_levels > 1:
        raise UsageError("--levels teaches a tree, which a column of several labels is not")
    asked = usable_pictures(embeddings, views, level, copies, plan)
    has, groups = asked.has, asked.copies.groups
    parting = Parting(
        in_folds=lambda n, seed: several_fold_splits(has, groups, n, seed),
        at_once=lambda seed: several_split(has, groups, seed),
        by_column=lambda name, values, seed: several_column_split(name, values, has, groups, seed),
    )
    splits = planned_splits(plan, asked.embeddings, parting)
    n_runs = plan.n_shuffles if plan.n_folds else plan.n_seeds
    found = {name: Answers.blank(n_runs, asked.has) for name in ("head", *BASELINES)}
    runs: list[HeadRun] = []
    for number, (shuffle, fold, split) in enumerate(splits):
        seeds = training_seeds(plan, shuffle, fold)
        trained, predictors = _taught(asked, split, seeds, plan, choose)
        for i, (seed, one) in enumerate(zip(seeds, trained, strict=True)):
            place = shuffle if plan.n_folds else i
            for name, own in (("head", f"head {i}"), *((n, n) for n in BASELINES)):
                found[name].record(place, split.test, *predictors[own])
            right = {
                name: float((own.said[place, split.test] == asked.has[split.test]).all(1).mean())
                for name, own in found.items()
            }
            accuracy = right.pop("head")
            runs.append(HeadRun(split, place, shuffle, fold, seed, one, accuracy, right))
        if progress is not None:
            progress(number + 1, len(splits))
    return _report(asked, plan, [s for *_, s in splits], tuple(runs), found, choose)


def thresholds_of(trained: Trained) -> tuple[float, np.ndarray]:
    """Give the temperature of a head and the thresholds of its classes.

    Both from validation pictures' logits of the head that never trained on them.
    """
    logits, has = trained.validation_logits[0], trained.validation_labels[0]
    temperature = fit_temperature(logits, has)
    return temperature, choose_thresholds(logits / temperature, has)


def _taught(
    asked: LabelledPictures, split: Split, seeds: list[int], plan: Plan, choose: Chooser | None
) -> tuple[list[Trained], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Train all there is on one split, and only then ask about its tested rows.

    Returns
    -------
    trained : list of Trained
    answers : dict of str to (probabilities, thresholds)
        Of ``head 0``, ``head 1``, ... and each baseline.
    """
    taught, held_out = hold_out_several(asked.features, asked.has, split)
    head, training = choose(taught, split, seeds[0]) if choose else (plan.head, plan.training)
    trained = [train_head(taught, head, training, seed=seed) for seed in seeds]
    groups = asked.copies.groups[split.taught]
    predictors = {f"head {i}": _predictor(one, asked.has) for i, one in enumerate(trained)}
    predictors |= fit_several_baselines(taught.features[0], taught.labels, groups, split.seed)
    answers, _ = held_out.ask({name: own.probabilities for name, own in predictors.items()})
    return trained, {name: (answers[name], own.thresholds) for name, own in predictors.items()}


def _predictor(trained: Trained, has: np.ndarray) -> SeveralPredictor:
    """Put a head's answers at the places of its classes; others are never said."""
    (classes,) = trained.head.classes
    temperature, own = thresholds_of(trained)
    thresholds = np.full(has.shape[1], NEVER)
    thresholds[classes] = own

    def probabilities(vectors: np.ndarray) -> np.ndarray:
        found = np.zeros((len(vectors), has.shape[1]))
        found[:, classes] = sigmoid(trained.head.logits(vectors)[0] / temperature)
        return found

    return SeveralPredictor(probabilities, thresholds)


def _report(
    asked: LabelledPictures,
    plan: Plan,
    splits: list[Split],
    runs: tuple[HeadRun, ...],
    found: dict[str, Answers],
    choose: Chooser | None,
) -> SeveralReport:
    leaks = count_leaks(asked.copies, list(_naive(asked, plan, splits)))
    final_split, final = _final(asked, plan, runs, choose)
    notes = [*asked.copies.notes, *asked.notes, *leak_note(leaks)]
    notes += [note for split in splits for note in split.notes]
    notes += unseen_note(asked.has, splits, asked.classes)
    notes += _few_note(final, plan)
    notes += unfinished_note(runs, plan)
    temperature, thresholds = thresholds_of(final)
    return several_report(
        made=asked.embeddings.provenance,
        level=asked.labels.name,
        separator=asked.labels.separator,
        classes=asked.classes,
        ids=asked.embeddings.ids,
        has=asked.has,
        groups=asked.copies.groups,
        runs=runs,
        answers=found,
        temperatures=tuple(thresholds_of(run.trained)[0] for run in runs),
        leaks=leaks,
        settings={**asdict(plan.head), **asdict(plan.training)},
        split=described(plan, splits),
        n_views=len(asked.features) - 1,
        left_out=asked.left_out,
        final=final,
        final_split=final_split,
        final_temperature=temperature,
        final_thresholds=thresholds,
        notes=tuple(dict.fromkeys(notes)),
        n_resamples=plan.n_resamples,
        seed=plan.seed,
    )


def _few_note(final: Trained, plan: Plan) -> tuple[str, ...]:
    """Say how many classes have no threshold of their own, and what says more of them."""
    counts = final.validation_labels[0].sum(axis=0)
    n_few = int((counts < LEAST_POSITIVES).sum())
    if not n_few:
        return ()
    more = "" if plan.training.class_weights else "; --class-weights says rare labels more often"
    return (
        f"{n_few} of {len(counts)} classes have fewer than {LEAST_POSITIVES} validation pictures: "
        f"their threshold is a half{more}",
    )


def _final(
    asked: LabelledPictures, plan: Plan, runs: Sequence[HeadRun], choose: Chooser | None
) -> tuple[Split, Trained]:
    """Give the head to keep: of folds one more, taught every picture that they tested."""
    if not plan.n_folds:
        return runs[0].split, runs[0].trained
    everything = np.arange(len(asked.has))
    split = several_taught_split(everything, asked.has, asked.copies.groups, plan.seed)
    taught, _ = hold_out_several(asked.features, asked.has, split)
    head, training = choose(taught, split, plan.seed) if choose else (plan.head, plan.training)
    return split, train_head(taught, head, training, seed=plan.seed)


def _naive(
    asked: LabelledPictures, plan: Plan, splits: list[Split]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the splits of the same seeds that know nothing of copies."""
    if plan.split_column is not None:
        yield naive_column_split(asked.embeddings.columns[plan.split_column])
        return
    for seed in dict.fromkeys(split.seed for split in splits):
        yield from naive_several_splits(asked.has, plan.n_folds, seed)
