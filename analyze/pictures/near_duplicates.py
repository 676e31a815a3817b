"""Copies: which pictures must stay on one side of a split, and what a naive one would leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyze.pictures.duplicates import groups_of_equal_bytes
from analyze.threads import one_thread
from analyze.ties import ROUNDING, cosines_of
from analyze.unit_vectors import unit_rows

NEAR_COSINE = 0.95
"""From here on two vectors are of one picture as far as a split is concerned. Of 525 photographs of
a marketplace and 210 drawn pictures, by three backbones, the nearest pairs that differ in bytes lie
at 0.964 to 0.973 (one product twice) and then at 0.947 and below, of the cropped pictures; of whole
ones at 0.95 to 0.981: one product twice, packs of one kind, one thing in two colors. Vectors alone
do not distinguish copies from variants, and both would leak."""

MOST_IN_A_CHAIN = 0.1
"""Share of the pictures that may hang together by nearness: more are no copies, but vectors that
are all alike, as random weights give them."""

LEAST_CHAIN = 10
BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Copies:
    """Which pictures are copies of each other.

    Parameters
    ----------
    groups : ndarray of shape (n_images,), int
        Copies, byte-identical or near-identical, and pictures of one group (of a product) have one
        number.
    by_bytes : ndarray of shape (n_images,), int
        Byte-identical copies alone have one number.
    notes : tuple of str
    grouped : ndarray of shape (n_images,), int, or None
        Pictures of one product alone have one number.
    near : ndarray of shape (n_images,), int, or None
        Copies, byte-identical or near-identical, alone have one number; those of ``groups`` without
        it.
    """

    groups: np.ndarray
    by_bytes: np.ndarray
    notes: tuple[str, ...] = ()
    grouped: np.ndarray | None = None
    near: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Copies:
        """Keep some rows, in the order given."""
        grouped = None if self.grouped is None else self.grouped[rows]
        near = None if self.near is None else self.near[rows]
        return Copies(self.groups[rows], self.by_bytes[rows], self.notes, grouped, near)


def find_copies(
    vectors: np.ndarray, content_sha256: np.ndarray | None, grouped: np.ndarray | None = None
) -> Copies:
    """Group pictures of equal bytes, those with vectors that hardly differ, and those of a product.

    Near pairs are chained: where a is near b, and b near c, all three are one group.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
    content_sha256 : ndarray of shape (n_images, 32), uint8, or None
    grouped : ndarray of shape (n_images,), int, optional
        Pictures of one number stay together whatever their vectors.
    """
    n = len(vectors)
    by_bytes = groups_of_equal_bytes(content_sha256, n)
    _, by_bytes = np.unique(by_bytes, return_inverse=True)
    one, other = _near_pairs(vectors)
    firsts = np.unique(by_bytes, return_index=True)[1]
    ones = np.concatenate([one, np.arange(n)])
    others = np.concatenate([other, firsts[by_bytes]])
    return _kept_together(_believable(_connected(ones, others, n), by_bytes), grouped)


def join_copies(found: Sequence[Copies]) -> Copies:
    """Group pictures that are copies by any of several vectors, notes left to the caller.

    Chains are joined: where a is a copy of b by one, and b of c by another, all are one group.

    Parameters
    ----------
    found : sequence of Copies
        Row by row of the same pictures.
    """
    by_bytes = joined_groups([each.by_bytes for each in found])
    grouped = [each.grouped for each in found if each.grouped is not None]
    # judged before products are joined: they may be as large as they are
    near = [each.groups if each.near is None else each.near for each in found]
    joined = _believable(joined_groups(near), by_bytes)
    return _kept_together(joined, joined_groups(grouped) if grouped else None)


def _kept_together(found: Copies, grouped: np.ndarray | None) -> Copies:
    """Join groups that hold pictures of one product; there may be as many as there are."""
    if grouped is None:
        return found
    groups = joined_groups([found.groups, grouped])
    return replace(found, groups=groups, grouped=grouped, near=found.groups)


def _near_pairs(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs of rows by blocks of products; rows of zeros are near none.

    Those within rounding of the limit are compared in float64.
    """
    directions = unit_rows(vectors)
    n = len(directions)
    block = max(1, BLOCK_BYTES // (4 * max(1, n)))
    ones, others = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    with one_thread():
        for first in range(0, n, block):
            products = directions[first : first + block] @ directions[first:].T
            one, other = np.nonzero(products >= NEAR_COSINE - ROUNDING)
            one, other = one[one < other], other[one < other]
            near = products[one, other] > NEAR_COSINE + ROUNDING
            one, other = one + first, other + first
            near[~near] = _are_near(vectors, one[~near], other[~near])
            ones.append(one[near])
            others.append(other[near])
    return np.concatenate(ones), np.concatenate(others)


def _are_near(vectors: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Say which pairs of rows are near, compared in float64; ndarray of bool."""
    near = np.empty(len(ones), bool)
    block = max(1, BLOCK_BYTES // (16 * vectors.shape[1]))
    for first in range(0, len(ones), block):
        some = slice(first, first + block)
        cosines = cosines_of(vectors[others[some], None], vectors[ones[some]])
        near[some] = cosines[:, 0] >= NEAR_COSINE
    return near


def joined_groups(groupings: Sequence[np.ndarray]) -> np.ndarray:
    """Number the groups that rows of equal numbers form, whichever of the groupings has them."""
    n = len(groupings[0])
    firsts = []
    for numbers in groupings:
        _, first, places = np.unique(numbers, return_index=True, return_inverse=True)
        firsts.append(first[places])
    return _connected(np.tile(np.arange(n), len(firsts)), np.concatenate(firsts), n)


def _connected(ones: np.ndarray, others: np.ndarray, n: int) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    joined = coo_matrix((np.ones(len(ones), bool), (ones, others)), shape=(n, n))
    _, groups = connected_components(joined, directed=False)
    return groups.astype(np.int64)  # type: ignore[no-any-return]


def _believable(groups: np.ndarray, by_bytes: np.ndarray) -> Copies:
    """Take groups by nearness, unless too much hangs together."""
    largest = _largest_chain(groups, by_bytes)
    if largest > max(LEAST_CHAIN, MOST_IN_A_CHAIN * len(groups)):
        note = (
            f"{largest} pictures hang together by a cosine of {NEAR_COSINE} or more: these vectors "
            "are too alike to find near-identical pictures, so only byte-identical ones are kept "
            "on one side"
        )
        return Copies(by_bytes, by_bytes, (note,))
    return Copies(groups, by_bytes)


def _largest_chain(groups: np.ndarray, by_bytes: np.ndarray) -> int:
    """Give the size of the largest group, byte-identical copies in it counted once."""
    pairs = np.unique(np.stack([groups, by_bytes]), axis=1)
    return int(np.bincount(pairs[0]).max()) if len(groups) else 0
