"""Drawing, apart from computing: finished numbers in, a figure out."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from analyze.agreement import Agreement
from analyze.palette import UNMATCHED, style_of

LONGEST_LABEL = 60
MOST_IN_LEGEND = 20
MOST_ANNOTATED = 25
MOST_NAMED = 80
PNG_DOTS_PER_INCH = 160
INK, FAINT = "#222222", "#888888"
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


def axis_label(text: str, longest: int) -> str:
    """Shorten a label in its middle: of a path both the first and the last part tell most."""
    text = _drawable(text)
    if len(text) > longest:
        head = longest // 3
        text = f"{text[:head].rstrip()}…{text[head + 1 - longest :].lstrip()}"
    return figure_text(text)


def _drawable(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")


@contextmanager
def _drawing() -> Iterator[None]:
    """Draw in the project's style, and say nothing of names in a script that the font lacks."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def _new_figure(width: float, height: float) -> Any:
    """Make a figure of so many inches, without pyplot and its global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


@_drawing()
def save(figure: Any, folder: Path, name: str, *, svg: bool = False) -> list[Path]:
    """Write a figure as PNG, and as SVG beside it on request."""
    paths = [folder / f"{name}.{kind}" for kind in (("png", "svg") if svg else ("png",))]
    for path in paths:
        figure.savefig(path, dpi=PNG_DOTS_PER_INCH, bbox_inches="tight", facecolor="white")
    return paths


@_drawing()
def draw_confusion(agreement: Agreement, *, title: str, subtitle: str) -> Any:
    """Draw the aligned confusion matrix: classes down, their clusters across, the rest last.

    Color is the share of the class, numbers are pictures.
    """
    import seaborn as sns

    n_classes, n_clusters = agreement.confusion.shape
    side = 0.62 if max(n_classes, n_clusters) <= MOST_ANNOTATED else 0.24
    width, height = (min(max(side * n, 2.4), 20) for n in (n_clusters, n_classes))
    figure = _new_figure(width + 1.2, height)  # the bar takes the rest
    axes = figure.subplots()
    share = agreement.confusion / np.maximum(agreement.confusion.sum(axis=1, keepdims=True), 1)
    annotated = max(n_classes, n_clusters) <= MOST_ANNOTATED
    sns.heatmap(
        share,
        annot=agreement.confusion if annotated else None,
        fmt="d",
        cmap="Blues",
        vmin=0,
        vmax=1,
        ax=axes,
        linewidths=0.5 if annotated else 0,
        linecolor="white",
        annot_kws={"size": 9},
        cbar_kws={"label": "share of the class", "shrink": 0.8},
        xticklabels=[_cluster_label(agreement, c) for c in agreement.clusters]
        if n_clusters <= MOST_NAMED
        else False,
        yticklabels=[axis_label(name, 40) for name in agreement.classes]
        if n_classes <= MOST_NAMED
        else False,
    )
    axes.tick_params(length=0, labelsize=8 if annotated else 6)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    many = f", in the order of the {n_classes} classes matched to them"
    named = ", and the class matched to it"
    axes.set_xlabel("cluster" + (named if n_clusters <= MOST_NAMED else many))
    axes.set_ylabel("class" if n_classes <= MOST_NAMED else f"{n_classes} classes, by name")
    _entitle(figure, axes, title, subtitle)
    return figure


def _cluster_label(agreement: Agreement, cluster: int) -> str:
    name = agreement.cluster_to_class.get(cluster)
    return f"{cluster} · {axis_label(name, 30) if name else 'unmatched'}"


def _entitle(figure: Any, axes: Any, title: str, subtitle: str) -> None:
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


@_drawing()
def draw_map(
    points: np.ndarray,
    axis_names: tuple[str, str],
    *,
    labels: Sequence[str | None] | None,
    categories: Sequence[str],
    assignments: np.ndarray,
    cluster_to_class: dict[int, str],
    title: str,
    subtitle: str,
) -> Any:
    """Draw the rows in the plane, by class on the left and by cluster on the right.

    A cluster has the color of the class matched to it; unmatched ones are gray. Without labels
    only the clusters are drawn, each in a color of its own.

    Parameters
    ----------
    points : ndarray of shape (n_images, 2)
    labels : sequence of str or None, or None
        The class of each row; None without labels.
    """
    panels = 2 if labels is not None else 1
    figure = _new_figure(*_map_size(points, panels))
    all_axes = figure.subplots(1, panels, squeeze=False)
    numbers = [int(c) for c in np.unique(assignments)]
    if labels is not None:
        names = [name for name in categories if name in set(labels)]
        groups: list[tuple[str, str | None, np.ndarray]] = [
            (figure_text(name), name, np.array([v == name for v in labels])) for name in names
        ]
        unlabelled = np.array([v is None for v in labels])
        if unlabelled.any():
            groups.append(("no label", None, unlabelled))
        _scatter(all_axes[0, 0], points, groups, categories)
        all_axes[0, 0].set_title("by class")
        clusters = [(f"cluster {c}", cluster_to_class.get(c), assignments == c) for c in numbers]
        _scatter(all_axes[0, 1], points, clusters, categories)
        all_axes[0, 1].set_title("by cluster, in the color of its class")
        _legend(figure, all_axes[0, 0], n_groups=len(groups))
        gray = [c for c in numbers if c not in cluster_to_class]
        if gray:
            note = "gray: clusters matched to no class"
            all_axes[0, 1].annotate(
                note, (0.01, 0.01), xycoords="axes fraction", size=7, color=FAINT
            )
    else:
        own = [f"cluster {c}" for c in numbers]
        groups = [(name, name, assignments == c) for name, c in zip(own, numbers, strict=True)]
        _scatter(all_axes[0, 0], points, groups, own)
        all_axes[0, 0].set_title("by cluster")
        _legend(figure, all_axes[0, 0], n_groups=len(groups))
    for axes in all_axes[0]:
        axes.set(xticks=[], yticks=[], xlabel=axis_names[0])
        axes.set_aspect("equal", adjustable="datalim")
    all_axes[0, 0].set_ylabel(axis_names[1])
    height = figure.get_size_inches()[1]
    top = 1 - 0.68 / height
    figure.subplots_adjust(left=0.03, right=0.99, top=top, bottom=0.28 / height, wspace=0.04)
    left = 0.03
    figure.text(left, top + 0.46 / height, figure_text(title, 120), weight="bold", size=11)
    figure.text(left, top + 0.28 / height, figure_text(subtitle, 160), size=8, color=FAINT)
    return figure


def _map_size(points: np.ndarray, panels: int) -> tuple[float, float]:
    """Size a map in inches so that its panels fit the points, whose axes share one scale."""
    spread = np.maximum(np.ptp(points, axis=0), 1e-12)
    return 5.2 * panels, 5.0 * float(np.clip(spread[1] / spread[0], 0.5, 1.1)) + 0.8


def _scatter(
    axes: Any,
    points: np.ndarray,
    groups: Sequence[tuple[str, str | None, np.ndarray]],
    categories: Sequence[str],
) -> None:
    size = float(np.clip(6_000 / len(points), 3, 28))
    for text, name, members in groups:
        color, marker = style_of(name, categories)
        axes.scatter(
            points[members, 0],
            points[members, 1],
            s=size,
            c=color,
            marker=marker,
            linewidths=0.3,
            edgecolors="white" if color != UNMATCHED else FAINT,
            alpha=0.9,
            label=text,
            rasterized=len(points) > 20_000,
        )


def _legend(figure: Any, axes: Any, *, n_groups: int) -> None:
    """Name the classes below the panels; beyond twenty a legend would be longer than the map."""
    handles = list(axes.collections)
    texts = [str(handle.get_label()) for handle in handles]
    if n_groups > MOST_IN_LEGEND:
        handles, texts = handles[:MOST_IN_LEGEND], texts[:MOST_IN_LEGEND]
        texts[-1] = f"{texts[-1]}, and {n_groups - MOST_IN_LEGEND} more"
    longest = max(map(len, texts))
    columns = max(1, min(len(texts), (130 if len(figure.axes) > 1 else 60) // (longest + 6)))
    legend = figure.legend(
        handles,
        [str(i) for i in range(len(texts))],  # matplotlib leaves out names like "_misc"
        loc="upper center",
        bbox_to_anchor=(0.5, 0.06 / figure.get_size_inches()[1]),
        ncols=columns,
        frameon=False,
        fontsize=8,
        markerscale=1.3,
    )
    for drawn, text in zip(legend.get_texts(), texts, strict=True):
        drawn.set_text(text)
