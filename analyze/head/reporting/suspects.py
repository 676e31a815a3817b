"""Likely label errors: labels that heads not trained on them do not predict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Suspect:
    """A picture with a label that is probably wrong.

    Parameters
    ----------
    label, suggested : str
        Its class, and the one that the heads take it for.
    probability : float
        Of its own class.
    """

    id: str
    label: str
    suggested: str
    probability: float
    probability_suggested: float

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return asdict(self)


def find_suspects(
    probabilities: np.ndarray, labels: np.ndarray, ids: tuple[str, ...], classes: tuple[str, ...]
) -> tuple[Suspect, ...]:
    """Find labels at odds with confident answers (Northcutt, Jiang and Chuang 2021).

    A picture is confidently of a class when its probability is at least the mean probability of
    that class among the pictures that have its label; it is suspect when the likeliest such class
    is another than its own.

    Parameters
    ----------
    probabilities : ndarray of shape (n_images, n_classes)
        Calibrated, of heads that were not trained on the picture; NaN where none was tested.
    labels : ndarray of shape (n_images,), int

    Returns
    -------
    tuple of Suspect
        The least believed first.
    """
    judged = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    own = probabilities[judged, labels[judged]]
    usual = np.full(len(classes), np.inf)
    for code in np.unique(labels[judged]).tolist():
        usual[code] = own[labels[judged] == code].mean()
    confident = np.where(probabilities[judged] >= usual, probabilities[judged], -1.0)
    likeliest = confident.argmax(axis=1)
    suspect = (confident.max(axis=1) >= 0) & (likeliest != labels[judged])
    # ties by row
    order = np.argsort(own - probabilities[judged, likeliest], kind="stable")
    return tuple(
        Suspect(
            ids[judged[i]],
            classes[labels[judged[i]]],
            classes[likeliest[i]],
            float(own[i]),
            float(probabilities[judged[i], likeliest[i]]),
        )
        for i in order.tolist()
        if suspect[i]
    )
