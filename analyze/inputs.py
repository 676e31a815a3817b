"""What analyses take: embedding sets, or arrays and frames with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from extract.storage.arrays import Labels, Vectors
from extract.storage.embeddings import EmbeddingSet, as_embeddings

Given: TypeAlias = "EmbeddingSet | Vectors"
Sets: TypeAlias = "Given | Sequence[Given] | Mapping[str, Given]"
"""One or more sets or arrays; of a mapping, the keys name arrays."""

LevelOrLabels: TypeAlias = "str | int | Labels | None"
"""A level's name or number, or labels themselves."""


def as_sets(given: Sets, level: LevelOrLabels) -> tuple[list[EmbeddingSet], str | None]:
    """Embedding sets, and the name or number of the level meant; labels that are given are theirs.

    Parameters
    ----------
    given : EmbeddingSet, array, or sequence or mapping of them
        Arrays of a sequence are called ``vectors 1``, ``vectors 2``, ...
    level : str, or labels as of :meth:`EmbeddingSet.from_arrays`, optional
        Labels take the place of those of the sets.

    Raises
    ------
    UsageError
        When an array or its labels cannot be taken.
    """
    named = level is None or isinstance(level, str | int)
    labels: Any = None if named else level
    sets = [
        as_embeddings(each, labels)
        if isinstance(each, EmbeddingSet)
        else EmbeddingSet.from_arrays(each, labels=labels, name=name)
        for name, each in _by_name(given).items()
    ]
    return sets, str(level) if named and level is not None else None


def _by_name(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return {str(name): each for name, each in given.items()}
    several = isinstance(given, Sequence) and all(_is_set(each) for each in given)
    if not several:
        return {"vectors": given}
    if len(given) == 1:
        return {"vectors": given[0]}
    return {f"vectors {i}": each for i, each in enumerate(given, start=1)}


def _is_set(each: Any) -> bool:
    """Whether it is a set, or an array or list of two dimensions."""
    if isinstance(each, EmbeddingSet):
        return True
    if isinstance(each, Sequence):
        return bool(len(each)) and isinstance(each[0], Sequence)
    return len(getattr(each, "shape", ())) == 2
