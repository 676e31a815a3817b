"""Labels that heads which were not taught them do not believe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Suspect:
    """A picture whose label is probably wrong.

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
        Calibrated, of heads that were not taught the picture; NaN where no head was asked.
    labels : ndarray of shape (n_images,), int

    Returns
    -------
    tuple of Suspect
        The least believed first.
    """
    asked = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    own = probabilities[asked, labels[asked]]
    usual = np.full(len(classes), np.inf)
    for code in np.unique(labels[asked]).tolist():
        usual[code] = own[labels[asked] == code].mean()
    confident = np.where(probabilities[asked] >= usual, probabilities[asked], -1.0)
    likeliest = confident.argmax(axis=1)
    suspect = (confident.max(axis=1) >= 0) & (likeliest != labels[asked])
    # ties by row
    order = np.argsort(own - probabilities[asked, likeliest], kind="stable")
    return tuple(
        Suspect(
            ids[asked[i]],
            classes[labels[asked[i]]],
            classes[likeliest[i]],
            float(own[i]),
            float(probabilities[asked[i], likeliest[i]]),
        )
        for i in order.tolist()
        if suspect[i]
    )
