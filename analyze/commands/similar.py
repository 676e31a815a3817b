"""``python -m analyze similar``: the products that look like a given one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyze.commands import options
from extract import command_line as cl
from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.neighbors.category_filter import Inside
    from analyze.neighbors.indexes.index_cache import OpenedIndex
    from analyze.neighbors.query import Query
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings import EmbeddingSet

AUTO, FLAT = "auto", "flat"
MOST_COMPARED = 100_000
"""Ids that are held against a wrong one."""


def similar(
    query: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|IMAGE", help="Tried as an id first, then as a file; repeatable."),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Hits; copies do not count.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL=VALUE", help="Search only inside this; repeatable."),
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Hits unlike each other (marginal relevance).")
    ] = False,
    diverse_weight: Annotated[
        float | None,
        typer.Option(metavar="W", help="Of similarity beside novelty, 0 to 1; default 0.7."),
    ] = None,
    index: Annotated[
        str,
        typer.Option(metavar="NAME", help="auto, flat, sqfp16, sq8, hnsw, ivf or ivfpq."),
    ] = "auto",
    index_dims: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Turn rows onto N principal axes first."),
    ] = None,
    recall: Annotated[
        float, typer.Option(metavar="R", help="Wanted of an index that is not exact.")
    ] = 0.98,
    embeddings: options.EmbeddingsOption = None,
    model: options.ModelOption = None,
    catalog: cl.CatalogOption = None,
    resize: options.ResizeOption = None,
    pooling: options.PoolingOption = None,
    level: options.LevelOption = None,
    images: options.ImagesOption = None,
    seen: options.SeenOption = False,
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
    from analyze.commands.selection.selection import Selection, choose_one
    from analyze.commands.similar_output import how, text, write
    from analyze.measures.levels import choose_level, no_labels
    from analyze.neighbors import similar as search
    from analyze.neighbors.category_filter import rows_inside
    from analyze.neighbors.diversity import WEIGHT, check_weight
    from analyze.neighbors.indexes.index_choice import check_wanted
    from analyze.neighbors.similar_result import similar_json
    from analyze.neighbors.similar_sheet import draw_answer
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings_file import read_embeddings

    if not query:
        raise UsageError("nothing is asked: give an id or a picture with --query ID|IMAGE")
    weight = diverse_weight if diverse_weight is not None else WEIGHT if diverse else None
    if weight is not None:
        check_weight(weight)
    check_wanted(index, recall)
    workspace = Workspace.find(root)
    path = choose_one(workspace, Selection.of(embeddings, model, catalog, resize, pooling))
    vectors = read_embeddings(path)
    pictures = PictureFolder.of(vectors, workspace, images, seen=seen)
    chosen = choose_level(vectors.levels, level, vectors.multi_labels)
    names = search.name_column(vectors, name_column)
    inside = rows_inside(vectors, where or [])
    queries, notes = _queries(vectors, query, pictures, weights)
    opened = _opened(workspace, path, vectors, inside, index, index_dims, recall, quiet=quiet)
    answers = search.find_similar(
        vectors, queries, pictures, top=top, index=opened.index, inside=inside, diverse=weight
    )
    notes += opened.notes
    result = similar_json(
        workspace.relative(path),
        vectors,
        names,
        opened,
        answers,
        top=top,
        inside=inside,
        diverse=weight,
        notes=notes,
    )
    found = how(result)
    sheets = [draw_answer(vectors, answer, pictures, chosen, names, found) for answer in answers]
    if vectors.multi_labels and not vectors.levels:
        result["notes"].append(f"{no_labels(vectors.multi_labels)}: labels are not shown")
    result["notes"] += pictures.notes()
    if pictures.missed:
        result["notes"].append(
            "of pictures that are not opened only equal bytes fold, and variants are not told"
        )
    write(workspace, vectors, result, sheets, svg=svg)
    cl.print_result(as_json, result, text(result))


def _opened(
    workspace: Workspace,
    path: Path,
    vectors: EmbeddingSet,
    inside: Inside | None,
    name: str,
    dims: int | None,
    recall: float,
    *,
    quiet: bool,
) -> OpenedIndex:
    """Open the index that is wanted; inside a category all rows are compared without one."""
    from analyze.neighbors.indexes.index_cache import OpenedIndex, open_index
    from analyze.neighbors.indexes.index_choice import wanted_index

    if inside is not None:
        why = f"{len(inside.rows)} of {len(vectors)} pictures are inside: all are compared"
        notes = () if name in (AUTO, FLAT) else (f"inside a category --index {name} is not used",)
        return OpenedIndex(None, why, notes=notes)
    choice = wanted_index(name, dims, *vectors.vectors.shape, recall=recall)
    with cl.progress_bar("index", quiet=quiet) as progress:
        return open_index(vectors, path, workspace.indexes, choice, recall, progress)


def _queries(
    vectors: EmbeddingSet, texts: Sequence[str], pictures: PictureFolder, weights: Path | None
) -> tuple[list[Query], list[str]]:
    """Take each text as an id, else as a picture's file; say what has to be said of them."""
    from analyze.neighbors.query import (
        other_reading,
        other_realisation,
        query_by_id,
        query_by_picture,
    )
    from extract.backbones.registry import load_again

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
            otherwise = found.picture and other_reading(found.picture, vectors)
            notes += [otherwise] if otherwise else []
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

    from extract.ids import shown

    near = difflib.get_close_matches(text, vectors.ids[:MOST_COMPARED], n=3, cutoff=0.6)
    near = near or list(vectors.ids[:2])
    return UsageError(
        f"no id and no file {text!r}: ids are such as {', '.join(map(shown, near))}; "
        "give one, or a picture, with --query"
    )
