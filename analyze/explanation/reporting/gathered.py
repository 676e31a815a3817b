"""Results other than maps: SHAP values, global importance, and scores of all methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analyze.explanation.evaluation.evaluation import MapsOfMethod, Score, score_methods
from analyze.explanation.evaluation.measured_maps import Box, Drawing, Shown, evaluate
from analyze.explanation.explanation import Progress
from analyze.explanation.feature_taps import tap_of
from analyze.explanation.placement import place_of
from analyze.explanation.reporting.methods import ExplanationMethods
from analyze.explanation.reporting.request import Bar, ExplanationRequest, no_bar
from analyze.explanation.shapley.shap_values import (
    Sampling,
    Shares,
    compute_shap_values,
    read_background,
    worth_of_features,
)
from extract.backbones.registry import load_backbone
from extract.errors import UsageError

if TYPE_CHECKING:
    import torch

BACKGROUND = 20
"""Pictures that shares of pixels are held against."""

MOST_OF_FEATURES = 100
"""Pictures with SHAP values by dimension of the embedding, where no more are requested."""


class MethodScores(NamedTuple):
    """Scores of methods, and what they were reckoned from."""

    scores: tuple[Score, ...]
    drawn: list[MapsOfMethod]


@dataclass
class Gathered:
    """What was found, for tables, figures and words."""

    shares: dict[str, list[Shares]] = field(default_factory=dict)
    features: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    scored: MethodScores | None = None
    notes: list[str] = field(default_factory=list)


def gather(
    request: ExplanationRequest,
    methods: ExplanationMethods,
    boxes: Mapping[str, Box],
    bar: Bar = no_bar,
) -> Gathered:
    """Reckon shares, what they come to by number of the embedding, and scores.

    Parameters
    ----------
    boxes : mapping of str to Box
        Where things are, by the pictures' ids.
    bar : callable
        From what is counted to a context that gives the callback of progress.
    """
    found = Gathered()
    if not methods.shares and not methods.evaluate:
        return found
    background, rows = _background(request)
    sampling = Sampling(background, methods.samples, request.seed)
    if methods.shares:
        found.notes.append(
            f"shares of pixels are against {len(rows)} pictures of seed {request.seed}, those "
            "of patches against their blur"
        )
    about = (request.backbone, request.target, request.questions, request.opened)
    with bar("shares") as progress:
        for place, method in enumerate(methods.shares):
            report = _part_of(
                progress,
                place * len(request.questions),
                len(methods.shares) * len(request.questions),
            )
            found.shares[method] = compute_shap_values(*about, method, sampling, progress=report)
    if methods.shares and request.target.name in ("head", "pretrained"):
        found.features = _features(request, sampling, rows)
    if methods.evaluate:
        found.scored = _scored(request, methods, boxes, sampling, bar)
    return found


def _part_of(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)


def _background(request: ExplanationRequest) -> tuple[torch.Tensor, list[int]]:
    """Draw pictures that are not explained, as far as they can be opened."""
    taken = {question.subject.row for question in request.questions}
    order = np.random.default_rng(request.seed).permutation(len(request.vectors)).tolist()
    order = [row for row in order if row not in taken] + [row for row in order if row in taken]
    opened, rows = [], []
    for row in order:
        picture = request.pictures.open(row)
        if picture is not None:
            opened.append(picture)
            rows.append(row)
        if len(rows) == BACKGROUND:
            break
    if not rows:
        raise UsageError("no picture to hold shares against can be opened: give --images DIR")
    return read_background(request.backbone, opened), rows


def _features(
    request: ExplanationRequest, sampling: Sampling, rows: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what each dimension of the embedding adds, for pictures other than those explained."""
    given = [question.subject.vector for question in request.questions]
    columns = [question.column for question in request.questions]
    lacking = MOST_OF_FEATURES - len(given)
    if lacking > 0:
        order = np.random.default_rng(request.seed + 1).permutation(len(request.vectors))[:lacking]
        others = request.vectors.vectors[order]
        given += list(others)
        columns += request.target.answer(others).tolist()
    of = np.array(columns)
    shares, errors = worth_of_features(
        request.target.values,
        np.stack(given),
        of,
        request.vectors.vectors[list(rows)],
        n_samples=sampling.n_samples,
        seed=sampling.seed,
    )
    return shares, of, errors


def _scored(
    request: ExplanationRequest,
    methods: ExplanationMethods,
    boxes: Mapping[str, Box],
    sampling: Sampling,
    bar: Bar,
) -> MethodScores:
    transform = request.backbone.preprocessing.transform()
    shown, contents = [], []
    for question in request.questions:
        picture = request.opened(question.subject)
        if picture is not None:
            place = place_of(request.backbone.preprocessing, *picture.size)
            box = boxes.get(question.subject.id)
            pixels = transform(picture)
            shown.append(Shown(question.subject.id, pixels, question.column, place, box))
            contents.append(pixels.numpy().tobytes())
    numbers = {content: i for i, content in enumerate(dict.fromkeys(contents))}
    groups = np.array([numbers[content] for content in contents])
    drawing = Drawing(
        *(request.backbone, request.tap, request.target),
        *(sampling.background, sampling.n_samples, sampling.seed),
    )
    names = [*request.maps, *methods.shares]
    with bar("scores") as progress:
        drawn = evaluate(drawing, request.followed, shown, names, _randomized(drawing), progress)
    return MethodScores(score_methods(drawn, groups, request.seed), drawn)


def _randomized(drawing: Drawing) -> Drawing:
    """Take the same backbone with weights that were never trained."""
    own = drawing.backbone
    seed = int(own.weights.get("seed", -1)) + 1
    drawn = load_backbone(
        own.name,
        weights="random",
        seed=seed,
        device=own.device,
        pooling=own.pooling if own.pooling in ("cls", "mean") else "auto",
        resize=own.preprocessing.resize,
    )
    return replace(drawing, backbone=drawn, tap=tap_of(drawn))
