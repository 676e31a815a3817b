"""``python -m analyze retrieval``: how good look-ups are, by class, with intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.run_folder import present
from extract import command_line as cl

N_SHOWN = 5


@dataclass(frozen=True)
class Queries:
    """How many queries are searched, judged and shown."""

    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k", metavar="N", min=1, help="Hits for precision and recall at N; default 5 and 10."
        ),
    ] = None
    queries: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, help="Maximum number of queries; of more a sample is drawn."
        ),
    ] = 5000
    worst: Annotated[
        int, typer.Option(metavar="N", min=0, max=100, help="Worst queries on a contact sheet.")
    ] = 10
    resamples: options.ResamplesOption = 2000


@cl.command()
def retrieval(
    *,
    inputs: options.InputList,
    level: options.LevelOption = None,
    queries: Queries,
    folder: options.Pictures,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """How good are look-ups? Precision, recall, mAP, MRR and 1-NN accuracy, copies left out."""
    from analyze.neighbors.retrieval_result import retrieve
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.stored_files.selection import choose_files
    from extract.storage.embeddings_file import read_embeddings

    workspace = output.workspace()
    wanted = inputs.selection()
    paths = choose_files(workspace, wanted)
    vectors = [read_embeddings(path) for path in paths]
    with output.progress_bar("queries") as progress:
        found = retrieve(
            vectors,
            level=level,
            ks=queries.k or (5, 10),
            n_shown=N_SHOWN,
            most_queries=queries.queries,
            n_resamples=queries.resamples,
            seed=seed,
            progress=progress,
        )
    of_each = found.of_first_level if queries.worst else []
    shown = (
        PictureFolder.of(each.embeddings, workspace, folder.images, seen=folder.seen)
        for each in of_each
    )
    found = replace(found, n_worst=queries.worst, pictures=tuple(shown))
    files = [workspace.relative(path) for path in paths]
    present(output, "retrieval", found, vectors, {"files": files})
