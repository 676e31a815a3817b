"""``python -m analyze rank``: which backbone for this catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.run_folder import present
from extract import command_line as cl
from extract.stopping import ended_by_signals


@cl.command()
def rank(
    *,
    inputs: options.InputList,
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
    resamples: options.ResamplesOption = 2000,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """Which backbone for my catalogue? Ranked, with intervals, and how alike they are."""
    from analyze.clustering.runs import Execution
    from analyze.comparison.ranking.ranking import check_metric, rank
    from analyze.stored_files.selection import choose_files
    from extract.storage.embeddings_file import read_embeddings

    check_metric(metric)  # a wrong word is refused before anything is read
    workspace = output.workspace()
    wanted = inputs.selection()
    paths = choose_files(workspace, wanted)
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
                execution=Execution(
                    workspace.cached_reductions, workspace.cached_clusterings, progress=progress
                ),
            )
        files = [workspace.relative(path) for path in paths]
        present(output, "rank", ranking, vectors, {"files": files})
