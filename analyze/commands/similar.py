"""``python -m analyze similar``: the products that look like a given one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options, wording
from analyze.commands.run_folder import run_folder
from extract import command_line as cl
from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.pictures import PictureFolder
    from analyze.query import Query
    from extract.embeddings import EmbeddingSet

MOST_COMPARED = 100_000
"""Ids that are held against a wrong one."""


def similar(
    query: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|IMAGE", help="Tried as an id first, then as a file; repeatable."),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Hits; copies do not count.")] = 10,
    embeddings: options.EmbeddingsOption = None,
    model: options.ModelOption = None,
    catalog: cl.CatalogOption = None,
    level: options.LevelOption = None,
    images: options.ImagesOption = None,
    name_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of the products' names.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the file's weights came from a file."),
    ] = None,
    svg: options.SvgOption = False,
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Show the products most similar to one of the catalogue, or to a new picture."""
    cl.set_up(verbose, quiet)
    from analyze import similar as search
    from analyze.analysis import choose_level
    from analyze.commands.selection import choose_embeddings
    from analyze.levels import no_labels
    from analyze.neighbors import ExactIndex
    from analyze.pictures import PictureFolder
    from analyze.similar_sheet import draw_answer
    from extract.embeddings_file import read_embeddings

    if not query:
        raise UsageError("nothing is asked: give an id or a picture with --query ID|IMAGE")
    workspace = Workspace.find(root)
    path = choose_embeddings(workspace, embeddings, model, catalog)
    vectors = read_embeddings(path)
    pictures = PictureFolder.of(vectors, workspace, images)
    chosen = choose_level(vectors.levels, level, vectors.multi_labels)
    names = search.name_column(vectors, name_column)
    queries, notes = _queries(vectors, query, pictures, weights)
    answers = search.find_similar(vectors, queries, pictures, top=top)
    said = [answer.to_json(vectors, names) for answer in answers]
    result: dict[str, Any] = {
        "file": workspace.relative(path),
        "model": vectors.provenance.model,
        "weights": vectors.provenance.weights,
        "identity": vectors.provenance.short_identity,
        "n_images": len(vectors),
        "left_out": sum(vectors.left_out.values()),
        "name_column": names,
        "index": ExactIndex.name,
        "recall_at_10": 1.0,
        "queries": said,
        "notes": notes,
    }
    sheets = [draw_answer(vectors, answer, pictures, chosen, names) for answer in answers]
    if vectors.multi_labels and not vectors.levels:
        notes.append(f"{no_labels(vectors.multi_labels)}: labels are not shown")
    notes += pictures.notes()
    if pictures.missed:
        notes.append("of pictures that are not opened only equal bytes fold")
    _write(workspace, vectors, result, sheets, svg=svg)
    cl.print_result(as_json, result, _text(result))


def _queries(
    vectors: EmbeddingSet, texts: Sequence[str], pictures: PictureFolder, weights: Path | None
) -> tuple[list[Query], list[str]]:
    """Take each text as an id, else as a picture's file; say what has to be said of them."""
    from analyze.query import other_realisation, query_by_id, query_by_picture
    from extract.backbones import load_again

    queries, notes, backbone = [], [], None
    for text in texts:
        found = query_by_id(vectors, text)
        if found is None:
            if not _is_there(text):
                raise _nothing_called(text, vectors)
            if backbone is None:
                backbone = load_again(vectors.provenance, weights_file=weights)
                other = other_realisation(vectors, backbone, pictures)
                notes += [other] if other else []
            realisations = vectors.provenance.realisations
            found = query_by_picture(Path(text), backbone, text, realisations)
        elif _is_there(text) and Path(text).is_file():
            notes.append(f"{text} is an id and a file too: taken as the id")
        queries.append(found)
    return queries, notes


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # longer than a file's name may be, or behind a closed folder
        return False


def _nothing_called(text: str, vectors: EmbeddingSet) -> UsageError:
    import difflib

    from extract.catalog import shown

    near = difflib.get_close_matches(text, vectors.ids[:MOST_COMPARED], n=3, cutoff=0.6)
    near = near or list(vectors.ids[:2])
    return UsageError(
        f"no id and no file {text!r}: ids are such as {', '.join(map(shown, near))}; "
        "give one, or a picture, with --query"
    )


def _write(
    workspace: Workspace,
    vectors: EmbeddingSet,
    result: dict[str, Any],
    sheets: Sequence[Any],
    *,
    svg: bool,
) -> None:
    """Write the table and a sheet a query into a folder of their own."""
    from analyze import figure_style
    from extract import results
    from extract.tables import column_names

    with run_folder(workspace, "similar", result, vectors) as folder:
        header = ["query", "rank", "id", "similarity", "copy_of_query", "copies"]
        levels = [level.name for level in vectors.levels]
        names = column_names(header, levels, vectors.columns)
        results.write_csv(
            folder / "similar.csv",
            [*header, *names],
            (
                [
                    said["query"],
                    hit["rank"],
                    hit["id"],
                    hit["similarity"],
                    int(hit["copy_of_query"]),
                    " | ".join(hit["copies"]),
                    *hit["labels"].values(),
                    *hit["columns"].values(),
                ]
                for said in result["queries"]
                for hit in said["hits"]
            ),
        )
        for i, sheet in enumerate(sheets, start=1):
            name = "similar" if len(sheets) == 1 else f"similar-{i}"
            figure_style.save(sheet, folder, name, svg=svg)


def _text(result: dict[str, Any]) -> str:
    from extract.catalog import shown

    weights = ", random weights" if result["weights"] == "random" else ""
    lines = [
        result["file"],
        f"{result['model']}{weights} · exact search by cosine in {result['n_images']} pictures",
    ]
    for said in result["queries"]:
        lines.append(f"similar to {shown(said['query'])} (taken as {said['by']}):")
        if said["copies"]:
            lines.append(
                f"  left out, equal byte for byte: {', '.join(map(shown, said['copies']))}"
            )
        lines += [_line(hit) for hit in said["hits"]]
    return "\n".join([*lines, *wording.closing(result)])


def _line(hit: dict[str, Any]) -> str:
    from extract.catalog import shown

    label = next(iter(hit["labels"].values()), None)
    parts = [hit["id"], *([hit["name"]] if hit["name"] else []), *([label] if label else [])]
    line = f"{hit['rank']:>4}  {hit['similarity']:.4f}  " + "  ".join(shown(p)[:60] for p in parts)
    if hit["copy_of_query"]:
        line += "  (a copy of the query)"
    if hit["copies"]:
        line += f"  (copies: {', '.join(map(shown, hit['copies']))})"
    return line
