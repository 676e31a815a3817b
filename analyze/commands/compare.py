"""``python -m analyze compare``: backbones by reductions, over seeds."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options, wording
from analyze.commands.run_folder import run_folder
from extract import command_line as cl
from extract.errors import Stopped, UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.comparison_result import Comparison
    from extract.embeddings import EmbeddingSet

WIDEST_NAME = 48


def compare(
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An embeddings file; may be repeated."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="All stored files of a backbone; may be repeated."),
    ] = None,
    catalog: cl.CatalogOption = None,
    reduce: Annotated[
        list[str] | None,
        typer.Option(
            "--reduce",
            metavar="STEPS",
            help=f"{options.STEPS_HELP} May be repeated. Default: none; pca:0.99; pca:0.99,tsne.",
        ),
    ] = None,
    level: options.LevelOption = None,
    clusters: options.ClustersOption = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="How many seeds.")] = 20,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="The first of the seeds."),
    ] = 0,
    svg: options.SvgOption = False,
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Which backbone, which reduction? Scores of all of them on the same pictures, over seeds."""
    cl.set_up(verbose, quiet)
    from analyze.commands.selection import choose_several
    from analyze.comparison import REDUCTIONS_COMPARED, compare
    from analyze.reduction import parse_steps
    from extract.embeddings_file import read_embeddings

    reductions = reduce or list(REDUCTIONS_COMPARED)
    for steps in reductions:
        parse_steps(steps)  # a wrong word is said before anything is read
    if seed + seeds > 2**32:
        raise UsageError(f"seeds end at {2**32 - 1}: give a lower --seed or fewer --seeds")
    workspace = Workspace.find(root)
    paths = choose_several(workspace, embeddings or [], model or [], catalog)
    with _ended_by_signals():
        vectors = [read_embeddings(path) for path in paths]
        with cl.progress_bar("clusterings", quiet=quiet) as progress:
            comparison = compare(
                vectors,
                reductions=reductions,
                seeds=range(seed, seed + seeds),
                n_clusters=clusters,
                level=level,
                reduction_cache=workspace.reductions,
                clustering_cache=workspace.clusterings,
                progress=progress,
            )
        files = [workspace.relative(path) for path in paths]
        result = {"files": files, **comparison.to_json()}
        _write(workspace, comparison, vectors, result, svg=svg)
    cl.print_result(as_json, result, _text(comparison, result))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: at once, with the processes that it started."""
    received = signal.SIGINT

    def interrupt(signal_number: int, _frame: object) -> None:
        nonlocal received
        received = signal.Signals(signal_number)
        raise KeyboardInterrupt  # which no library takes for an error of its own

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("stopped; clusterings finished so far are kept", received) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(
    workspace: Workspace,
    comparison: Comparison,
    vectors: Sequence[EmbeddingSet],
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    """Write tables and the figure into a folder of their own."""
    from analyze import figure_style, results
    from analyze.comparison_figure import draw_comparison

    scores = comparison.over_seeds("ari")
    drawn = None
    if (scores == scores).all():
        drawn = draw_comparison(
            scores,
            [model.name for model in comparison.models],
            comparison.reductions,
            score="ARI",
            title="Do clusters agree with classes? By backbone and reduction",
            subtitle=_subtitle(comparison, "dots: seeds, whiskers: their standard deviation"),
        )
    else:
        result["notes"].append("no figure: there are no scores to draw")
    with run_folder(workspace, "compare", result, vectors) as folder:
        rows = [row.to_json() for row in comparison.rows]
        header = list(rows[0])
        results.write_csv(
            folder / "comparison.csv", header, ([row[name] for name in header] for row in rows)
        )
        if drawn is not None:
            figure_style.save(drawn, folder, "ari", svg=svg)


def _subtitle(comparison: Comparison, of_several: str) -> str:
    seeds = comparison.seeds
    over = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    parts = [
        f"{len(comparison.ids)} pictures",
        f"level {comparison.level.name}",
        f"k-means {comparison.n_clusters}",
        over,
    ]
    if len(seeds) > 1:
        parts.append(of_several)
    return " · ".join(parts)


def _text(comparison: Comparison, result: dict[str, Any]) -> str:
    from extract.catalog import shown

    lines = [*result["files"], f"ARI · {_subtitle(comparison, '± standard deviation over them')}"]
    header = ["model", "numbers", "1-NN", *map(shown, comparison.reductions)]
    rows = [header]
    for model in comparison.models:
        name = model.name if len(model.name) <= WIDEST_NAME else f"{model.name[:WIDEST_NAME]}…"
        cells = [comparison.cell(model, r, "ari") for r in comparison.reductions]
        spreads = [
            _figure(c.mean) + (f" ± {c.std:.3f}" if c.std is not None else "") for c in cells
        ]
        rows.append([name, str(model.n_dims), _figure(model.one_nn_accuracy), *spreads])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]))
    if len(comparison.seeds) > 1:
        lines.append("± is chance over seeds, not what other pictures of the kind would give")
    return "\n".join([*lines, *wording.closing(result)])


def _figure(value: float | None) -> str:
    return "-" if value is None else wording.score(value)
