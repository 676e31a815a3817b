"""Copies and variants of a catalogue in groups, and which copy of a group to keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from analyze.auditing.findings import Reason
from analyze.auditing.picture_measures import PictureMeasures
from analyze.pictures.altered_copies import Alteration, altered
from analyze.pictures.duplicates import LEAST_SIMILARITY, Relation, compared
from analyze.pictures.near_duplicates import NEAR_COSINE

LEAST_OF_ALTERED = 0.75
"""Cosine from which pictures are held against each other mirrored, cut and framed, which takes
several times as long: see the audit's benchmark."""

ALTERED_EACH = 6
"""Pairs for each picture that are, the most similar first: of vectors that are all alike, others
would be without end."""

MORE = 1.1
"""Times as many pixels, or bytes a pixel, that make one copy better than another."""


@dataclass(frozen=True)
class Link:
    """Two pictures that are copies or variants of each other.

    Parameters
    ----------
    one, other : int
        Rows, the lower first.
    relation : Relation
    cosine : float
        Of their vectors.
    score : float
        0 to 1: how near copies are, 1 where no pixel differs; of variants how far their edges
        agree.
    how : Reason
        What one is to the other.
    worse : int or None
        The row that was cut, framed or marked, where that is known.
    """

    one: int
    other: int
    relation: Relation
    cosine: float
    score: float
    how: Reason
    worse: int | None = None


def find_links(
    pairs: Sequence[tuple[int, int, float]],
    measures: PictureMeasures | None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Link, ...]:
    """Hold pictures with vectors that are alike against each other.

    Parameters
    ----------
    pairs : sequence of (row, row, cosine)
        The lower row first, no pair twice, none of equal bytes; the most similar first.
    measures : PictureMeasures or None
        Without pictures a cosine from :data:`NEAR_COSINE` on makes a copy.
    progress : callable, optional
        Pairs done -> None.
    """
    found = []
    least = least_of_altered(pairs, 0 if measures is None else len(measures.opened))
    for done, (one, other, cosine) in enumerate(pairs, start=1):
        if measures is None or not (measures.opened[one] and measures.opened[other]):
            link = _by_vectors(one, other, cosine)
        else:
            link = _by_pixels(one, other, cosine, measures, least)
        if link is not None:
            found.append(link)
        if progress is not None:
            progress(done)
    return tuple(found)


def _by_vectors(one: int, other: int, cosine: float) -> Link | None:
    if cosine < NEAR_COSINE:
        return None
    return Link(one, other, Relation.COPY, cosine, cosine, Reason.of("by_vectors"))


def least_of_altered(pairs: Sequence[tuple[int, int, float]], n_images: int) -> float:
    """Choose the cosine from which pictures are held against each other as altered copies."""
    most = ALTERED_EACH * n_images
    return max(LEAST_OF_ALTERED, pairs[most][2]) if most < len(pairs) else LEAST_OF_ALTERED


def _by_pixels(
    one: int, other: int, cosine: float, measures: PictureMeasures, least: float
) -> Link | None:
    # two of one color are alike, and may have been of anything
    if cosine < LEAST_SIMILARITY or measures.blank[one] or measures.blank[other]:
        return None
    a, b = measures.fingerprint(one), measures.fingerprint(other)
    seen = compared(a, b, cosine)
    if seen.relation is Relation.COPY:
        return Link(
            one, other, Relation.COPY, cosine, 1 - (seen.apart or 0.0), Reason.of("saved_again")
        )
    change: Alteration | None = None
    if cosine >= least:
        change = altered(a, b)
    if change is not None:
        worse = None if change.first is None else one if change.first else other
        return Link(
            one, other, Relation.COPY, cosine, 1 - change.apart, Reason.of(change.how), worse
        )
    if seen.relation is Relation.VARIANT:
        return Link(
            one, other, Relation.VARIANT, cosine, seen.alike or 0.0, Reason.of("shape_of_one")
        )
    return None


@dataclass(frozen=True, eq=False)
class CopyGroup:
    """Pictures that are copies of each other.

    Parameters
    ----------
    rows : tuple of int
        Ascending.
    keep : int
        The one to keep.
    why : Reason
        Why this one.
    scores : mapping of int to float
        Of the others: the link to the one to keep, else the nearest; 1 for equal bytes.
    how : mapping of int to Reason
    """

    rows: tuple[int, ...]
    keep: int
    why: Reason
    scores: dict[int, float]
    how: dict[int, Reason]


def group_copies(
    links: Sequence[Link], by_bytes: np.ndarray, measures: PictureMeasures | None
) -> tuple[CopyGroup, ...]:
    """Chain copies into groups, each with the copy to keep.

    Parameters
    ----------
    links : sequence of Link
        Of copies; others are passed over.
    by_bytes : ndarray of shape (n_images,), int
        Byte-identical pictures have one number.
    measures : PictureMeasures or None
    """
    copies = [link for link in links if link.relation is Relation.COPY]
    direct = {(link.one, link.other): link for link in copies}
    best: dict[int, Link] = {}
    for link in sorted(copies, key=lambda each: -each.score):
        best.setdefault(link.one, link)
        best.setdefault(link.other, link)
    worse = {link.worse for link in copies if link.worse is not None}
    groups = []
    for rows in connected_groups([(link.one, link.other) for link in copies], by_bytes):
        keep, why = best_copy(rows, measures, worse)
        scores, how = {}, {}
        for row in rows:
            if row == keep:
                continue
            if by_bytes[row] == by_bytes[keep]:
                scores[row], how[row] = 1.0, Reason.of("equal_bytes")
            else:
                pair = min(row, keep), max(row, keep)
                link = direct.get(pair) or _nearest(row, rows, by_bytes, best)
                scores[row], how[row] = link.score, link.how
        groups.append(CopyGroup(rows, keep, why, scores, how))
    return tuple(groups)


def _nearest(row: int, rows: Sequence[int], by_bytes: np.ndarray, best: dict[int, Link]) -> Link:
    """Give the nearest link of a picture, or of one that has its very bytes."""
    own = [r for r in (row, *rows) if by_bytes[r] == by_bytes[row] and r in best]
    return best[own[0]]


def connected_groups(
    pairs: Sequence[tuple[int, int]], by_bytes: np.ndarray
) -> tuple[tuple[int, ...], ...]:
    """Chain pairs, and rows of equal bytes, into groups of two and more, by their first row."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(by_bytes)
    _, firsts, places = np.unique(by_bytes, return_index=True, return_inverse=True)
    linked = np.array(pairs, int).reshape(-1, 2)
    ones = np.concatenate([linked[:, 0], np.arange(n)])
    others = np.concatenate([linked[:, 1], firsts[places.reshape(-1)]])
    graph = coo_matrix((np.ones(len(ones), bool), (ones, others)), shape=(n, n))
    _, numbers = connected_components(graph, directed=False)
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    groups = [tuple(part.tolist()) for part in parts if len(part) > 1]
    return tuple(sorted(groups))


def best_copy(
    rows: Sequence[int], measures: PictureMeasures | None, worse: Collection[int] = ()
) -> tuple[int, Reason]:
    """Choose the copy to keep: the most detail, then the least compressed, then the first.

    One that was cut, framed or marked is kept only where all were.

    Detail is what is left of its pixels when an edge counts as wide as it is: a copy that was made
    larger has more pixels and no more detail.

    Returns
    -------
    row : int
    why : Reason
    """
    opened = [row for row in rows if measures is not None and measures.opened[row]]
    opened = [row for row in opened if row not in worse] or opened
    if measures is None or not opened:
        return rows[0], Reason.of("not_opened")
    detail = {row: measures.detail(row) for row in opened}
    most = max(detail.values())
    sharp = [row for row in opened if detail[row] * MORE >= most]
    density = {row: measures.bytes_per_pixel(row) for row in sharp}
    densest = max(density.values())
    kept = next(row for row in sharp if density[row] * MORE >= densest)
    if len(sharp) < len(opened):
        other = max((row for row in opened if row not in sharp), key=lambda row: detail[row])
        return kept, _more_detail(kept, other, measures)
    if any(density[row] * MORE < densest for row in sharp):
        low = min(density.values())
        return kept, Reason.of("less_compressed", bytes=density[kept], other_bytes=low)
    if len(opened) < len(rows):
        return kept, Reason.of("unaltered")
    return kept, Reason.of("first")


def _more_detail(kept: int, other: int, measures: PictureMeasures) -> Reason:
    """Say whether size or sharpness gives a copy its detail."""
    if measures.n_pixels(kept) > MORE * measures.n_pixels(other):
        (width, height), (next_width, next_height) = measures.size(kept), measures.size(other)
        return Reason.of(
            "larger", width=width, height=height, next_width=next_width, next_height=next_height
        )
    widths = [measures.edge_width(row) for row in (kept, other)]
    return Reason.of("sharper", width=widths[0], next_width=widths[1])
