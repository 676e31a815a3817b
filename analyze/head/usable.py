"""Which pictures can be taught and tested: those with a label, and a direction in every view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyze.pictures.near_duplicates import Copies, find_copies
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True, eq=False)
class Usable:
    """The pictures that can be taught and tested.

    Parameters
    ----------
    rows : ndarray of int
        Among all pictures, ascending.
    embeddings : EmbeddingSet
        Of these rows, as are the following.
    features : ndarray of shape (n_views + 1, n_usable, n_dims), float32
        The plain pictures first.
    copies : Copies
    left_out : dict of str to int
        How many of all pictures, by reason.
    """

    rows: np.ndarray
    embeddings: EmbeddingSet
    features: np.ndarray
    copies: Copies
    left_out: dict[str, int]


def usable_rows(
    embeddings: EmbeddingSet,
    views: np.ndarray | None,
    labelled: np.ndarray,
    copies: Copies | None,
) -> Usable:
    """Keep pictures with a label and a direction.

    Parameters
    ----------
    embeddings : EmbeddingSet
    views : ndarray of shape (n_views, n_images, n_dims), float32, optional
    labelled : ndarray of shape (n_images,), bool
    copies : Copies, optional
        Of all rows, where more is known of them than these vectors tell.

    Raises
    ------
    UsageError
        When none is left.
    """
    stacked = embeddings.vectors[None]
    if views is not None:
        if views.ndim != 3 or views.shape[1:] != embeddings.vectors.shape:
            raise ValueError(
                f"views must have shape (n_views, *{embeddings.vectors.shape}), got {views.shape}"
            )
        stacked = np.concatenate([stacked, views.astype(np.float32, copy=False)])
    sound = np.isfinite(stacked).all(axis=(0, 2))
    directed = stacked.any(axis=2).all(axis=0)
    rows = np.flatnonzero(labelled & sound & directed)
    if not len(rows):
        raise UsageError("no labelled picture has a vector that can be used")
    kept = embeddings.take(rows)
    left_out = {
        "no label": int((~labelled).sum()),
        "not finite in a view": int((labelled & ~sound).sum()),
        "all zeros": int((labelled & sound & ~directed).sum()),
    }
    return Usable(
        rows,
        kept,
        stacked[:, rows],
        copies.take(rows) if copies else find_copies(kept.vectors, kept.content_sha256),
        {**embeddings.left_out, **{why: n for why, n in left_out.items() if n}},
    )
