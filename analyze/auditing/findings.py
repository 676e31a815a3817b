"""Findings: what a check says of a picture, with a score, evidence, and a suggested action."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

REMOVE, RELABEL, REVIEW, REPLACE = "remove", "relabel", "review", "replace"
ACTIONS = (REMOVE, RELABEL, REVIEW, REPLACE)
"""What an audit suggests; what of it is done is decided by a person."""


REASONS = {
    # of pictures
    "levels_range": "levels range over {levels:.0f} of 255",
    "edges_wide": "the sharpest edges are {width:.1f} pixels wide at {side} pixels a side",
    "levels_below": "99 of 100 pixels are below level {level:.0f} of 255",
    "light_lost": "clipped or worn to outlines, with {score:.2f} by their shares",
    "size": "{width} x {height} pixels",
    "seen": "the model sees {percent:.0f} % of it: --resize auto shows it all",
    # of copies: how one is like the other, and why that one is kept
    "copy": "{how}; keep {keep}, {why} ({n} copies)",
    "equal_bytes": "equal byte for byte",
    "saved_again": "saved again",
    "mirrored": "mirrored",
    "cut": "cut",
    "framed": "framed",
    "marked": "marked",
    "by_vectors": "hardly another vector",
    "not_opened": "the first: no picture was opened",
    "larger": "larger: {width} x {height} pixels, the next {next_width} x {next_height}",
    "sharper": "sharper: its edges are {width:.2f} pixels wide, the next one's {next_width:.2f}",
    "less_compressed": "less compressed: {bytes:.2f} bytes a pixel, another {other_bytes:.2f}",
    "unaltered": "neither cut, framed nor marked",
    "first": "the first of equals",
    # of pictures that are like others
    "shape_of_one": "the shape of another picture, in another look",
    "shape_of_several": "the shape of {n} other pictures, in another look",
    "shared": "one picture for {n} products",
    "shared_by_classes": "one picture for {n} products of {n_classes} classes",
    "far": "mean distance to its {n} neighbors {distance:.3f}",
    "far_in_class": "mean distance to its {n} neighbors in {label} {distance:.3f}",
    # of labels
    "disbelieved": (
        "{votes} of {n} neighbors are {suggested}, which has {suggested_share:.2f}, its own label "
        "{own_share:.2f} by {sources}"
    ),
    "votes": "neighbors' votes",
    "regression": "out-of-fold probabilities of a logistic regression",
    "head": "those of the heads of {run}",
    "clusters": "clusters",
    "two_classes": "{first} {first_share:.2f} or {second} {second_share:.2f}",
    "spelled_otherwise": "{suggested!r} is spelled so by more pictures",
}
"""By key; the names in braces are those of the values."""


@dataclass(frozen=True)
class Reason:
    """Why a picture has a finding; ``str`` gives it in English.

    Parameters
    ----------
    key : str
        One of :data:`REASONS`.
    values : mapping of str to (str, int, float, Reason or tuple of Reason)
    """

    key: str
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, **values: Any) -> Reason:
        """Make one of a key and its values by name."""
        return cls(key, values)

    def __str__(self) -> str:
        spelled = {
            name: ", ".join(map(str, value)) if isinstance(value, tuple) else value
            for name, value in self.values.items()
        }
        return REASONS[self.key].format(**spelled)

    def to_json(self) -> dict[str, Any]:
        """Return ``key`` and ``values``; a reason among the values is spelled in the same way."""
        return {"key": self.key, "values": {k: _plain(v) for k, v in self.values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Reason):
        return value.to_json()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Evidence:
    """Why a picture has a finding.

    Parameters
    ----------
    rows : tuple of int
        Other pictures that show it: the copy to keep, the neighbors.
    reason : Reason
    label : str, optional
        Suggested for a picture with a label that is probably wrong.
    """

    rows: tuple[int, ...]
    reason: Reason
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
    because : Reason
    label, suggested_label : str or None
    key : str
        Changes with the picture, its label and its evidence: a decision on it is on nothing else.
    """

    id: str
    finding: str
    score: float
    evidence: tuple[str, ...]
    action: str
    because: Reason
    label: str | None
    suggested_label: str | None
    key: str

    @property
    def reason(self) -> str:
        """Why, in one line of English."""
        return str(self.because)

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        because = self.because.to_json()
        return {
            "id": self.id,
            "finding": self.finding,
            "score": self.score,
            "evidence": list(self.evidence),
            "action": self.action,
            "reason": self.reason,
            "label": self.label,
            "suggested_label": self.suggested_label,
            "key": self.key,
            "reason_key": because["key"],
            "reason_values": because["values"],
        }
