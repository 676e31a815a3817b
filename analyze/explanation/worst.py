"""The worst mistakes on pictures that the head, or the heads of its folds, were not trained on."""

from __future__ import annotations

import numpy as np

from analyze.explanation.targets import Target
from analyze.explanation.truth import Truth
from analyze.head.prediction.head_file import StoredHead
from analyze.head.reporting.held_out_mistakes import (
    HeldOutMistakes,
    Mistake,
    class_mistakes,
    set_mistakes,
)
from extract.catalog.multi_label import MultiLabel
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet

KEY = "held_out"


def worst_mistakes(
    stored: StoredHead, level: str, target: Target, embeddings: EmbeddingSet, truth: Truth, n: int
) -> tuple[dict[int, Mistake], list[str]]:
    """Find mistakes: those that the head's file keeps, and those about pictures it never saw.

    The first are of heads that were trained on the rest of the pictures; the second are predicted
    here.

    Parameters
    ----------
    stored : StoredHead
    level : str
        Of the head.
    target : Target
        The head at that level, with probabilities.
    embeddings : EmbeddingSet
    truth : Truth
        Its labels at that level.
    n : int

    Returns
    -------
    mistakes : dict of int to Mistake
        By row, the least probable truth first.
    notes : list of str

    Raises
    ------
    UsageError
        When the head was trained on every picture, and its file keeps no held-out mistakes.
    """
    kept = _kept(stored, level)
    split = stored.about.get("split") or {}
    sides = ("train", "validation", *(["test"] if kept else []))
    seen = {row_id for side in sides for row_id in split.get(side, ())}
    new = np.flatnonzero([row_id not in seen for row_id in embeddings.ids])
    found = _mistakes_on(level, target, embeddings.take(new), truth.take(new))
    if kept is None and not found.n_images:
        raise UsageError(
            "the head was trained on every picture with a label, and its head.json, of an earlier "
            "version, keeps no held-out mistakes: train it again with python -m analyze head"
        )
    places = {row_id: row for row, row_id in enumerate(embeddings.ids)}
    own = kept or HeldOutMistakes(level, 0, 0, ())
    there = [each for each in own.mistakes if each.id in places]
    as_then = [each for each in there if _labels(truth, places[each.id], target) == each.labels]
    both = sorted((*as_then, *found.mistakes), key=lambda each: each.probability)
    notes = [_counted(own.n_errors + found.n_errors, own.n_images + found.n_images)]
    if len(as_then) < len(there):
        notes.append(
            f"{len(there) - len(as_then)} of them have other labels now than when the head was "
            "tested: left out"
        )
    return {places[each.id]: each for each in both[:n]}, notes


def _counted(n_errors: int, n_images: int) -> str:
    if not n_errors:
        return f"not one mistake in {n_images} held-out pictures"
    mistakes = "mistake" if n_errors == 1 else "mistakes"
    return f"{n_errors} {mistakes} in {n_images} held-out pictures, the least probable truth first"


def _kept(stored: StoredHead, level: str) -> HeldOutMistakes | None:
    """Read the mistakes at a level that a head's file keeps; None of earlier versions."""
    if KEY not in stored.about:
        return None
    try:
        levels = [HeldOutMistakes.of_json(each) for each in stored.about[KEY]]
    except (ValueError, KeyError, TypeError) as error:
        raise HeadFileError(
            "the held-out mistakes in head.json cannot be read: train the head again with "
            "python -m analyze head"
        ) from error
    return next((own for own in levels if own.level == level), None)


def _mistakes_on(
    level: str, target: Target, embeddings: EmbeddingSet, truth: Truth
) -> HeldOutMistakes:
    """Return the head's mistakes on pictures that it was not trained on."""
    if not len(embeddings):
        return HeldOutMistakes(level, 0, 0, ())
    assert target.probabilities is not None
    given = target.probabilities(embeddings.vectors)
    about = (embeddings.ids, target.columns)
    if isinstance(truth, MultiLabel):
        assert target.predictions is not None
        labels = [set(own) for own in truth.values()]
        has = np.array([[name in own for name in target.columns] for own in labels])
        given = np.where(has.any(axis=1, keepdims=True), given, np.nan)  # without a label: unknown
        predictions = target.predictions(embeddings.vectors)
        return set_mistakes(level, given[None], predictions[None], has, *about)
    return class_mistakes(level, given, target.answer(embeddings.vectors), truth.values(), *about)


def _labels(truth: Truth, row: int, target: Target) -> tuple[str, ...]:
    """List the labels of a row that the head knows."""
    own = truth.value(row)
    if isinstance(own, tuple):
        return tuple(name for name in target.columns if name in own)
    return (own,) if own is not None else ()
