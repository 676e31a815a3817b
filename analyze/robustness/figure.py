"""Drawing the card: finished numbers in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyze.presentation.figure_style import (
    FAINT,
    INK,
    axis_labels,
    drawing,
    figure_text,
    new_figure,
)
from analyze.presentation.palette import backbone_style
from analyze.robustness.scores import DRIFT, WORDS, CellScore, FamilyScore
from extract.images.corruptions import FAMILIES, N_SEVERITIES

COLUMNS = 4
LONGEST_BACKBONE = 36
LINES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "^", "D", "v", "p", "h", "<")
"""Of the first eight backbones: where lines lie on each other these differ."""


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
    worst: dict[str, float] = {}
    for each in losses:
        worst[each.family] = max(worst.get(each.family, -1.0), each.loss.mean)
    families = sorted(worst, key=lambda family: -worst[family])
    columns = min(COLUMNS, len(families))
    n_rows = -(-len(families) // columns)
    figure = new_figure(0.9 + 2.75 * columns, 1.35 + 2.05 * n_rows)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1), h_pad=0.08, w_pad=0.06)
    panels = figure.subplots(n_rows, columns, sharey=True, squeeze=False).ravel()
    ends = [
        v for row in rows for v in (row.value.mean, row.value.low, row.value.high) if v is not None
    ]
    top = 1.03 if metric != DRIFT else 1.06 * max(ends)
    for panel, family in zip(panels, families, strict=False):
        mine = [row for row in rows if row.family == family]
        _draw_panel(panel, family, mine, losses)
        panel.set_ylim(min(0.0, *ends) - 0.02 * top, top)
    for panel in panels[len(families) :]:
        panel.set_visible(False)
    names = axis_labels([model.name for model in models], LONGEST_BACKBONE)
    handles = [panels[0].get_lines()[i] for i in range(len(models))]
    figure.legend(handles, names, loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    title = "Which corruption costs which backbone most? The costliest first"
    figure.suptitle(figure_text(title, 120), x=0.01, ha="left", weight="bold", size=11)
    figure.supylabel(figure_text(WORDS[metric], 100), size=8, color=FAINT)
    figure.supxlabel(
        figure_text(f"severity, 0 is unaltered · 95 % intervals over pictures · {subtitle}", 200),
        x=0.01, ha="left", size=8, color=FAINT,
    )  # fmt: skip
    return figure


def _draw_panel(
    axes: Any, family: str, rows: Sequence[CellScore], losses: Sequence[FamilyScore]
) -> None:
    """Draw one family: a line for each backbone, and what each loses on average."""
    models = list(dict.fromkeys(row.model for row in rows))
    for place, model in enumerate(models):
        mine = sorted((row for row in rows if row.model is model), key=lambda row: row.severity)
        _draw_line(axes, mine, (place - (len(models) - 1) / 2) * 0.07)
    worst = max((each for each in losses if each.family == family), key=lambda e: e.loss.mean)
    color = backbone_style(worst.model.number)[0]
    axes.set_title(family, size=9, weight="bold", loc="left", pad=4)
    spelled = f"{-worst.loss.mean:+.2f}" if worst.metric != DRIFT else f"{worst.loss.mean:.2f}"
    axes.set_title(spelled, size=8, loc="right", pad=4, color=INK)
    axes.scatter([1.0], [1.045], transform=axes.transAxes, color=color, s=0, clip_on=False)
    spec = FAMILIES[family]
    labels = ["0", *map(str, range(1, N_SEVERITIES + 1))]
    axes.set_xticks(range(N_SEVERITIES + 1), labels)
    axes.annotate(
        f"{spec.amount(1)} to {spec.amount(N_SEVERITIES)}"
        if spec.n_ordered > 1
        else "; ".join(f"{s} {spec.amount(s)}" for s in (1, 2, 3)),
        (0, 0), xytext=(3, 3), xycoords="axes fraction", textcoords="offset points",
        size=6.5, color=FAINT,
    )  # fmt: skip
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, color=FAINT, labelsize=7)


def _draw_line(axes: Any, rows: Sequence[CellScore], shift: float) -> None:
    number = rows[0].model.number
    color, _ = backbone_style(number)
    ordered = FAMILIES[rows[0].family].n_ordered > 1
    places = [row.severity + shift for row in rows]
    means = [row.value.mean for row in rows]
    axes.plot(
        places,
        means,
        LINES[number // 8 % len(LINES)] if ordered else "",
        color=color,
        marker=MARKS[number % len(MARKS)],
        markersize=4,
        linewidth=1.4,
        zorder=3,
    )
    for place, row in zip(places, rows, strict=True):
        if row.value.low is not None and row.value.high is not None:
            axes.plot(
                [place] * 2, [row.value.low, row.value.high], color=color, linewidth=1, zorder=2
            )
