"""What is known of a head: accuracy on tested pictures, beside baselines, and its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from analyze.head.calibration import Calibration, calibrate
from analyze.head.evaluation import ClassScore
from analyze.head.head_file import StoredHead
from analyze.head.network import softmax
from analyze.head.splits import SIDES, Split
from analyze.head.suspects import Suspect, find_suspects
from analyze.head.training import Trained
from analyze.head.tree import parent_places
from analyze.head.tree_report import TreeReport
from analyze.measures.estimates import Estimate
from extract.storage.embeddings import Provenance, name_of

MOST_SUSPECTS = 20
"""Of those that are shown; the table holds all."""


@dataclass(frozen=True, eq=False)
class HeadRun:
    """One head, taught on one split with one seed.

    Parameters
    ----------
    split : Split
    place : int
        Of its answers in the report's arrays.
    shuffle, fold : int
        From 0; both 0 without folds.
    seed : int
        Of the training.
    trained : Trained
    accuracy : float
        On the tested rows.
    baselines : mapping of str to float
        Accuracy on the same rows.
    """

    split: Split
    place: int
    shuffle: int
    fold: int
    seed: int
    trained: Trained
    accuracy: float
    baselines: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            **self.split.to_json(),
            "shuffle": self.shuffle,
            "fold": self.fold,
            "training_seed": self.seed,
            "accuracy": self.accuracy,
            "baselines": dict(self.baselines),
            "best_epoch": self.trained.best_epoch,
            "stopped_epoch": self.trained.stopped_epoch,
            "seconds": self.trained.seconds,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Assessed:
    """What is known of any head that was tested: of one label a picture, or of several.

    Parameters
    ----------
    model, identity, weights, resize, pooling : str
    level : str
        The level, or the column of several labels.
    classes : tuple of str
        Those of tested or taught pictures.
    ids : tuple of str
        The labelled pictures; row i of the arrays is about ``ids[i]``.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    runs : tuple of HeadRun
    leaks : mapping
    settings : mapping
        Of the head and its training, as typed or by default.
    split : mapping
    n_views : int
    left_out : mapping of str to int
    notes : tuple of str
    """

    model: str
    identity: str
    weights: str
    resize: str
    pooling: str
    level: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: np.ndarray
    runs: tuple[HeadRun, ...]
    leaks: Mapping[str, int | float]
    settings: Mapping[str, Any]
    split: Mapping[str, Any]
    n_views: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Backbone and geometry for people."""
        return name_of({"model": self.model, "resize": self.resize})

    def about_stored(self, split: Split) -> dict[str, Any]:
        """Say how the head to keep was taught, on the pictures of one split."""
        sides = {side: [self.ids[i] for i in getattr(split, side).tolist()] for side in SIDES}
        return {
            "weights": self.weights,
            "settings": dict(self.settings),
            "n_views": self.n_views,
            "split": {**split.to_json(), **sides},
            "tested": dict(self.split),
        }

    def shared_json(self) -> dict[str, Any]:
        """Spell what is known of either kind with the keys that programs read."""
        return {
            "model": self.model,
            "identity": self.identity,
            "weights": self.weights,
            "resize": self.resize,
            "pooling": self.pooling,
            "n_images": len(self.ids),
            "n_views": self.n_views,
            "left_out": sum(self.left_out.values()),
            "left_out_by_reason": dict(self.left_out),
            "level": self.level,
            "settings": dict(self.settings),
            "split": dict(self.split),
            "folds": [run.to_json() for run in self.runs],
            "against": [],
            "leaks": dict(self.leaks),
            "head": None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadReport(Assessed):
    """How good a head is on pictures it was not taught.

    Parameters
    ----------
    As of :class:`Assessed`, and:
    labels : ndarray of shape (n_images,), int
        Places in ``classes``.
    logits : ndarray of shape (n_shuffles or n_seeds, n_images, n_classes), float32
        Of heads that were not taught the picture; NaN where it was not tested, -inf for a class
        that the head does not know.
    predicted : mapping of str to ndarray of shape (n_shuffles or n_seeds, n_images), int
        Of ``head`` and each baseline; -1 where a picture was not tested.
    accuracy, difference : Estimate
        The difference is head minus logistic regression, picture by picture.
    baselines, baseline_differences : mapping of str to Estimate
        The differences are head minus baseline.
    scores : tuple of ClassScore
    confusion : ndarray of shape (n_classes, n_classes), int
    final : Trained or None
        The head to keep: taught all there is where folds tested it, else the first of the split;
        None where none is wanted.
    final_split : Split or None
    tree : TreeReport or None
        Where several levels were taught together; the rest of the report is of the first.
    """

    labels: np.ndarray
    logits: np.ndarray
    predicted: Mapping[str, np.ndarray]
    accuracy: Estimate
    baselines: Mapping[str, Estimate]
    baseline_differences: Mapping[str, Estimate]
    scores: tuple[ClassScore, ...]
    confusion: np.ndarray
    final: Trained | None
    final_split: Split | None
    tree: TreeReport | None = None

    @property
    def difference(self) -> Estimate:
        """Head minus logistic regression, on the same pictures."""
        return self.baseline_differences["logistic_regression"]

    @cached_property
    def calibration(self) -> Calibration:
        """Probabilities of tested pictures held against the truth; each head its temperature."""
        heads = [
            (run.split.test, self.logits[run.place, run.split.test], run.trained.temperatures[0])
            for run in self.runs
        ]
        return calibrate(heads, self.labels)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated, the mean of the heads that were not taught the picture.

        Returns
        -------
        ndarray of shape (n_images, n_classes), float64
            NaN where a picture was never tested.
        """
        total, times = np.zeros(self.logits.shape[1:]), np.zeros(len(self.ids))
        for run in self.runs:
            rows = run.split.test
            total[rows] += softmax(self.logits[run.place, rows] / run.trained.temperatures[0])
            times[rows] += 1
        times[times == 0] = np.nan
        mean: np.ndarray = total / times[:, None]
        return mean

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """Labels that heads which were not taught them do not believe."""
        return find_suspects(self.probabilities, self.labels, self.ids, self.classes)

    def stored(self, provenance: Provenance) -> StoredHead:
        """Give the head to keep, with what it must be used with and what is known of it.

        Raises
        ------
        ValueError
            When none was kept.
        """
        final, split = self.final, self.final_split
        if final is None or split is None:
            raise ValueError("no head was kept: assess it with keep")
        classes, tree = final.head.classes, self.tree
        named = [(self.level, self.classes)]
        if tree is not None:
            named = [(level.name, level.categories) for level in tree.tree.levels]
        return StoredHead(
            head=final.head,
            classes=tuple(
                tuple(names[code] for code in own.tolist())
                for own, (_, names) in zip(classes, named, strict=True)
            ),
            levels=tuple(name for name, _ in named),
            temperatures=final.temperatures,
            parents=parent_places(classes, tree.tree.parents) if tree else (),
            provenance=_of_stage(provenance, final.stage),
            stage=final.stage or {},
            about={
                **self.about_stored(split),
                "accuracy": self.accuracy.to_json(),
                "difference": self.difference.to_json(),
                "calibration": self.calibration.to_json(),
            },
        )

    def to_json(self) -> dict[str, Any]:
        """Spell the report with the keys that programs read."""
        return {
            **self.shared_json(),
            "accuracy": self.accuracy.to_json(),
            "baselines": {
                name: {
                    "accuracy": estimate.mean,
                    "low": estimate.low,
                    "high": estimate.high,
                    "difference": self.baseline_differences[name].to_json(),
                }
                for name, estimate in self.baselines.items()
            },
            "difference": self.difference.to_json(),
            "calibration": self.calibration.to_json(),
            "classes": [score.to_json() for score in self.scores],
            "confusion": {"classes": list(self.classes), "counts": self.confusion.tolist()},
            "suspects": [suspect.to_json() for suspect in self.suspects[:MOST_SUSPECTS]],
            "n_suspects": len(self.suspects),
            **(self.tree.to_json() if self.tree else {}),
        }


def _of_stage(provenance: Provenance, stage: Mapping[str, np.ndarray] | None) -> Provenance:
    """Say of vectors that they come out of a trained stage."""
    if stage is None:
        return provenance
    from extract.backbones.partial_finetuning import tuned_identity

    return replace(provenance, identity=tuned_identity(provenance.identity, stage))
