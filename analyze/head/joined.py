"""Training data of a head on several backbones: their vectors and views, concatenated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from analyze.head.rivals import Contender
from analyze.pictures.stored_views import read_views
from analyze.reduction.concatenation import join_embeddings
from extract.errors import UsageError
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings


def join_contenders(contenders: Sequence[Contender]) -> tuple[Contender, tuple[str, ...]]:
    """Join backbones into one; views of the same number belong together.

    Parameters
    ----------
    contenders : sequence of Contender
        Two at least; of their views as many are taken as all have.
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


def read_candidates(
    paths: Sequence[Path],
    join_paths: Sequence[Path] = (),
    *,
    views: bool = False,
    spelled: Callable[[Path], str] = str,
) -> tuple[list[Contender], list[str]]:
    """Read files, and their views where requested, with notes on those.

    Parameters
    ----------
    join_paths : sequence of Path
        Their vectors are concatenated with those of the first.
    spelled : callable
        How a path is written.

    Raises
    ------
    UsageError
        When views are wanted of a file that has none.
    """
    read: list[Contender] = []
    notes: list[str] = []
    for path in (*paths, *join_paths):
        plain = read_embeddings(path)
        stored = read_views(path, plain) if views else None
        if views and stored is None:
            raise UsageError(
                f"no views next to {spelled(path)}: run python -m extract --views 8, "
                "with the options of the plain file"
            )
        read.append(Contender(plain, stored.features if stored else None))
        notes += stored.notes if stored else ()
    if join_paths:
        read[0], predictions = join_contenders([read[0], *read[len(paths) :]])
        notes += predictions
    return read[: len(paths)], notes
