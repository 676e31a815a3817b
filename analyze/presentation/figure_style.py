"""What all figures share: style, safe text, headings, saving."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_LABEL = 60
PNG_DOTS_PER_INCH = 160
INK, FAINT = "#222222", "#666666"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "PingFang SC",
    "Hiragino Sans",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
)
"""In this order for each letter, as far as they are installed."""

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "svg.hashsalt": "sosie",
}


def figure_text(text: str, longest: int = LONGEST_LABEL) -> str:
    """Make any text safe to draw: no mathematics, no control characters, cut where too long."""
    plain = _drawable(text)
    cut = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return cut.replace("$", r"\$")


def axis_labels(names: Sequence[str], longest: int) -> list[str]:
    """Shorten labels in their middle, as far as they stay different from each other.

    Of a path both the first and the last part tell most.
    """
    names = [_drawable(name) for name in names]
    while True:
        short = [_elided(name, longest) for name in names]
        if len(set(short)) == len(set(names)) or longest >= max(map(len, names)):
            return [text.replace("$", r"\$") for text in short]
        longest += 10


def _elided(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    head = longest // 3
    return f"{text[:head].rstrip()}…{text[head + 1 - longest :].lstrip()}"


def _drawable(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the project's style, and say nothing of names in a script that the font lacks."""
    import matplotlib as mpl
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    fonts = {"font.family": [name for name in FONTS if name in installed]}
    with mpl.rc_context({**STYLE, **fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def new_figure(width: float, height: float) -> Any:
    """Make a figure of a size in inches, without pyplot and its global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


@drawing()
def save(figure: Any, folder: Path, name: str, *, svg: bool = False) -> list[Path]:
    """Write a figure as PNG, and as SVG next to it on request."""
    paths = [folder / f"{name}.{kind}" for kind in (("png", "svg") if svg else ("png",))]
    for path in paths:
        figure.savefig(path, dpi=PNG_DOTS_PER_INCH, bbox_inches="tight", facecolor="white")
    return paths


def entitle(axes: Any, title: str, subtitle: str) -> None:
    """Write title and subtitle above axes, from their left edge."""
    axes.annotate(
        figure_text(title, 120),
        (0, 1),
        xytext=(0, 22),
        xycoords="axes fraction",
        textcoords="offset points",
        weight="bold",
        size=10,
    )
    axes.annotate(
        figure_text(subtitle, 160),
        (0, 1),
        xytext=(0, 9),
        xycoords="axes fraction",
        textcoords="offset points",
        size=8,
        color=FAINT,
    )
