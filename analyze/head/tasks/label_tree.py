"""Levels of labels that are a tree, learned together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analyze.head.prediction.tree import (
    Tree,
    grow_tree,
    likeliest_path,
    parent_places,
    summed_upwards,
)
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.class_scores import count_confusion, score_classes
from analyze.head.reporting.report import HEAD
from analyze.head.reporting.tree_report import LevelOutcome, TreeReport, score_tree
from analyze.head.tasks.label_task import Predictor
from analyze.head.tasks.pictures import usable_pictures
from analyze.head.tasks.single_label import LEAVES, LevelAnswers, SingleLabel, labels_to_learn
from analyze.head.training.head_training import Trained, train_head
from analyze.head.training.inputs import StageMaps
from analyze.head.training.objective import LevelTargets
from analyze.head.training.probabilities import softmax
from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData, UnseenPictures
from analyze.measures.estimates import mean_over_pictures
from analyze.pictures.near_duplicates import Copies
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

PATH, ALONE = "path", "alone"


@dataclass(frozen=True, eq=False)
class LabelTree(SingleLabel):
    """The pictures that have a label at the first of some levels.

    Parameters
    ----------
    As of :class:`SingleLabel`, and:
    tree : Tree
        Of the pictures.
    """

    tree: Tree
    also_predicted = (PATH, ALONE)

    @classmethod
    def of_levels(
        cls,
        embeddings: EmbeddingSet,
        views: np.ndarray | None,
        level: str | None,
        n_levels: int,
        copies: Copies | None = None,
        maps: StageMaps | None = None,
    ) -> LabelTree:
        """Keep pictures with a label and a direction; take a level and those below it.

        Raises
        ------
        UsageError
            When there are fewer levels, or they are no tree.
        """
        chosen = labels_to_learn(embeddings, level)
        first = next(i for i, own in enumerate(embeddings.levels) if own is chosen)
        levels = embeddings.levels[first : first + n_levels]
        if len(levels) < n_levels:
            raise UsageError(
                f"--levels {n_levels} from {chosen.name} downwards: this catalogue has "
                f"{', '.join(own.name for own in levels)}"
            )
        labelled = chosen.codes != MISSING_LABEL
        rows, pictures = usable_pictures(embeddings, views, labelled, copies, maps)
        some = [own.take(rows) for own in levels]
        tree = grow_tree([Level.from_values(own.name, own.values()) for own in some])
        codes = np.stack([own.codes for own in tree.levels]).astype(np.int64)
        return cls(pictures, chosen, codes, tree.levels[0].categories, tree)

    def of_logits(self, trained: Trained, logits: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """Walk down the tree by the probabilities of the last level."""
        known = trained.head.classes
        places = parent_places(known, self.tree.parents)
        last = softmax(logits[-1] / trained.temperatures[-1])
        path = likeliest_path(summed_upwards(last, places), places)
        codes = [of[own] for own, of in zip(path, known, strict=True)]
        leaves = np.zeros((len(last), len(self.tree.levels[-1].categories)))
        leaves[:, known[-1]] = last
        return {PATH: np.stack(codes), LEAVES: leaves}

    def alone(
        self, training_set: TrainingData, head: HeadSpec, training: TrainingSpec, seed: int
    ) -> list[Predictor]:
        """Train a head of each level that validation rows can stop."""
        trained: list[Trained | None] = []
        for labels in training_set.targets.arrays:
            known = np.isin(labels[training_set.validation], labels[training_set.train])
            one = LevelTargets.of_one(labels)
            some = training_set.validation[known]
            alone = replace(training_set, targets=one, validation=some) if known.any() else None
            trained.append(train_head(alone, head, training, seed=seed) if alone else None)

        def predictions(tested: UnseenPictures) -> dict[str, np.ndarray]:
            codes = np.full((len(trained), len(tested.vectors)), MISSING_LABEL)
            for level, own in enumerate(trained):
                if own is not None:
                    codes[level] = own.head.classes[0][own.logits(tested)[0].argmax(axis=1)]
            return {ALONE: codes}

        return [predictions]

    def labels_of_head(self, trained: Trained) -> dict[str, Any]:
        """Give the names of its classes, level by level, and who stands above whom."""
        known, levels = trained.head.classes, self.tree.levels
        return {
            "classes": tuple(
                tuple(level.categories[code] for code in own.tolist())
                for own, level in zip(known, levels, strict=True)
            ),
            "levels": tuple(level.name for level in levels),
            "parents": parent_places(known, self.tree.parents),
        }

    def report(self, answers: LevelAnswers, known: Mapping[str, Any]) -> ClassReport:
        """Report answers at the first level, and at every level of the tree."""
        report = super().report(answers, known)
        return replace(report, tree=self._in_tree(answers, report.groups, report.plan.resampling))

    def _baselines(self, answers: LevelAnswers) -> list[str]:
        return [name for name in answers.predictions if name not in (HEAD, *self.also_predicted)]

    def _in_tree(
        self, answers: LevelAnswers, groups: np.ndarray, words: dict[str, int]
    ) -> TreeReport:
        predictions, tree = answers.predictions, self.tree
        leaves = {
            HEAD: predictions[PATH][-1],
            **{n: predictions[n][-1] for n in self._baselines(answers)},
        }
        f1, apart = score_tree(tree, leaves, groups, **words)
        tested = leaves[HEAD] >= 0
        times = tested.sum(axis=0)[:, None]
        truth, above = self.codes[-1], len(self.codes) - 2
        wrong = (leaves[HEAD] != truth) & tested
        near = tree.climbed(leaves[HEAD], above) == tree.climbed(truth, above)
        first = predictions[PATH][0] != predictions[HEAD][0]
        return TreeReport(
            tree=tree,
            levels=tuple(self._outcome(answers, k, groups, words) for k in range(len(self.codes))),
            hierarchical_f1=f1,
            f1_differences=apart,
            right_parent_wrong_leaf=float((wrong & near).sum() / tested.sum()),
            contradicted=float((first & tested).sum() / tested.sum()),
            answers={name: tuple(own) for name, own in predictions.items() if name != ALONE},
            probabilities=np.where(times > 0, answers.leaves / np.maximum(times, 1), np.nan),
        )

    def _outcome(
        self, answers: LevelAnswers, number: int, groups: np.ndarray, words: dict[str, int]
    ) -> LevelOutcome:
        level, codes = self.tree.levels[number], self.codes[number]
        right = {name: answers.right(name, number) for name in answers.predictions}
        baselines = self._baselines(answers)
        own, n_classes = answers.predictions[HEAD][number], len(level.categories)
        n_tested = np.bincount(codes[(own >= 0).any(axis=0)], minlength=n_classes)
        counts = count_confusion(codes, own, n_classes)
        accuracies = {
            name: mean_over_pictures(values, groups, least=0.0, **words)
            for name, values in right.items()
            if not np.isnan(values).all()
        }
        apart = {
            name: mean_over_pictures(right[HEAD] - right[name], groups, **words)
            for name in (ALONE, *baselines)
            if name in accuracies
        }
        return LevelOutcome(
            level=level.name,
            n_classes=n_classes,
            accuracy=accuracies[HEAD],
            path=accuracies[PATH],
            alone=accuracies.get(ALONE),
            together_minus_alone=apart.get(ALONE),
            baselines={name: accuracies[name] for name in baselines},
            baseline_differences={name: apart[name] for name in baselines},
            scores=score_classes(counts, level.categories, n_tested.tolist()),
        )
