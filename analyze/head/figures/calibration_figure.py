"""Drawing how far a head can be believed: reliability, and what abstaining gains."""

from __future__ import annotations

from typing import Any

from analyze.head.reporting.calibration import Calibration
from analyze.presentation.figure_style import FAINT, drawing, entitle, new_figure
from analyze.presentation.palette import BACKBONE_COLORS

SMALLEST_DOT, LARGEST_DOT = 16, 160


@drawing()
def draw_calibration(
    calibration: Calibration,
    *,
    title: str,
    probability: str = "probability of the answer",
    share: str = "share that is right",
    counted: str = "tested pictures",
) -> Any:
    """Draw accuracy by probability, and accuracy and coverage by threshold.

    Parameters
    ----------
    probability, share, counted : str
        What the bins are of.
    """
    figure = new_figure(9.6, 4.3)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(wspace=0.2)
    _reliability(left, calibration, counted)
    left.set(xlabel=probability, ylabel=share)
    _coverage(right, calibration)
    error = f"expected calibration error {calibration.ece:.3f}"
    if calibration.temperature == 1:
        entitle(left, title, f"{error}, without a temperature")
    else:
        with_it = f"with temperature {calibration.temperature:.2f}"
        entitle(left, title, f"{error} {with_it}, {calibration.ece_before:.3f} without")
    return figure


def _reliability(axes: Any, calibration: Calibration, counted: str) -> None:
    from scipy.stats import binomtest

    bins = calibration.bins
    most = max(each.n for each in bins)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--", label="as it should be")
    points = [each.confidence for each in bins], [each.accuracy for each in bins]
    axes.plot(*points, color=BACKBONE_COLORS[0], linewidth=1.4, zorder=2)
    spans = [
        binomtest(round(each.accuracy * each.n), each.n).proportion_ci(method="wilson")
        for each in bins
    ]
    axes.vlines(
        points[0],
        [each.low for each in spans],
        [each.high for each in spans],
        color=BACKBONE_COLORS[0],
        linewidth=1.3,
        alpha=0.6,
        zorder=2,
        label="95 % interval of the share",
    )
    axes.scatter(
        *points,
        s=[SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * each.n / most for each in bins],
        color=BACKBONE_COLORS[0],
        clip_on=False,
        zorder=3,
        label=f"{counted}; the largest dot is {most}",
    )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    # below, where no interval can lie under it
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -0.14), fontsize=8)
    _plain(axes)


def _coverage(axes: Any, calibration: Calibration) -> None:
    cover = calibration.coverage
    thresholds = [each.threshold for each in cover]
    known = [each for each in cover if each.accuracy is not None]
    axes.plot(
        thresholds,
        [each.coverage for each in cover],
        color=FAINT,
        linewidth=1.6,
        marker="s",
        markersize=4,
        label="pictures answered",
    )
    axes.plot(
        [each.threshold for each in known],
        [each.accuracy for each in known],
        color=BACKBONE_COLORS[0],
        linewidth=1.8,
        marker="o",
        markersize=5,
        label="of those right",
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(0, 1.02), ylabel="share")
    axes.set_xlabel("nothing is predicted below this probability")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -0.14), fontsize=8)
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.grid(color="#E5E5E5", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
