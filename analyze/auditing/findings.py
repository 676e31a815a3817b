"""Findings: what a check says of a picture, with a score, evidence, and a suggested action."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

REMOVE, RELABEL, REVIEW, REPLACE = "remove", "relabel", "review", "replace"
ACTIONS = (REMOVE, RELABEL, REVIEW, REPLACE)
"""What an audit suggests; what of it is done is decided by a person."""


@dataclass(frozen=True)
class Evidence:
    """Why a picture has a finding.

    Parameters
    ----------
    rows : tuple of int
        Other pictures that show it: the copy to keep, the neighbors.
    reason : str
        One line.
    label : str, optional
        Suggested for a picture with a label that is probably wrong.
    """

    rows: tuple[int, ...]
    reason: str
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """Pictures that a check scored, the ones most concerned first.

    Parameters
    ----------
    rows : ndarray of int
    scores : ndarray of float64
        Higher is worse; sorted, ties by row.
    threshold : float
        From which score on a picture has the finding.
    why : str
        How the threshold was chosen.
    evidence : callable
        Place in ``rows`` -> Evidence; called for what is listed alone.
    """

    rows: np.ndarray
    scores: np.ndarray
    threshold: float
    why: str
    evidence: Callable[[int], Evidence] = field(repr=False)

    @classmethod
    def sorted(
        cls,
        rows: Sequence[int] | np.ndarray,
        scores: Sequence[float] | np.ndarray,
        threshold: float,
        why: str,
        evidence: Callable[[int], Evidence],
    ) -> Scored:
        """Sort pictures by score, ties by row; those with a score of NaN are left out.

        Parameters
        ----------
        evidence : callable
            Row -> Evidence.
        """
        places, numbers = np.asarray(rows, int), np.asarray(scores, np.float64)
        known = ~np.isnan(numbers)
        places, numbers = places[known], numbers[known]
        order = np.lexsort((places, -numbers))
        ordered = places[order]
        return cls(
            ordered, numbers[order], threshold, why, lambda place: evidence(int(ordered[place]))
        )

    def __len__(self) -> int:
        """How many are at the threshold or above."""
        return int((self.scores >= self.threshold).sum())

    def at(self, threshold: float) -> Scored:
        """Take another threshold; nothing is computed again."""
        return replace(self, threshold=threshold, why="as requested")


@dataclass(frozen=True)
class Finding:
    """What a check says of one picture.

    Parameters
    ----------
    id : str
    finding : str
        Name of the check.
    score : float
        Higher is worse.
    evidence : tuple of str
        Ids.
    action : str
        Suggested: one of :data:`ACTIONS`.
    reason : str
    label, suggested_label : str or None
    key : str
        Changes with the picture, its label and its evidence: a decision on it is on nothing else.
    """

    id: str
    finding: str
    score: float
    evidence: tuple[str, ...]
    action: str
    reason: str
    label: str | None
    suggested_label: str | None
    key: str

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {**vars(self), "evidence": list(self.evidence)}
