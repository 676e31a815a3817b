"""Several backbones' vectors side by side, and the views of each averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from analyze.measures.alignment import align_pictures
from analyze.pictures.stored_views import read_views
from analyze.unit_vectors import unit_rows
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.storage.embeddings_file import read_embeddings
from extract.workspace import Workspace


def read_combined(
    workspace: Workspace, paths: Sequence[Path], *, join: bool, views: bool
) -> tuple[EmbeddingSet, list[EmbeddingSet], list[str]]:
    """Read files, average each with its views and join them, as far as that is wanted.

    Returns
    -------
    combined : EmbeddingSet
    read : list of EmbeddingSet
        The files as they are.
    notes : list of str

    Raises
    ------
    UsageError
        When there are no views, or nothing to join.
    """
    read, notes = [read_embeddings(path) for path in paths], []
    ready = list(read)
    for i, path in enumerate(paths if views else ()):
        stored = read_views(path, read[i])
        if stored is None:
            raise UsageError(
                f"no views next to {workspace.relative(path)}: run python -m extract --views 4, "
                "with the options of the plain file"
            )
        ready[i] = average_views(read[i], stored.features)
        notes += [f"each picture is averaged with {len(stored.features)} views", *stored.notes]
    if not join:
        return ready[0], read, notes
    joined, of_join = join_embeddings(ready)
    return joined, read, [*notes, *of_join]


def join_embeddings(
    embedding_sets: Sequence[EmbeddingSet],
) -> tuple[EmbeddingSet, tuple[str, ...]]:
    """Lay vectors of several backbones side by side, each scaled to length 1.

    So each backbone has the same weight: cosines of the joined rows are the mean of theirs.

    Parameters
    ----------
    embedding_sets : sequence of EmbeddingSet
        Two at least; pictures that are not in all of them are left out.

    Returns
    -------
    joined : EmbeddingSet
        Labels and columns are those of the first set that has labels.
    notes : tuple of str

    Raises
    ------
    UsageError
        When there are fewer than two, or no picture is in all of them.
    """
    if len(embedding_sets) < 2:
        raise UsageError(
            "--join takes two embeddings files or more: embed the catalogue with another backbone "
            "by python -m extract --model, or name several by --embeddings or --model"
        )
    same = align_pictures(embedding_sets)
    sets = same.embedding_sets
    vectors = np.concatenate([unit_rows(each.vectors) for each in sets], axis=1)
    identity = {
        "backbone": " + ".join(each.provenance.model for each in sets),
        "joined": [dict(each.provenance.identity) for each in sets],
        "weights": {"source": _weights(sets)},
    }
    labelled = next((each for each in sets if each.levels or each.multi_labels), sets[0])
    joined = EmbeddingSet(
        sets[0].ids,
        vectors,
        Provenance(identity, ()),
        levels=labelled.levels,
        columns=labelled.columns,
        group_column=labelled.group_column,
        left_out=max(
            (each.left_out for each in embedding_sets), key=lambda left: sum(left.values())
        ),
        content_sha256=next(
            (each.content_sha256 for each in sets if each.content_sha256 is not None), None
        ),
        paths=sets[0].paths,
        multi_labels=labelled.multi_labels,
        n_pictures=next((each.n_pictures for each in sets if each.n_pictures is not None), None),
    )
    return joined, same.notes


def average_views(embeddings: EmbeddingSet, views: np.ndarray) -> EmbeddingSet:
    """Average the directions of each picture and of its augmented views.

    Parameters
    ----------
    embeddings : EmbeddingSet
        Of the pictures as they are.
    views : ndarray of shape (n_views, n_images, n_dims), float32

    Returns
    -------
    EmbeddingSet
        With another identity: these are other vectors.
    """
    total = unit_rows(embeddings.vectors).astype(np.float64)
    for view in views:
        total += unit_rows(view)
    made = embeddings.provenance
    identity = {**made.identity, "averaged_views": len(views)}
    return replace(
        embeddings,
        vectors=(total / (len(views) + 1)).astype(np.float32),
        provenance=replace(made, identity=identity),
    )


def _weights(sets: Sequence[EmbeddingSet]) -> str:
    """Name the source of all weights; random if any are, as that has to be reported."""
    sources = {each.provenance.weights for each in sets}
    return "random" if "random" in sources else " + ".join(sorted(sources))
