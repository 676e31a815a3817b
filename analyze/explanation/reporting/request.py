"""Explanations of a backbone: pictures chosen, questions made of them, their maps drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analyze.explanation.choice import ask_all, choose_subjects, make_target, truth_of
from analyze.explanation.explanation import Explanation, Progress, explain
from analyze.explanation.feature_taps import Tap, tap_of
from analyze.explanation.questions import Question, Subject
from analyze.explanation.reporting.methods import ExplanationMethods
from analyze.explanation.saliency_maps import check_methods
from analyze.explanation.spec import ExplanationSpec
from analyze.explanation.targets import Target
from analyze.head.prediction.head_file import StoredHead, check_identity
from analyze.pictures.picture_folder import PictureFolder
from extract.backbones.kept_backbones import load_from_provenance
from extract.backbones.registry import Backbone, choose_device
from extract.errors import SosieError, UsageError
from extract.machine.allocation import keep_freed_memory
from extract.storage.embeddings import EmbeddingSet

Bar = Callable[[str], AbstractContextManager[Progress]]


@contextmanager
def no_bar(_: str) -> Iterator[Progress]:
    """Show nothing of how far things are."""
    yield lambda done, total: None


@dataclass(frozen=True, eq=False)
class ExplanationRequest:
    """A backbone, and the questions to explain.

    Parameters
    ----------
    target, followed : Target
        What is explained, and the same as a probability or similarity, which scores follow.
    vectors : EmbeddingSet
    questions : sequence of Question
    opened : callable
        Gives a subject's picture, or None.
    pictures : PictureFolder
    maps : tuple of str
        The methods that draw them.
    seed : int
    """

    backbone: Backbone
    tap: Tap
    target: Target
    followed: Target
    vectors: EmbeddingSet
    questions: Sequence[Question]
    opened: Callable[[Subject], Any]
    pictures: PictureFolder
    maps: tuple[str, ...]
    seed: int


def ask_backbone(
    wanted: ExplanationSpec,
    methods: ExplanationMethods,
    stored: StoredHead | None,
    pictures: PictureFolder,
    *,
    weights: Path | None = None,
    device: str = "auto",
    bar: Bar = no_bar,
) -> tuple[ExplanationRequest, list[Explanation], list[str]]:
    """Load the backbone of some vectors, choose pictures, and draw their maps.

    Parameters
    ----------
    stored : StoredHead or None
        The head that is explained.
    weights : Path, optional
        The backbone's, where they came from a file.
    bar : callable
        From what is counted to a context that gives the callback of progress.

    Returns
    -------
    request : ExplanationRequest
    found : list of Explanation
    notes : list of str

    Raises
    ------
    UsageError, SosieError
        When nothing can be explained, or not so.
    """
    vectors = pictures.embeddings
    if stored is not None:
        check_identity(stored, vectors.provenance)
    keep_freed_memory()
    backbone = load_from_provenance(
        vectors.provenance, weights_file=weights, device=choose_device(device)
    )
    if backbone.view is not None:
        raise UsageError(
            "the file holds augmented views, not pictures as they are: ask the file one folder up"
        )
    tap = tap_of(backbone)
    maps = methods.maps
    if methods.by_default and tap.directions_alone:
        maps = tuple(name for name in maps if name != "hirescam")
    check_methods(maps, tap, backbone.name)
    truth = truth_of(wanted, stored, vectors)
    target = make_target(wanted, stored, backbone, vectors, truth, weights)
    subjects, notes = choose_subjects(wanted, vectors, truth, target, stored, backbone)
    if not subjects:
        raise SosieError(
            f"nothing is explained: {'; '.join(notes)}; choose pictures with --id ID, --image FILE "
            "or --sample N"
        )
    target, questions, noted = ask_all(wanted, vectors, truth, subjects, target)

    def opened(subject: Subject) -> Any:
        return subject.picture if subject.row is None else pictures.open(subject.row)

    with bar("maps") as progress:
        found = explain(backbone, tap, target, questions, opened, methods=maps, progress=progress)
    if not found:
        why = "; ".join(pictures.notes()) or "no picture was chosen"
        raise SosieError(f"nothing is explained: {why}; say where they are with --images DIR")
    followed = target
    if target.of == "logit":
        wanted = replace(wanted, of="probability")
        followed = make_target(wanted, stored, backbone, vectors, truth, weights) or target
    context = (backbone, tap, target, followed, vectors, questions, opened, pictures, maps)
    return ExplanationRequest(*context, wanted.seed), found, [*notes, *noted]
