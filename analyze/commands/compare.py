"""``python -m analyze compare``: backbones by reductions, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.recipe import read_fixed
from analyze.commands.run_folder import present
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals

FIXED = ("embeddings", "model", "reduce", "clustering", "seed", "seeds")
"""Parameters that a recipe fixes always."""


@dataclass(frozen=True)
class Settings:
    """Which reductions and clusterings are compared, and against which labels."""

    reduce: Annotated[
        list[str] | None,
        typer.Option(
            "--reduce",
            metavar="STEPS",
            help=f"{options.STEPS_HELP} May be repeated. Default: none; pca:0.99; pca:0.99,tsne.",
        ),
    ] = None
    recipe: cl.RecipeOption = None
    level: options.LevelOption = None
    clusters: options.ClustersOption = None
    clustering: Annotated[
        list[str] | None,
        typer.Option(
            "--cluster", metavar="NAME", help="A clustering; may be repeated. Default: kmeans."
        ),
    ] = None


@dataclass(frozen=True)
class Repeats:
    """How often clusterings are repeated and pictures drawn again."""

    resamples: Annotated[
        int,
        typer.Option(
            metavar="N", min=200, help="Bootstrap resamples of pictures, for the intervals."
        ),
    ] = 2000
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Number of seeds.")] = 20
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="First random seed."),
    ] = 0

    def __post_init__(self) -> None:
        if self.seed + self.seeds > 2**32:
            raise UsageError(f"seeds end at {2**32 - 1}: give a lower --seed or fewer --seeds")


@cl.command()
def compare(
    context: typer.Context,
    *,
    inputs: options.InputList,
    settings: Settings,
    repeats: Repeats,
    output: options.Output,
) -> None:
    """Which backbone, which reduction, and is the difference real? Scores with intervals."""
    from analyze.clustering.runs import Execution
    from analyze.comparison.comparison import REDUCTIONS_COMPARED, compare
    from analyze.reduction.reduction import parse_steps
    from analyze.stored_files.selection import choose_by_recipe, choose_files
    from extract.storage.embeddings_file import read_embeddings

    reductions = settings.reduce or list(REDUCTIONS_COMPARED)
    seeds_of: Sequence[int] = range(repeats.seed, repeats.seed + repeats.seeds)
    clusterings = settings.clustering or ["kmeans"]
    clusters, level = settings.clusters, settings.level
    recipe = read_fixed(context, settings.recipe, FIXED)
    if recipe is not None:
        reductions, clusterings = [recipe.analyze.reduce], [recipe.analyze.cluster]
        clusters, seeds_of = recipe.analyze.clusters or clusters, recipe.analyze.seeds
        level = recipe.analyze.level or level
    for steps in reductions:
        parse_steps(steps)  # a wrong word is refused before anything is read
    workspace, wanted = output.workspace(), inputs.selection()
    if recipe is not None:
        paths = choose_by_recipe(workspace, recipe, wanted)
    else:
        paths = choose_files(workspace, wanted)
    kept = Execution(workspace.cached_reductions, workspace.cached_clusterings)
    with ended_by_signals("stopped; clusterings finished so far are kept"):
        vectors = [read_embeddings(path) for path in paths]
        with (
            output.progress_bar("clusterings") as progress,
            output.progress_bar("resamples") as resampling,
        ):
            comparison = compare(
                vectors,
                reductions=reductions,
                clusterings=clusterings,
                n_resamples=repeats.resamples,
                seeds=seeds_of,
                n_clusters=clusters,
                level=level,
                execution=replace(kept, progress=progress, resampling_progress=resampling),
            )
        if recipe is not None:
            comparison = comparison.with_published(recipe, vectors, kept)
        files = [workspace.relative(path) for path in paths]
        present(output, "compare", comparison, vectors, {"files": files})
