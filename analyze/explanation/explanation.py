"""Questions answered: pictures opened, forwarded in batches, their maps laid on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyze.explanation.feature_taps import Tap
from analyze.explanation.placement import Placement, peak_of, place_of
from analyze.explanation.questions import Question, Subject
from analyze.explanation.saliency_maps import Weighed, weigh
from analyze.explanation.targets import Target

if TYPE_CHECKING:
    from PIL import Image

    from extract.backbones.registry import Backbone

    Opening = Callable[[Subject], Image.Image | None]

BATCH_SIZE = 16
THUMBNAIL = 256
EMPTIED = "nothing speaks for it: the map is empty"
UNMOVED = "no place moves it: there is no gradient"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Explanation:
    """The maps of one question.

    Parameters
    ----------
    question : Question
    value : float
        The logit, probability or similarity that was explained.
    maps : mapping of str to ndarray of shape (rows, columns), float32
        Of each method, not negative, at the resolution of the tap.
    moved : bool
        Whether any place has a gradient.
    place : Placement
        Where the maps lie on the picture.
    thumbnail : Image
        The picture, made small.
    cosine : float
        Of the vector that was explained with the one that is stored.
    """

    question: Question
    value: float
    maps: Mapping[str, np.ndarray]
    moved: bool
    place: Placement
    thumbnail: Image.Image
    cosine: float

    def why_empty(self, method: str) -> str | None:
        """Say why there is nothing to draw; None where there is something."""
        if not self.moved:
            return UNMOVED
        return None if self.maps[method].any() else EMPTIED

    def peak(self, method: str) -> tuple[int, int] | None:
        """Give x and y of the highest place, in pixels of the upright picture; None without one."""
        return peak_of(self.maps[method], self.place) if self.why_empty(method) is None else None


def explain(
    backbone: Backbone,
    tap: Tap,
    target: Target,
    questions: Sequence[Question],
    opened: Opening,
    *,
    methods: Sequence[str] = ("gradcam",),
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> list[Explanation]:
    """Answer questions; those of pictures that cannot be opened are passed over.

    Parameters
    ----------
    backbone : Backbone
        What the vectors came from.
    tap : Tap
        Of :func:`analyze.explanation.feature_taps.tap_of`.
    target : Target
    questions : sequence of Question
    opened : callable
        Gives a subject's picture, upright RGB, or None.
    methods : sequence of str
        Names of :data:`analyze.explanation.saliency_maps.METHODS`.
    """
    found: list[Explanation] = []
    done = 0
    for batch in _batches(questions, batch_size):
        pictures = [(question, opened(question.subject)) for question in batch]
        there = [(question, picture) for question, picture in pictures if picture is not None]
        if there:
            found += _explained(backbone, tap, target, there, methods)
        done += len(batch)
        if progress is not None:
            progress(done, len(questions))
    return found


def _batches(questions: Sequence[Question], size: int) -> Iterator[Sequence[Question]]:
    for first in range(0, len(questions), size):
        yield questions[first : first + size]


def _explained(
    backbone: Backbone,
    tap: Tap,
    target: Target,
    there: Sequence[tuple[Question, Image.Image]],
    methods: Sequence[str],
) -> list[Explanation]:
    import torch

    transform = backbone.preprocessing.transform()
    pixels = torch.stack([transform(picture) for _, picture in there]).to(backbone.device)
    columns = [question.column for question, _ in there]
    weighed = weigh(tap, target.values, pixels, columns, methods)
    return [
        _explanation(backbone, weighed, i, question, picture)
        for i, (question, picture) in enumerate(there)
    ]


def _explanation(
    backbone: Backbone, weighed: Weighed, i: int, question: Question, picture: Image.Image
) -> Explanation:
    thumbnail = picture.copy()
    thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
    return Explanation(
        question,
        float(weighed.values[i]),
        {name: np.maximum(signed[i], 0) for name, signed in weighed.signed.items()},
        bool(weighed.moved[i]),
        place_of(backbone.preprocessing, *picture.size),
        thumbnail,
        _cosine(weighed.vectors[i], question.subject.vector),
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 1.0
