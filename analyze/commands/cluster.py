"""``python -m analyze``: reduce, cluster, compare with the labels, draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from analyze.commands import options
from analyze.commands.recipe import read_fixed
from analyze.commands.run_folder import present
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals

if TYPE_CHECKING:
    from extract.recipe import Recipe

FIXED = ("embeddings", "model", "join", "views", "reduce", "method", "seed")
"""Parameters that a recipe fixes always."""


@dataclass(frozen=True)
class Settings:
    """How vectors are reduced and clustered, and against which labels."""

    reduce: Annotated[
        str,
        typer.Option(
            "--reduce",
            metavar="STEPS",
            help=f"{options.STEPS_HELP} auto: what its seeds agree on most, joined.",
        ),
    ] = "none"
    level: options.LevelOption = None
    clusters: options.ClustersOrAutoOption = None
    method: options.ClusterOption = "kmeans"
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Score without labels: umap_silhouette, stability; may be repeated.",
        ),
    ] = None
    seed: cl.SeedOption = 0

    def fixed_by(self, recipe: Recipe) -> Settings:
        """Return what a recipe fixes, and of the rest what was typed."""
        fixed = recipe.analyze
        return replace(
            self,
            reduce=fixed.reduce,
            method=fixed.cluster,
            seed=fixed.seeds[0],
            level=fixed.level or self.level,
            clusters=str(fixed.clusters) if fixed.clusters else self.clusters,
        )

    def n_clusters(self) -> int | Literal["auto"] | None:
        """Return a number of clusters, or ``auto`` to have one chosen."""
        if self.clusters is None or self.clusters == "auto":
            return None if self.clusters is None else "auto"
        try:
            return int(self.clusters)
        except ValueError:
            typed = f"no --clusters {self.clusters!r}"
            raise UsageError(f"{typed}: give a whole number, or auto") from None


@cl.command({"level": ("inputs",)})
def cluster(
    context: typer.Context,
    *,
    settings: Settings,
    inputs: options.JoinedInputs,
    output: options.Output,
) -> None:
    """Do the pictures fall into their classes without labels? Clusters, ARI, two figures."""
    if context.invoked_subcommand:
        return
    from analyze.clustering.analysis import analyze_embeddings, check_names
    from analyze.clustering.internal_scores import DEFAULT_SCORES
    from analyze.clustering.runs import Execution
    from analyze.reduction.concatenation import read_combined
    from analyze.stored_files.selection import choose_one_by_recipe, choose_to_join

    recipe = read_fixed(context, inputs.recipe, FIXED)
    settings = settings if recipe is None else settings.fixed_by(recipe)
    named_scores = tuple(settings.score or ())
    check_names(settings.reduce, settings.method, named_scores)
    n_clusters = settings.n_clusters()
    workspace, chosen = output.workspace(), inputs.selection()
    if recipe is not None:
        paths: tuple[Path, ...] = (choose_one_by_recipe(workspace, recipe, chosen),)
    else:
        paths = choose_to_join(workspace, chosen, join=inputs.join)
    vectors, read, notes = read_combined(workspace, paths, join=inputs.join, views=inputs.views)
    kept_in = workspace.cached_reductions, workspace.cached_clusterings
    with (
        ended_by_signals("stopped; clusterings finished so far are kept"),
        output.progress_bar("reducing and clustering") as progress,
    ):
        analysis = analyze_embeddings(
            vectors,
            reduction=settings.reduce,
            n_clusters=n_clusters,
            level=settings.level,
            seed=settings.seed,
            method=settings.method,
            without_labels=tuple(dict.fromkeys([*DEFAULT_SCORES, *named_scores])),
            execution=Execution(*kept_in, progress=progress),
        )
    analysis = replace(analysis, named_scores=named_scores, notes=(*notes, *analysis.notes))
    files = [workspace.relative(path) for path in paths]
    more = {} if recipe is None else {"recipe": recipe.name}
    given = read if len(read) > 1 else read[0]
    present(output, "analyze", analysis, given, {"file": files[0], "files": files}, **more)
