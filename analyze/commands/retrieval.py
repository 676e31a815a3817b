"""``python -m analyze retrieval``: how good look-ups are, by class, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.neighbors.retrieval_result import Retrieved
    from extract.storage.embeddings import EmbeddingSet

N_SHOWN = 5
MOST_LISTED = 12
WIDEST_CLASS = 48


@dataclass(frozen=True)
class Queries:
    """How many queries are asked, judged and shown."""

    k: Annotated[
        list[int] | None,
        typer.Option("--k", metavar="N", min=1, help="Of precision and recall; default 5 and 10."),
    ] = None
    queries: Annotated[
        int, typer.Option(metavar="N", min=2, help="Of more pictures a sample is asked about.")
    ] = 5000
    worst: Annotated[
        int, typer.Option(metavar="N", min=0, max=100, help="Worst queries on a contact sheet.")
    ] = 10
    resamples: Annotated[
        int, typer.Option(metavar="N", min=100, help="Of the pictures, for the intervals.")
    ] = 2000


@cl.command()
def retrieval(
    *,
    inputs: options.SeveralInputs,
    level: options.LevelOption = None,
    queries: Queries,
    folder: options.Pictures,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """How good are look-ups? Precision, recall, mAP, MRR and 1-NN accuracy, copies left out."""
    from analyze.commands.selection.selection import choose_several
    from analyze.neighbors.retrieval_result import retrieve
    from extract.storage.embeddings_file import read_embeddings

    workspace = output.workspace()
    wanted = inputs.selection()
    paths = choose_several(workspace, wanted)
    vectors = [read_embeddings(path) for path in paths]
    with output.progress_bar("queries") as progress:
        found, notes = retrieve(
            vectors,
            level=level,
            ks=queries.k or (5, 10),
            n_shown=N_SHOWN,
            most_queries=queries.queries,
            n_resamples=queries.resamples,
            seed=seed,
            progress=progress,
        )
    result: dict[str, Any] = {
        "files": [workspace.relative(path) for path in paths],
        "n_images": len(found[0].embeddings),
        "levels": list(dict.fromkeys(each.level.name for each in found)),
        "n_resamples": queries.resamples,
        "seed": seed,
        "rows": [row for each in found for row in each.rows()],
        "classes": [row for each in found for row in each.class_rows()],
        "worst": [query for each in _of_first_level(found) for query in each.worst(queries.worst)],
        "notes": list(notes),
    }
    _write(workspace, found, vectors, result, folder, queries.worst, svg=output.svg)
    output.print_result(result, _text(found, result))


def _of_first_level(found: Sequence[Retrieved]) -> list[Retrieved]:
    return [each for each in found if each.level.name == found[0].level.name]


def _write(
    workspace: Workspace,
    found: Sequence[Retrieved],
    vectors: Sequence[EmbeddingSet],
    result: dict[str, Any],
    shown_from: options.Pictures,
    worst: int,
    *,
    svg: bool,
) -> None:
    """Write the tables, the figures, and the worst queries of each embedding as a sheet."""
    from analyze.neighbors.retrieval_figure import draw_classes, draw_retrieval
    from analyze.presentation import figure_style
    from extract import results

    first = _of_first_level(found)
    about = " · ".join(
        [
            f"{_asked(found)} · {result['n_resamples']} resamples · seed {result['seed']}",
            *wording.geometry(each.made for each in found),
        ]
    )
    drawn = {
        "retrieval": draw_retrieval(found, subtitle=about),
        "retrieval-classes": draw_classes(first, subtitle=f"level {first[0].level.name}"),
    }
    if worst:
        for number, each in enumerate(first, start=1):
            name = "worst" if len(first) == 1 else f"worst-{number}"
            drawn[name] = _sheet(workspace, each, worst, shown_from, result)
    with run_folder(workspace, "retrieval", result, vectors) as folder:
        for name in ("rows", "classes"):
            header = list(result[name][0])
            results.write_csv(
                folder / f"{'retrieval' if name == 'rows' else name}.csv",
                header,
                ([row[key] for key in header] for row in result[name]),
            )
        header = ["model", "identity", "level", "id", "class", "average_precision", "first_right"]
        made = ["resize", "pooling"]
        results.write_csv(
            folder / "worst.csv",
            [*header, "hits", *made],
            (
                [
                    *(query[key] for key in header),
                    " | ".join(hit["id"] for hit in query["hits"]),
                    *(query[key] for key in made),
                ]
                for query in result["worst"]
            ),
        )
        for name, figure in drawn.items():
            figure_style.save(figure, folder, name, svg=svg)


def _sheet(
    workspace: Workspace,
    found: Retrieved,
    worst: int,
    folder: options.Pictures,
    result: dict[str, Any],
) -> Any:
    """Draw a row a query: itself, then its first answers, framed in the colors of the classes."""
    from analyze.neighbors.similar import name_column
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.presentation.contact_sheet import Tile, draw_sheet
    from analyze.presentation.palette import style_of

    pictures = PictureFolder.of(found.embeddings, workspace, folder.images, seen=folder.seen)
    names = name_column(found.embeddings)
    called = found.embeddings.columns[names] if names else found.embeddings.ids
    queries = found.worst(worst)
    across = 1 + min(len(query["hits"]) for query in queries)
    tiles = []

    def tile(row: int, heading: str, lines: list[str], **marked: Any) -> Tile:
        picture = pictures.show(row)
        return Tile(picture, heading, [*pictures.part_seen(row), *lines], **marked)

    for query in queries:
        place = f"query · first right at {query['first_right']}"
        lines = [called[query["row"]] or query["id"], query["class"]]
        tiles.append(tile(query["row"], place, lines, is_query=True))
        for hit in query["hits"][: across - 1]:
            color = style_of(hit["class"], found.level.categories)[0]
            mark = " · right" if hit["right"] else ""
            heading = f"{hit['rank']} · {hit['similarity']:.3f}{mark}"
            lines = [called[hit["row"]] or hit["id"], hit["class"]]
            tiles.append(tile(hit["row"], heading, lines, color=color))
    result["notes"] += [note for note in pictures.notes() if note not in result["notes"]]
    return draw_sheet(
        tiles,
        title=f"The worst queries: {found.name}",
        subtitle=f"a row a query, lowest average precision first · level {found.level.name}"
        + pictures.how_shown,
        columns=across,
    )


def _asked(found: Sequence[Retrieved]) -> str:
    counts = {each.level.name: len(each.ranked.rows) for each in found}
    if len(set(counts.values())) == 1:
        return f"{next(iter(counts.values()))} queries"
    return "queries: " + ", ".join(f"{n} by {name}" for name, n in counts.items())


def _text(found: Sequence[Retrieved], result: dict[str, Any]) -> str:
    from analyze.neighbors.retrieval_figure import metric_in_words
    from extract.ids import shown

    searched = f"exact search by cosine in {result['n_images']} pictures"
    geometry = wording.geometry(each.made for each in found)
    lines = [*result["files"], " · ".join([searched, *geometry])]
    for level in result["levels"]:
        here = [each for each in found if each.level.name == level]
        lines.append(f"level {shown(level)}, {len(here[0].ranked.rows)} queries")
        table = [["", *(shown(each.name) for each in here)]]
        for key in here[0].estimates:
            values = [wording.estimate(each.estimates[key]) for each in here]
            table.append([metric_in_words(*key), *values])
        lines += _lined_up(table)
    for each in _of_first_level(found):
        lines += _classes(each)
    return "\n".join([*lines, *wording.closing(result)])


def _cut(name: str) -> str:
    """Cut a long name in its middle: the end of a path tells most."""
    if len(name) <= WIDEST_CLASS:
        return name
    return f"{name[: WIDEST_CLASS // 3]}…{name[WIDEST_CLASS // 3 + 1 - WIDEST_CLASS :]}"


def _lined_up(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _classes(found: Retrieved) -> list[str]:
    """List the classes, the worst first, as far as they are few."""
    from extract.ids import shown

    classes = sorted(found.by_class.items(), key=lambda each: each[1][1]["map", None].mean)
    lines = [f"mAP by class, {found.name}:"]
    for name, (n, estimates) in classes[:MOST_LISTED]:
        spelled = wording.estimate(estimates["map", None])
        lines.append(f"  {_cut(shown(name)):<{WIDEST_CLASS}} {spelled}  ({n})")
    more = len(classes) - MOST_LISTED
    return [*lines, *([f"  and {more} more in classes.csv"] if more > 0 else [])]
