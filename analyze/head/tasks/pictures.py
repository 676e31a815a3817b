"""Pictures to train and test on: those with a label, and a direction in every view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analyze.head.training.inputs import StageMaps
from analyze.pictures.near_duplicates import Copies, find_copies
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True, eq=False)
class Pictures:
    """The vectors of some pictures, and what is known of these.

    Parameters
    ----------
    features : ndarray of shape (n_views + 1, n_images, n_dims), float32
        The plain pictures first.
    maps : StageMaps or None
        Where the backbone's last stage is trained too.
    left_out : dict of str to int
        How many of all pictures, by reason.
    """

    embeddings: EmbeddingSet
    features: np.ndarray
    copies: Copies
    maps: StageMaps | None
    left_out: dict[str, int]
    notes: tuple[str, ...]

    @property
    def groups(self) -> np.ndarray:
        """Copies have one number; ndarray of shape (n_images,), int."""
        return self.copies.groups

    def take(self, rows: np.ndarray, why: str) -> Pictures:
        """Keep some pictures, and count the others by a reason."""
        n_lost = len(self.embeddings) - len(rows)
        return replace(
            self,
            embeddings=self.embeddings.take(rows),
            features=self.features[:, rows],
            copies=self.copies.take(rows),
            maps=self.maps.take(rows) if self.maps else None,
            left_out={**self.left_out, **({why: n_lost} if n_lost else {})},
        )


def stacked_views(embeddings: EmbeddingSet, views: np.ndarray | None) -> np.ndarray:
    """Put the plain pictures before their views; ndarray of shape (n_views + 1, n, n_dims)."""
    plain = embeddings.vectors[None]
    if views is None:
        return plain
    if views.ndim != 3 or views.shape[1:] != embeddings.vectors.shape:
        raise ValueError(
            f"views must have shape (n_views, *{embeddings.vectors.shape}), got {views.shape}"
        )
    return np.concatenate([plain, views.astype(np.float32, copy=False)])


def usable_pictures(
    embeddings: EmbeddingSet,
    views: np.ndarray | None,
    labelled: np.ndarray,
    copies: Copies | None = None,
    maps: StageMaps | None = None,
) -> tuple[np.ndarray, Pictures]:
    """Keep pictures with a label and a direction.

    Parameters
    ----------
    views : ndarray of shape (n_views, n_images, n_dims), float32, optional
    labelled : ndarray of shape (n_images,), bool
    copies : Copies, optional
        Of all rows, where more is known of them than these vectors tell.

    Returns
    -------
    rows : ndarray of int
        Among all pictures, ascending.
    pictures : Pictures

    Raises
    ------
    UsageError
        When none is left.
    """
    stacked = stacked_views(embeddings, views)
    sound = np.isfinite(stacked).all(axis=(0, 2))
    directed = stacked.any(axis=2).all(axis=0)
    rows = np.flatnonzero(labelled & sound & directed)
    if not len(rows):
        raise UsageError("no labelled picture has a vector that can be used")
    kept = embeddings.take(rows)
    copies = (
        copies.take(rows) if copies else find_copies(kept.vectors, kept.content_sha256, kept.groups)
    )
    reasons = {
        "no label": int((~labelled).sum()),
        "not finite in a view": int((labelled & ~sound).sum()),
        "all zeros": int((labelled & sound & ~directed).sum()),
    }
    return rows, Pictures(
        kept,
        stacked[:, rows],
        copies,
        maps.take(rows) if maps else None,
        {**embeddings.left_out, **{why: n for why, n in reasons.items() if n}},
        copies.notes,
    )
