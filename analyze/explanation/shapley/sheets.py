"""Sheets of shares: what adds to an answer in one color, what takes from it in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from analyze.explanation.faithfulness import reduced
from analyze.explanation.placement import spread
from analyze.explanation.shapley.attributions import ATTRIBUTIONS
from analyze.explanation.shapley.shap_values import Shares
from analyze.explanation.sheets import (
    A_PAGE,
    UNSEEN,
    mistake_lines,
    name_of,
    question_lines,
    title_of,
)
from analyze.explanation.targets import Target
from analyze.presentation.contact_sheet import Tile, draw_sheet

COLORS = "PuOr_r"
"""Purple takes away, orange adds: distinct for the color-blind too."""

AVERAGED = 4
"""Pixels a side that are drawn as one: of single ones nothing is seen but their noise."""

CLIPPED = 99.0
"""Percentile of what is drawn at full color: single pixels would leave all others white."""


def pages_of(shares: Sequence[Shares], method: str, target: Target, subtitle: str) -> Iterator[Any]:
    """Draw the shares of one method, page by page."""
    n_pages = -(-len(shares) // A_PAGE)
    for page in range(n_pages):
        first = page * A_PAGE
        some = shares[first : first + A_PAGE]
        tiles = [t for i, each in enumerate(some, start=first + 1) for t in _tiles(i, each, target)]
        number = f" · page {page + 1} of {n_pages}" if n_pages > 1 else ""
        title = f"{ATTRIBUTIONS[method].title} · {title_of(target)}{number}"
        yield draw_sheet(tiles, title=title, subtitle=subtitle)


def _tiles(number: int, found: Shares, target: Target) -> list[Tile]:
    question, made = found.question, found.attribution
    true = [] if question.subject.label is None else [f"true: {question.subject.label}"]
    lines = question_lines(question, found.attribution.value, target)
    drawn = _scaled(found)
    error = made.error
    sums = [f"from {made.base:.2f} to {made.value:.2f}"]
    sums += [] if error is None else [f"sum off by {error:.1%}"]
    return [
        Tile(
            found.thumbnail,
            f"{number}",
            [name_of(question.subject.id), *true, *mistake_lines(question)],
        ),
        Tile(colored(drawn), ATTRIBUTIONS[found.method].title, [*lines[:1], *sums]),
        Tile(overlaid(found.thumbnail, drawn), "on the picture", lines[1:]),
    ]


def _scaled(found: Shares) -> np.ndarray:
    """Draw shares out over the picture made small, from -1 to 1; NaN where nothing was seen."""
    side = len(found.attribution.signed) // AVERAGED
    cells = reduced(found.attribution.signed, side, side)
    drawn = spread(cells, found.place, *found.thumbnail.size)
    most = float(np.nanpercentile(np.abs(drawn), CLIPPED)) or float(np.nanmax(np.abs(drawn)))
    scaled: np.ndarray = np.clip(drawn / most, -1, 1) if most else drawn
    return scaled


def colored(drawn: np.ndarray) -> Image.Image:
    """Color shares from -1 to 1; gray where the model saw nothing."""
    from matplotlib import colormaps

    unseen = np.isnan(drawn)
    pixels = (colormaps[COLORS](np.where(unseen, 0, drawn) / 2 + 0.5)[..., :3] * 255).round()
    pixels[unseen] = UNSEEN
    return Image.fromarray(pixels.astype(np.uint8))


def overlaid(picture: Image.Image, drawn: np.ndarray) -> Image.Image:
    """Lay shares over a picture in gray, so that color is theirs alone; pale where unseen."""
    gray = np.asarray(picture.convert("L").convert("RGB"), np.float64)
    unseen = np.isnan(drawn)
    opacity = 0.8 * np.where(unseen, 0, np.abs(drawn))[..., None]
    mixed = (1 - opacity) * gray + opacity * np.asarray(colored(drawn), np.float64)
    mixed[unseen] = 0.3 * gray[unseen] + 0.7 * 255
    return Image.fromarray(mixed.round().astype(np.uint8))
