"""``python -m analyze similar``: the products that look like a given one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import present
from extract import command_line as cl
from extract.errors import UsageError

AUTO, FLAT = "auto", "flat"


@dataclass(frozen=True)
class Request:
    """What is looked for, and which hits are wanted."""

    query: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|IMAGE", help="Id, or else a picture file; may be repeated."),
    ] = None
    top: Annotated[
        int, typer.Option(metavar="N", help="Number of hits; copies are not counted.")
    ] = 10
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEVEL=VALUE", help="Search only inside this category; may be repeated."
        ),
    ] = None
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Diverse hits (maximal marginal relevance).")
    ] = False
    diverse_weight: Annotated[
        float | None,
        typer.Option(
            metavar="W", help="Weight of similarity against diversity, 0 to 1; default 0.7."
        ),
    ] = None

    @property
    def diversity(self) -> float | None:
        """The weight of similarity against novelty; None where hits are the most similar ones."""
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
    from analyze.measures.levels import choose_level, no_labels
    from analyze.neighbors import similar as search
    from analyze.neighbors.category_filter import exact_inside, rows_inside
    from analyze.neighbors.diversity import check_weight
    from analyze.neighbors.indexes.index_cache import open_index
    from analyze.neighbors.indexes.index_choice import check_wanted, wanted_index
    from analyze.neighbors.query import read_queries
    from analyze.neighbors.similar_result import SimilarProducts
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.stored_files.selection import choose_one
    from extract.storage.embeddings_file import read_embeddings

    if not request.query:
        raise UsageError("no query: give an id or a picture with --query ID|IMAGE")
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
    kept_in, weights = workspace.cached_backbones, products.weights
    queries, notes = read_queries(vectors, request.query, pictures, weights, kept_in)
    if inside is not None:
        unused = None if index.index in (AUTO, FLAT) else index.index
        opened = exact_inside(inside, len(vectors), unused)
    else:
        shape = vectors.vectors.shape
        choice = wanted_index(index.index, index.index_dims, *shape, recall=index.recall)
        with output.progress_bar("index") as progress:
            opened = open_index(
                vectors, path, workspace.cached_indexes, choice, index.recall, progress
            )
    searched: dict[str, Any] = {"top": request.top, "inside": inside, "diverse": weight}
    answers = search.find_similar(vectors, queries, pictures, index=opened.index, **searched)
    notes += opened.notes
    if vectors.multi_labels and not vectors.levels:
        notes.append(f"{no_labels(vectors.multi_labels)}: labels are not shown")
    found = SimilarProducts(
        vectors,
        names,
        opened,
        answers,
        **searched,
        notes=tuple(notes),
        pictures=pictures,
        level=chosen,
    )
    present(output, "similar", found, vectors, {"file": workspace.relative(path)})
