"""Drawing the card: finished numbers in, a figure out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from analyze.comparison.ranking.scores import RankedModel
from analyze.presentation.figure_style import (
    FAINT,
    INK,
    axis_labels,
    drawing,
    figure_text,
    new_figure,
)
from analyze.presentation.palette import BACKBONE_COLORS, backbone_style
from analyze.robustness.scores import DRIFT, WORDS, CellScore, FamilyScore
from extract.images.corruptions import FAMILIES, N_SEVERITIES

COLUMNS = 4
LONGEST_BACKBONE = 36
LEGEND_COLUMNS = 3
LINES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "^", "D", "v", "p", "h", "<")
"""Of the first eight backbones: where lines lie on each other these differ."""

NUMBER = re.compile(r"[\d.]+%?")


@drawing()
def draw_card(
    rows: Sequence[CellScore], losses: Sequence[FamilyScore], *, metric: str, subtitle: str
) -> Any:
    """Draw a panel for each family, the costliest first, with a line for each backbone.

    Parameters
    ----------
    rows : sequence of CellScore
        Of one metric.
    losses : sequence of FamilyScore
        Of the same metric.
    metric : str
    subtitle : str
    """
    models = list(dict.fromkeys(row.model for row in rows))
    worst: dict[str, FamilyScore] = {}
    for each in losses:
        if each.family not in worst or each.loss.mean > worst[each.family].loss.mean:
            worst[each.family] = each
    families = sorted(worst, key=lambda family: -worst[family].loss.mean)
    columns = min(COLUMNS, len(families))
    n_rows = -(-len(families) // columns)
    figure = new_figure(max(6.2, 0.9 + 2.75 * columns), 1.5 + 2.1 * n_rows)
    figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.06)
    panels = figure.subplots(n_rows, columns, sharey=True, squeeze=False).ravel()
    ends = [v for row in rows for v in vars(row.value).values() if v is not None]
    top = 1.03 if metric != DRIFT else 1.06 * max(ends)
    for panel, family in zip(panels, families, strict=False):
        lines = _draw_panel(panel, [row for row in rows if row.family == family], worst[family])
        panel.set_ylim(min(0.0, *ends) - 0.02 * top, top)
    for panel in panels[len(families) :]:
        panel.set_visible(False)
    names = axis_labels([model.name for model in models], LONGEST_BACKBONE)
    placed = {"loc": "outside lower left", "ncols": LEGEND_COLUMNS}
    figure.legend([lines[model] for model in models], names, **placed, frameon=False, fontsize=8)
    about = f"{WORDS[metric]}, 95 % intervals over pictures · {subtitle}"
    title = figure_text("Which corruption costs which backbone most? The costliest first", 120)
    figure.suptitle(f"{title}\n", x=0.01, ha="left", weight="bold", size=11)
    height = figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.36 / height, figure_text(about, 170), size=8, color=FAINT, va="top")
    return figure


def _draw_panel(axes: Any, rows: Sequence[CellScore], worst: FamilyScore) -> dict[RankedModel, Any]:
    """Draw one family: a line for each backbone, and which one loses most; gives the lines."""
    models = list(dict.fromkeys(row.model for row in rows))
    lines = {}
    for place, model in enumerate(models):
        mine = sorted((row for row in rows if row.model is model), key=lambda row: row.severity)
        lines[model] = _draw_line(axes, mine, (place - (len(models) - 1) / 2) * 0.07)
    axes.set_title(worst.family, size=9, weight="bold", loc="left", pad=5)
    lost = round(worst.loss.mean if worst.metric == DRIFT else -worst.loss.mean, 2) + 0
    spelled = f"{'worst' if len(models) > 1 else 'lost'}       {lost:.2f}" if lost else "none lost"
    axes.set_title(spelled, size=7.5, loc="right", pad=5, color=INK)
    if lost:
        _draw_mark_above(axes, *_style(worst.model.number))
    _name_severities(axes, worst.family)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, color=FAINT, labelsize=7)
    return lines


def _draw_mark_above(axes: Any, color: str, mark: str) -> None:
    """Draw the mark of a backbone above the upper right corner, before the number there."""
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure()
    moved = ScaledTranslation(-29 / 72, 8.5 / 72, figure.dpi_scale_trans)
    axes.plot(
        [1], [1], transform=axes.transAxes + moved, marker=mark, color=color, markersize=5,
        clip_on=False,
    )  # fmt: skip


def _name_severities(axes: Any, family: str) -> None:
    """Write the amount of each severity along the axis, and what it is of below."""
    spec = FAMILIES[family]
    amounts = [spec.amount(severity) for severity in range(1, N_SEVERITIES + 1)]
    numbers = [NUMBER.search(amount) for amount in amounts]
    if all(numbers):
        names = [found.group() for found in numbers if found]
        unit = " ".join(NUMBER.sub("", amounts[0], count=1).split())
    else:
        names = [str(severity) for severity in range(1, N_SEVERITIES + 1)]
        unit = ", ".join(f"{n} {amount}" for n, amount in zip(names, amounts, strict=True))
    axes.set_xticks(range(N_SEVERITIES + 1), ["0", *names])
    axes.set_xlim(-0.35, N_SEVERITIES + 0.35)
    axes.set_xlabel(figure_text(unit, 70), size=6.5, color=FAINT, labelpad=1)


def _draw_line(axes: Any, rows: Sequence[CellScore], shift: float) -> Any:
    number = rows[0].model.number
    color, mark = _style(number)
    ordered = FAMILIES[rows[0].family].n_ordered > 1
    places = [row.severity + shift for row in rows]
    (line,) = axes.plot(
        places,
        [row.value.mean for row in rows],
        linestyle=LINES[number // len(BACKBONE_COLORS) % len(LINES)] if ordered else "none",
        color=color,
        marker=mark,
        markersize=4,
        linewidth=1.4,
        zorder=3,
    )
    for place, row in zip(places, rows, strict=True):
        if row.value.low is not None and row.value.high is not None:
            ends = [row.value.low, row.value.high]
            axes.plot([place] * 2, ends, color=color, linewidth=1, zorder=2)
    return line


def _style(number: int) -> tuple[str, str]:
    return backbone_style(number)[0], MARKS[number % len(MARKS)]
