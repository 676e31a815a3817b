"""The choice of what is explained: which target, of which pictures."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.clustering.analysis import analyze_embeddings
from analyze.explanation.class_targets import (
    cluster_target,
    head_target,
    level_of_head,
    pretrained_target,
)
from analyze.explanation.questions import (
    Question,
    Subject,
    ask,
    ask_of_pairs,
    nearest_rows,
    sampled_rows,
    subjects_of_rows,
)
from analyze.explanation.spec import ExplanationSpec
from analyze.explanation.targets import Target
from analyze.explanation.truth import Truth, truth_of_head
from analyze.explanation.worst import worst_mistakes
from analyze.head.prediction.head_file import StoredHead
from analyze.head.reporting.held_out_mistakes import Mistake
from analyze.measures.levels import choose_level
from analyze.pictures.duplicates import groups_of_equal_bytes
from extract.command_line import counted_pictures
from extract.errors import PictureRefused, UsageError
from extract.ids import shown
from extract.images.decoding import decode_picture
from extract.images.reading import read_picture
from extract.refusals import Refused
from extract.storage.embeddings import EmbeddingSet

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone

MOST_COMPARED = 100_000
"""Ids that are held against a wrong one."""

SAMPLED = 3
"""Pictures a class where none is named."""


def truth_of(
    wanted: ExplanationSpec, stored: StoredHead | None, vectors: EmbeddingSet
) -> Truth | None:
    """Find the labels that are the truth: those of the head's level, where the catalogue has it."""
    if stored is None:
        return choose_level(vectors.levels, wanted.level)
    number = level_of_head(stored, wanted.level)
    return truth_of_head(stored, number, vectors.levels, vectors.multi_labels)


def make_target(
    wanted: ExplanationSpec,
    stored: StoredHead | None,
    backbone: Backbone,
    vectors: EmbeddingSet,
    truth: Truth | None,
    weights: Path | None,
) -> Target | None:
    """Return the target; None for neighbors, which are explained in pairs."""
    if stored is not None:
        number = level_of_head(stored, wanted.level)
        return head_target(stored, number, wanted.explained)
    if wanted.target == "pretrained":
        from extract.backbones.pretrained_classifier import load_pretrained_classifier

        return pretrained_target(load_pretrained_classifier(backbone, weights), wanted.explained)
    if wanted.target == "cluster":
        return _clusters(wanted, vectors, truth.name if truth else None)
    return None


def _clusters(wanted: ExplanationSpec, vectors: EmbeddingSet, level: str | None) -> Target:
    """Cluster as ``python -m analyze`` does by default, and match clusters with classes."""
    found = analyze_embeddings(
        vectors,
        n_clusters=wanted.clusters,
        level=level,
        seed=wanted.seed,
        without_labels=(),
    )
    matched = found.agreement.cluster_to_class if found.agreement else {}
    return cluster_target(vectors.vectors, found.clustering.assignments, matched)


def choose_subjects(
    wanted: ExplanationSpec,
    vectors: EmbeddingSet,
    truth: Truth | None,
    target: Target | None,
    stored: StoredHead | None,
    backbone: Backbone,
) -> tuple[list[Subject], list[str]]:
    """Choose the pictures, each once, with notes on the choice."""
    mistakes: dict[int, Mistake] = {}
    rows, notes = [row_called(vectors, text, "--id") for text in wanted.ids or ()], []
    named = wanted.ids or wanted.image or wanted.worst
    sample = wanted.sample if wanted.sample or named else SAMPLED
    if sample:
        rows += sampled_rows(truth, len(vectors), sample, wanted.seed)
        of = f"of each class of {truth.name}" if truth else "of all"
        none = "" if rows else "; there are none"
        notes.append(f"{counted_pictures(sample)} {of}, drawn by seed {wanted.seed}{none}")
    if wanted.worst:
        if truth is None or target is None or stored is None:
            raise UsageError("--worst needs labels at the head's level, which the file has not")
        number = level_of_head(stored, wanted.level)
        mistakes, noted = worst_mistakes(
            stored, stored.levels[number], target, vectors, truth, wanted.worst
        )
        rows += mistakes
        notes += noted
    rows = list(dict.fromkeys(rows))
    training_ids = stored.training_ids if stored is not None else set()
    n_in_training = sum(vectors.ids[row] in training_ids for row in rows)
    if n_in_training:
        now = any(vectors.ids[row] in training_ids for row in mistakes)
        since = (
            "; their held-out mistakes are of heads that were not trained on them" if now else ""
        )
        notes.append(
            f"{n_in_training} of {len(rows)} pictures were in training, by their ids{since}"
        )
    new = [_new_picture(path, backbone) for path in dict.fromkeys(wanted.image or ())]
    known = [
        replace(subject, mistake=mistakes.get(row))
        for row, subject in zip(rows, subjects_of_rows(vectors, rows, truth), strict=True)
    ]
    return [*known, *new], notes


def check_ids(wanted: ExplanationSpec, vectors: EmbeddingSet) -> None:
    """Refuse ids that were typed and are not there.

    Raises
    ------
    UsageError
        With the ids that are nearest.
    """
    for text in wanted.ids or ():
        row_called(vectors, text, "--id")
    if wanted.neighbor is not None:
        row_called(vectors, wanted.neighbor, "--neighbor")


def row_called(vectors: EmbeddingSet, text: str, option: str) -> int:
    """Find a row by its id.

    Raises
    ------
    UsageError
        With the ids that are nearest.
    """
    if text in vectors.ids:
        return vectors.ids.index(text)
    near = difflib.get_close_matches(text, vectors.ids[:MOST_COMPARED], n=3, cutoff=0.6)
    near = near or list(vectors.ids[:2])
    raise UsageError(
        f"no id {text!r} with a vector: ids are such as {', '.join(map(shown, near))}; give one "
        f"with {option}"
    )


def _new_picture(path: Path, backbone: Backbone) -> Subject:
    real = path.resolve()
    try:
        picture = decode_picture(read_picture(real.parent, real.name).content)
    except Refused as refused:
        raise PictureRefused(
            f"{shown(str(path))} is refused: {refused.reason.code} ({shown(refused.message)}); "
            "give another picture with --image"
        ) from refused
    return Subject(str(path), backbone.embed_pictures([picture])[0], picture=picture)


def ask_all(
    wanted: ExplanationSpec,
    vectors: EmbeddingSet,
    truth: Truth | None,
    subjects: Sequence[Subject],
    target: Target | None,
) -> tuple[Target, list[Question], list[str]]:
    """Make the questions; of neighbors, find whom each picture is held against first."""
    if target is not None:
        questions = ask(target, subjects, wanted.class_name)
        n_silent = sum(question.predictions == () for question in questions)
        silent = f"no label reaches its threshold for {n_silent} of {len(questions)} pictures"
        likeliest = "" if wanted.class_name else ": each is explained for the likeliest"
        return target, questions, [silent + likeliest] if n_silent else []
    known = [subject for subject in subjects if subject.vector.any()]
    n_zeros = len(subjects) - len(known)
    notes = [f"{n_zeros} pictures have a vector of zeros: nothing is like them"] if n_zeros else []
    if wanted.neighbor is not None:
        rows = [row_called(vectors, wanted.neighbor, "--neighbor")] * len(known)
    else:
        copies = groups_of_equal_bytes(vectors.content_sha256, len(vectors))
        rows = nearest_rows(vectors, known, copies) if known else []
    pairs = [
        (subject, subjects_of_rows(vectors, [row], truth)[0])
        for subject, row in zip(known, rows, strict=True)
        if row not in (-1, subject.row)
    ]
    if not pairs:
        raise UsageError("no picture to hold these against: name another with --neighbor ID")
    return (*ask_of_pairs(pairs), notes)
