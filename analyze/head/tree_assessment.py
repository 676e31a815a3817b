"""Heads of several levels on tested pictures, beside heads and baselines of one level each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analyze.head.baselines import fit_baselines
from analyze.head.evaluation import count_confusion, score_classes
from analyze.head.network import HeadSpec, softmax
from analyze.head.taught import Taught
from analyze.head.training import Trained, TrainingSpec, train_head
from analyze.head.tree import Tree, likeliest_path, parent_places, summed_upwards
from analyze.head.tree_report import LevelOutcome, TreeReport, score_tree
from analyze.measures.estimates import mean_over_pictures
from extract.catalog.catalog import MISSING_LABEL

Predictor = Callable[[np.ndarray], Any]
HEAD, PATH, ALONE = "head", "path", "alone"


class TreeAnswers:
    """Gathers what every run says at every level.

    Parameters
    ----------
    tree : Tree
        Of all pictures that are taught or tested.
    n_runs : int
    baselines : sequence of str
    """

    def __init__(self, tree: Tree, n_runs: int, baselines: Sequence[str]) -> None:
        shape = (n_runs, len(tree.levels[0].codes))
        self.tree, self._baselines = tree, tuple(baselines)
        self._said = {
            name: tuple(np.full(shape, MISSING_LABEL) for _ in tree.levels)
            for name in (HEAD, PATH, ALONE, *baselines)
        }

    def predictors(
        self,
        taught: Taught,
        groups: np.ndarray,
        split_seed: int,
        seeds: Sequence[int],
        head: HeadSpec,
        training: TrainingSpec,
    ) -> dict[str, Predictor]:
        """Teach, level by level, what the head of all levels is held against.

        Parameters
        ----------
        taught : Taught
        groups : ndarray of shape (n_taught,), int
        split_seed : int
        seeds : sequence of int
            Of the trainings.
        head, training : HeadSpec, TrainingSpec
            As the head of all levels has them.
        """
        found: dict[str, Predictor] = {}
        for number, labels in enumerate(taught.levels):
            fitted = fit_baselines(taught.features[0], labels, groups, split_seed)
            found |= {f"{name} {number}": own for name, own in fitted.items()}
            known = np.isin(labels[taught.validation], labels[taught.train])
            if not known.any():
                continue
            one = Taught(taught.features, labels, taught.train, taught.validation[known])
            for i, seed in enumerate(seeds):
                found[f"{ALONE} {number} {i}"] = _codes_of(
                    train_head(one, head, training, seed=seed)
                )
        return found

    def record(
        self,
        place: int,
        number: int,
        rows: np.ndarray,
        trained: Trained,
        answers: Mapping[str, Any],
    ) -> None:
        """Write down what one training, the number of its split, says of its tested rows."""
        logits, classes = answers[f"{HEAD} {number}"], trained.head.classes
        last = softmax(logits[-1] / trained.temperatures[-1])
        places = parent_places(classes, self.tree.parents)
        path = likeliest_path(summed_upwards(last, places), places)
        for level, codes in enumerate(classes):
            self._said[HEAD][level][place, rows] = codes[logits[level].argmax(axis=1)]
            self._said[PATH][level][place, rows] = codes[path[level]]
            alone = answers.get(f"{ALONE} {level} {number}")
            if alone is not None:
                self._said[ALONE][level][place, rows] = alone
            for name in self._baselines:
                self._said[name][level][place, rows] = answers[f"{name} {level}"]

    def report(self, groups: np.ndarray, *, n_resamples: int, seed: int) -> TreeReport:
        """Reckon what all of it is worth; intervals are over pictures."""
        words: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
        said, tree = self._said, self.tree
        leaves = {HEAD: said[PATH][-1], **{name: said[name][-1] for name in self._baselines}}
        f1, apart = score_tree(tree, leaves, groups, **words)
        tested = leaves[HEAD] >= 0
        truth = tree.levels[-1].codes
        wrong = (leaves[HEAD] != truth) & tested
        above = len(tree.levels) - 2
        near = tree.climbed(leaves[HEAD], above) == tree.climbed(truth, above)
        first = said[PATH][0] != said[HEAD][0]
        return TreeReport(
            tree=tree,
            levels=tuple(self._outcome(k, groups, words) for k in range(len(tree.levels))),
            hierarchical_f1=f1,
            f1_differences=apart,
            right_parent_wrong_leaf=float((wrong & near).sum() / tested.sum()),
            contradicted=float((first & tested).sum() / tested.sum()),
            answers={name: own for name, own in said.items() if name != ALONE},
        )

    def _outcome(self, number: int, groups: np.ndarray, words: dict[str, Any]) -> LevelOutcome:
        level = self.tree.levels[number]
        right = {
            name: np.where(own[number] >= 0, own[number] == level.codes, np.nan)
            for name, own in self._said.items()
        }
        alone = not np.isnan(right[ALONE]).all()
        own, n_classes = self._said[HEAD][number], len(level.categories)
        counts = count_confusion(level.codes, own, n_classes)
        n_tested = np.bincount(level.codes[(own >= 0).any(axis=0)], minlength=n_classes)
        apart = right[HEAD] - right[ALONE]
        return LevelOutcome(
            level=level.name,
            n_classes=n_classes,
            accuracy=mean_over_pictures(right[HEAD], groups, least=0.0, **words),
            path=mean_over_pictures(right[PATH], groups, least=0.0, **words),
            alone=mean_over_pictures(right[ALONE], groups, least=0.0, **words) if alone else None,
            together_minus_alone=mean_over_pictures(apart, groups, **words) if alone else None,
            baselines={
                n: mean_over_pictures(right[n], groups, least=0.0, **words) for n in self._baselines
            },
            baseline_differences={
                n: mean_over_pictures(right[HEAD] - right[n], groups, **words)
                for n in self._baselines
            },
            scores=score_classes(counts, level.categories, n_tested.tolist()),
        )


def _codes_of(trained: Trained) -> Predictor:
    def codes(vectors: np.ndarray) -> np.ndarray:
        (logits,) = trained.head.logits(vectors)
        found: np.ndarray = trained.head.classes[0][logits.argmax(axis=1)]
        return found

    return codes
