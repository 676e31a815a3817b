"""Checks of pictures among others: outliers, likely label errors, ambiguous and alike labels."""

from __future__ import annotations

import numpy as np

from analyze.auditing.findings import Evidence, Reason, Scored
from analyze.auditing.label_errors import LabelScores
from analyze.auditing.measurements import Measurements
from analyze.auditing.outliers import FEWEST, MODIFIED_Z, K, modified_z
from extract.catalog.alike_labels import groups_of_alike
from extract.catalog.catalog import Level
from extract.ids import shown

AMBIGUOUS = 0.8
"""1 less the difference of what the two likeliest classes have."""

NONE = 2.0
"""A threshold that no label reaches, where no label is at odds with a confident answer."""


def find_outliers(measured: Measurements) -> Scored:
    """Find pictures that are far from all others."""
    distances, near = measured.distances, measured.others.rows

    def evidence(row: int) -> Evidence:
        rows = tuple(r for r in near[row, :K].tolist() if r >= 0)
        return Evidence(rows, Reason.of("far", n=len(rows), distance=float(distances[row])))

    why = f"modified z-score of the mean distance to {K} neighbors (Iglewicz and Hoaglin 1993)"
    rows = np.arange(len(distances))
    return Scored.sorted(rows, modified_z(distances), MODIFIED_Z, why, evidence)


def find_class_outliers(measured: Measurements) -> Scored:
    """Find pictures that are far from all others of their class, by what is usual in it."""
    level = _level(measured)
    distances, near = measured.in_class
    scores = np.full(len(distances), np.nan)
    for code in np.unique(level.codes[~np.isnan(distances)]).tolist():
        rows = np.flatnonzero((level.codes == code) & ~np.isnan(distances))
        scores[rows] = modified_z(distances[rows])

    def evidence(row: int) -> Evidence:
        rows = tuple(r for r in near[row].tolist() if r >= 0)
        label, distance = shown(level.value(row) or ""), float(distances[row])
        return Evidence(
            rows, Reason.of("far_in_class", n=len(rows), label=label, distance=distance)
        )

    why = f"modified z-score in the class, of {FEWEST} pictures and more"
    rows = np.arange(len(distances))
    return Scored.sorted(rows, scores, MODIFIED_Z, why, evidence)


def find_label_errors(measured: Measurements) -> Scored:
    """Find labels that are believed least; as many as are at odds with confident answers."""
    judged, level = _judged(measured), _level(measured)
    scores = judged.uncertainty
    ranked = np.sort(scores[~np.isnan(scores)])[::-1]
    threshold = float(ranked[judged.n_errors - 1]) if judged.n_errors else NONE
    why = f"the {judged.n_errors} least believed: as many are at odds with confident answers"

    def evidence(row: int) -> Evidence:
        own = int(level.codes[row])
        best = _likeliest(judged.believed[row], own)
        near = tuple(r for r in measured.voters.rows[row, :K].tolist() if r >= 0)
        votes = sum(level.codes[r] == best for r in near)
        suggested = level.categories[best]
        return Evidence(
            near,
            Reason.of(
                "disbelieved",
                votes=int(votes),
                n=len(near),
                suggested=shown(suggested),
                suggested_share=float(judged.believed[row, best]),
                own_share=float(judged.believed[row, own]),
                sources=judged.sources,
            ),
            suggested,
        )

    rows = np.arange(len(scores))
    return Scored.sorted(rows, scores, threshold, why, evidence)


def find_ambiguous(measured: Measurements) -> Scored:
    """Find pictures with two classes, their own among them, that are nearly as likely."""
    judged, level = _judged(measured), _level(measured)
    known = ~np.isnan(judged.believed).any(axis=1)
    scores = np.full(len(known), np.nan)
    rows = np.flatnonzero(known)
    order = np.argsort(-judged.believed[rows], axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(judged.believed[rows], order, axis=1)
    among = (order == level.codes[rows][:, None]).any(axis=1)
    scores[rows[among]] = (1 - best[:, 0] + best[:, 1])[among]

    def evidence(row: int) -> Evidence:
        first, second = np.argsort(-judged.believed[row], kind="stable")[:2].tolist()
        near = tuple(r for r in measured.voters.rows[row, :K].tolist() if r >= 0)
        found = Reason.of(
            "two_classes",
            first=shown(level.categories[first]),
            first_share=float(judged.believed[row, first]),
            second=shown(level.categories[second]),
            second_share=float(judged.believed[row, second]),
        )
        return Evidence(near, found)

    why = "the two likeliest classes differ by 0.2 at most"
    return Scored.sorted(np.arange(len(scores)), scores, AMBIGUOUS, why, evidence)


def find_spellings(measured: Measurements) -> Scored:
    """Find labels that differ in case, blanks or unicode form from a more frequent one."""
    level = _level(measured)
    better: dict[int, str] = {}
    code_of = {name: code for code, name in enumerate(level.categories)}
    for group in groups_of_alike(level):
        most = max(group, key=lambda name: (group[name], name))
        better |= {code_of[name]: most for name in group if name != most}
    rows = np.flatnonzero(np.isin(level.codes, list(better)))

    def evidence(row: int) -> Evidence:
        suggested = better[int(level.codes[row])]
        return Evidence((), Reason.of("spelled_otherwise", suggested=suggested), suggested)

    why = "labels that differ in case, blanks or unicode form alone"
    return Scored.sorted(rows, np.ones(len(rows)), 0.0, why, evidence)


def _likeliest(believed: np.ndarray, own: int) -> int:
    """Give the likeliest class other than a picture's own."""
    others = np.where(np.arange(len(believed)) == own, -1.0, believed)
    return int(others.argmax())


def _level(measured: Measurements) -> Level:
    if measured.level is None:
        raise ValueError("there are no labels")
    return measured.level


def _judged(measured: Measurements) -> LabelScores:
    if measured.labels is None:
        raise ValueError("no label was judged")
    return measured.labels
