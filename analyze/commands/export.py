"""``python -m analyze export``: a catalogue with its map, for embedding-atlas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from analyze.commands import options
from extract import command_line as cl
from extract.stopping import ended_by_signals


@cl.command()
def export(
    *,
    inputs: options.Inputs,
    reduce: Annotated[
        str, typer.Option(metavar="STEPS", help=f"Of the map: {options.STEPS_HELP}")
    ] = "pca:0.99,tsne",
    neighbors: Annotated[
        int, typer.Option(metavar="K", min=1, help="Nearest neighbors of each picture.")
    ] = 15,
    seed: cl.SeedOption = 0,
    images: options.ImagesOption = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: the file's name and .atlas.parquet."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    common: cl.Common,
) -> None:
    """Write vectors, map, neighbors, pictures and labels as embedding-atlas opens them."""
    from analyze.neighbors.atlas import write_atlas
    from analyze.reduction.cache import ReductionCache
    from analyze.reduction.reduction import parse_steps
    from analyze.stored_files.selection import choose_one
    from extract.storage.catalog_roots import pictures_root
    from extract.storage.embeddings_file import read_embeddings
    from extract.storage.exchange.export import check_can_export

    parse_steps(reduce)  # a wrong word is refused before anything is read
    workspace = common.workspace()
    chosen = choose_one(workspace, inputs.selection())
    path = output or workspace.root / f"{chosen.stem}.atlas.parquet"
    check_can_export(path, "parquet", overwrite=overwrite)
    vectors = read_embeddings(chosen)
    with ended_by_signals("stopped; nothing is written"):
        reduced = ReductionCache(workspace.cached_reductions)(vectors, reduce, seed, None)
        written = write_atlas(
            path,
            vectors,
            reduced,
            images=pictures_root(workspace, vectors.provenance, images),
            n_neighbors=neighbors,
            overwrite=overwrite,
        )
    written = replace(written, file=workspace.relative(path))
    common.print_result(written.to_json(), written.text())
