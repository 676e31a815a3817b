"""``python -m analyze``: reduce, cluster, compare with the labels, draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options, wording
from analyze.commands.run_folder import run_folder
from extract import command_line as cl
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.analysis import Analysis
    from analyze.plane import Plane


def cluster(
    context: typer.Context,
    reduce: Annotated[
        str,
        typer.Option(
            "--reduce",
            metavar="STEPS",
            help=options.STEPS_HELP,
        ),
    ] = "none",
    embeddings: options.EmbeddingsOption = None,
    model: options.ModelOption = None,
    catalog: cl.CatalogOption = None,
    level: options.LevelOption = None,
    clusters: options.ClustersOption = None,
    method: options.ClusterOption = "kmeans",
    seed: cl.SeedOption = 0,
    svg: options.SvgOption = False,
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Do the pictures fall into their classes without being told? Clusters, ARI, two figures."""
    if context.invoked_subcommand:
        return
    cl.set_up(verbose, quiet)
    from analyze.analysis import analyze_embeddings
    from analyze.clustering import clustering_spec
    from analyze.commands.selection import choose_embeddings
    from analyze.reduction import parse_steps
    from analyze.reduction_cache import ReductionCache
    from extract.embeddings_file import read_embeddings

    parse_steps(reduce)  # a wrong word is said before anything is read
    clustering_spec(method)
    workspace = Workspace.find(root)
    path = choose_embeddings(workspace, embeddings, model, catalog)
    vectors = read_embeddings(path)
    with cl.progress_bar("t-SNE", quiet=quiet or "tsne" not in reduce) as progress:
        analysis = analyze_embeddings(
            vectors,
            reduction=reduce,
            n_clusters=clusters,
            level=level,
            seed=seed,
            progress=progress,
            reducer=ReductionCache(workspace.reductions),
            method=method,
        )
    result = {"file": workspace.relative(path), **analysis.to_json()}
    _write(workspace, analysis, result, svg=svg)
    cl.print_result(as_json, result, _text(analysis, result))


def _write(workspace: Workspace, analysis: Analysis, result: dict[str, Any], *, svg: bool) -> None:
    """Write tables and figures into a folder of their own."""
    from analyze.plane import plane

    flat = plane(analysis.reduced)
    if flat is None:
        result["notes"].append("no map: the rows do not span a plane")
    with run_folder(workspace, "analyze", result, analysis.embeddings) as folder:
        _write_assignments(folder / "assignments.csv", analysis)
        _draw(folder, analysis, flat, svg=svg)


def _write_assignments(path: Path, analysis: Analysis) -> None:
    from analyze import results
    from extract.tables import column_names

    vectors, agreement = analysis.embeddings, analysis.agreement
    matched = agreement.cluster_to_class if agreement else {}
    labels = [level.values() for level in vectors.levels]
    header = ["id", "cluster", "class"]
    header += column_names(header, [v.name for v in vectors.levels], vectors.columns)
    results.write_csv(
        path,
        header,
        (
            [
                row_id,
                int(cluster),
                matched.get(int(cluster)),
                *(values[i] for values in labels),
                *(values[i] for values in vectors.columns.values()),
            ]
            for i, (row_id, cluster) in enumerate(
                zip(vectors.ids, analysis.clustering.assignments, strict=True)
            )
        ),
    )


def _draw(folder: Path, analysis: Analysis, flat: Plane | None, *, svg: bool) -> None:
    from analyze import figures

    title, subtitle = _headings(analysis)
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


def _headings(analysis: Analysis) -> tuple[str, str]:
    from analyze.clustering import clustering_spec

    provenance, scores = analysis.embeddings.provenance, analysis.scores
    weights = ", random weights" if provenance.weights == "random" else ""
    title = f"{provenance.model}{weights} · {analysis.reduced.reduction}"
    clustering = analysis.clustering
    title += f" · {clustering_spec(clustering.method).title} {clustering.n_found}"
    parts = [f"{len(analysis.embeddings)} pictures"]
    agreement = analysis.agreement
    if agreement and agreement.n_labelled < len(analysis.embeddings):
        parts.append(f"scores on the {agreement.n_labelled} labelled")
    if analysis.level:
        parts.append(f"level {analysis.level.name}")
    if scores["ari"] is not None:
        parts.append(f"ARI {scores['ari']:.3f}")
        parts.append(f"matched accuracy {scores['matched_accuracy']:.3f}")
    return title, " · ".join([*parts, f"seed {analysis.clustering.seed}"])


def _score_line(analysis: Analysis) -> list[str]:
    """Spell all scores; of those without labels one is enough where labels say more."""
    passed_over = (
        {*analysis.internal} - {"silhouette"} if analysis.scores["ari"] is not None else ()
    )
    return wording.scores({k: v for k, v in analysis.scores.items() if k not in passed_over})


def _level_lines(analysis: Analysis) -> list[str]:
    from extract.catalog import shown

    lines = []
    for level in analysis.levels:
        said = {name: level.scores[name] for name in ("ari", "ami", "purity")}
        said["right parent, wrong leaf"] = level.right_parent_wrong_leaf
        said["hierarchical F1"] = level.hierarchical_f1
        start = f"level {shown(level.name)}, {level.n_classes} classes: "
        lines += wording.scores(said, start)
    return lines


def _text(analysis: Analysis, result: dict[str, Any]) -> str:
    from extract.catalog import shown

    title, subtitle = _headings(analysis)
    lines = [result["file"], title, subtitle]
    lines += [*_score_line(analysis), *_level_lines(analysis)]
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
        unmatched = [
            c for c in analysis.agreement.clusters if c not in analysis.agreement.cluster_to_class
        ]
        if unmatched:
            lines.append(f"clusters matched to no class: {', '.join(map(str, unmatched))}")
    return "\n".join([*lines, *wording.left_out(result), *wording.closing(result)])
