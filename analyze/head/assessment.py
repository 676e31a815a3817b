"""A head held against its baselines, on pictures that none of them was taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from analyze.head.baselines import fit_baselines
from analyze.head.evaluation import count_confusion, score_classes
from analyze.head.inputs import StageMaps
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
from analyze.head.report import HeadReport, HeadRun
from analyze.head.splits import (
    N_PARTS,
    Split,
    column_split,
    fold_splits,
    naive_column_split,
    naive_splits,
    stratified_split,
    taught_split,
)
from analyze.head.taught import Taught, hold_out
from analyze.head.training import Trained, TrainingSpec, train_head
from analyze.head.tree import Tree, grow_tree
from analyze.head.tree_assessment import TreeAnswers
from analyze.head.usable import usable_rows
from analyze.measures.estimates import mean_over_pictures
from analyze.measures.levels import choose_level, no_labels
from analyze.pictures.near_duplicates import Copies, count_leaks, leak_note
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

Chooser = Callable[[Taught, Split, int], tuple[HeadSpec, TrainingSpec]]
BASELINES = ("logistic_regression", "knn")
FROZEN = "frozen_head"
"""The same head on the frozen backbone: what a trained last stage is held against."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """The pictures that can be taught and tested."""

    embeddings: EmbeddingSet
    features: np.ndarray
    level: Level
    labels: np.ndarray
    classes: tuple[str, ...]
    copies: Copies
    left_out: dict[str, int]
    maps: StageMaps | None = None
    tree: Tree | None = None

    @property
    def deeper(self) -> np.ndarray | None:
        return self.tree.deeper if self.tree else None


def assess_head(
    embeddings: EmbeddingSet,
    views: np.ndarray | None = None,
    *,
    level: str | None = None,
    plan: Plan | None = None,
    choose: Chooser | None = None,
    copies: Copies | None = None,
    maps: StageMaps | None = None,
    keep: bool = True,
    progress: Progress | None = None,
) -> HeadReport:
    """Train heads and baselines on the same rows, and ask each about the rest, once.

    Parameters
    ----------
    embeddings : EmbeddingSet
    views : ndarray of shape (n_views, n_images, n_dims), float32, optional
        Augmented views of the same pictures, for training alone.
    level : str, optional
        Name or number of a level of labels; default the first.
    plan : Plan, optional
    choose : callable, optional
        (what is taught, its split, a seed) -> the head and the training of that split; default
        those of the plan.
    copies : Copies, optional
        Of all rows, where more is known of them than these vectors tell; splits follow from
        labels, copies and seed alone.
    maps : StageMaps, optional
        Of the same pictures and views, to train the backbone's last stage too.
    keep : bool
        Whether, where there are folds, one more head is taught all that they tested.
    progress : callable, optional
        Told how many of the trainings are done.

    Raises
    ------
    UsageError
        When there is nothing to teach: no labels, one class, too few pictures of each.
    """
    plan = plan or Plan()
    asked = _usable(embeddings, views, level, copies, maps, plan.n_levels)
    labels, groups = asked.labels, asked.copies.groups
    parting = Parting(
        in_folds=lambda n, seed: fold_splits(labels, groups, n, seed),
        at_once=lambda seed: stratified_split(labels, groups, seed),
        by_column=lambda name, values, seed: column_split(name, values, labels, groups, seed),
    )
    splits = planned_splits(plan, asked.embeddings, parting)
    n_runs = plan.n_shuffles if plan.n_folds else plan.n_seeds
    shape = (n_runs, len(asked.labels))
    baselines = (*BASELINES, *([FROZEN] if maps else []))
    predicted = {name: np.full(shape, MISSING_LABEL) for name in ("head", *baselines)}
    logits = np.full((*shape, len(asked.classes)), np.nan, np.float32)
    runs: list[HeadRun] = []
    in_tree = TreeAnswers(asked.tree, n_runs, BASELINES) if asked.tree else None
    for number, (shuffle, fold, split) in enumerate(splits):
        seeds = training_seeds(plan, shuffle, fold)
        found, answers = _asked_once(asked, split, seeds, plan, choose, in_tree)
        right = asked.labels[split.test]
        for i, (seed, trained) in enumerate(zip(seeds, found, strict=True)):
            place = shuffle if plan.n_folds else i
            rows = (place, split.test)
            if in_tree is not None:
                in_tree.record(place, i, split.test, trained, answers)
            logits[rows] = _spread(answers[f"head {i}"][0], trained, len(asked.classes))
            predicted["head"][rows] = logits[rows].argmax(axis=1)
            for name in baselines:
                predicted[name][rows] = answers[name]
            accuracies = {n: float((p[rows] == right).mean()) for n, p in predicted.items()}
            accuracy = accuracies.pop("head")
            runs.append(HeadRun(split, place, shuffle, fold, seed, trained, accuracy, accuracies))
        if progress is not None:
            progress(number + 1, len(splits))
    parted, done = [s for *_, s in splits], tuple(runs)
    kept = _final(asked, plan, done, choose) if keep or not plan.n_folds else None
    return _report(asked, plan, parted, done, logits, predicted, kept, in_tree)


def _usable(
    embeddings: EmbeddingSet,
    views: np.ndarray | None,
    level: str | None,
    copies: Copies | None,
    maps: StageMaps | None,
    n_levels: int,
) -> _Asked:
    """Keep pictures with a label and a direction; number classes from 0."""
    chosen = choose_level(embeddings.levels, level, embeddings.multi_labels)
    if chosen is None or not (chosen.codes != MISSING_LABEL).any():
        raise UsageError(
            f"{no_labels(embeddings.multi_labels)}, so there is nothing to teach: give extract a "
            "--manifest with a --label-column, or folders that are classes"
        )
    levels = _levels_below(embeddings, chosen, n_levels)
    usable = usable_rows(embeddings, views, chosen.codes != MISSING_LABEL, copies)
    rows = usable.rows
    present, labels = np.unique(chosen.codes[rows], return_inverse=True)
    return _Asked(
        embeddings=usable.embeddings,
        features=usable.features,
        level=chosen,
        labels=labels,
        classes=tuple(chosen.categories[code] for code in present),
        copies=usable.copies,
        left_out=usable.left_out,
        maps=maps.take(rows) if maps else None,
        tree=_tree_of([own.take(rows) for own in levels]) if len(levels) > 1 else None,
    )


def _levels_below(embeddings: EmbeddingSet, chosen: Level, n_levels: int) -> list[Level]:
    """Give a level and those below it, as many as are wanted."""
    first = next(i for i, level in enumerate(embeddings.levels) if level is chosen)
    levels = embeddings.levels[first : first + n_levels]
    if len(levels) < n_levels:
        raise UsageError(
            f"--levels {n_levels} from {chosen.name} downwards: this catalogue has "
            f"{', '.join(level.name for level in levels)}"
        )
    return list(levels)


def _tree_of(levels: Sequence[Level]) -> Tree:
    """Make a tree of the categories that some pictures have, numbered from 0."""
    return grow_tree([Level.from_values(level.name, level.values()) for level in levels])


def _asked_once(
    asked: _Asked,
    split: Split,
    seeds: list[int],
    plan: Plan,
    choose: Chooser | None,
    in_tree: TreeAnswers | None,
) -> tuple[list[Trained], dict[str, Any]]:
    """Train all there is on one split, and only then ask about its tested rows."""
    taught, held_out = hold_out(asked.features, asked.labels, split, asked.deeper, asked.maps)
    of_plan = (plan.head, plan.training)
    head, training = choose(taught, split, seeds[0]) if choose else of_plan
    trained = [train_head(taught, head, training, seed=seed) for seed in seeds]
    groups = asked.copies.groups[split.taught]
    baselines: dict[str, Any] = {}
    if in_tree is None:
        baselines = dict(fit_baselines(taught.features[0], taught.labels, groups, split.seed))
    if in_tree is not None:
        apart = in_tree.predictors(taught, groups, split.seed, seeds, head, training)
        baselines |= {name: apart[f"{name} 0"] for name in BASELINES} | apart
    if asked.maps is not None:
        frozen = train_head(taught, head, replace(training, unfreeze="none"), seed=seeds[0])
        baselines[FROZEN] = _classes_of(frozen)
    numbered = {f"head {i}": one for i, one in enumerate(trained)}
    on_vectors = {n: own.head.logits for n, own in numbered.items() if own.stage is None}
    with_stages = {n: own.logits_of_maps for n, own in numbered.items() if own.stage is not None}
    answers, _ = held_out.ask({**on_vectors, **baselines}, with_stages)
    return trained, answers


def _classes_of(trained: Trained) -> Callable[[np.ndarray], np.ndarray]:
    def classes(vectors: np.ndarray) -> np.ndarray:
        found: np.ndarray = trained.head.classes[0][trained.head.logits(vectors)[0].argmax(axis=1)]
        return found

    return classes


def _spread(logits: np.ndarray, trained: Trained, n_classes: int) -> np.ndarray:
    """Put a head's logits at the places of its classes; others are -inf."""
    spread = np.full((len(logits), n_classes), -np.inf, np.float32)
    spread[:, trained.head.classes[0]] = logits
    return spread


def _report(
    asked: _Asked,
    plan: Plan,
    splits: list[Split],
    runs: tuple[HeadRun, ...],
    logits: np.ndarray,
    predicted: dict[str, np.ndarray],
    kept: tuple[Split, Trained] | None,
    in_tree: TreeAnswers | None,
) -> HeadReport:
    labels, groups = asked.labels, asked.copies.groups
    tested = predicted["head"] >= 0
    right = {n: np.where(tested, p == labels, np.nan) for n, p in predicted.items()}
    words: dict[str, Any] = {"n_resamples": plan.n_resamples, "seed": plan.seed}
    counts = count_confusion(labels, predicted["head"], len(asked.classes))
    n_tested = np.bincount(labels[tested.any(axis=0)], minlength=len(asked.classes))
    leaks = count_leaks(asked.copies, list(_naive(asked, plan, splits)))
    made = asked.embeddings.provenance
    notes = [*asked.copies.notes, *leak_note(leaks), *(n for s in splits for n in s.notes)]
    notes += [*unfinished_note(runs, plan), *alike_labels([asked.level])]
    return HeadReport(
        model=made.model,
        identity=made.short_identity,
        weights=made.weights,
        resize=made.resize,
        pooling=made.pooling,
        level=asked.level.name,
        classes=asked.classes,
        ids=asked.embeddings.ids,
        labels=labels,
        groups=groups,
        runs=runs,
        logits=logits,
        predicted=predicted,
        accuracy=mean_over_pictures(right["head"], groups, least=0.0, **words),
        baselines={
            n: mean_over_pictures(own, groups, least=0.0, **words)
            for n, own in right.items()
            if n != "head"
        },
        baseline_differences={
            n: mean_over_pictures(right["head"] - own, groups, **words)
            for n, own in right.items()
            if n != "head"
        },
        scores=score_classes(counts, asked.classes, n_tested.tolist()),
        confusion=counts,
        leaks=leaks,
        settings={**asdict(plan.head), **asdict(plan.training)},
        split=described(plan, splits),
        n_views=len(asked.features) - 1,
        left_out=asked.left_out,
        final=kept[1] if kept else None,
        final_split=kept[0] if kept else None,
        tree=in_tree.report(groups, **words) if in_tree else None,
        notes=tuple(dict.fromkeys(notes)),
    )


def _final(
    asked: _Asked, plan: Plan, runs: tuple[HeadRun, ...], choose: Chooser | None
) -> tuple[Split, Trained]:
    """Give the head to keep: of folds one more, taught every picture that they tested."""
    if not plan.n_folds:
        return runs[0].split, runs[0].trained
    rows = np.sort(np.concatenate([run.split.test for run in runs if run.place == 0]))
    split = taught_split(rows, asked.labels, asked.copies.groups, plan.seed)
    taught, _ = hold_out(asked.features, asked.labels, split, asked.deeper, asked.maps)
    head, training = choose(taught, split, plan.seed) if choose else (plan.head, plan.training)
    return split, train_head(taught, head, training, seed=plan.seed)


def _naive(
    asked: _Asked, plan: Plan, splits: list[Split]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the splits of the same seeds that know nothing of copies."""
    if plan.split_column is not None:
        yield naive_column_split(asked.embeddings.columns[plan.split_column])
    elif plan.n_folds:
        for seed in dict.fromkeys(split.seed for split in splits):
            yield from naive_splits(asked.labels, plan.n_folds, seed)
    else:
        yield next(iter(naive_splits(asked.labels, N_PARTS, plan.seed)))
