"""Checks of pictures that are there more than once: copies, variants, placeholders."""

from __future__ import annotations

import numpy as np

from analyze.auditing.copy_groups import CopyGroup, connected_groups, least_of_altered
from analyze.auditing.findings import Evidence, Reason, Scored
from analyze.auditing.measurements import Measurements
from analyze.pictures.duplicates import LEAST_SIMILARITY, Relation
from analyze.pictures.near_duplicates import NEAR_COSINE
from extract.catalog.catalog import MISSING_LABEL
from extract.ids import shown

SHARED = 2.0
"""Products that share a picture, times the share of them that are of another class than most: three
of three classes, four of two."""

UNLABELLED_SPREAD, LEAST_SPREAD = 0.4, 0.1
"""Spread over classes where that is not known, and at least: five products, twenty."""

MOST_SHOWN = 8
"""Pictures that are named as evidence."""


def find_copies(measured: Measurements) -> Scored:
    """Find the pictures that are copies of one to keep."""
    groups = {
        row: group
        for group in measured.copies
        if spread_score(measured, group) < SHARED
        for row in group.rows
        if row != group.keep
    }

    def evidence(row: int) -> Evidence:
        group = groups[row]
        found = Reason.of(
            "copy",
            how=group.how[row],
            keep=shown(measured.embeddings.ids[group.keep]),
            why=group.why,
            n=len(group.rows),
        )
        return Evidence((group.keep,), found)

    rows = sorted(groups)
    scores = [groups[row].scores[row] for row in rows]
    return Scored.sorted(rows, scores, 0.0, _how_copies_were_found(measured), evidence)


def _how_copies_were_found(measured: Measurements) -> str:
    """Say from which cosine on pictures were compared, and what the data say of that limit."""
    copies = [link for link in measured.links if link.relation is Relation.COPY]
    if measured.pictures is None:
        return f"vectors with a cosine from {NEAR_COSINE} on: no picture was opened"
    pairs = measured.nearest.pairs(LEAST_SIMILARITY)
    altered = least_of_altered(pairs, len(measured.embeddings))
    least = (
        f"pixels compared from a cosine of {LEAST_SIMILARITY} on, mirrored, cut and framed ones "
        f"from {altered:.3g} on"
    )
    if not copies:
        return f"{least}; no copies found except byte for byte"
    lowest = min(link.cosine for link in copies)
    known = {(link.one, link.other) for link in copies}
    others = [c for one, other, c in pairs if (one, other) not in known]
    highest = f"{others[0]:.3f}" if others else f"below {LEAST_SIMILARITY}"
    return f"{least}: copies have {lowest:.3f} and more, the nearest pair that is none {highest}"


def find_variants(measured: Measurements) -> Scored:
    """Find pictures that show the shape of another one in another color, lightness or print."""
    numbers = measured.copy_numbers
    best: dict[int, float] = {}
    pairs = []
    for link in measured.links:
        if link.relation is Relation.VARIANT and numbers[link.one] != numbers[link.other]:
            pairs.append((link.one, link.other))
            for row in (link.one, link.other):
                best[row] = max(best.get(row, 0.0), link.score)
    groups = connected_groups(pairs, np.arange(len(numbers)))
    group_of = {row: group for group in groups for row in group}

    def evidence(row: int) -> Evidence:
        others = tuple(other for other in group_of[row] if other != row)
        if len(others) > 1:
            return Evidence(others[:MOST_SHOWN], Reason.of("shape_of_several", n=len(others)))
        return Evidence(others, Reason.of("shape_of_one"))

    rows = sorted(best)
    why = "edges agree from 0.86 on, and lightness, color or print differ by more than in copies"
    return Scored.sorted(rows, [best[row] for row in rows], 0.0, why, evidence)


def find_placeholders(measured: Measurements) -> Scored:
    """Find pictures that many products of several classes share."""
    groups = {row: group for group in measured.copies for row in group.rows}

    def evidence(row: int) -> Evidence:
        group = groups[row]
        others = tuple(other for other in group.rows if other != row)
        codes = _codes(measured, group)
        n, n_classes = len(group.rows), 0 if codes is None else len(np.unique(codes))
        if n_classes > 1:
            shared = Reason.of("shared_by_classes", n=n, n_classes=n_classes)
        else:
            shared = Reason.of("shared", n=n)
        return Evidence(others[:MOST_SHOWN], shared)

    scores = {id(group): spread_score(measured, group) for group in measured.copies}
    blank = () if measured.pictures is None else np.flatnonzero(measured.pictures.blank)
    rows = sorted(groups.keys() - set(blank))  # one color shows nothing, and is listed as blank
    why = "products that share a picture, times the share of them that are of another class"
    return Scored.sorted(rows, [scores[id(groups[row])] for row in rows], SHARED, why, evidence)


def spread_score(measured: Measurements, group: CopyGroup) -> float:
    """Give how many products share a picture, times how far they are spread over classes."""
    size, codes = len(group.rows), _codes(measured, group)
    if codes is None:
        return size * UNLABELLED_SPREAD
    spread = 1 - np.unique(codes, return_counts=True)[1].max() / len(codes)
    return size * max(float(spread), LEAST_SPREAD)


def _codes(measured: Measurements, group: CopyGroup) -> np.ndarray | None:
    """Give the labels there are of a group; None where the catalogue has one class or none."""
    level = measured.level
    if level is None or len(np.unique(level.codes[level.codes != MISSING_LABEL])) < 2:
        return None
    codes = level.codes[list(group.rows)]
    codes = codes[codes != MISSING_LABEL]
    return codes if len(codes) else None
