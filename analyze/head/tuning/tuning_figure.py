"""Drawing a tuning: how the best trial came about, and which settings mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analyze.head.splitting.splits import Split
from analyze.head.tuning.search import Trial, best_of, best_so_far
from analyze.head.tuning.trials import Tuned
from analyze.presentation.figure_style import FAINT, INK, drawing, entitle, new_figure
from extract.storage.embeddings import name_of

BLUE, VERMILION, LIGHT = "#0072B2", "#D55E00", "#E5E5E5"
SPELLED = {
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "unfreeze": "last stage trained",
    "stage_rate": "rate of the stage",
}


def draw_studies(
    studies: Sequence[tuple[Split, Tuned]], tuning: Mapping[str, Any], about: Mapping[str, Any]
) -> Any:
    """Draw the tuning of a head.

    Parameters
    ----------
    tuning : mapping
        As :func:`analyze.head.tuning.tuning_report.tuning_json` spells the studies.
    about : mapping
        The head's report as JSON.
    """
    return draw_tuning(
        [tuned.trials for _, tuned in studies],
        tuning["importance"],
        title=f"{tuning['n_trials']} trials of {name_of(about)}, level {about['level']}",
        subtitle=f"{about['split']['method']}: tuned on train and validation pictures alone",
        lacking=studies[0][1].lacks_importance,
    )


@drawing()
def draw_tuning(
    studies: Sequence[Sequence[Trial]],
    importance: Mapping[str, float],
    *,
    title: str,
    subtitle: str,
    lacking: str | None = None,
) -> Any:
    """Draw the history of the trials and the importance of the settings.

    Parameters
    ----------
    studies : sequence of sequence of Trial
        Of one split its trials are points; of several, each is one line of what was gained.
    importance : mapping of str to float
        The most important first.
    lacking : str, optional
        Why there is none.
    """
    figure = new_figure(9.0, 3.6)
    figure.set_layout_engine("constrained")
    history, shares = figure.subplots(1, 2, width_ratios=(3, 2))
    if len(studies) == 1:
        _draw_trials(history, studies[0])
    else:
        _draw_gains(history, studies)
    history.set_xlabel("trial (1: as typed)", color=FAINT)
    history.xaxis.get_major_locator().set_params(integer=True)
    history.grid(axis="y", color=LIGHT, linewidth=0.7)
    _draw_importance(shares, importance, lacking)
    for axes in (history, shares):
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    entitle(history, title, subtitle)
    return figure


def _draw_trials(axes: Any, trials: Sequence[Trial]) -> None:
    finished = [(t.number, t.value) for t in trials if t.value is not None]
    best = best_of(trials)
    numbers = [trial.number for trial in trials]
    axes.step(numbers, best_so_far(trials), where="post", color=BLUE, linewidth=1.3, zorder=2)
    axes.plot(*zip(*finished, strict=True), "o", color=BLUE, markersize=3.5, label="finished")
    given_up = [trial.number for trial in trials if trial.pruned]
    if given_up:  # their losses are of other epochs: on the edge, and not on the scale
        axes.plot(
            given_up,
            np.ones(len(given_up)),
            "x",
            color=FAINT,
            markersize=4,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label=f"given up ({len(given_up)}), without a loss",
        )
    if best is not None:
        axes.plot(
            [best.number],
            [best.value],
            "o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor=VERMILION,
            label=f"best: {best.value:.3f}, trial {best.number}",
        )
    axes.set_ylabel("lowest validation loss")
    axes.legend(frameon=False, fontsize=8, loc="best")


def _draw_gains(axes: Any, studies: Sequence[Sequence[Trial]]) -> None:
    """Draw what each split gained on the first trial, so that hard and easy splits compare."""
    paths = []
    for trials in studies:
        lowest = np.array(best_so_far(trials))
        paths.append(lowest - lowest[0])
        axes.step(range(1, len(lowest) + 1), paths[-1], where="post", color=BLUE, alpha=0.3)
    mean = np.mean(paths, axis=0)
    numbers = range(1, len(mean) + 1)
    axes.step(numbers, mean, where="post", color=INK, linewidth=1.6, label="mean of the splits")
    axes.set_ylabel("best so far, less trial 1")
    axes.legend(frameon=False, fontsize=8, loc="best")


def _draw_importance(axes: Any, importance: Mapping[str, float], lacking: str | None) -> None:
    axes.set_title("importance, among finished trials", fontsize=9)
    if not importance:
        axes.text(0.5, 0.5, lacking or "none", ha="center", va="center", color=FAINT, wrap=True)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    names = list(importance)[::-1]
    values = [importance[name] for name in names]
    axes.barh([SPELLED.get(name, name) for name in names], values, color=BLUE, height=0.6)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:.2f}", va="center", fontsize=8)
    axes.set_xlim(0, max(*values, 0.01) * 1.2)
    axes.set_xlabel("share", color=FAINT)
