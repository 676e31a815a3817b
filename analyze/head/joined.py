"""What a head on several backbones is taught: their vectors, and their views, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analyze.head.rivals import Contender
from analyze.reduction.concatenation import join_embeddings
from extract.storage.embeddings import Provenance


def join_contenders(contenders: Sequence[Contender]) -> tuple[Contender, tuple[str, ...]]:
    """Join backbones into one; views of the same number belong together.

    Parameters
    ----------
    contenders : sequence of Contender
        Two at least; of their views as many are taken as all have.

    Returns
    -------
    joined : Contender
    notes : tuple of str
    """
    joined, notes = join_embeddings([each.embeddings for each in contenders])
    views = [each.views for each in contenders if each.views is not None]
    if len(views) < len(contenders):
        return Contender(joined), notes
    n_views = min(map(len, views))
    stacked = np.stack(
        [
            join_embeddings(
                [replace(each.embeddings, vectors=each.views[number]) for each in contenders]  # type: ignore[index]
            )[0].vectors
            for number in range(n_views)
        ]
    )
    return Contender(joined, stacked), notes


def is_joined(provenance: Provenance) -> bool:
    """Say whether vectors are those of several backbones side by side."""
    return isinstance(provenance.identity.get("joined"), list)


def parts_of(provenance: Provenance) -> list[Provenance]:
    """Give the provenance of each backbone that vectors were joined of; itself where of one."""
    if not is_joined(provenance):
        return [provenance]
    joined, names = provenance.identity["joined"], provenance.model.split(" + ")
    if len(joined) != len(names):
        raise ValueError(f"{len(joined)} backbones are joined, {len(names)} are named")
    return [Provenance(i, (), {"model": n}) for i, n in zip(joined, names, strict=True)]
