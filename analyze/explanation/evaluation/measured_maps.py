"""Maps of every method drawn of the same pictures, and followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analyze.explanation.evaluation.evaluation import MapsOfMethod
from analyze.explanation.explanation import Progress
from analyze.explanation.faithfulness import RANDOM, Curves, enlarged, follow, random_heat, reduced
from analyze.explanation.feature_taps import Tap
from analyze.explanation.placement import Placement, peak_of
from analyze.explanation.saliency_maps import METHODS, weigh
from analyze.explanation.shapley.attributions import ATTRIBUTIONS
from analyze.explanation.targets import Target

if TYPE_CHECKING:
    import torch

    from extract.backbones.registry import Backbone

MOST_RANDOMIZED = 6
"""Pictures with SHAP values sampled again with random weights, which takes as long as with true."""


class Box(NamedTuple):
    """Where the thing is, in pixels of the upright picture."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture as it is evaluated.

    Parameters
    ----------
    id : str
    pixels : tensor of shape (3, size, size), float32
    column : int
        Of the target.
    place : Placement
    box : Box, optional
    """

    id: str
    pixels: torch.Tensor
    column: int
    place: Placement
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class Drawing:
    """All that a map is drawn with.

    Parameters
    ----------
    backbone : Backbone
    tap : Tap
    target : Target
        What is explained.
    background : tensor of shape (n, 3, size, size), float32
    n_samples : int
        Of each picture's shares.
    seed : int
    """

    backbone: Backbone
    tap: Tap
    target: Target
    background: torch.Tensor
    n_samples: int
    seed: int

    def heat(self, method: str, shown: Shown, number: int) -> tuple[np.ndarray, float | None]:
        """Draw one map over what the model sees; where shares should add up, how far they are off.

        Parameters
        ----------
        method : str
        shown : Shown
        number : int
            Of the picture, for chance.
        """
        size = shown.pixels.shape[-1]
        if method == RANDOM:
            cells = (self.tap.n_rows, self.tap.n_columns)
            return random_heat(*cells, size, (self.seed, number)), None
        if method in METHODS:
            pixels = shown.pixels[None].to(self.backbone.device)
            found = weigh(self.tap, self.target.values, pixels, [shown.column], [method])
            return enlarged(np.maximum(found.signed[method][0], 0), size), None
        made = ATTRIBUTIONS[method].attribute(
            self.backbone,
            self.target.values,
            shown.pixels,
            shown.column,
            self.background,
            self.n_samples,
            self.seed,
        )
        return made.signed.astype(np.float64), made.error


def evaluate(
    drawing: Drawing,
    target: Target,
    pictures: Sequence[Shown],
    methods: Sequence[str],
    randomized: Drawing | None = None,
    progress: Progress | None = None,
) -> list[MapsOfMethod]:
    """Draw and follow the maps of each method, those of noise last.

    Parameters
    ----------
    drawing : Drawing
    target : Target
        With the values that are followed: probabilities or similarities, at most 1.
    pictures : sequence of Shown
    methods : sequence of str
    randomized : Drawing, optional
        The same with weights that were never trained.
    progress : callable, optional
        Called with the number of maps that are followed.
    """
    found = []
    total = (len(methods) + 1) * len(pictures)
    for place, method in enumerate((*methods, RANDOM)):

        def report(done: int, before: int = place * len(pictures)) -> None:
            if progress is not None:
                progress(before + done, total)

        found.append(_of_method(drawing, target, pictures, method, randomized, report))
    return found


def _of_method(
    drawing: Drawing,
    target: Target,
    pictures: Sequence[Shown],
    method: str,
    randomized: Drawing | None,
    report: Callable[[int], None],
) -> MapsOfMethod:
    shape = (drawing.tap.n_rows, drawing.tap.n_columns)
    curves: list[Curves] = []
    cells, changed, errors, hits = [], [], [], []
    seconds, n_empty = 0.0, 0
    most = MOST_RANDOMIZED if method in ATTRIBUTIONS else len(pictures)
    for number, shown in enumerate(pictures):
        began = time.perf_counter()
        heat, error = drawing.heat(method, shown, number)
        seconds += time.perf_counter() - began
        errors += [error] if error is not None else []
        n_empty += not heat.any()
        cells.append(reduced(heat, *shape))
        curves.append(follow(_asking(drawing.backbone, target, shown.column), shown.pixels, heat))
        if shown.box is not None:
            hits.append(_points_at(cells[-1], shown))
        if randomized is not None and method != RANDOM and number < most:
            changed.append(reduced(randomized.heat(method, shown, number)[0], *shape))
        report(number + 1)
    of_changed = cells[: len(changed)]
    return MapsOfMethod(
        method,
        tuple(curves),
        tuple(cells),
        tuple(zip(of_changed, changed, strict=True)),
        tuple(hits),
        n_empty,
        seconds,
        tuple(errors),
    )


def _asking(
    backbone: Backbone, target: Target, column: int
) -> Callable[[torch.Tensor], np.ndarray]:
    import torch

    def ask(pixels: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            vectors = backbone.model(pixels.to(backbone.device)).cpu().double()
            found: np.ndarray = target.values(vectors)[:, column].numpy()
        return found

    return ask


def _points_at(cells: np.ndarray, shown: Shown) -> bool:
    """Say whether the highest cell's middle lies in the box, grown by one cell on each side."""
    place, box = shown.place, shown.box
    assert box is not None
    x, y = peak_of(cells, place)
    wide = (place.right - place.left) / cells.shape[1]
    high = (place.bottom - place.top) / cells.shape[0]
    inside_x = box.left - wide <= x <= box.right + wide
    return bool(inside_x and box.top - high <= y <= box.bottom + high)


def boxes_of(rows: Sequence[Mapping[str, str]]) -> dict[str, Box]:
    """Read boxes from a table's rows: id, left, top, right, bottom, in pixels.

    Raises
    ------
    ValueError
        When a number is none, or a box has no inside.
    """
    boxes = {}
    for row in rows:
        box = Box(*(float(row[name]) for name in Box._fields))
        if not (box.left < box.right and box.top < box.bottom):
            raise ValueError(f"the box of {row['id']} has no inside")
        boxes[row["id"]] = box
    return boxes
