"""Likely label errors: one score of neighbors' votes, out-of-fold probabilities and clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.auditing.findings import Reason
from analyze.auditing.nearest import Nearest
from analyze.head.reporting.suspects import find_suspects
from analyze.measures.probes import out_of_fold_probabilities
from extract.catalog.catalog import MISSING_LABEL, Level

REPEATS = 3
"""Cross-validations with other folds: their mean is steadier than one."""

STRENGTH = 10.0
"""Of the regression (C), the middle of what is best for photographs."""

MOST_TRAINED = 5000
"""Labelled pictures: of more, one regression is trained on as many of each fold's, and clusters, of
which neighbors know more then, are left out."""

MOST_NUMBERS = 1 << 27
"""Of the vectors of labelled pictures: with more, a regression would need gigabytes."""

TEMPERATURE = 0.3
"""Of the median distance of a picture to its nearest neighbor: a neighbor that is farther by this
much has a vote 2.7 times as small."""

PRIOR = 0.5
"""Of a vote: what classes have in the catalogue, where no neighbor votes."""

OF_CLUSTER = 0.25
"""Weight of the cluster's share next to those of neighbors and regression, which know more."""

MEMBERS = 13
"""Pictures a cluster has on average."""


@dataclass(frozen=True, eq=False)
class LabelScores:
    """How far each label is believed.

    Parameters
    ----------
    level : Level
    believed : ndarray of shape (n_images, n_classes), float64
        The combined share of each class, rows sum to 1; NaN where a picture was not judged.
    uncertainty : ndarray of shape (n_images,), float64
        0 to 1, 1 for a label that is not believed at all; NaN without a label.
    n_errors : int
        How many labels are at odds with confident answers (confident learning).
    sources : tuple of Reason
        What was combined.
    """

    level: Level
    believed: np.ndarray
    uncertainty: np.ndarray
    n_errors: int
    sources: tuple[Reason, ...]


def score_labels(
    vectors: np.ndarray, level: Level, nearest: Nearest, groups: np.ndarray, seed: int = 0
) -> LabelScores | None:
    """Judge the labels of a level; None with fewer than two classes.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    level : Level
    nearest : Nearest
        Copies of a picture left out.
    groups : ndarray of shape (n_images,), int
        Copies have one number and stay in one fold.
    seed : int
        Of folds and clusters.

    Returns
    -------
    LabelScores or None
    """
    codes = level.codes
    labelled = codes != MISSING_LABEL
    present = np.unique(codes[labelled])
    if len(present) < 2:
        return None
    n_classes = len(level.categories)
    shares = np.bincount(codes[labelled], minlength=n_classes) / labelled.sum()
    logs = np.log(_votes(nearest, codes, shares))
    sources = [Reason.of("votes")]
    regression = np.full((len(codes), n_classes), np.nan)
    is_small = labelled.sum() <= MOST_TRAINED
    if labelled.sum() * vectors.shape[1] <= MOST_NUMBERS:
        regression = _regression(
            vectors, codes, groups, n_classes, seed, REPEATS if is_small else 1
        )
        judged = ~np.isnan(regression).any(axis=1)
        floor = 1e-4
        logs[judged] += np.log((regression[judged] + floor) / (1 + n_classes * floor))
        sources.append(Reason.of("regression"))
    if is_small:
        clusters = _cluster_shares(vectors, codes, groups, shares, seed)
        logs += OF_CLUSTER * np.log(clusters)
        sources.append(Reason.of("clusters"))
    believed = np.exp(logs - logs.max(axis=1, keepdims=True))
    believed /= believed.sum(axis=1, keepdims=True)
    believed[~labelled] = np.nan
    own = np.full(len(codes), np.nan)
    rows = np.flatnonzero(labelled)
    own[rows] = logs[rows, codes[rows]]
    return LabelScores(
        level,
        believed,
        _even(own),
        _n_errors(regression, believed, codes, level.categories),
        tuple(sources),
    )


def _regression(
    vectors: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray,
    n_classes: int,
    seed: int,
    repeats: int,
) -> np.ndarray:
    """Give the mean of out-of-fold probabilities over some cross-validations."""
    options = {"n_classes": n_classes, "most_trained": MOST_TRAINED}
    runs = [
        out_of_fold_probabilities(vectors, codes, groups, STRENGTH, seed=seed + i, **options)
        for i in range(repeats)
    ]
    found: np.ndarray = np.mean(runs, axis=0)
    return found


def _even(logs: np.ndarray) -> np.ndarray:
    """Map the log belief in own labels onto 0 to 1, 1 for what is believed least."""
    uncertainty: np.ndarray = 1 - 1 / (1 - logs)
    return uncertainty


def _n_errors(
    regression: np.ndarray, believed: np.ndarray, codes: np.ndarray, classes: tuple[str, ...]
) -> int:
    """Count labels at odds with confident answers, of the regression where there is one."""
    judged = regression if not np.isnan(regression).all() else believed
    named = tuple(map(str, range(len(codes))))
    return len(find_suspects(judged, codes, named, classes))


def _votes(nearest: Nearest, codes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Give each class its share of the votes of a picture's neighbors, weighted by similarity."""
    votes = np.tile(PRIOR * (shares + 1e-3), (len(codes), 1))
    there = nearest.rows >= 0
    distances = 1 - np.where(there, nearest.cosines, -1.0)
    usual = float(np.median(distances[there[:, 0], 0])) if there[:, 0].any() else 1.0
    weights = np.exp(-distances / max(TEMPERATURE * usual, 1e-6))
    voted = np.where(there, codes[nearest.rows], MISSING_LABEL)
    rows, places = np.nonzero(voted != MISSING_LABEL)
    np.add.at(votes, (rows, voted[rows, places]), weights[rows, places])
    shared: np.ndarray = votes / votes.sum(axis=1, keepdims=True)
    return shared


def _cluster_shares(
    vectors: np.ndarray, codes: np.ndarray, groups: np.ndarray, shares: np.ndarray, seed: int
) -> np.ndarray:
    """Give each class its share of the labels of other products in a picture's cluster."""
    from analyze.clustering.clustering import cluster
    from analyze.unit_vectors import unit_rows

    k = max(2, len(np.unique(groups)) // MEMBERS)
    assigned = np.asarray(cluster(unit_rows(vectors), k, seed=seed).assignments)
    labelled = codes != MISSING_LABEL
    counts = np.zeros((int(assigned.max()) + 1, len(shares)))
    np.add.at(counts, (assigned[labelled], codes[labelled]), 1)
    found = np.maximum(counts[assigned] + shares - _own(assigned, groups, codes, len(shares)), 1e-3)
    spread: np.ndarray = found / found.sum(axis=1, keepdims=True)
    return spread


def _own(assigned: np.ndarray, groups: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the labels in a picture's cluster that are of the picture and its group."""
    _, places = np.unique(np.stack([assigned, groups]), axis=1, return_inverse=True)
    places = places.reshape(-1)
    labelled = codes != MISSING_LABEL
    counts = np.zeros((int(places.max()) + 1, n_classes))
    np.add.at(counts, (places[labelled], codes[labelled]), 1)
    own: np.ndarray = counts[places]
    return own
