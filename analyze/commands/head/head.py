"""``python -m analyze head``: a head trained on stored features, beside honest baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options, wording
from analyze.commands.head import wording as head_wording
from analyze.commands.head.levels import level_lines, level_tables
from analyze.commands.head.multilabel import SeveralAsked, assess_and_tell, takes_several
from analyze.commands.head.rivals import choose_rivals, rival_lines, write_rivals
from analyze.commands.head.tuning import (
    STOPPED,
    make_tuners,
    say_tuning,
    tuning_lines,
    write_tuning,
)
from analyze.commands.head.unfrozen import check_unfrozen, picture, warn_of_hours
from analyze.commands.run_folder import run_folder
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from analyze.head.inputs import StageMaps
    from analyze.head.plan import Plan, Progress
    from analyze.head.report import HeadReport
    from analyze.head.rivals import Contender, HeadComparison
    from analyze.head.tuning_report import Tuner
    from extract.storage.embeddings import EmbeddingSet

WIDEST_CLASS = 40
WORTH_KNOWING = 0.8
WORDS = {
    "logistic_regression": "logistic regression",
    "knn": "5 nearest neighbors",
    "frozen_head": "the same head on the frozen backbone",
}


def head(
    embeddings: options.EmbeddingsOption = None,
    model: options.ModelOption = None,
    catalog: cl.CatalogOption = None,
    resize: options.ResizeOption = None,
    pooling: options.PoolingOption = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="Another backbone to compare; may be repeated."),
    ] = None,
    level: options.LevelOption = None,
    levels: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Levels taught together, from --level downwards."),
    ] = 1,
    folds: Annotated[
        int | None,
        typer.Option(metavar="K", min=2, help="Test every picture once; default one 60/20/20."),
    ] = None,
    shuffles: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often pictures are parted into folds.")
    ] = 3,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Trainings on the one split, without folds.")
    ] = 10,
    split_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of the manifest: train, validation, test."),
    ] = None,
    join: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Another backbone whose vectors stand beside; may be repeated."
        ),
    ] = None,
    views: Annotated[
        bool, typer.Option("--views/--no-views", help="Train on the stored views too.")
    ] = False,
    plain_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Of rows seen plain, with --views.")
    ] = 0.5,
    width: Annotated[int, typer.Option(metavar="N", help="Of the hidden layers.")] = 256,
    dropout: Annotated[float, typer.Option(metavar="SHARE", help="In the hidden layers.")] = 0.5,
    depth: Annotated[int, typer.Option(metavar="N", help="Hidden layers; 0 is linear.")] = 1,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="adamw or adam.")] = "adamw",
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Of the optimizer.")] = 3e-4,
    weight_decay: Annotated[float, typer.Option(metavar="RATE", help="Of the optimizer.")] = 0.01,
    epochs: Annotated[int, typer.Option(metavar="N", help="At most.")] = 200,
    patience: Annotated[
        int, typer.Option(metavar="N", help="Epochs without a lower validation loss.")
    ] = 20,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Rows a training step.")] = 64,
    label_smoothing: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the target given to all classes.")
    ] = 0.0,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Every class counts as much.")
    ] = False,
    refit: Annotated[
        bool,
        typer.Option("--refit/--no-refit", help="Train again on train and validation together."),
    ] = True,
    unfreeze: Annotated[
        str, typer.Option(metavar="none|last", help="Train the backbone's last stage too.")
    ] = "none",
    stage_rate: Annotated[
        float, typer.Option(metavar="SHARE", help="Its learning rate, of the head's.")
    ] = 0.1,
    images: options.ImagesOption = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="With --unfreeze: auto, cpu, cuda or mps.")
    ] = "auto",
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Settings tried on what each split teaches."),
    ] = None,
    resamples: Annotated[
        int, typer.Option(metavar="N", min=100, help="Of the pictures, for the intervals.")
    ] = 2000,
    seed: cl.SeedOption = 0,
    svg: options.SvgOption = False,
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Train the supervised head on stored features, and hold it against honest baselines."""
    cl.set_up(verbose, quiet)
    from analyze.commands.selection.selection import Selection, choose_one
    from analyze.head.network import HeadSpec
    from analyze.head.plan import Plan
    from analyze.head.training import TrainingSpec

    plan = Plan(  # a wrong word is said before anything is read
        n_folds=folds,
        n_shuffles=shuffles,
        n_seeds=seeds,
        split_column=split_column,
        n_levels=levels,
        head=HeadSpec(width, dropout, depth),
        training=TrainingSpec(
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
            refit=refit,
            plain_share=plain_share,
            unfreeze=unfreeze,
            stage_rate=stage_rate,
        ),
        n_resamples=resamples,
        seed=seed,
    )
    check_unfrozen(plan, against or [], join or [])
    workspace = Workspace.find(root)
    wanted = Selection.of(embeddings, model, catalog, resize, pooling)
    path = choose_one(workspace, wanted)
    if levels > 1 and against:
        raise UsageError(
            "--levels and --against are two questions: leave one of them out, or compare the "
            "backbones level by level with --level"
        )
    rivals = choose_rivals(workspace, path, against or [], wanted)
    beside = choose_rivals(workspace, path, join or [], wanted, option="--join")
    with ended_by_signals(STOPPED if trials else "stopped; nothing is written"):
        read = [_read(workspace, each, views=views) for each in (path, *rivals)]
        if beside:
            read[0] = _joined(workspace, [path, *beside], views=views)
        if takes_several(read[0][0].embeddings, level, plan, against or []):
            asked = SeveralAsked(workspace, path, read[0], level, plan, trials, svg)
            assess_and_tell(asked, as_json=as_json, quiet=quiet)
            return
        maps = None
        if unfreeze != "none":
            with cl.progress_bar("pictures", quiet=quiet) as progress:
                plain = picture(workspace, path, read[0][0], images, device, progress)
            maps, read[0] = plain.maps, (plain.contender, (*read[0][1], *plain.notes))
            warn_of_hours(maps, plan, trials or 0)
        with cl.progress_bar("trials" if trials else "heads", quiet=quiet) as progress:
            tuners = make_tuners(workspace, plan, trials, len(read), progress)
            contenders = [each for each, _ in read]
            report, compared = _assessed(contenders, level, plan, tuners, maps, progress)
        said = compared.to_json() if compared else report.to_json()
        result: dict[str, Any] = {"file": workspace.relative(path), **said}
        result["notes"] = list(
            dict.fromkeys([*(n for _, own in read for n in own), *said["notes"]])
        )
        say_tuning(workspace, tuners, result)
        inputs = [each.embeddings for each, _ in read]
        _write(workspace, report, compared, inputs, result, tuners, svg=svg)
    cl.print_result(as_json, result, _text(report, compared, result))


def _read(workspace: Workspace, path: Path, *, views: bool) -> tuple[Contender, tuple[str, ...]]:
    """Read a file, and its views where they are wanted, with what is to be said of those."""
    from analyze.head.rivals import Contender
    from analyze.head.stored_views import read_views
    from extract.storage.embeddings_file import read_embeddings

    plain = read_embeddings(path)
    if not views:
        return Contender(plain), ()
    stored = read_views(path, plain)
    if stored is None:
        raise UsageError(
            f"no views beside {workspace.relative(path)}: run python -m extract --views 8, "
            "with the options of the plain file"
        )
    return Contender(plain, stored.features), stored.notes


def _joined(
    workspace: Workspace, paths: list[Path], *, views: bool
) -> tuple[Contender, tuple[str, ...]]:
    """Read several files, and lay them side by side."""
    from analyze.head.joined import join_contenders

    read = [_read(workspace, path, views=views) for path in paths]
    joined, notes = join_contenders([each for each, _ in read])
    return joined, (*(note for _, own in read for note in own), *notes)


def _assessed(
    contenders: list[Contender],
    level: str | None,
    plan: Plan,
    tuners: list[Tuner],
    maps: StageMaps | None,
    progress: Progress,
) -> tuple[HeadReport, HeadComparison | None]:
    """Assess one head, or compare it with rivals."""
    from analyze.head.assessment import assess_head
    from analyze.head.rivals import compare_heads

    told = None if tuners else progress  # a tuner tells of its trials itself
    if len(contenders) > 1:
        compared = compare_heads(
            contenders, level=level, plan=plan, choosers=tuners or None, progress=told
        )
        return compared.report, compared
    plain, views = contenders[0]
    choose = tuners[0] if tuners else None
    report = assess_head(
        plain, views, level=level, plan=plan, choose=choose, maps=maps, progress=told
    )
    return report, None


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
    """Write tables and figures into a folder of their own."""
    from analyze.head import head_figures as figures
    from analyze.head import report_tables as tables
    from analyze.head.head_file import write_head
    from analyze.presentation import figure_style
    from extract import results

    drawn = figures.draw_all(report, compared)
    with run_folder(workspace, "head", result, inputs) as folder:
        written = write_head(folder, report.stored(inputs[0].provenance))
        result["head"] = f"{result['results']}/{written.name}"
        written_tables = {
            "folds.csv": tables.runs(report),
            "split.csv": tables.sides(report),
            "curves.csv": tables.curves(report),
            "predictions.csv": tables.predictions(report),
            "classes.csv": tables.classes(report),
            "confusion.csv": tables.confusion(report),
            "suspects.csv": tables.suspects(report),
            "coverage.csv": tables.coverage(report),
        }
        results.write_tables(folder, written_tables | dict(level_tables(report)))
        if compared is not None:
            write_rivals(folder, compared)
        for name, figure in drawn.items():
            figure_style.save(figure, folder, name, svg=svg)
        write_tuning(folder, tuners, result)


def _text(report: HeadReport, compared: HeadComparison | None, result: dict[str, Any]) -> str:
    lines = [
        *head_wording.heading(report, result, f"level {report.level}"),
        f"head: accuracy {wording.estimate(report.accuracy)}",
    ]
    for name, estimate in report.baselines.items():
        difference = wording.estimate(report.baseline_differences[name], signed=True)
        lines.append(f"{WORDS[name]}: {wording.estimate(estimate)}; head minus it {difference}")
    lines.append(head_wording.trained(report))
    lines += rival_lines(compared) if compared else []
    lines += [*level_lines(report), *tuning_lines(result), *_class_lines(report)]
    lines += _believed(report, result)
    return "\n".join([*lines, *wording.closing(result)])


def _believed(report: HeadReport, result: dict[str, Any]) -> list[str]:
    """Say how far probabilities can be believed, and which labels cannot."""
    found = report.calibration
    lines = [
        f"calibration error {found.ece:.3f} with temperature {found.temperature:.2f} "
        f"({found.ece_before:.3f} without)"
    ]
    sure = next((c for c in found.coverage if c.threshold == WORTH_KNOWING), None)
    if sure is not None and sure.accuracy is not None:
        lines.append(
            f"{sure.coverage:.0%} of the pictures are answered at {sure.threshold:g} or more, "
            f"{sure.accuracy:.3f} of them right"
        )
    if report.suspects:
        lines.append(f"{len(report.suspects)} labels are doubtful: suspects.csv")
    return [*lines, f"the head: {result['head']}"]


def _class_lines(report: HeadReport) -> list[str]:
    from extract.ids import shown

    width = min(WIDEST_CLASS, max(len(shown(score.name)) for score in report.scores))
    lines = [f"{'class':<{width}}  precision  recall     F1      n"]
    for score in report.scores:
        name = head_wording.cut(shown(score.name), WIDEST_CLASS)
        values = (score.precision, score.recall, score.f1)
        precision, recall, f1 = ("-" if v is None else wording.score(v) for v in values)
        lines.append(f"{name:<{width}}  {precision:>9}  {recall:>6}  {f1:>5}  {score.n:>5}")
    return lines
