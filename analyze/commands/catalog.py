"""``python -m analyze catalog``: what a catalogue holds, at a glance."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.run_folder import present
from extract import command_line as cl


@cl.command()
def catalog(
    *,
    inputs: options.Inputs,
    level: options.LevelOption = None,
    examples: Annotated[
        int, typer.Option(metavar="N", min=1, max=12, help="Pictures per class.")
    ] = 6,
    folder: options.Pictures,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """Show a catalogue at a glance: classes, how many pictures each, some of them, and copies."""
    from analyze.measures.levels import choose_level, no_labels
    from analyze.pictures.catalog_sheet import glance_at
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.stored_files.selection import choose_any, choose_one
    from extract.storage.embeddings_file import read_embeddings

    workspace = output.workspace()
    selection = inputs.selection()
    # which backbone saw them is no matter here, unless one is named
    path = (choose_one if folder.seen else choose_any)(workspace, selection)
    vectors = read_embeddings(path)
    pictures = PictureFolder.of(vectors, workspace, folder.images, seen=folder.seen)
    chosen = choose_level(vectors.levels, level, vectors.multi_labels)
    multi_labels = vectors.multi_labels
    notes: tuple[str, ...] = ()
    if multi_labels and not vectors.levels:
        notes = (f"{no_labels(multi_labels)}: classes are not shown",)
    glance = replace(
        glance_at(vectors, chosen), pictures=pictures, n_examples=examples, seed=seed, notes=notes
    )
    present(output, "catalog", glance, vectors, {"file": workspace.relative(path)})
