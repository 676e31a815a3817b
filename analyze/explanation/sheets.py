"""Sheets of maps: picture, map, and the map on the picture, a dozen a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from analyze.explanation.explanation import Explanation
from analyze.explanation.placement import spread
from analyze.explanation.questions import Question
from analyze.explanation.saliency_maps import METHODS
from analyze.explanation.targets import Target
from analyze.presentation.contact_sheet import Tile, draw_sheet
from analyze.presentation.wording import elided

A_PAGE = 12
COLORS = "viridis"
"""Dark to light, also for the color-blind; a map is on a scale of its own."""

SCALE = "each map on its own scale · gray: not seen by the model"
UNSEEN = (238, 238, 238)
FRAME = (150, 150, 150)
OPACITY, RING = 0.8, 6
LONGEST_NAME, LONGEST_CLASS = 24, 36


def pages_of(
    explanations: Sequence[Explanation], method: str, target: Target, subtitle: str
) -> Iterator[Any]:
    """Draw the maps of one method, page by page."""
    n_pages = pages_needed(len(explanations))
    for page in range(n_pages):
        first = page * A_PAGE
        some = explanations[first : first + A_PAGE]
        tiles = [
            tile
            for i, each in enumerate(some, start=first + 1)
            for tile in _tiles(i, each, method, target)
        ]
        number = f" · page {page + 1} of {n_pages}" if n_pages > 1 else ""
        title = f"{METHODS[method].title} · {title_of(target)}{number}"
        yield draw_sheet(tiles, title=title, subtitle=subtitle)


def pages_needed(n: int) -> int:
    """Return the number of pages that n maps take."""
    return -(-n // A_PAGE)


def title_of(target: Target) -> str:
    """Return in words what is explained."""
    of_head = "label" if target.thresholds else "class"
    return {
        "head": f"what speaks for the {of_head}, by the head's {target.of}",
        "pretrained": f"what speaks for the class, by the {target.of} of its own classifier",
        "cluster": "what makes it like the middle of the cluster",
        "neighbor": "what makes two pictures alike",
    }[target.name]


def _tiles(number: int, found: Explanation, method: str, target: Target) -> list[Tile]:
    question = found.question
    why = found.why_empty(method)
    true = [] if question.subject.label is None else [f"true: {question.subject.label}"]
    first = Tile(
        found.thumbnail,
        f"{number}",
        [name_of(question.subject.id), *true, *mistake_lines(question)],
    )
    lines = question_lines(found.question, found.value, target)
    if why is not None:
        return [
            first,
            Tile(None, METHODS[method].title, [*lines[:1], why]),
            Tile(found.thumbnail, "picture", lines[1:]),
        ]
    peak = found.peak(method)
    assert peak is not None
    where = f"highest at x {peak[0]}, y {peak[1]}"
    return [
        first,
        Tile(colored(_spread(found, method)), METHODS[method].title, [*lines[:1], where]),
        Tile(on_picture(found, method), "on the picture", lines[1:]),
    ]


def on_picture(found: Explanation, method: str) -> Image.Image:
    """Lay a map that is not empty over its picture, with a ring around its peak."""
    peak = found.peak(method)
    assert peak is not None
    width, height = found.thumbnail.size
    ring = (
        (peak[0] + 0.5) * width / found.place.width,
        (peak[1] + 0.5) * height / found.place.height,
    )
    return overlaid(found.thumbnail, _spread(found, method), ring)


def question_lines(question: Question, value: float, target: Target) -> list[str]:
    """Return the lines of the question, then of the answer and its probability."""
    wanted = target.columns[question.column]
    if target.name == "neighbor":
        return [f"like {name_of(wanted, 18)}?", f"similarity {value:.3f}"]
    lines = [f"why {_named(target, question.column)}?"]
    other = question.answer is not None and question.answer != question.column
    answer = _named(target, question.column if question.answer is None else question.answer)
    if target.name == "cluster":
        return [*lines, f"similarity {value:.3f}", *([f"is in {answer}"] if other else [])]
    if target.thresholds is not None:
        return [*lines, *_threshold_lines(question, target, target.thresholds[question.column])]
    lines += [f"predicted: {answer}", f"probability {question.answer_probability:.2f}"]
    own = f"{_named(target, question.column)}: {question.probability:.2f}"
    return [*lines, *([own] if other else [])]


def mistake_lines(question: Question) -> list[str]:
    """Return the lines of a held-out mistake; none of a picture without one."""
    mistake = question.subject.mistake
    if mistake is None:
        return []
    labels = ", ".join(map(_short, mistake.predicted)) or "no label"
    worst = f"{_short(mistake.worst_label)} {mistake.worst_label_probability:.2f}"
    return [f"held out: {labels}", f"held out, {worst}"]


def _threshold_lines(question: Question, target: Target, threshold: float) -> list[str]:
    """Return the lines of a label: its probability, its threshold, and all labels predicted."""
    decision = "predicted" if question.column in (question.predictions or ()) else "not predicted"
    others = [_named(target, i) for i in question.predictions or ()]
    return [
        f"probability {question.probability:.2f}",
        f"{decision}, threshold {threshold:.2f}",
        f"predicted: {', '.join(others) or 'no label'}",
    ]


def _named(target: Target, column: int) -> str:
    """Name a class, of several names that ImageNet has for one the first."""
    name = target.columns[column]
    return _short(name.split(",")[0] if target.name == "pretrained" else name)


def _short(name: str) -> str:
    """Leave the middle of a long name away."""
    return elided(name, LONGEST_CLASS)


def name_of(row_id: str, longest: int = LONGEST_NAME) -> str:
    """Keep the end of an id: the start is mostly a folder, which is the class."""
    name = PurePath(row_id).name or row_id
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def _spread(found: Explanation, method: str) -> np.ndarray:
    """Draw a map out over the picture made small, from 0 to 1; NaN where nothing was seen."""
    drawn = spread(found.maps[method], found.place, *found.thumbnail.size)
    shares: np.ndarray = np.clip(drawn / found.maps[method].max(), 0, 1)
    return shares


def colored(drawn: np.ndarray) -> Image.Image:
    """Color a map of numbers from 0 to 1; gray where the model saw nothing.

    Parameters
    ----------
    drawn : ndarray of shape (height, width)
        NaN where it saw nothing.
    """
    from matplotlib import colormaps

    unseen = np.isnan(drawn)
    pixels = (colormaps[COLORS](np.where(unseen, 0, drawn))[..., :3] * 255).round()
    pixels[unseen] = UNSEEN
    return Image.fromarray(pixels.astype(np.uint8))


def overlaid(picture: Image.Image, drawn: np.ndarray, peak: tuple[float, float]) -> Image.Image:
    """Lay a map over a picture in gray, so that color is the map's alone; pale where unseen.

    Parameters
    ----------
    picture : Image
    drawn : ndarray of shape (height, width)
        As :func:`colored` takes it.
    peak : tuple of float
        x and y on this picture; a ring is drawn around it.
    """
    gray = np.asarray(picture.convert("L").convert("RGB"), np.float64)
    unseen = np.isnan(drawn)
    opacity = OPACITY * np.where(unseen, 0, drawn)[..., None]
    mixed = (1 - opacity) * gray + opacity * np.asarray(colored(drawn), np.float64)
    mixed[unseen] = 0.3 * gray[unseen] + 0.7 * 255
    laid = Image.fromarray(mixed.round().astype(np.uint8))
    pen, (x, y) = ImageDraw.Draw(laid), peak
    rows, columns = np.nonzero(~unseen)
    pen.rectangle((columns.min(), rows.min(), columns.max(), rows.max()), outline=FRAME)
    for radius, color in ((RING + 1, "white"), (RING, "black"), (RING - 1, "white")):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color)
    return laid
