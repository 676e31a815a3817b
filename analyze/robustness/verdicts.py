"""What a card says in words: what a backbone loses most by, and which views would help a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analyze.comparison.ranking.scores import RankedModel
from analyze.measures.bootstrap import interval
from analyze.presentation.wording import estimate
from analyze.robustness.scores import (
    HEAD,
    ONE_NN,
    OVERALL,
    RECALL,
    Tracks,
    family_tracks,
)
from extract.images.augmentation import CORRUPTED
from extract.images.corruptions import FAMILIES, N_SEVERITIES

TOLERATED = 0.05
"""Share of the pictures: a loss of less is small."""

HARDLY = 0.01
MOST_NAMED = 3
N_VIEWS = 8
"""Views that the measured gain is of."""


def verdict(model: RankedModel, tracks: Tracks) -> str:
    """Say in a sentence which families cost a backbone most, from where on, and which hardly.

    Parameters
    ----------
    model : RankedModel
    tracks : mapping of Key to Track
        Of this backbone.
    """
    found = family_tracks(tracks, RECALL)
    found.pop(OVERALL, None)
    if not found:
        return f"{model.name}: nothing was measured"
    order = sorted(found, key=lambda family: -found[family][1].value)
    worst, *others = order
    mean, loss = found[worst]
    if loss.value < HARDLY:
        return f"{model.name} loses hardly anything by any of these"
    words = (
        f"{model.name} loses most by {_where(tracks, worst)}: the original is found first for "
        f"{estimate(mean.estimate(0.0, 1.0))} of the pictures, the mean of its severities"
    )
    alike = [each for each in others if not _less_than(loss.less(found[each][1]).drawn)]
    alike = [each for each in alike if found[each][1].value >= HARDLY]
    if alike:
        words += f"; {_listed(alike)} cannot be distinguished from it"
    rest = [each for each in others if each not in alike and found[each][1].value >= TOLERATED]
    if rest:
        words += f"; then by {_listed([_where(tracks, each) for each in rest[:2]])}"
    hardly = [each for each in order if found[each][1].value < HARDLY]
    if hardly:
        words += f"; hardly by {_listed(hardly)}"
    return words


def advice(models: Mapping[RankedModel, Tracks]) -> str | None:
    """Name the views to train a head with: of the families that cost most labels.

    Parameters
    ----------
    models : mapping of RankedModel to mapping of Key to Track

    Returns
    -------
    str or None
        None where no family costs as much as :data:`TOLERATED`.
    """
    losses = [family_tracks(tracks, _of_labels(tracks)) for tracks in models.values()]
    means = {
        family: float(np.mean([own[family][1].value for own in losses if family in own]))
        for family in dict.fromkeys(name for own in losses for name in own)
        if family != OVERALL
    }
    costly = sorted((f for f in means if means[f] >= TOLERATED), key=lambda f: -means[f])
    if not costly:
        return None
    policy = f"{CORRUPTED}:{'+'.join(costly[:MOST_NAMED])}"
    return (
        f"a head loses less by {_listed(costly[:MOST_NAMED])} when it is trained with such views: "
        f"add --views {N_VIEWS} --view-policy {policy} to your python -m extract, then "
        "python -m analyze head --views"
    )


def _of_labels(tracks: Tracks) -> str:
    """Take the metric that says most of labels, of those that were measured."""
    measured = {metric for _, _, metric in tracks}
    return next(metric for metric in (HEAD, ONE_NN, RECALL) if metric in measured)


def _where(tracks: Tracks, family: str) -> str:
    """Name a family and from where on it costs more than is tolerated."""
    losses = {
        severity: tracks[family, 0, RECALL].value - track.value
        for (name, severity, metric), track in tracks.items()
        if (name, metric) == (family, RECALL) and severity
    }
    spec = FAMILIES[family]
    if spec.n_ordered == 1:
        worst = max(losses, key=lambda severity: losses[severity])
        return f"{family} {spec.amount(worst)}"
    costs = [s for s in range(1, N_SEVERITIES + 1) if losses.get(s, 0.0) >= TOLERATED]
    if not costs:
        return family
    if costs[0] == 1:
        return f"{family} from {spec.amount(1)} on"
    return f"{family} beyond {spec.amount(costs[0] - 1)}"


def _less_than(drawn: np.ndarray | None) -> bool:
    """Whether a difference of losses lies above 0."""
    if drawn is None:
        return True
    return interval(float(drawn.mean()), drawn).low > 0


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
