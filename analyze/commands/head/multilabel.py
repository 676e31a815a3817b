"""``analyze head`` where pictures have several labels: what it says and writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from analyze.commands import wording
from analyze.commands.head import wording as head_wording
from analyze.commands.head.tuning import make_tuners, say_tuning, tuning_lines, write_tuning
from analyze.commands.run_folder import run_folder
from extract import command_line as cl
from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.head.multilabel.report import SeveralReport
    from analyze.head.plan import Plan
    from analyze.head.rivals import Contender
    from analyze.head.tuning_report import Tuner
    from extract.storage.embeddings import EmbeddingSet

WIDEST_CLASS = 40
MOST_CLASSES = 60
WORDS = {
    "head": "head",
    "logistic_regression": "logistic regression, one against the rest",
    "knn": "5 nearest neighbors",
}


class SeveralAsked(NamedTuple):
    """What was asked for: the file, its vectors with what is said of them, and how."""

    workspace: Workspace
    path: Path
    read: tuple[Contender, tuple[str, ...]]
    level: str | None
    plan: Plan
    trials: int | None
    svg: bool


def takes_several(
    embeddings: EmbeddingSet, level: str | None, plan: Plan, against: Sequence[str]
) -> bool:
    """Say whether a column of several labels is meant, and refuse what does not go with it.

    Raises
    ------
    UsageError
    """
    from analyze.head.multilabel.pictures import choose_multi_label

    labels = choose_multi_label(embeddings, level)
    if labels is None:
        return False
    if plan.n_levels > 1:
        raise UsageError(
            f"--levels teaches a tree, and column {labels.name} lists several labels a picture: "
            "leave --levels out"
        )
    if plan.training.unfreeze != "none":
        raise UsageError(
            f"--unfreeze trains for one label a picture, and column {labels.name} lists several: "
            "leave it out"
        )
    if against:
        raise UsageError(
            f"--against compares heads of one label a picture, and column {labels.name} lists "
            "several: leave it out, and train a head on each backbone"
        )
    return True


def assess_and_tell(asked: SeveralAsked, *, as_json: bool, quiet: bool) -> None:
    """Train, write and print."""
    from analyze.head.multilabel.assessment import assess_several

    workspace, plan = asked.workspace, asked.plan
    (plain, views), said_of_files = asked.read
    with cl.progress_bar("trials" if asked.trials else "heads", quiet=quiet) as progress:
        tuners = make_tuners(workspace, plan, asked.trials, 1, progress)
        told = None if tuners else progress  # a tuner tells of its trials itself
        tuner = tuners[0] if tuners else None
        report = assess_several(
            plain, views, level=asked.level, plan=plan, choose=tuner, progress=told
        )
    result: dict[str, Any] = {"file": workspace.relative(asked.path), **report.to_json()}
    result["notes"] = list(dict.fromkeys([*said_of_files, *result["notes"]]))
    say_tuning(workspace, tuners, result)
    _write(workspace, report, plain, result, tuners, svg=asked.svg)
    cl.print_result(as_json, result, _text(report, result))


def _write(
    workspace: Workspace,
    report: SeveralReport,
    embeddings: EmbeddingSet,
    result: dict[str, Any],
    tuners: list[Tuner],
    *,
    svg: bool,
) -> None:
    """Write tables and figures into a folder of their own."""
    from analyze.head import report_tables
    from analyze.head.calibration_figure import draw_calibration
    from analyze.head.head_figures import draw_curves
    from analyze.head.head_file import write_head
    from analyze.head.multilabel import tables
    from analyze.head.multilabel.figures import draw_class_f1
    from analyze.presentation import figure_style
    from extract import results

    drawn = {
        "class_f1": draw_class_f1(report),
        "curves": draw_curves(report),
        "calibration": draw_calibration(
            report.calibration,
            title=f"How far the head on {report.name} can be believed",
            probability="probability of a label",
            share="share of pictures that have it",
            counted="labels of tested pictures",
        ),
    }
    with run_folder(workspace, "head", result, [embeddings]) as folder:
        written = write_head(folder, report.stored(embeddings.provenance))
        result["head"] = f"{result['results']}/{written.name}"
        written_tables = {
            "folds.csv": report_tables.runs(report),
            "split.csv": report_tables.sides(report),
            "curves.csv": report_tables.curves(report),
            "predictions.csv": tables.predictions(report),
            "classes.csv": tables.classes(report),
            "scores.csv": tables.scores(report),
            "coverage.csv": tables.coverage(report),
        }
        results.write_tables(folder, written_tables)
        for name, figure in drawn.items():
            figure_style.save(figure, folder, name, svg=svg)
        write_tuning(folder, tuners, result)


def _text(report: SeveralReport, result: dict[str, Any]) -> str:
    lines = head_wording.heading(report, result, f"several labels of {report.level}")
    for name, scores in report.scores.items():
        lines.append(
            f"{WORDS[name]}: all labels right {wording.estimate(scores.accuracy)}; micro F1 "
            f"{wording.score(scores.micro_f1.mean)}, macro F1 "
            f"{wording.estimate(scores.macro_f1)}, mean average precision "
            f"{wording.estimate(scores.mean_average_precision)}"
        )
        if name in report.differences:
            apart = wording.estimate(report.differences[name], signed=True)
            lines.append(f"  head minus it, all labels right {apart}")
    half = report.scores_at_half["head"]
    lines.append(
        f"head with a half for every class: all labels right {wording.score(half.accuracy.mean)}, "
        f"macro F1 {wording.score(half.macro_f1.mean)}"
    )
    lines.append(head_wording.trained(report))
    lines += [*tuning_lines(result), *_class_lines(report)]
    found = report.calibration
    lines.append(
        f"calibration error {found.ece:.3f} with temperature {found.temperature:.2f} "
        f"({found.ece_before:.3f} without), over all pictures and classes"
    )
    lines.append(f"the head: {result['head']}")
    return "\n".join([*lines, *wording.closing(result)])


def _class_lines(report: SeveralReport) -> list[str]:
    from extract.ids import shown

    kept = report.class_scores["head"][:MOST_CLASSES]
    width = min(WIDEST_CLASS, max(len(shown(each.score.name)) for each in kept))
    lines = [f"{'class':<{width}}  precision  recall     F1     AP  threshold      n"]
    for each in kept:
        score, name = each.score, head_wording.cut(shown(each.score.name), WIDEST_CLASS)
        values = (
            *(score.precision, score.recall, score.f1),
            *(each.average_precision, each.threshold),
        )
        spelled = ["-" if v is None else wording.score(v) for v in values]
        cells = (
            f"{s:>{w}}" for s, w in zip([*spelled, str(score.n)], (9, 6, 5, 5, 9, 5), strict=True)
        )
        lines.append(f"{name:<{width}}  {'  '.join(cells)}")
    if len(report.classes) > len(kept):
        lines.append(f"and {len(report.classes) - len(kept)} more classes: classes.csv")
    return lines
