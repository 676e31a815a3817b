"""``python -m analyze head``: a head trained on stored features, next to baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.head.rivals import choose_rivals
from analyze.commands.head.tuning import STOPPED, make_tuners, say_tuning, write_tuning
from analyze.commands.head.unfrozen import check_unfrozen, picture, warn_of_hours
from analyze.commands.run_folder import run_folder
from analyze.head.training.spec import Plan
from extract import command_line as cl
from extract.stopping import ended_by_signals


@dataclass(frozen=True)
class Features:
    """What a head is trained on in addition to the vectors of its file."""

    join: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Backbone to concatenate; may be repeated."),
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
        typer.Option(metavar="NAME|FILE", help="Backbone to compare with; may be repeated."),
    ] = None,
    level: options.LevelOption = None,
    plan: Plan,
    features: Features,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Optuna trials per split, on its training set."),
    ] = None,
    output: options.Output,
) -> None:
    """Train the supervised head on stored features, and hold it against honest baselines."""
    from analyze.head.assessment import assess_head
    from analyze.head.joined import read_candidates
    from analyze.head.results import head_text, write_report
    from analyze.head.rivals import compare_heads
    from analyze.stored_files.selection import choose_one

    check_unfrozen(plan, against or [], features.join or [])
    workspace, wanted = output.workspace(), inputs.selection()
    path = choose_one(workspace, wanted)
    rivals = choose_rivals(workspace, path, against or [], wanted)
    join_paths = choose_rivals(workspace, path, features.join or [], wanted, option="--join")
    with ended_by_signals(STOPPED if trials else "stopped; nothing is written"):
        contenders, notes = read_candidates(
            [path, *rivals], join_paths, views=features.views, spelled=workspace.relative
        )
        first = contenders[0]
        maps = None
        if plan.training.unfreeze != "none":
            with output.progress_bar("pictures") as progress:
                first, maps, noted = picture(
                    workspace, path, first, features.images, features.device, progress
                )
            notes += noted
            warn_of_hours(maps, plan, trials or 0)
        with output.progress_bar("trials" if trials else "heads") as progress:
            tuners = make_tuners(workspace, plan, trials, len(contenders), progress)
            reported = None if tuners else progress  # a tuner tells of its trials itself
            if rivals:
                compared = compare_heads(
                    contenders, level=level, plan=plan, choosers=tuners or None, progress=reported
                )
                report = compared.report
            else:
                compared, choose = None, tuners[0] if tuners else None
                report = assess_head(
                    *first, level=level, plan=plan, choose=choose, maps=maps, progress=reported
                )
        result = {"file": workspace.relative(path), **(compared or report).to_json()}
        result["notes"] = list(dict.fromkeys([*notes, *result["notes"]]))
        say_tuning(workspace, tuners, result)
        read = [first.embeddings, *(each.embeddings for each in contenders[1:])]
        with run_folder(workspace, "head", result, read) as folder:
            written = write_report(folder, compared or report, svg=output.svg)
            result["head"] = f"{result['results']}/{written.name}"
            write_tuning(folder, tuners, result)
    output.print_result(result, head_text(compared or report, result))
