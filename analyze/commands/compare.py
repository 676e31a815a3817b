"""``python -m analyze compare``: backbones by reductions, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.comparison.result import ComparedPair, Comparison, Setting
    from extract.recipe import Recipe
    from extract.storage.embeddings import EmbeddingSet

MOST_ANSWERS = 30


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
        int, typer.Option(metavar="N", min=200, help="Of pictures, for the intervals.")
    ] = 2000
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="How many seeds.")] = 20
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="The first of the seeds."),
    ] = 0

    def __post_init__(self) -> None:
        if self.seed + self.seeds > 2**32:
            raise UsageError(f"seeds end at {2**32 - 1}: give a lower --seed or fewer --seeds")


@cl.command()
def compare(
    context: typer.Context,
    *,
    inputs: options.SeveralInputs,
    settings: Settings,
    repeats: Repeats,
    output: options.Output,
) -> None:
    """Which backbone, which reduction, and is the difference real? Scores with intervals."""
    from analyze.commands.selection.selection import choose_by_recipe, choose_several
    from analyze.comparison.comparison import REDUCTIONS_COMPARED, compare
    from analyze.reduction.reduction import parse_steps
    from extract.storage.embeddings_file import read_embeddings

    reductions = settings.reduce or list(REDUCTIONS_COMPARED)
    seeds_of: Sequence[int] = range(repeats.seed, repeats.seed + repeats.seeds)
    clusterings = settings.clustering or ["kmeans"]
    clusters, level, recipe = settings.clusters, settings.level, settings.recipe
    fixed = _fixed_by(context, recipe) if recipe is not None else None
    if fixed is not None:
        reductions, clusterings = [fixed.analyze.reduce], [fixed.analyze.cluster]
        clusters, seeds_of = fixed.analyze.clusters or clusters, fixed.analyze.seeds
        level = fixed.analyze.level or level
    for steps in reductions:
        parse_steps(steps)  # a wrong word is said before anything is read
    workspace = output.workspace()
    wanted = inputs.selection()
    if fixed is not None:
        paths = choose_by_recipe(workspace, fixed, wanted)
    else:
        paths = choose_several(workspace, wanted)
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
                reduction_cache=workspace.reductions,
                clustering_cache=workspace.clusterings,
                progress=progress,
                resampling_progress=resampling,
            )
        files = [workspace.relative(path) for path in paths]
        result: dict[str, Any] = {"files": files, **comparison.to_json()}
        if fixed is not None:
            components = _components(workspace, vectors, fixed.analyze.reduce, seeds_of[0])
            result["recipe"] = _beside_published(fixed, comparison, components)
        _write(workspace, comparison, vectors, result, svg=output.svg)
    output.print_result(result, _text(comparison, result))


def _write(
    workspace: Workspace,
    comparison: Comparison,
    vectors: Sequence[EmbeddingSet],
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    """Write tables and the figure into a folder of their own."""
    from analyze.comparison.figure import draw_comparison
    from analyze.presentation import figure_style
    from extract import results

    drawn = None
    if comparison.cells[0].mean is not None:
        drawn = draw_comparison(
            comparison.over_seeds("ari"),
            [model.name for model in comparison.models],
            [_column_name(comparison, column) for column in _columns(comparison)],
            comparison.intervals("ari"),
            score="ARI",
            title="Do clusters agree with classes? By backbone and reduction",
            subtitle=_subtitle(comparison, drawn=True),
        )
    else:
        result["notes"].append("no figure: there are no scores to draw")
    with run_folder(workspace, "compare", result, vectors) as folder:
        rows = [row.to_json() for row in comparison.rows]
        header = list(rows[0])
        results.write_csv(
            folder / "comparison.csv", header, ([row[name] for name in header] for row in rows)
        )
        pairs = [*result["pairs"], *result["reduction_pairs"], *result["clustering_pairs"]]
        if pairs:
            header = list(dict.fromkeys(name for pair in pairs for name in pair))
            header.sort(key=lambda name: name.endswith(("resize", "pooling")))  # they stand last
            results.write_csv(
                folder / "pairs.csv",
                header,
                ([pair.get(name) for name in header] for pair in pairs),
            )
        if drawn is not None:
            figure_style.save(drawn, folder, "ari", svg=svg)


def _fixed_by(context: typer.Context, recipe: str) -> Recipe:
    """Read a recipe; what it fixes cannot be given beside it."""
    from extract.recipe import read_recipe

    read = read_recipe(recipe)
    fixed = ["embeddings", "model", "reduce", "clustering", "seed", "seeds"]
    fixed += [name for name in ("clusters", "level") if getattr(read.analyze, name) is not None]
    fixed += [name for name in ("resize", "pooling") if getattr(read.extract, name) is not None]
    cl.refuse_beside(context, recipe, fixed)
    return read


def _components(
    workspace: Workspace, vectors: Sequence[EmbeddingSet], reduction: str, seed: int
) -> list[int | None]:
    """Count the principal components that a reduction takes of each file."""
    from analyze.reduction.cache import ReductionCache

    steps = reduction.split(",")
    at = next((i for i, step in enumerate(steps) if step.startswith("pca")), None)
    if at is None:
        return [None] * len(vectors)
    until, reduce = ",".join(steps[: at + 1]), ReductionCache(workspace.reductions)
    return [int(reduce(each, until, seed, None).coordinates.shape[1]) for each in vectors]


def _beside_published(
    recipe: Recipe, comparison: Comparison, components: Sequence[int | None]
) -> dict[str, Any]:
    """Put what a recipe found here beside what others published of it."""
    cells = [cell for cell in comparison.cells if cell.metric == "ari"]
    found = [
        {**cell.model.key, "ari": cell.mean, "low": cell.low, "high": cell.high, "components": n}
        | cell.model.made
        for cell, n in zip(cells, components, strict=True)
    ]
    published = {**vars(recipe.published), "ari": list(recipe.published.ari)}
    return {"name": recipe.name, "about": recipe.about, "published": published, "found": found}


def _recipe_lines(result: dict[str, Any]) -> list[str]:
    recipe = result.get("recipe")
    if recipe is None:
        return []
    lines = [f"recipe {recipe['name']}: {recipe['about']}"]
    lines += [
        f"{each['model']}: ARI {_figure(each['ari'])}"
        + (f", {each['components']} components" if each["components"] else "")
        for each in recipe["found"]
    ]
    published = recipe["published"]
    if published["ari"]:
        low, high = (wording.score(f(published["ari"])) for f in (min, max))
        line = f"published: ARI {low}" + (f" to {high}" if high != low else "")
        line += f", {published['components']} components" if published["components"] else ""
        lines.append(line + (f" ({published['note']})" if published["note"] else ""))
    return lines


def _columns(comparison: Comparison) -> list[tuple[str, str]]:
    """List reductions, each with each clustering."""
    return [(r, c) for r in comparison.reductions for c in comparison.clusterings]


def _column_name(comparison: Comparison, column: tuple[str, ...]) -> str:
    return column[0] if len(comparison.clusterings) == 1 else " · ".join(column)


def _subtitle(comparison: Comparison, *, drawn: bool = False) -> str:
    seeds = comparison.seeds
    over = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    clustered = "k-means" if comparison.clusterings == ("kmeans",) else "clusters"
    parts = [
        f"{len(comparison.ids)} pictures",
        f"level {comparison.level.name}",
        f"{clustered} {comparison.n_clusters}",
        over,
        *wording.geometry(model.made for model in comparison.models),
    ]
    if drawn and len(seeds) > 1:
        parts.append("dots: seeds")
    if drawn and comparison.n_resamples:
        parts.append("whiskers: 95 % over pictures")
    return " · ".join(parts)


def _text(comparison: Comparison, result: dict[str, Any]) -> str:
    lines = [*result["files"], f"ARI · {_subtitle(comparison)}"]
    lines += _table(comparison)
    lines += _legend(comparison)
    lines += _answers(comparison)
    lines += _recipe_lines(result)
    return "\n".join([*lines, *wording.closing(result)])


def _table(comparison: Comparison) -> list[str]:
    from analyze.comparison.result import Setting
    from extract.ids import shown

    columns = _columns(comparison)
    names = [shown(_column_name(comparison, column)) for column in columns]
    rows = [["model", "numbers", "1-NN", *names]]
    for model in comparison.models:
        cells = [_cell(comparison, Setting(model, *column)) for column in columns]
        rows.append(
            [
                wording.backbone(model.name),
                str(model.n_dims),
                _figure(model.one_nn_accuracy),
                *cells,
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return lines


def _cell(comparison: Comparison, setting: Setting) -> str:
    """Spell a mean, its deviation over seeds and its interval, marked where it may be the best."""
    cell = comparison.cell(setting, "ari")
    spelled = _figure(cell.mean)
    if cell.std is not None:
        spelled += f" ± {cell.std:.3f}"
    if cell.low is not None and cell.high is not None:
        spelled += f" ({wording.score(cell.low)} to {wording.score(cell.high)})"
    if comparison.pairs:
        spelled += " =" if comparison.as_good_as_best(setting, "ari") else "  "
    return spelled


def _legend(comparison: Comparison) -> list[str]:
    lines = []
    if len(comparison.seeds) > 1:
        lines.append("±: standard deviation over seeds of reduction and clustering")
    if comparison.n_resamples:
        lines.append(
            f"(low to high): 95 % over pictures, {comparison.n_resamples} resamples; the "
            "clusterings are fixed, the pictures a sample of those the catalogue could hold"
        )
    if comparison.pairs:
        lines.append("=: the best of its column, or cannot be told apart from it")
    return lines


def _answers(comparison: Comparison) -> list[str]:
    """Say which is better: backbones, where there are several; else reductions, or clusterings."""
    kinds = comparison.pairs, comparison.reduction_pairs, comparison.clustering_pairs
    pairs = [pair for pair in next(filter(None, kinds), ()) if pair.metric == "ari"]
    answers = [_answer(comparison, pair) for pair in pairs[:MOST_ANSWERS]]
    if len(pairs) > MOST_ANSWERS:
        answers.append(f"and {len(pairs) - MOST_ANSWERS} more pairs in pairs.csv")
    return answers


def _answer(comparison: Comparison, pair: ComparedPair) -> str:
    if pair.a.model == pair.b.model:
        return pair.verdict
    return f"{_column_name(comparison, pair.a[1:])}: {pair.verdict}"


def _figure(value: float | None) -> str:
    return "-" if value is None else wording.score(value)
