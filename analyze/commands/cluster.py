"""``python -m analyze``: reduce, cluster, compare with the labels, draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.clustering.analysis import Analysis
    from analyze.clustering.choosing_k import ChosenK
    from analyze.commands.selection.selection import Selection
    from analyze.reduction.map_coordinates import Plane
    from extract.recipe import Recipe
    from extract.storage.embeddings import EmbeddingSet


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
            metavar="NAME", help="Also without labels: umap_silhouette, stability; may be repeated."
        ),
    ] = None
    seed: cl.SeedOption = 0


@dataclass(frozen=True)
class JoinedInputs(options.StoredFiles):
    """Which stored files are meant, and what is made of their vectors."""

    embeddings: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An embeddings file; several with --join."),
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The stored file of a backbone; several with --join."),
    ] = None
    join: Annotated[
        bool, typer.Option("--join", help="Lay the vectors of several files side by side.")
    ] = False
    views: Annotated[
        bool, typer.Option("--views", help="Average each picture with its stored views.")
    ] = False
    recipe: cl.RecipeOption = None


@cl.command({"level": ("inputs",)})
def cluster(
    context: typer.Context,
    *,
    settings: Settings,
    inputs: JoinedInputs,
    output: options.Output,
) -> None:
    """Do the pictures fall into their classes without being told? Clusters, ARI, two figures."""
    if context.invoked_subcommand:
        return
    from analyze.clustering.analysis import analyze_embeddings, check_reduction
    from analyze.clustering.clustering import clustering_spec
    from analyze.clustering.internal_scores import DEFAULT_SCORES, internal_score_spec
    from analyze.clustering.runs import Keeping
    from analyze.commands.selection.selection import choose_one_by_recipe
    from analyze.reduction.cache import ReductionCache

    fixed = _fixed_by(context, inputs.recipe) if inputs.recipe is not None else None
    if fixed is not None:
        n_clusters = fixed.analyze.clusters
        settings = replace(
            settings,
            reduce=fixed.analyze.reduce,
            method=fixed.analyze.cluster,
            seed=fixed.analyze.seeds[0],
            level=fixed.analyze.level or settings.level,
            clusters=str(n_clusters) if n_clusters else settings.clusters,
        )
    for name in settings.score or []:
        internal_score_spec(name)
    clustering_spec(settings.method)  # a wrong word is said before anything is read
    check_reduction(settings.reduce, settings.method)
    wanted = _number(settings.clusters)
    workspace = output.workspace()
    chosen = inputs.selection()
    if fixed is not None:
        paths: tuple[Path, ...] = (choose_one_by_recipe(workspace, fixed, chosen),)
    else:
        paths = _files(workspace, chosen, join=inputs.join)
    vectors, read, said = _read(workspace, paths, join=inputs.join, views=inputs.views)
    with (
        ended_by_signals("stopped; clusterings finished so far are kept"),
        output.progress_bar("reducing and clustering") as progress,
    ):
        analysis = analyze_embeddings(
            vectors,
            reduction=settings.reduce,
            n_clusters=wanted,
            level=settings.level,
            seed=settings.seed,
            progress=progress,
            reducer=ReductionCache(workspace.reductions),
            method=settings.method,
            keeping=Keeping(workspace.reductions, workspace.clusterings),
            without_labels=tuple(dict.fromkeys([*DEFAULT_SCORES, *(settings.score or [])])),
        )
    files = [workspace.relative(path) for path in paths]
    result = {"file": files[0], "files": files, **analysis.to_json()}
    result["notes"] = [*said, *result["notes"]]
    if fixed is not None:
        result["recipe"] = fixed.name
    _write(workspace, analysis, read, result, svg=output.svg)
    output.print_result(result, _text(analysis, result, settings.score or []))


def _fixed_by(context: typer.Context, recipe: str) -> Recipe:
    """Read a recipe; what it fixes cannot be given beside it."""
    from extract.recipe import read_recipe

    read = read_recipe(recipe)
    fixed = ["embeddings", "model", "join", "views", "reduce", "method", "seed"]
    fixed += [name for name in ("clusters", "level") if getattr(read.analyze, name) is not None]
    fixed += [name for name in ("resize", "pooling") if getattr(read.extract, name) is not None]
    cl.refuse_beside(context, recipe, fixed)
    return read


def _read(
    workspace: Workspace, paths: tuple[Path, ...], *, join: bool, views: bool
) -> tuple[EmbeddingSet, list[EmbeddingSet], list[str]]:
    """Read what is asked about, what it was made of, and what has to be said of that."""
    from analyze.pictures.stored_views import read_views
    from analyze.reduction.concatenation import average_views, join_embeddings
    from extract.storage.embeddings_file import read_embeddings

    inputs, said = [read_embeddings(path) for path in paths], []
    ready = list(inputs)
    for i, path in enumerate(paths if views else ()):
        stored = read_views(path, inputs[i])
        if stored is None:
            raise UsageError(
                f"no views beside {workspace.relative(path)}: run python -m extract --views 4, "
                "with the options of the plain file"
            )
        ready[i] = average_views(inputs[i], stored.features)
        said += [f"each picture is averaged with {len(stored.features)} views", *stored.notes]
    if not join:
        return ready[0], inputs, said
    joined, notes = join_embeddings(ready)
    return joined, inputs, [*said, *notes]


def _number(clusters: str | None) -> int | Literal["auto"] | None:
    """Read a number of clusters, or the wish to have one chosen."""
    if clusters is None or clusters == "auto":
        return None if clusters is None else "auto"
    try:
        return int(clusters)
    except ValueError:
        raise UsageError(f"no --clusters {clusters!r}: give a whole number, or auto") from None


def _files(workspace: Workspace, wanted: Selection, *, join: bool) -> tuple[Path, ...]:
    """Find the file that is meant, or those that are to be joined."""
    from analyze.commands.selection.selection import choose_one, choose_several

    if join:
        return choose_several(workspace, wanted)
    if len(wanted.embeddings) > 1 or len(wanted.models) > 1:
        raise UsageError(
            "several files: give --join to lay them side by side, or use python -m analyze compare"
        )
    return (choose_one(workspace, wanted),)


def _write(
    workspace: Workspace,
    analysis: Analysis,
    inputs: list[EmbeddingSet],
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    """Write tables and figures into a folder of their own."""
    from analyze.reduction.map_coordinates import plane

    flat = plane(analysis.reduced)
    if flat is None:
        result["notes"].append("no map: the rows do not span a plane")
    given = inputs if len(inputs) > 1 else inputs[0]
    with run_folder(workspace, "analyze", result, given) as folder:
        _write_assignments(folder / "assignments.csv", analysis)
        _draw(folder, analysis, flat, svg=svg)


def _write_assignments(path: Path, analysis: Analysis) -> None:
    from extract import results
    from extract.tables import column_names

    vectors, agreement = analysis.embeddings, analysis.agreement
    matched = agreement.cluster_to_class if agreement else {}
    labels = [level.values() for level in vectors.levels]
    truth = analysis.level.values() if analysis.level else [None] * len(vectors)
    # "class" is the class matched to the cluster under its old name: it goes in 0.3
    header = ["id", "cluster", "class", "matched_class", "true_class"]
    header += column_names(header, [v.name for v in vectors.levels], vectors.columns)
    results.write_csv(
        path,
        header,
        (
            [
                row_id,
                int(cluster),
                *[matched.get(int(cluster))] * 2,
                truth[i],
                *(values[i] for values in labels),
                *(values[i] for values in vectors.columns.values()),
            ]
            for i, (row_id, cluster) in enumerate(
                zip(vectors.ids, analysis.clustering.assignments, strict=True)
            )
        ),
    )


def _draw(folder: Path, analysis: Analysis, flat: Plane | None, *, svg: bool) -> None:
    from analyze.clustering import figures

    title, subtitle = _headings(analysis)
    if analysis.chosen_k and analysis.chosen_k.criteria:
        _draw_choice(folder, analysis.chosen_k, svg=svg)
    if analysis.agreement:
        drawn = figures.draw_confusion(analysis.agreement, title=title, subtitle=subtitle)
        figures.save(drawn, folder, "confusion", svg=svg)
    if flat is None:
        return
    agreement, level = analysis.agreement, analysis.level
    drawn = figures.draw_map(
        flat.points,
        flat.axis_names,
        labels=level.values() if level and agreement else None,
        categories=level.categories if level else (),
        assignments=analysis.clustering.assignments,
        cluster_to_class=dict(agreement.cluster_to_class) if agreement else {},
        title=title,
        subtitle=subtitle,
    )
    figures.save(drawn, folder, "map", svg=svg)


def _draw_choice(folder: Path, chosen: ChosenK, *, svg: bool) -> None:
    from analyze.clustering.choosing_figure import draw_choice
    from analyze.presentation.figure_style import save

    drawn = draw_choice(
        chosen.ks,
        [(each.name, each.values, each.spreads, each.k) for each in chosen.criteria],
        chosen.k,
        title="How many clusters?",
        subtitle=chosen.why,
    )
    save(drawn, folder, "clusters", svg=svg)


def _headings(analysis: Analysis) -> tuple[str, str]:
    from analyze.clustering.clustering import clustering_spec

    provenance, scores = analysis.embeddings.provenance, analysis.scores
    title = f"{provenance.title} · {analysis.reduced.reduction}"
    clustering, automatic = analysis.clustering, analysis.automatic
    method = automatic.chosen.clustering if automatic else clustering.method
    of = "consensus of " if automatic else ""
    title += f" · {of}{clustering_spec(method).title} {clustering.n_found}"
    parts = [f"{len(analysis.embeddings)} pictures"]
    if clustering.n_noise:
        parts.append(f"{clustering.n_noise} of them noise, in no cluster")
    agreement = analysis.agreement
    if agreement and agreement.n_labelled < len(analysis.embeddings):
        parts.append(f"scores on the {agreement.n_labelled} labelled")
    if analysis.level:
        parts.append(f"level {analysis.level.name}")
    if scores["ari"] is not None:
        parts.append(f"ARI {scores['ari']:.3f}")
        parts.append(f"matched accuracy {scores['matched_accuracy']:.3f}")
    return title, " · ".join([*parts, f"seed {analysis.clustering.seed}"])


def _score_line(analysis: Analysis, asked: Sequence[str]) -> list[str]:
    """Spell all scores; of those without labels one is enough where labels say more."""
    passed_over = (
        {*analysis.internal} - {"silhouette", *asked} if analysis.scores["ari"] is not None else ()
    )
    return wording.scores({k: v for k, v in analysis.scores.items() if k not in passed_over})


def _level_lines(analysis: Analysis) -> list[str]:
    from extract.ids import shown

    lines = []
    for level in analysis.levels:
        said = {name: level.scores[name] for name in ("ari", "ami", "purity")}
        said["right parent, wrong leaf"] = level.right_parent_wrong_leaf
        said["hierarchical F1"] = level.hierarchical_f1
        start = f"level {shown(level.name)}, {level.n_classes} classes: "
        lines += wording.scores(said, start)
    return lines


def _text(analysis: Analysis, result: dict[str, Any], asked: Sequence[str]) -> str:
    from extract.ids import shown

    title, subtitle = _headings(analysis)
    lines = [*result["files"], title, subtitle]
    lines += [each.why for each in (analysis.chosen_k, analysis.automatic) if each]
    lines += [*_score_line(analysis, asked), *_level_lines(analysis)]
    if analysis.agreement and analysis.scores["ari"] is not None:
        rows = analysis.agreement.class_scores()
        width = min(60, max(len(shown(row.name)) for row in rows) + 2)
        lines.append(
            f"{'class':<{width}} {'pictures':>8} {'cluster':>8} {'recall':>8} {'precision':>10}"
        )
        for row in rows:
            found = "-" if row.cluster is None else str(row.cluster)
            precision = "-" if row.precision is None else f"{row.precision:.3f}"
            lines.append(
                f"{shown(row.name)[:width]:<{width}} {row.n_images:>8} {found:>8} "
                f"{row.recall:>8.3f} {precision:>10}"
            )
        if unmatched := analysis.agreement.unmatched:
            lines.append(f"clusters matched to no class: {', '.join(map(str, unmatched))}")
    return "\n".join([*lines, *wording.left_out(result), *wording.closing(result)])
