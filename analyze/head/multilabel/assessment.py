"""Heads of several labels held against their baselines, on pictures that none was taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from analyze.head.assessment import BASELINES, Plan, Progress, described, training_seeds
from analyze.head.copies import Copies, count_leaks, find_copies, leak_note
from analyze.head.multilabel.baselines import SeveralPredictor, fit_several_baselines
from analyze.head.multilabel.report import Answers, SeveralReport, several_report
from analyze.head.multilabel.splits import (
    enough_pictures,
    naive_several_splits,
    several_column_split,
    several_fold_splits,
    several_split,
    several_taught_split,
    unseen_note,
)
from analyze.head.multilabel.taught import TaughtSeveral, hold_out_several
from analyze.head.multilabel.thresholds import choose_thresholds, sigmoid
from analyze.head.multilabel.thresholds import fit_shared_temperature as fit_temperature
from analyze.head.network import HeadSpec
from analyze.head.report import HeadRun
from analyze.head.splits import N_PARTS, Split
from analyze.head.training import Trained, TrainingSpec, train_head
from extract.embeddings import EmbeddingSet
from extract.errors import UsageError
from extract.multi_label import MultiLabel

Chooser = Callable[[TaughtSeveral, Split, int], tuple[HeadSpec, TrainingSpec]]
NEVER = 1.0
"""The threshold of a class that a head was not taught: its probability is 0."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """The pictures that can be taught and tested."""

    embeddings: EmbeddingSet
    features: np.ndarray
    labels: MultiLabel
    has: np.ndarray
    classes: tuple[str, ...]
    copies: Copies
    left_out: dict[str, int]
    notes: tuple[str, ...]


def choose_multi_label(embeddings: EmbeddingSet, wanted: str | None) -> MultiLabel | None:
    """Find the column of several labels that is meant; None where a level is.

    Parameters
    ----------
    embeddings : EmbeddingSet
    wanted : str or None
        A name, or a number where there are no levels; without it the only column, if no level is
        there.

    Raises
    ------
    UsageError
        When there is none of that name and no level either, or several could be meant.
    """
    columns = embeddings.multi_labels
    by_name = {own.name: own for own in columns}
    if wanted in by_name:
        return by_name[wanted]
    if embeddings.levels or not columns:
        return None
    by_name = {str(number): own for number, own in enumerate(columns, start=1)}
    if wanted in by_name:
        return by_name[wanted]
    have = ", ".join(own.name for own in columns)
    if wanted is not None:
        raise UsageError(f"no level {wanted!r}: this catalogue has {have}; name one with --level")
    if len(columns) > 1:
        raise UsageError(f"several columns of labels, say which with --level: {have}")
    return columns[0]


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
    asked = _usable(embeddings, views, level, copies, plan)
    splits = _splits(asked, plan)
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


def _usable(
    embeddings: EmbeddingSet,
    views: np.ndarray | None,
    level: str | None,
    copies: Copies | None,
    plan: Plan,
) -> _Asked:
    """Keep pictures with a label and a direction, and classes of enough pictures."""
    labels = choose_multi_label(embeddings, level)
    if labels is None:
        raise UsageError(
            "no column of several labels: give extract a --manifest with a --label-column and "
            "--multi-label-separator '|'"
        )
    stacked = embeddings.vectors[None]
    if views is not None:
        if views.ndim != 3 or views.shape[1:] != embeddings.vectors.shape:
            raise ValueError(
                f"views must have shape (n_views, *{embeddings.vectors.shape}), got {views.shape}"
            )
        stacked = np.concatenate([stacked, views.astype(np.float32, copy=False)])
    has = labels.matrix()
    labelled = has.any(axis=1)
    sound = np.isfinite(stacked).all(axis=(0, 2))
    directed = stacked.any(axis=2).all(axis=0)
    rows = np.flatnonzero(labelled & sound & directed)
    if not len(rows):
        raise UsageError("no labelled picture has a vector that can be used")
    usable = embeddings.take(rows)
    known = copies.take(rows) if copies else find_copies(usable.vectors, usable.content_sha256)
    kept, notes = _kept_classes(has[rows], known.groups, plan)
    places = np.flatnonzero(has[np.ix_(rows, kept)].any(axis=1))
    left_out = {
        "no label": int((~labelled).sum()),
        "not finite in a view": int((labelled & ~sound).sum()),
        "all zeros": int((labelled & sound & ~directed).sum()),
        "labels of too few pictures": len(rows) - len(places),
    }
    return _Asked(
        embeddings=usable.take(places),
        features=stacked[:, rows[places]],
        labels=labels,
        has=has[np.ix_(rows[places], kept)],
        classes=tuple(labels.categories[i] for i in kept.tolist()),
        copies=known.take(places),
        left_out={**embeddings.left_out, **{why: n for why, n in left_out.items() if n}},
        notes=notes,
    )


def _kept_classes(
    has: np.ndarray, groups: np.ndarray, plan: Plan
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes that can be taught and tested; say what is left out."""
    there = has.any(axis=0)
    if there.sum() < 2:
        raise UsageError("one class alone: there is nothing to tell apart")
    n_parts = 1 if plan.split_column else plan.n_folds or N_PARTS
    enough = enough_pictures(has, groups, n_parts)
    kept = np.flatnonzero(there & enough)
    if len(kept) < 2:
        raise UsageError(
            f"fewer than two classes of {n_parts} different pictures, which {n_parts} parts need: "
            "label more pictures"
        )
    n_lost = int((there & ~enough).sum())
    if not n_lost:
        return kept, ()
    return kept, (f"{n_lost} classes left out: they have fewer than {n_parts} different pictures",)


def _splits(asked: _Asked, plan: Plan) -> list[tuple[int, int, Split]]:
    """Give shuffle, fold and rows of every split."""
    has, groups = asked.has, asked.copies.groups
    if plan.n_folds:
        if len(np.unique(groups)) <= plan.n_folds:
            raise UsageError(
                f"--folds {plan.n_folds} needs more different pictures than "
                f"{len(np.unique(groups))}: give fewer, or label more pictures"
            )
        return [
            (shuffle, fold, split)
            for shuffle in range(plan.n_shuffles)
            for fold, split in enumerate(
                several_fold_splits(has, groups, plan.n_folds, (plan.seed + shuffle) % 2**32)
            )
        ]
    if plan.split_column is None:
        return [(0, 0, several_split(has, groups, plan.seed))]
    columns = asked.embeddings.columns
    if plan.split_column not in columns:
        have = ", ".join(columns) or "none"
        raise UsageError(
            f"no column {plan.split_column!r} beside the embeddings: there are {have}; a column "
            "of the --manifest becomes one when extract runs"
        )
    values = columns[plan.split_column]
    return [(0, 0, several_column_split(plan.split_column, values, has, groups, plan.seed))]


def _taught(
    asked: _Asked, split: Split, seeds: list[int], plan: Plan, choose: Chooser | None
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
    asked: _Asked,
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
    n_cut = sum(run.trained.best_epoch == plan.training.epochs for run in runs)
    if n_cut:
        notes.append(
            f"{n_cut} of {len(runs)} heads were still getting better at their last epoch: give "
            f"more than --epochs {plan.training.epochs}"
        )
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


def _final(
    asked: _Asked, plan: Plan, runs: Sequence[HeadRun], choose: Chooser | None
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
    asked: _Asked, plan: Plan, splits: list[Split]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the splits of the same seeds that know nothing of copies."""
    if plan.split_column is not None:
        values = np.array(asked.embeddings.columns[plan.split_column])
        words = np.char.lower(np.char.strip(values))
        yield np.flatnonzero((words != "test") & (words != "")), np.flatnonzero(words == "test")
        return
    for seed in dict.fromkeys(split.seed for split in splits):
        yield from naive_several_splits(asked.has, plan.n_folds, seed)
