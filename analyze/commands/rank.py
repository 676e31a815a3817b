"""``python -m analyze rank``: which backbone for this catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.ranking.result import Ranking
    from extract.storage.embeddings import EmbeddingSet


@cl.command()
def rank(
    *,
    inputs: options.SeveralInputs,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="knn_1, knn_5, knn_20, linear_probe, ari; without labels silhouette_umap, "
            "silhouette. Default: knn_5, without labels silhouette_umap.",
        ),
    ] = None,
    level: options.LevelOption = None,
    clusters: Annotated[
        int | None,
        typer.Option(metavar="K", help="Default: as many as classes; else the mean of several."),
    ] = None,
    resamples: Annotated[
        int, typer.Option(metavar="N", min=100, help="Of the pictures, for the intervals.")
    ] = 2000,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """Which backbone for my catalogue? Ranked, with intervals, and how alike they are."""
    from analyze.commands.selection.selection import choose_several
    from analyze.ranking.ranking import check_metric, rank
    from extract.storage.embeddings_file import read_embeddings

    check_metric(metric)  # a wrong word is said before anything is read
    workspace = output.workspace()
    wanted = inputs.selection()
    paths = choose_several(workspace, wanted)
    with ended_by_signals("stopped; clusterings finished so far are kept"):
        vectors = [read_embeddings(path) for path in paths]
        with output.progress_bar("backbones") as progress:
            ranking = rank(
                vectors,
                metric=metric,
                level=level,
                n_clusters=clusters,
                n_resamples=resamples,
                seed=seed,
                reduction_cache=workspace.reductions,
                clustering_cache=workspace.clusterings,
                progress=progress,
            )
        files = [workspace.relative(path) for path in paths]
        result = {"files": files, **ranking.to_json()}
        _write(workspace, ranking, vectors, result, svg=output.svg)
    output.print_result(result, _text(ranking, result))


def _write(
    workspace: Workspace,
    ranking: Ranking,
    vectors: Sequence[EmbeddingSet],
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    """Write the table and the figure into a folder of their own."""
    from analyze.presentation import figure_style
    from analyze.ranking.criteria import WORDS
    from analyze.ranking.figure import draw_ranking
    from extract import results

    rows = ranking.of_metric(ranking.metric)
    score = WORDS[ranking.metric]
    if rows[0].low is not None:
        score += ", 95 % interval over pictures"
    title = "Which backbone knows the classes best?"
    if ranking.surrogate:
        title = "Which backbone has the clearest clusters? A surrogate: no labels are used"
    drawn = draw_ranking(rows, score=score, title=title, subtitle=_subtitle(ranking))
    with run_folder(workspace, "rank", result, vectors) as folder:
        said = [row.to_json() for row in ranking.rows]
        header = list(said[0])
        results.write_csv(
            folder / "rank.csv", header, ([row[name] for name in header] for row in said)
        )
        figure_style.save(drawn, folder, "rank", svg=svg)


def _subtitle(ranking: Ranking) -> str:
    parts = [f"{len(ranking.ids)} pictures"]
    if ranking.level:
        parts.append(f"level {ranking.level.name}")
    if ranking.n_clusters:
        parts.append(f"k-means {', '.join(map(str, ranking.n_clusters))}")
    if ranking.rows[0].low is not None:
        parts.append(f"{ranking.n_resamples} resamples")
    parts.append(f"seed {ranking.seed}")
    return " · ".join([*parts, *wording.geometry(model.made for model in ranking.models)])


def _text(ranking: Ranking, result: dict[str, Any]) -> str:
    from analyze.ranking.criteria import WORDS

    lines = [*result["files"], f"{WORDS[ranking.metric]} · {_subtitle(ranking)}"]
    lines += _table(_ranks(ranking))
    lines += [pair.verdict for pair in ranking.pairs]
    if ranking.likeness:
        lines.append(
            "right of the diagonal CKA (debiased), left of it the share of the 10 nearest "
            "neighbors in common"
        )
        lines += _table(_matrix(ranking))
    return "\n".join([*lines, *wording.closing(result)])


def _ranks(ranking: Ranking) -> list[list[str]]:
    """Spell a line a backbone: the score of the ranking, the others, and what it costs."""
    others = list(dict.fromkeys(row.metric for row in ranking.rows))[1:]
    value = {(row.model, row.metric): row.value for row in ranking.rows}
    about = ["pictures/s", "bytes a row", "numbers"]
    table = [["", "model", ranking.metric, "95 %", *others, *about]]
    for place, row in enumerate(ranking.of_metric(ranking.metric), start=1):
        model = row.model
        rate = "-" if model.images_per_second is None else f"{model.images_per_second:.1f}"
        table.append(
            [
                str(place),
                wording.backbone(model.name),
                wording.score(row.value),
                _spread(row.low, row.high),
                *(wording.score(value[model, name]) for name in others),
                rate + ("*" if model.models_in_pass > 1 and rate != "-" else ""),
                str(model.bytes_per_row),
                str(model.n_dims),
            ]
        )
    return table


def _matrix(ranking: Ranking) -> list[list[str]]:
    models = ranking.models
    cells = {}
    for pair in ranking.likeness:
        cells[pair.a, pair.b] = _figure(pair.cka_debiased)
        cells[pair.b, pair.a] = _figure(pair.neighbor_overlap)
    table = [["", "model", *(str(i) for i in range(1, len(models) + 1))]]
    for place, one in enumerate(models, start=1):
        figures = [cells.get((one, other), "") for other in models]
        table.append([str(place), wording.backbone(one.name), *figures])
    return table


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Line up columns: names to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i == 1 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _spread(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    return f"{wording.score(low)} to {wording.score(high)}"


def _figure(value: float | None) -> str:
    return "-" if value is None else wording.score(value)
