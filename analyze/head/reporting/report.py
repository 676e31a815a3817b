"""Report of any tested head: accuracy next to baselines, trainings, splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from analyze.head.prediction.head_file import StoredHead
from analyze.head.reporting.calibration import Calibration
from analyze.head.reporting.held_out_mistakes import HeldOutMistakes
from analyze.head.reporting.runs import HeadRun
from analyze.head.splitting.splits import SIDES, Split
from analyze.head.training.head_training import Trained
from analyze.head.training.spec import Plan
from analyze.measures.estimates import Estimate, mean_over_pictures
from analyze.neighbors.novelty import TrainingVectors
from extract.storage.embeddings import Provenance, name_of

HEAD, STRONGEST = "head", "logistic_regression"


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadReport(ABC):
    """How good a head is on pictures that it was not trained on.

    Parameters
    ----------
    provenance : Provenance
        Of the vectors.
    level : str
        The level, or the column of several labels.
    classes : tuple of str
        Those of test or training pictures.
    ids : tuple of str
        The labelled pictures; row i of the arrays is about ``ids[i]``.
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    right : mapping of str to ndarray of shape (n_shuffles or n_seeds, n_images), float64
        Of ``head`` and each baseline: 1 where the whole prediction is right, 0 where it is not, NaN
        where a picture was not tested.
    final : Trained or None
        The head to keep: trained on everything where folds tested it, else the first of the split;
        None where none is wanted.
    final_split : Split or None
    final_vectors : TrainingVectors or None
    final_labels : mapping
        What its logits stand for, as fields of :class:`StoredHead`; empty without a head.
    """

    provenance: Provenance
    plan: Plan
    level: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: np.ndarray
    runs: tuple[HeadRun, ...]
    right: Mapping[str, np.ndarray]
    leaks: Mapping[str, int | float]
    split: Mapping[str, Any]
    n_views: int
    left_out: Mapping[str, int]
    final: Trained | None
    final_split: Split | None
    final_vectors: TrainingVectors | None
    final_labels: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Backbone and geometry for people."""
        return name_of(self.provenance.to_json())

    @property
    def settings(self) -> dict[str, Any]:
        """Of the head and its training, as typed or by default."""
        return {**asdict(self.plan.head), **asdict(self.plan.training)}

    @property
    def tested(self) -> np.ndarray:
        """Say which run tested which picture; ndarray of shape (n_runs, n_images), bool."""
        found: np.ndarray = ~np.isnan(self.right[HEAD])
        return found

    @property
    def share_unlike(self) -> float:
        """Of the tested pictures, those that are unlike all that their head was trained on."""
        n_tested = sum(len(run.split.test) for run in self.runs)
        return sum(run.n_unlike for run in self.runs) / n_tested

    @cached_property
    def accuracies(self) -> dict[str, Estimate]:
        """Share of the pictures with all predicted right, of the head and each baseline."""
        return {
            name: mean_over_pictures(own, self.groups, least=0.0, **self.plan.resampling)
            for name, own in self.right.items()
        }

    @property
    def accuracy(self) -> Estimate:
        """The head's."""
        return self.accuracies[HEAD]

    @property
    def baselines(self) -> dict[str, Estimate]:
        """The accuracy of each baseline."""
        return {name: own for name, own in self.accuracies.items() if name != HEAD}

    @cached_property
    def baseline_differences(self) -> dict[str, Estimate]:
        """Accuracy of the head minus that of each baseline, picture by picture."""
        return {
            name: mean_over_pictures(self.right[HEAD] - own, self.groups, **self.plan.resampling)
            for name, own in self.right.items()
            if name != HEAD
        }

    @property
    def difference(self) -> Estimate:
        """Head minus logistic regression, on the same pictures."""
        return self.baseline_differences[STRONGEST]

    def differences_to(self, other: Self) -> dict[str, Estimate]:
        """Return its other scores minus those of a head tested on the same pictures.

        Paired, by name; nothing of one label a picture, which accuracy tells all of.
        """
        return {}

    @property
    @abstractmethod
    def calibration(self) -> Calibration:
        """Probabilities of tested pictures held against the truth."""

    @property
    @abstractmethod
    def held_out(self) -> tuple[HeldOutMistakes, ...]:
        """The mistakes of heads on pictures they were not trained on, level by level."""

    @abstractmethod
    def spelled_labels(self) -> list[str]:
        """Spell the truth about each picture."""

    @abstractmethod
    def spelled_answers(self, name: str = HEAD) -> list[list[str]]:
        """Return the prediction of each picture, run by run; empty where it was not tested."""

    @abstractmethod
    def scores_json(self) -> dict[str, Any]:
        """Spell what the head's answers are worth."""

    @abstractmethod
    def details_json(self) -> dict[str, Any]:
        """Spell what stands at the end: each class, and what is known of this kind alone."""

    def baseline_json(self, name: str) -> dict[str, Any]:
        """Return the scores of a baseline in addition to its accuracy."""
        return {}

    def baselines_json(self) -> dict[str, Any]:
        """Spell the accuracy of each baseline, what the head has over it, and what is known."""
        return {
            name: {
                "accuracy": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "difference": self.baseline_differences[name].to_json(),
                **self.baseline_json(name),
            }
            for name, estimate in self.baselines.items()
        }

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
        sides = {side: [self.ids[i] for i in getattr(split, side).tolist()] for side in SIDES}
        return StoredHead(
            head=final.head,
            temperatures=final.temperatures,
            provenance=_of_stage(provenance, final.stage),
            stage=final.stage or {},
            vectors=self.final_vectors,
            about={
                "weights": self.provenance.weights,
                "settings": self.settings,
                "n_views": self.n_views,
                "split": {**split.to_json(), **sides},
                "tested": dict(self.split),
                "share_unlike": self.share_unlike,
                **self.scores_json(),
                "difference": self.difference.to_json(),
                "calibration": self.calibration.to_json(),
                "held_out": [level.to_json() for level in self.held_out],
            },
            **self.final_labels,
        )

    def to_json(self) -> dict[str, Any]:
        """Spell the report with the keys that programs read."""
        made = self.provenance.to_json()
        return {
            **{key: made[key] for key in ("model", "identity", "weights", "resize", "pooling")},
            "n_images": len(self.ids),
            "n_views": self.n_views,
            "left_out": sum(self.left_out.values()),
            "left_out_by_reason": dict(self.left_out),
            "share_unlike": self.share_unlike,
            "level": self.level,
            "settings": self.settings,
            "split": dict(self.split),
            "folds": [run.to_json(self.right) for run in self.runs],
            "against": [],
            "leaks": dict(self.leaks),
            "head": None,
            "notes": list(self.notes),
            **self.scores_json(),
            "baselines": self.baselines_json(),
            "difference": self.difference.to_json(),
            "calibration": self.calibration.to_json(),
            **self.details_json(),
        }


def _of_stage(provenance: Provenance, stage: Mapping[str, np.ndarray] | None) -> Provenance:
    """Say of vectors that they come out of a trained stage."""
    if stage is None:
        return provenance
    from extract.backbones.partial_finetuning import tuned_identity

    return replace(provenance, identity=tuned_identity(provenance.identity, stage))
