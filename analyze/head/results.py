"""A tested head as files and as text: alone, or held against rivals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analyze.head.against_figure import draw_against
from analyze.head.figures.head_figures import figures_of
from analyze.head.prediction.head_file import write_head
from analyze.head.reporting.report import HeadReport
from analyze.head.reporting.runs import epochs_of, seconds_of
from analyze.head.reporting.tables import tables_of
from analyze.head.reporting.text import accuracy_lines, class_lines, heading, training_summary
from analyze.head.rival_tables import tables_of_rivals
from analyze.head.rivals import HeadComparison, Rival
from analyze.head.tuning.tuning_report import tuning_lines
from analyze.presentation import wording
from analyze.presentation.figure_style import save
from extract.files.results import write_tables
from extract.ids import shown


def write_report(folder: Path, found: HeadReport | HeadComparison, *, svg: bool = False) -> Path:
    """Write head, tables and figures into a folder; give the head's file."""
    report = found if isinstance(found, HeadReport) else found.report
    drawn, tables = figures_of(report), tables_of(report)
    if isinstance(found, HeadComparison):
        drawn["against"] = draw_against(found)
        tables |= tables_of_rivals(found)
    written = write_head(folder, report.stored(report.provenance))
    write_tables(folder, tables)
    for name, figure in drawn.items():
        save(figure, folder, name, svg=svg)
    return written


def head_text(found: HeadReport | HeadComparison, result: Mapping[str, Any]) -> str:
    """Say what is known of a head.

    Parameters
    ----------
    result : mapping
        Its report as JSON, with ``file``, ``head``, ``results`` and ``tuning``.
    """
    report = found if isinstance(found, HeadReport) else found.report
    lines = [*heading(report, result["file"]), *accuracy_lines(report), training_summary(report)]
    lines += rival_lines(found) if isinstance(found, HeadComparison) else []
    lines += tuning_lines(result["tuning"]) if result["tuning"] else []
    lines += [*class_lines(report), f"the head: {result['head']}"]
    return "\n".join([*lines, *wording.closing(result)])


def rival_lines(comparison: HeadComparison) -> list[str]:
    """Say of each rival how good it is, what it took, and whether the head is better."""
    lines = []
    for rival in comparison.rivals:
        lines += [_of_rival(rival), rival.verdict, _of_test(comparison, rival)]
        for name, found in rival.differences.items():
            score, level = name.replace("_f1", " F1").replace("_", " "), name.removeprefix("path_")
            words = score if level == name else f"path at level {shown(level)}"
            apart = wording.estimate(found, signed=True)
            lines.append(f"  {words}, {comparison.name} minus {rival.name} {apart}")
    return lines


def _of_rival(rival: Rival) -> str:
    scores = accuracy_lines(rival.report)[0].removeprefix("head: ")
    epochs = epochs_of(rival.report.runs)
    return (
        f"{rival.name}: {scores}; {len(rival.report.runs)} heads in "
        f"{seconds_of(rival.report.runs):.1f} s, best epoch {epochs['best']:.0f} in the mean"
    )


def _of_test(comparison: HeadComparison, rival: Rival) -> str:
    one, other = rival.discordant
    p = f"McNemar p {_spelled(rival.discordant.p_value)}"
    if len(comparison.rivals) > 1:
        p += f", {_spelled(rival.p_adjusted)} among {len(comparison.rivals)} rivals"
    return f"{one} pictures {comparison.name} alone has right, {other} {rival.name} alone: {p}"


def _spelled(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
