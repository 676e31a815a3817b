"""``python -m analyze similar``: the products that look like a given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Request:
    """What is looked for, and which hits are wanted."""

    query: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|IMAGE", help="Tried as an id first, then as a file; repeatable."),
    ] = None
    top: Annotated[int, typer.Option(metavar="N", help="Hits; copies do not count.")] = 10
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL=VALUE", help="Search only inside this; repeatable."),
    ] = None
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Hits unlike each other (marginal relevance).")
    ] = False
    diverse_weight: Annotated[
        float | None,
        typer.Option(metavar="W", help="Of similarity beside novelty, 0 to 1; default 0.7."),
    ] = None

    @property
    def diversity(self) -> float | None:
        """The weight of similarity beside novelty; None where hits are the most similar ones."""
        from analyze.neighbors.diversity import WEIGHT

        if self.diverse_weight is not None:
            return self.diverse_weight
        return WEIGHT if self.diverse else None


@cl.command()
def similar(
    *,
    request: Request,
    index: options.Index,
    inputs: options.Inputs,
    level: options.LevelOption = None,
    folder: options.Pictures,
    products: options.Products,
    output: options.Output,
) -> None:
    """Show the products most similar to one of the catalogue, or to a new picture."""
    from analyze.commands.selection.selection import choose_one
    from analyze.commands.similar_output import how, text, write
    from analyze.measures.levels import choose_level, no_labels
    from analyze.neighbors import similar as search
    from analyze.neighbors.category_filter import rows_inside
    from analyze.neighbors.diversity import check_weight
    from analyze.neighbors.indexes.index_choice import check_wanted
    from analyze.neighbors.similar_result import similar_json
    from analyze.neighbors.similar_sheet import draw_answer
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings_file import read_embeddings

    if not request.query:
        raise UsageError("nothing is asked: give an id or a picture with --query ID|IMAGE")
    weight = request.diversity
    if weight is not None:
        check_weight(weight)
    check_wanted(index.index, index.recall)
    workspace = output.workspace()
    path = choose_one(workspace, inputs.selection())
    vectors = read_embeddings(path)
    pictures = PictureFolder.of(vectors, workspace, folder.images, seen=folder.seen)
    chosen = choose_level(vectors.levels, level, vectors.multi_labels)
    names = search.name_column(vectors, products.name_column)
    inside = rows_inside(vectors, request.where or [])
    queries, notes = _queries(vectors, request.query, pictures, products.weights)
    opened = _opened(workspace, path, vectors, inside, index, output)
    answers = search.find_similar(
        vectors,
        queries,
        pictures,
        top=request.top,
        index=opened.index,
        inside=inside,
        diverse=weight,
    )
    notes += opened.notes
    result = similar_json(
        workspace.relative(path),
        vectors,
        names,
        opened,
        answers,
        top=request.top,
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
    write(workspace, vectors, result, sheets, svg=output.svg)
    output.print_result(result, text(result))


def _opened(
    workspace: Workspace,
    path: Path,
    vectors: EmbeddingSet,
    inside: Inside | None,
    wanted: options.Index,
    output: options.Output,
) -> OpenedIndex:
    """Open the index that is wanted; inside a category all rows are compared without one."""
    from analyze.neighbors.indexes.index_cache import OpenedIndex, open_index
    from analyze.neighbors.indexes.index_choice import wanted_index

    if inside is not None:
        why = f"{len(inside.rows)} of {len(vectors)} pictures are inside: all are compared"
        unused = f"inside a category --index {wanted.index} is not used"
        notes = () if wanted.index in (AUTO, FLAT) else (unused,)
        return OpenedIndex(None, why, notes=notes)
    choice = wanted_index(
        wanted.index, wanted.index_dims, *vectors.vectors.shape, recall=wanted.recall
    )
    with output.progress_bar("index") as progress:
        return open_index(vectors, path, workspace.indexes, choice, wanted.recall, progress)


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
