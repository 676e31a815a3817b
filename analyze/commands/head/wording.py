"""What texts about heads of one label and of several share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analyze.commands import wording

if TYPE_CHECKING:
    from analyze.head.report import Assessed


def heading(report: Assessed, result: Mapping[str, Any], labels: str) -> list[str]:
    """Say what was taught, on which pictures and how they were parted."""
    split = result["split"]
    about = [f"{len(report.ids)} pictures", labels, split["method"]]
    if "n_seeds" in split:
        about.append(f"{split['n_seeds']} seeds")
    about += [f"{report.n_views} views"] if report.n_views else []
    return [
        f"{result['file']}: {report.name}, {report.weights} weights",
        " · ".join([*about, f"seed {split['seed']}"]),
        *wording.left_out(result),
    ]


def trained(report: Assessed) -> str:
    """Say how many heads were trained, for how long, and when they were best."""
    best = sorted(run.trained.best_epoch for run in report.runs)
    spread = f"{best[0]}" if best[0] == best[-1] else f"{best[0]} to {best[-1]}"
    seconds = sum(run.trained.seconds for run in report.runs)
    return f"{len(report.runs)} heads in {seconds:.1f} s, best epoch {spread}"


def cut(name: str, widest: int) -> str:
    """Cut a name for a column of a text."""
    return name if len(name) <= widest else f"{name[: widest - 1]}…"
