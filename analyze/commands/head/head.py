"""``python -m analyze head``: a head trained on stored features, beside honest baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.head.rivals import choose_rivals, rival_lines
from analyze.commands.head.tuning import (
    STOPPED,
    make_tuners,
    say_tuning,
    tuning_lines,
    write_tuning,
)
from analyze.commands.head.unfrozen import check_unfrozen, picture, warn_of_hours
from analyze.commands.run_folder import run_folder
from analyze.head.training.spec import Plan
from analyze.presentation import wording
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from analyze.head.reporting.report import HeadReport
    from analyze.head.rivals import Contender, HeadComparison
    from analyze.head.tuning.tuning_report import Tuner
    from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True)
class Features:
    """What a head is trained on beside the vectors of its file."""

    join: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Another backbone whose vectors stand beside; may be repeated."
        ),
    ] = None
    views: Annotated[
        bool, typer.Option("--views/--no-views", help="Train on the stored views too.")
    ] = False
    images: options.ImagesOption = None
    device: Annotated[
        str, typer.Option(metavar="NAME", help="With --unfreeze: auto, cpu, cuda or mps.")
    ] = "auto"


@cl.command(
    {"width": ("join", "views", "plain_share"), "n_resamples": ("images", "device", "trials")}
)
def head(
    *,
    inputs: options.Inputs,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="Another backbone to compare; may be repeated."),
    ] = None,
    level: options.LevelOption = None,
    plan: Plan,
    features: Features,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Settings tried on what each split teaches."),
    ] = None,
    output: options.Output,
) -> None:
    """Train the supervised head on stored features, and hold it against honest baselines."""
    from analyze.commands.selection.selection import choose_one
    from analyze.head.assessment import assess_head
    from analyze.head.rivals import compare_heads

    check_unfrozen(plan, against or [], features.join or [])
    workspace, wanted = output.workspace(), inputs.selection()
    path = choose_one(workspace, wanted)
    rivals = choose_rivals(workspace, path, against or [], wanted)
    beside = choose_rivals(workspace, path, features.join or [], wanted, option="--join")
    with ended_by_signals(STOPPED if trials else "stopped; nothing is written"):
        contenders, notes = _read(workspace, [path, *rivals], beside, views=features.views)
        first = contenders[0]
        maps = None
        if plan.training.unfreeze != "none":
            with output.progress_bar("pictures") as progress:
                first, maps, said = picture(
                    workspace, path, first, features.images, features.device, progress
                )
            notes += said
            warn_of_hours(maps, plan, trials or 0)
        with output.progress_bar("trials" if trials else "heads") as progress:
            tuners = make_tuners(workspace, plan, trials, len(contenders), progress)
            told = None if tuners else progress  # a tuner tells of its trials itself
            if rivals:
                compared = compare_heads(
                    contenders, level=level, plan=plan, choosers=tuners or None, progress=told
                )
                report = compared.report
            else:
                compared, choose = None, tuners[0] if tuners else None
                report = assess_head(
                    *first, level=level, plan=plan, choose=choose, maps=maps, progress=told
                )
        result = {"file": workspace.relative(path), **(compared or report).to_json()}
        result["notes"] = list(dict.fromkeys([*notes, *result["notes"]]))
        say_tuning(workspace, tuners, result)
        read = [first.embeddings, *(each.embeddings for each in contenders[1:])]
        _write(workspace, report, compared, read, result, tuners, svg=output.svg)
    output.print_result(result, _text(report, compared, result))


def _read(
    workspace: Workspace, paths: list[Path], beside: list[Path], *, views: bool
) -> tuple[list[Contender], list[str]]:
    """Read files, and their views where they are wanted, with what is to be said of those.

    The vectors of some stand beside those of the first.
    """
    from analyze.head.joined import join_contenders
    from analyze.head.rivals import Contender
    from analyze.pictures.stored_views import read_views
    from extract.storage.embeddings_file import read_embeddings

    read: list[Contender] = []
    notes: list[str] = []
    for path in (*paths, *beside):
        plain = read_embeddings(path)
        stored = read_views(path, plain) if views else None
        if views and stored is None:
            raise UsageError(
                f"no views beside {workspace.relative(path)}: run python -m extract --views 8, "
                "with the options of the plain file"
            )
        read.append(Contender(plain, stored.features if stored else None))
        notes += stored.notes if stored else ()
    if beside:
        read[0], said = join_contenders([read[0], *read[len(paths) :]])
        notes += said
    return read[: len(paths)], notes


def _write(
    workspace: Workspace,
    report: HeadReport,
    compared: HeadComparison | None,
    inputs: list[EmbeddingSet],
    result: dict[str, Any],
    tuners: list[Tuner],
    *,
    svg: bool,
) -> None:
    """Write the head, tables and figures into a folder of their own."""
    from analyze.head.against_figure import draw_against
    from analyze.head.figures.head_figures import figures_of
    from analyze.head.prediction.head_file import write_head
    from analyze.head.reporting.tables import tables_of
    from analyze.head.rival_tables import tables_of_rivals
    from analyze.presentation.figure_style import save
    from extract.results import write_tables

    drawn, tables = figures_of(report), tables_of(report)
    if compared is not None:
        drawn["against"] = draw_against(compared)
        tables |= tables_of_rivals(compared)
    with run_folder(workspace, "head", result, inputs) as folder:
        written = write_head(folder, report.stored(inputs[0].provenance))
        result["head"] = f"{result['results']}/{written.name}"
        write_tables(folder, tables)
        for name, figure in drawn.items():
            save(figure, folder, name, svg=svg)
        write_tuning(folder, tuners, result)


def _text(report: HeadReport, compared: HeadComparison | None, result: dict[str, Any]) -> str:
    from analyze.head.reporting.text import accuracy_lines, class_lines, heading, trained

    lines = [*heading(report, result["file"]), *accuracy_lines(report), trained(report)]
    lines += rival_lines(compared) if compared else []
    lines += [*tuning_lines(result), *class_lines(report), f"the head: {result['head']}"]
    return "\n".join([*lines, *wording.closing(result)])
