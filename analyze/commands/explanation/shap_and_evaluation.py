"""What ``analyze explain`` does beside maps: shares, their totals, and scores of all of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from extract import command_line as cl
from extract.errors import UsageError, one_of

if TYPE_CHECKING:
    import torch

    from analyze.explanation.evaluation.evaluation import MapsOfMethod, Score
    from analyze.explanation.evaluation.measured_maps import Box, Drawing
    from analyze.explanation.feature_taps import Tap
    from analyze.explanation.questions import Question, Subject
    from analyze.explanation.shapley.shap_values import Shares
    from analyze.explanation.targets import Target
    from analyze.pictures.picture_folder import PictureFolder
    from extract.backbones.registry import Backbone
    from extract.storage.embeddings import EmbeddingSet

BACKGROUND = 20
"""Pictures that shares of pixels are held against."""

MOST_OF_FEATURES = 100
"""Pictures whose shares are reckoned by number of the embedding, where no more are asked for."""


@dataclass(frozen=True)
class More:
    """What was typed beside the maps.

    Parameters
    ----------
    maps, shares : tuple of str
        Methods of either kind.
    n_samples : int
        Of each picture's shares.
    evaluate : bool
    boxes : Path, optional
    usual : bool
        Whether the methods are those taken where none was typed: of them one that a backbone has
        no map by is left out.
    """

    maps: tuple[str, ...]
    shares: tuple[str, ...]
    n_samples: int
    evaluate: bool
    boxes: Path | None
    usual: bool = False

    def __post_init__(self) -> None:
        if self.boxes is not None and not self.evaluate:
            raise UsageError("--boxes is read by --evaluate: give that too")


@dataclass(frozen=True, eq=False)
class Asked:
    """A backbone, and the questions that it is asked.

    Parameters
    ----------
    backbone : Backbone
    tap : Tap
    target, followed : Target
        What is explained, and the same as a probability or similarity, which scores follow.
    vectors : EmbeddingSet
    questions : sequence of Question
    opened : callable
        Gives a subject's picture, or None.
    pictures : PictureFolder
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
    seed: int


class Scored(NamedTuple):
    """Scores of methods, and what they were reckoned from."""

    scores: tuple[Score, ...]
    drawn: list[MapsOfMethod]


@dataclass
class Gathered:
    """What was found, for tables, figures and words."""

    shares: dict[str, list[Shares]] = field(default_factory=dict)
    features: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    scored: Scored | None = None
    notes: list[str] = field(default_factory=list)


def settle_methods(
    typed: Sequence[str], *, evaluate: bool, n_samples: int, boxes: Path | None
) -> More:
    """Part the methods that were typed into maps and shares; without any, take the usual ones.

    Raises
    ------
    UsageError
        When there is no such method, or what it needs is not installed.
    """
    from analyze.explanation.saliency_maps import METHODS
    from analyze.explanation.shapley.attributions import ATTRIBUTIONS, require_shap

    usual = [*METHODS, *ATTRIBUTIONS] if evaluate else ["gradcam"]
    methods = list(dict.fromkeys(typed or usual))
    for name in methods:
        one_of(name, [*METHODS, *ATTRIBUTIONS], "method")
    if any(name in ATTRIBUTIONS for name in methods):
        require_shap()
    return More(
        tuple(name for name in methods if name in METHODS),
        tuple(name for name in methods if name in ATTRIBUTIONS),
        n_samples,
        evaluate,
        boxes,
        usual=not typed,
    )


def read_boxes(path: Path | None) -> dict[str, Box]:
    """Read boxes from a CSV of id, left, top, right, bottom.

    Raises
    ------
    UsageError
        When there is no such file, or it is no table of boxes.
    """
    from analyze.explanation.evaluation.measured_maps import boxes_of

    if path is None:
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return boxes_of(list(csv.DictReader(file)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"--boxes {path}: {why}; a CSV of id, left, top, right, bottom in pixels is wanted"
        ) from error


def gather(asked: Asked, more: More, boxes: Mapping[str, Box], *, quiet: bool) -> Gathered:
    """Reckon shares, what they come to by number of the embedding, and scores."""
    found = Gathered()
    if not more.shares and not more.evaluate:
        return found
    background, rows = _background(asked)
    if more.shares:
        found.notes.append(
            f"shares of pixels are against {len(rows)} pictures drawn by seed {asked.seed}, those "
            "of patches against their blur"
        )
    total = len(more.shares) * len(asked.questions)
    with cl.progress_bar("shares", quiet=quiet) as progress:
        for place, method in enumerate(more.shares):
            found.shares[method] = _shares(
                asked, more, method, background, place * len(asked.questions), total, progress
            )
    if more.shares and asked.target.name in ("head", "pretrained"):
        found.features = _features(asked, more, rows)
    if more.evaluate:
        found.scored = _scored(asked, more, boxes, background, quiet=quiet)
    return found


def _shares(
    asked: Asked,
    more: More,
    method: str,
    background: torch.Tensor,
    before: int,
    total: int,
    progress: Callable[[int, int], None],
) -> list[Shares]:
    from analyze.explanation.shapley.shap_values import share_out

    return share_out(
        asked.backbone,
        asked.target,
        asked.questions,
        asked.opened,
        method,
        background,
        n_samples=more.n_samples,
        seed=asked.seed,
        progress=lambda done: progress(before + done, total),
    )


def _background(asked: Asked) -> tuple[torch.Tensor, list[int]]:
    """Draw pictures that are not asked about, as far as they can be opened."""
    from analyze.explanation.shapley.shap_values import read_background

    taken = {question.subject.row for question in asked.questions}
    order = np.random.default_rng(asked.seed).permutation(len(asked.vectors)).tolist()
    order = [row for row in order if row not in taken] + [row for row in order if row in taken]
    opened, rows = [], []
    for row in order:
        picture = asked.pictures.open(row)
        if picture is not None:
            opened.append(picture)
            rows.append(row)
        if len(rows) == BACKGROUND:
            break
    if not rows:
        raise UsageError("no picture to hold shares against can be opened: give --images DIR")
    return read_background(asked.backbone, opened), rows


def _features(
    asked: Asked, more: More, rows: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say what each number of the embedding adds, for pictures drawn beside those asked about."""
    from analyze.explanation.shapley.shap_values import worth_of_features

    given = [question.subject.vector for question in asked.questions]
    columns = [question.column for question in asked.questions]
    lacking = MOST_OF_FEATURES - len(given)
    if lacking > 0:
        order = np.random.default_rng(asked.seed + 1).permutation(len(asked.vectors))[:lacking]
        others = asked.vectors.vectors[order]
        given += list(others)
        columns += asked.target.answer(others).tolist()
    of = np.array(columns)
    shares, errors = worth_of_features(
        asked.target.values,
        np.stack(given),
        of,
        asked.vectors.vectors[list(rows)],
        n_samples=more.n_samples,
        seed=asked.seed,
    )
    return shares, of, errors


def _scored(
    asked: Asked,
    more: More,
    boxes: Mapping[str, Box],
    background: torch.Tensor,
    *,
    quiet: bool,
) -> Scored:
    from analyze.explanation.evaluation.evaluation import score_methods
    from analyze.explanation.evaluation.measured_maps import Drawing, Shown, evaluate
    from analyze.explanation.placement import place_of

    transform = asked.backbone.preprocessing.transform()
    shown, contents = [], []
    for question in asked.questions:
        picture = asked.opened(question.subject)
        if picture is not None:
            place = place_of(asked.backbone.preprocessing, *picture.size)
            box = boxes.get(question.subject.id)
            pixels = transform(picture)
            shown.append(Shown(question.subject.id, pixels, question.column, place, box))
            contents.append(pixels.numpy().tobytes())
    numbers = {content: i for i, content in enumerate(dict.fromkeys(contents))}
    groups = np.array([numbers[content] for content in contents])
    drawing = Drawing(
        asked.backbone, asked.tap, asked.target, background, more.n_samples, asked.seed
    )
    methods = [*more.maps, *more.shares]
    with cl.progress_bar("scores", quiet=quiet) as progress:
        drawn = evaluate(drawing, asked.followed, shown, methods, _randomized(drawing), progress)
    return Scored(score_methods(drawn, groups, asked.seed), drawn)


def _randomized(drawing: Drawing) -> Drawing:
    """Take the same backbone with weights that were never trained."""
    from dataclasses import replace

    from analyze.explanation.feature_taps import tap_of
    from extract.backbones.registry import load_backbone

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
