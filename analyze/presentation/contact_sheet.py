"""Sheets of pictures: a query and its hits, or a catalogue class by class."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from PIL import Image, ImageOps

from analyze.presentation.figure_style import (
    FAINT,
    INK,
    LONGEST_LABEL,
    axis_labels,
    drawing,
    figure_text,
    new_figure,
)

TILE_PIXELS = 256
TILE_INCHES = 1.5
LETTERS_A_LINE = 25
COLUMNS = 6
HEAD_INCHES = 0.7
MARGIN = 0.12
ABSENT = "#EEEEEE"


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a sheet.

    Parameters
    ----------
    picture : Image or None
        None where it cannot be shown.
    heading : str
        One line above it.
    lines : sequence of str
        Below it; long ones are wrapped to two, of longer ones the middle is left out.
    color : str, optional
        Of its frame.
    is_query : bool
    is_empty : bool
        A place that is left blank, so that the next tile begins a row.
    """

    picture: Image.Image | None
    heading: str
    lines: Sequence[str] = ()
    color: str | None = None
    is_query: bool = False
    is_empty: bool = False


@drawing()
def draw_sheet(tiles: Sequence[Tile], *, title: str, subtitle: str, columns: int = COLUMNS) -> Any:
    """Draw tiles in rows, of six by default, under a title, each picture whole, on white."""
    columns = min(columns, len(tiles))
    wrapped = [_wrapped(tile.lines) for tile in tiles]
    depth = TILE_INCHES + 0.15 * max(map(len, wrapped)) + 0.42
    across = TILE_INCHES + 0.25
    figure = new_figure(max(columns, 3) * across, -(-len(tiles) // columns) * depth + HEAD_INCHES)
    for i, (tile, lines) in enumerate(zip(tiles, wrapped, strict=True)):
        if tile.is_empty:
            continue
        left = MARGIN + (i % columns) * across
        top = HEAD_INCHES + 0.22 + (i // columns) * depth
        _draw_tile(_axes_at(figure, left, top, TILE_INCHES, TILE_INCHES), tile, lines)
    _entitle(figure, title, subtitle)
    return figure


@dataclass(frozen=True, eq=False)
class ClassRow:
    """One class of a catalogue at a glance.

    Parameters
    ----------
    name : str
    n_images : int
    color : str
    pictures : sequence of Image or None
    """

    name: str
    n_images: int
    color: str
    pictures: Sequence[Image.Image | None]


@drawing()
def draw_classes(
    classes: Sequence[ClassRow],
    *,
    title: str,
    subtitle: str,
    framed: bool = False,
    longest: int | None = None,
) -> Any:
    """Draw a catalogue at a glance: a row a class, its count as a bar, some of its pictures.

    A column of more rows than ``longest`` goes on in another. Pictures are framed where their
    edge tells something: they may end in white, as the sheet does.
    """
    side, names, bars = 0.95, 2.2, 1.5
    across, down = side + 0.06, side + 0.08
    most = max(len(each.pictures) for each in classes)
    deep = min(longest or len(classes), len(classes))
    wide = names + bars + most * across + 2 * MARGIN
    figure = new_figure(-(-len(classes) // deep) * wide, deep * down + HEAD_INCHES)
    width, height = figure.get_size_inches()
    largest = max(each.n_images for each in classes)
    named = axis_labels([each.name for each in classes], LONGEST_LABEL)
    for i, (each, name) in enumerate(zip(classes, named, strict=True)):
        column, place = divmod(i, deep)
        start, top = column * wide, HEAD_INCHES + place * down
        middle = 1 - (top + side / 2) / height
        text = _escaped("\n".join(_split_lines(name.replace(r"\$", "$"), 24)[:3]))
        figure.text((start + names) / width, middle, text, ha="right", va="center", size=9)
        long = max(0.02, (bars - 0.6) * each.n_images / largest)
        bar = _axes_at(figure, start + names + MARGIN, top + side / 2 - 0.13, long, 0.26)
        bar.set(xticks=[], yticks=[], facecolor=each.color)
        bar.spines[:].set_visible(False)
        end = (start + names + MARGIN + long + 0.06) / width
        figure.text(end, middle, f"{each.n_images:,}", va="center", size=8)
        for k, picture in enumerate(each.pictures):
            left = start + names + bars + k * across
            axes = _axes_at(figure, left, top, side, side)
            _draw_picture(axes, picture)
            if framed:
                axes.spines[:].set(visible=True, color=FAINT, linewidth=0.5)
    _entitle(figure, title, subtitle)
    return figure


def _axes_at(figure: Any, left: float, top: float, width: float, height: float) -> Any:
    """Make axes at a place measured in inches from the figure's upper left corner."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (
            left / whole_width,
            1 - (top + height) / whole_height,
            width / whole_width,
            height / whole_height,
        )
    )


def _entitle(figure: Any, title: str, subtitle: str) -> None:
    width, height = figure.get_size_inches()
    left = MARGIN / width
    # a title longer than the sheet is wide would widen it when it is saved
    title = figure_text(title, _letters(title, min(110, 10 * width)))
    figure.text(left, 1 - 0.2 / height, title, weight="bold", size=11, va="top")
    lines = _split_lines(subtitle, min(140, 16 * width))
    lines = [*lines[:1], f"{lines[1]}…"] if len(lines) > 2 else lines
    below = _escaped("\n".join(lines))
    figure.text(left, 1 - 0.42 / height, below, size=8, color=FAINT, va="top", linespacing=1.1)


def _wrapped(lines: Sequence[str]) -> list[str]:
    """Wrap each line to at most two; of a longer one the middle is left out.

    Of a path the last part tells most, of a sentence often its number.
    """
    out = []
    for line in lines:
        parts = _split_lines(line, LETTERS_A_LINE) or [""]
        if len(parts) > 2:
            end = _plain(line)[-LETTERS_A_LINE:]
            end = end[1 - _letters(end, LETTERS_A_LINE) :].lstrip(" …")
            parts = [parts[0], f"…{end}"]
        out += parts
    return [_escaped(part) for part in out]


def _split_lines(text: str, letters: float) -> list[str]:
    """Part a text into lines, not yet escaped: a cut would part an escape from its sign."""
    plain = _plain(text)
    return textwrap.wrap(plain, _letters(plain, letters))


def _plain(text: str) -> str:
    return figure_text(text, max(1, len(text))).replace(r"\$", "$").strip()


def _letters(text: str, room: float) -> int:
    """Return how many letters of a text fit where ``room`` fit of others: wide ones are fewer."""
    wide = sum(2 if east_asian_width(c) in "WF" else 1.5 if c in "MW@%" else 1 for c in text)
    return max(1, int(room * len(text) / wide)) if text else 1


def _escaped(text: str) -> str:
    return text.replace("$", r"\$")


def _draw_tile(axes: Any, tile: Tile, lines: Sequence[str]) -> None:
    _draw_picture(axes, tile.picture)
    axes.set_title(figure_text(tile.heading), size=8, pad=4, weight="bold")
    axes.spines[:].set(
        visible=True,
        color=INK if tile.is_query else tile.color or FAINT,
        linewidth=2.5 if tile.is_query or tile.color else 0.5,
    )
    axes.annotate(
        "\n".join(lines),
        (0, 0),
        xytext=(0, -5),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        size=7,
        linespacing=1.25,
    )


def _draw_picture(axes: Any, picture: Image.Image | None) -> None:
    """Draw a picture whole in a square, on white."""
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    axes.spines[:].set_visible(False)
    if picture is None:
        axes.set_facecolor(ABSENT)
        axes.text(0.5, 0.5, "not shown", ha="center", va="center", size=7, color=FAINT)
        return
    square = ImageOps.pad(picture, (TILE_PIXELS, TILE_PIXELS), color="white")
    axes.imshow(np.asarray(square), extent=(0, 1, 0, 1), aspect="auto", interpolation="antialiased")
