"""The pictures to explain, and the column of the target to explain of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.explanation.targets import Target, neighbor_target
from analyze.explanation.truth import Truth, labels_of, rows_of_classes, spelled
from analyze.head.reporting.held_out_mistakes import Mistake
from analyze.neighbors.indexes.exact_search import ExactIndex
from extract.storage.embeddings import EmbeddingSet

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture to explain.

    Parameters
    ----------
    id : str
        Of a row, or a new picture's file as it was typed.
    vector : ndarray of shape (n_dims,), float32
        As it is stored.
    row : int or None
        None for a new picture.
    label : str or None
        The true class, where it is known; of several labels all of them, as one text.
    picture : Image or None
        A new picture; those of rows are opened when their turn comes.
    labels : tuple of str or None
        Where a picture may have several.
    mistake : Mistake or None
        The mistake of heads that were not trained on the picture.
    """

    id: str
    vector: np.ndarray
    row: int | None = None
    label: str | None = None
    picture: Image.Image | None = None
    labels: tuple[str, ...] | None = None
    mistake: Mistake | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """An explanation to compute: why a picture is this column of the target.

    Parameters
    ----------
    subject : Subject
    column : int
        Of the target.
    answer : int or None
        The column that is the target's own answer; None for a neighbor.
    probability, answer_probability : float or None
        Of both, where the target gives probabilities.
    predictions : tuple of int or None
        The columns that are predicted of the picture, where any number may be; without any of
        them the answer is the likeliest.
    """

    subject: Subject
    column: int
    answer: int | None = None
    probability: float | None = None
    answer_probability: float | None = None
    predictions: tuple[int, ...] | None = None

    def to_json(self, target: Target) -> dict[str, Any]:
        """Return the question, and what is known of it, with the keys that programs read.

        Of several labels ``predicted`` is the likeliest of those predicted.
        """
        silent = self.answer is None or self.predictions == ()
        mistake = self.subject.mistake
        return {
            "id": self.subject.id,
            "target": target.name,
            "of": target.of,
            "asked": target.columns[self.column],
            "class": target.classes[self.column],
            "probability": self.probability,
            "predicted": None if silent else target.columns[self.answer or 0],
            "predicted_probability": None if silent else self.answer_probability,
            "true": self.subject.label,
            "threshold": target.thresholds[self.column] if target.thresholds else None,
            "predicted_labels": None
            if self.predictions is None
            else [target.columns[i] for i in self.predictions],
            "true_labels": None if self.subject.labels is None else list(self.subject.labels),
            "held_out_predicted": None if mistake is None else list(mistake.predicted),
            "held_out_probability": None if mistake is None else mistake.probability,
        }


def subjects_of_rows(
    embeddings: EmbeddingSet, rows: Sequence[int], truth: Truth | None
) -> list[Subject]:
    """Take rows of a file, with their labels where there are any."""
    return [
        Subject(
            embeddings.ids[row],
            embeddings.vectors[row],
            row,
            None if truth is None else spelled(truth, row),
            labels=labels_of(truth, row),
        )
        for row in rows
    ]


def sampled_rows(truth: Truth | None, n_images: int, n: int, seed: int) -> list[int]:
    """Draw n pictures of each class by a seed; of all of them where there are no classes."""
    rng = np.random.default_rng(seed)
    members = [np.arange(n_images)] if truth is None else rows_of_classes(truth)
    return [int(row) for rows in members for row in np.sort(rng.permutation(rows)[:n])]


def ask(target: Target, subjects: Sequence[Subject], wanted: str | None) -> list[Question]:
    """Return the question of each picture: why its predicted class, or why one that was typed.

    Of a mistake without a class that was typed: why its worst label.
    """
    if not subjects:
        return []
    vectors = np.stack([subject.vector for subject in subjects])
    answers = target.answer(vectors)
    columns = answers if wanted is None else np.full(len(subjects), target.column_of(wanted))
    if wanted is None:
        worst = [each.mistake.worst_label if each.mistake else None for each in subjects]
        places = {name: i for i, name in enumerate(target.columns)}
        columns = np.array([places.get(name or "", answers[i]) for i, name in enumerate(worst)])
    if target.probabilities is None:
        triples = zip(subjects, columns.tolist(), answers.tolist(), strict=True)
        return [Question(*each) for each in triples]
    given = target.probabilities(vectors)
    predictions: list[tuple[int, ...] | None] = [None] * len(subjects)
    if target.predictions is not None:
        predictions = [tuple(np.flatnonzero(own).tolist()) for own in target.predictions(vectors)]
    return [
        Question(
            subject,
            int(columns[i]),
            int(answers[i]),
            float(given[i, columns[i]]),
            float(given[i, answers[i]]),
            predictions[i],
        )
        for i, subject in enumerate(subjects)
    ]


def ask_of_pairs(pairs: Sequence[tuple[Subject, Subject]]) -> tuple[Target, list[Question]]:
    """Return two questions a pair, what in a picture is like the other; no pair comes twice."""
    once = {tuple(sorted((a.id, b.id))): (a, b) for a, b in reversed(pairs)}
    pairs = list(reversed(once.values()))
    subjects = {subject.id: subject for pair in pairs for subject in pair}
    places = {row_id: i for i, row_id in enumerate(subjects)}
    target = neighbor_target(list(subjects), np.stack([s.vector for s in subjects.values()]))
    questions = []
    for a, b in pairs:
        questions += [Question(a, places[b.id]), Question(b, places[a.id])]
    return target, questions


def nearest_rows(
    embeddings: EmbeddingSet, subjects: Sequence[Subject], copies: np.ndarray
) -> list[int]:
    """Find the row most similar to each picture; of a row, not itself and not a copy of it.

    Parameters
    ----------
    copies : ndarray of shape (n_images,), int
        Rows of one number are equal byte for byte.

    Returns
    -------
    list of int
        -1 where there is none.
    """
    out = [
        np.array([], int) if s.row is None else np.flatnonzero(copies == copies[s.row])
        for s in subjects
    ]
    vectors = np.stack([subject.vector for subject in subjects])
    found = ExactIndex(embeddings.vectors).find(vectors, 1, out).rows
    return [int(rows[0]) if len(rows) else -1 for rows in found]
