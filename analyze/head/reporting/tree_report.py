"""How heads of several levels fare in the tree of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.head.prediction.tree import Tree, likeliest_path, summed_upwards
from analyze.head.reporting.class_scores import ClassScore, f1_over_pictures
from analyze.head.reporting.held_out_mistakes import HeldOutMistakes, class_mistakes
from analyze.measures.estimates import Estimate, mean_over_pictures


@dataclass(frozen=True)
class LevelOutcome:
    """What answers at one level are worth.

    Parameters
    ----------
    accuracy : Estimate
        Of the output of this level, in the head that was trained on all levels together.
    path : Estimate
        Of the walk down the tree that is the head's answer
        (:func:`analyze.head.prediction.tree.likeliest_path`).
    alone : Estimate or None
        Of heads trained on this level and no other; None where validation rows cannot stop them.
    together_minus_alone : Estimate or None
        Paired.
    baselines, baseline_differences : mapping of str to Estimate
        The accuracy of each baseline trained on this level, what the level's output has over it.
    scores : tuple of ClassScore
        Of this level's output.
    """

    level: str
    n_classes: int
    accuracy: Estimate
    path: Estimate
    alone: Estimate | None
    together_minus_alone: Estimate | None
    baselines: Mapping[str, Estimate]
    baseline_differences: Mapping[str, Estimate]
    scores: tuple[ClassScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        apart = self.together_minus_alone
        return {
            "level": self.level,
            "n_classes": self.n_classes,
            "accuracy": self.accuracy.to_json(),
            "path": self.path.to_json(),
            "alone": self.alone.to_json() if self.alone else None,
            "together_minus_alone": apart.to_json() if apart else None,
            "baselines": {
                name: {
                    "accuracy": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "difference": self.baseline_differences[name].to_json(),
                }
                for name, found in self.baselines.items()
            },
            "classes": [score.to_json() for score in self.scores],
        }


@dataclass(frozen=True, eq=False)
class TreeReport:
    """Heads of several levels, level by level and on the whole.

    Parameters
    ----------
    tree : Tree
        Of the report's pictures.
    hierarchical_f1 : mapping of str to Estimate
        Of answers at the last level with all that stands above them (Kiritchenko et al. 2005): of
        the head's path, and of each baseline.
    f1_differences : mapping of str to Estimate
        Of the head minus each baseline, paired.
    right_parent_wrong_leaf : float
        Share of answers that are wrong at the last level and right at the one above.
    contradicted : float
        Share of predictions with another class at the first level's output than in the path.
    answers : mapping of str to tuple of ndarray of shape (n_runs, n_images), int
        ``head``, ``path`` and each baseline: codes a level; -1 where a run did not ask.
    probabilities : ndarray of shape (n_images, n_classes), float64
        Of the last level, the mean of the heads that were not trained on it; NaN where no
        head tested it.
    """

    tree: Tree
    levels: tuple[LevelOutcome, ...]
    hierarchical_f1: Mapping[str, Estimate]
    f1_differences: Mapping[str, Estimate]
    right_parent_wrong_leaf: float
    contradicted: float
    answers: Mapping[str, tuple[np.ndarray, ...]]
    probabilities: np.ndarray

    def held_out(self, ids: Sequence[str]) -> tuple[HeldOutMistakes, ...]:
        """Find the mistakes of each level, by the walk down the tree that is the answer."""
        found = summed_upwards(self.probabilities, self.tree.parents)
        path = likeliest_path(found, self.tree.parents)
        return tuple(
            class_mistakes(level.name, own, predictions, level.values(), ids, level.categories)
            for level, own, predictions in zip(self.tree.levels, found, path, strict=True)
        )

    def differences_to(
        self, other: TreeReport, groups: np.ndarray, **words: int
    ) -> dict[str, Estimate]:
        """Give the accuracy of the path at each level, and hierarchical F1, minus another's."""
        found = {}
        paths = (each.answers["path"] for each in (self, other))
        for level, own, others in zip(self.tree.levels, *paths, strict=True):
            gained = (own == level.codes) - (others == level.codes).astype(np.float64)
            apart = np.where(own >= 0, gained, np.nan)
            found[f"path_{level.name}"] = mean_over_pictures(apart, groups, **words)
        leaves = {
            name: each.answers["path"][-1] for name, each in (("own", self), ("other", other))
        }
        _, f1 = score_tree(self.tree, leaves, groups, **words)
        return {**found, "hierarchical_f1": f1["other"]}

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "levels": [level.to_json() for level in self.levels],
            "hierarchical_f1": {
                **{name: found.to_json() for name, found in self.hierarchical_f1.items()},
                "differences": {n: found.to_json() for n, found in self.f1_differences.items()},
            },
            "right_parent_wrong_leaf": self.right_parent_wrong_leaf,
            "contradicted": self.contradicted,
        }


def score_tree(
    tree: Tree,
    leaves: Mapping[str, np.ndarray],
    groups: np.ndarray,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Give the hierarchical F1 of answers at the last level, and of the first minus the others.

    Parameters
    ----------
    leaves : mapping of str to ndarray of shape (n_runs, n_images), int
        Codes of the last level; -1 where a run did not ask.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    """
    counts = {name: _common_labels(tree, own) for name, own in leaves.items()}
    words: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
    scores = {name: f1_over_pictures(*own, groups, **words) for name, own in counts.items()}
    (_, first), *others = counts.items()
    apart = {name: f1_over_pictures(*first, groups, minus=own, **words) for name, own in others}
    return scores, apart


def _common_labels(tree: Tree, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count, over the runs, labels that answer and truth share, and labels of both, a picture."""
    own_labels = tree.own_labels()
    truth = tree.levels[-1].codes
    judged = leaves >= 0
    answered = np.where(judged, leaves, 0)
    shared = np.zeros(leaves.shape, np.int64)
    for number, own in enumerate(own_labels):
        right = tree.climbed(answered, number) == tree.climbed(truth, number)
        shared += right & own[truth] & own[answered]
    per_leaf = own_labels.sum(axis=0)
    both = per_leaf[answered] + per_leaf[truth]
    return (shared * judged).sum(axis=0), (both * judged).sum(axis=0)
